import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { ServeError } from '../errors';
import { errorFrom, sentModel } from './understand';
import type { ModelFacts } from '../model';
import type { Done, OnnxOutcomes, OnnxTask } from './understand';

/** The bundle holds the thread's code as text; from sources it is compiled when it starts. */
declare const ONNX_THREAD_SOURCE: string | undefined;

function sourceText(): string {
  if (typeof ONNX_THREAD_SOURCE === 'string') return ONNX_THREAD_SOURCE;
  const files = [require.resolve('tsx/cjs'), join(__dirname, 'understand-worker.ts')];
  return files.map((file) => `require(${JSON.stringify(file)});`).join('\n');
}

/** A task that takes longer does nobody good; milliseconds. */
const TASK_MS = 30_000;
/** An idle thread's memory is given back; milliseconds. */
const IDLE_MS = 30_000;
const MIB = 1024 * 1024;
/** As many as may wait for the graph, if nobody says otherwise: bodies take memory. */
const MAX_WAITING = 256;

const tooMany = (): ServeError =>
  new ServeError(503, `${MAX_WAITING} large bodies and answers wait; try again`, {
    'retry-after': '1',
  });

interface WaitingTask {
  readonly task: OnnxTask;
  readonly memory: readonly ArrayBuffer[];
  readonly resolve: (outcome: never) => void;
  readonly reject: (error: Error) => void;
}

const tooMuch = (): ServeError =>
  new ServeError(
    413,
    'to read the body, or to write the answer, takes more memory or time than the server has; ' +
      'send less at a time, or tensors as bytes (V2)',
  );

/** Has large bodies read and large answers written in a thread, one after the other. */
export class Understander {
  private worker: Worker | undefined;
  private readonly queue: WaitingTask[] = [];
  private current: WaitingTask | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly models: readonly ModelFacts[]) {}

  /** @param memory goes to the thread, and is lost here */
  run<T extends OnnxTask>(task: T, memory: readonly ArrayBuffer[]): Promise<OnnxOutcomes[T['op']]> {
    if (this.queue.length >= MAX_WAITING) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      this.queue.push({ task, memory, resolve: resolve as WaitingTask['resolve'], reject });
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
    worker.postMessage(this.current.task, this.current.memory);
  }

  private start(): Worker {
    const worker = new Worker(sourceText(), {
      eval: true,
      execArgv: [],
      workerData: this.models.map(sentModel),
      // As much as the process itself.
      resourceLimits: {
        maxOldGenerationSizeMb: Math.floor(getHeapStatistics().heap_size_limit / MIB),
      },
    });
    worker.on('message', (told: Done['told']) => this.told(told));
    // Out of memory: only the thread ends.
    worker.on('error', () => undefined);
    worker.on('exit', () => this.lost(worker));
    return worker;
  }

  private told(told: Done['told']): void {
    const { current } = this;
    this.current = undefined;
    if ('done' in told) current?.resolve(told.done as never);
    else if ('error' in told) current?.reject(errorFrom(told.error));
    else current?.reject(new Error(`a large body or answer failed\n${told.fault}`));
    this.next();
  }

  private lost(worker: Worker): void {
    if (this.worker !== worker) return;
    this.worker = undefined;
    const { current } = this;
    this.current = undefined;
    current?.reject(tooMuch());
    this.next();
  }

  /** Ends the thread; a later task starts it again. */
  close(): void {
    clearTimeout(this.timer);
    const { worker, current } = this;
    this.worker = undefined;
    this.current = undefined;
    for (const { reject } of [...(current ? [current] : []), ...this.queue.splice(0)]) {
      reject(new ServeError(503, 'the server ends'));
    }
    void worker?.terminate();
  }
}
