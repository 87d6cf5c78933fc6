import { Worker } from 'node:worker_threads';
import type { ResourceLimits } from 'node:worker_threads';

// A thread for long-running tasks, with a queue.

/** Longest time of a task, after which its caller has given up; milliseconds. */
const TASK_MS = 30_000;
/** After this idle time the thread ends and its memory is freed; milliseconds. */
const IDLE_MS = 30_000;

/** A message to the thread. */
export interface SentTask {
  readonly task: unknown;
  /** Transferred to the thread; no longer usable here. */
  readonly memory: readonly ArrayBuffer[];
}

export interface TaskThreadOptions<Told> {
  /** The thread's code. It answers each message with one message. */
  readonly source: () => string;
  readonly data?: unknown;
  readonly limits: ResourceLimits;
  /** The result of a task from the thread's answer. @throws the error for its caller */
  readonly outcomeOf: (told: Told) => unknown;
  /** The error for a task that lost the thread: it needed too much memory or time. */
  readonly tooMuch: () => Error;
  /** The error for tasks that are pending at a close. */
  readonly closed: () => Error;
}

interface WaitingTask {
  readonly send: () => SentTask | Promise<SentTask>;
  readonly resolve: (outcome: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The code of a thread from a TypeScript file beside the caller: compiled at its start. */
export function compiledSource(file: string): string {
  const files = [require.resolve('tsx/cjs'), file];
  return files.map((one) => `require(${JSON.stringify(one)});`).join('\n');
}

/** Runs tasks in a thread, one after the other. */
export class TaskThread<Told> {
  private worker: Worker | undefined;
  private readonly queue: WaitingTask[] = [];
  private current: WaitingTask | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: TaskThreadOptions<Told>) {}

  /** Tasks in the queue, without the running one. */
  get waiting(): number {
    return this.queue.length;
  }

  /** @param send makes the message at the start of the task */
  run(send: WaitingTask['send']): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.queue.push({ send, resolve, reject });
      this.next();
    });
  }

  private next(): void {
    if (this.current !== undefined) return;
    clearTimeout(this.timer);
    this.current = this.queue.shift();
    if (this.current === undefined) {
      this.worker?.unref();
      this.timer = setTimeout(() => this.close(), IDLE_MS).unref();
      return;
    }
    const worker = (this.worker ??= this.start());
    worker.ref();
    this.timer = setTimeout(() => void worker.terminate(), TASK_MS);
    void this.send(worker, this.current);
  }

  private async send(worker: Worker, waiting: WaitingTask): Promise<void> {
    try {
      const { task, memory } = await waiting.send();
      if (this.current === waiting) worker.postMessage(task, memory);
    } catch (error) {
      if (this.current === waiting) this.finish(({ reject }) => reject(error));
    }
  }

  private start(): Worker {
    const { source, data, limits } = this.options;
    const worker = new Worker(source(), {
      eval: true,
      execArgv: [],
      workerData: data,
      resourceLimits: limits,
    });
    worker.on('message', (told: Told) => this.told(told));
    // An out-of-memory error ends only the thread.
    worker.on('error', () => undefined);
    worker.on('exit', () => this.lost(worker));
    return worker;
  }

  private finish(settle: (waiting: WaitingTask) => void): void {
    const { current } = this;
    this.current = undefined;
    if (current !== undefined) settle(current);
    this.next();
  }

  private told(told: Told): void {
    this.finish(({ resolve, reject }) => {
      try {
        resolve(this.options.outcomeOf(told));
      } catch (error) {
        reject(error);
      }
    });
  }

  private lost(worker: Worker): void {
    if (this.worker !== worker) return;
    this.worker = undefined;
    this.finish(({ reject }) => reject(this.options.tooMuch()));
  }

  /** Ends the thread; a later task starts it again. */
  close(): void {
    clearTimeout(this.timer);
    const { worker, current } = this;
    this.worker = undefined;
    this.current = undefined;
    for (const { reject } of [...(current ? [current] : []), ...this.queue.splice(0)]) {
      reject(this.options.closed());
    }
    void worker?.terminate();
  }
}
