import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { joined } from '../../shared/joined';
import { LARGE_BYTES } from '../../shared/survey';
import { Refusal } from '../errors';
import type { ElementsOutcomes, ElementsTask } from '../grpc/elements-tasks';
import type { LargeOutcomes, LargeTask, SentRefusal } from '../protocols/understanding';

// Bodies and answers that are large are understood in a thread of their own: the event loop, which
// serves everybody, has no step that takes long.

/** The bundle holds the thread's code as text; from sources it is compiled when it starts. */
declare const THREAD_SOURCE: string | undefined;

function sourceText(): string {
  if (typeof THREAD_SOURCE === 'string') return THREAD_SOURCE;
  const files = [require.resolve('tsx/cjs'), join(__dirname, 'worker.ts')];
  return files.map((file) => `require(${JSON.stringify(file)});`).join('\n');
}

/** A task that takes longer does nobody good; milliseconds. */
const TASK_MS = 30_000;
/** An idle thread's memory is given back; milliseconds. */
const IDLE_MS = 30_000;
/** What lives for a short time. */
const YOUNG_MIB = 16;

export interface ThreadOptions {
  /** Its heap may have so much; MiB. */
  readonly heapMib: number;
}

const MIB = 1024 * 1024;
const MIN_HEAP_MIB = 64;

/** It has as much as all bodies together; with less than the least it could do nothing. */
export const heapMibOf = (heldBytes: number): number =>
  Math.max(MIN_HEAP_MIB, Math.floor(heldBytes / MIB));

export const DEFAULT_THREAD: ThreadOptions = { heapMib: 128 };

type ThreadTask = LargeTask | ElementsTask;
type ThreadOutcomes = LargeOutcomes & ElementsOutcomes;

interface Waiting {
  readonly task: ThreadTask;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

type Told =
  | { readonly done: unknown }
  | { readonly refusal: SentRefusal }
  | { readonly fault: readonly string[] };

/** The thread was lost over a task: it needed more memory or time than there is. */
const tooMuch = (): Refusal =>
  new Refusal(
    'PAYLOAD_TOO_LARGE',
    'to put the body, or the answer to it, in other words takes more memory or time than the service has; send less at a time, or tensors as bytes (V2)',
  );

const refusalFrom = ({ code, message, more }: SentRefusal): Refusal =>
  new Refusal(code, message, more);

interface Sent {
  readonly task: ThreadTask;
  /** They go to the thread; what stays here is not copied again. */
  readonly owned: readonly ArrayBuffer[];
}

/** A task with bytes of its own: a message would copy all of them in one step. */
async function sentOf(task: ThreadTask): Promise<Sent> {
  const owned: ArrayBuffer[] = [];
  const fields: [string, unknown][] = [];
  for (const [name, value] of Object.entries(task)) {
    const isCopied = value instanceof Uint8Array && value.length > LARGE_BYTES;
    const own: unknown = isCopied ? await joined([value]) : value;
    if (isCopied) owned.push((own as Buffer).buffer as ArrayBuffer);
    fields.push([name, own]);
  }
  return { task: Object.fromEntries(fields) as unknown as ThreadTask, owned };
}

/** Does what is large, one task after the other. */
export class LargeThread {
  private worker: Worker | undefined;
  private readonly queue: Waiting[] = [];
  private current: Waiting | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: ThreadOptions = DEFAULT_THREAD) {}

  run<T extends ThreadTask>(task: T): Promise<ThreadOutcomes[T['op']]> {
    return new Promise((resolve, reject) => {
      const settle = resolve as (value: unknown) => void;
      this.queue.push({ task, resolve: settle, reject });
      this.next();
    });
  }

  private next(): void {
    if (this.current !== undefined) return;
    const waiting = this.queue.shift();
    if (waiting === undefined) return this.rest();
    this.current = waiting;
    clearTimeout(this.timer);
    const worker = (this.worker ??= this.start());
    worker.ref();
    this.timer = setTimeout(() => void worker.terminate(), TASK_MS);
    void this.send(worker, waiting);
  }

  private async send(worker: Worker, waiting: Waiting): Promise<void> {
    const { task, owned } = await sentOf(waiting.task);
    if (this.current === waiting) worker.postMessage(task, owned);
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.worker?.unref();
    this.timer = setTimeout(() => this.close(), IDLE_MS).unref();
  }

  private start(): Worker {
    const worker = new Worker(sourceText(), {
      eval: true,
      execArgv: [],
      resourceLimits: {
        maxOldGenerationSizeMb: this.options.heapMib,
        maxYoungGenerationSizeMb: YOUNG_MIB,
      },
    });
    worker.on('message', (told: Told) => this.told(told));
    // Out of memory: only the thread ends.
    worker.on('error', () => undefined);
    worker.on('exit', () => this.lost(worker));
    return worker;
  }

  private told(told: Told): void {
    const { current } = this;
    this.current = undefined;
    if ('done' in told) current?.resolve(told.done);
    else if ('refusal' in told) current?.reject(refusalFrom(told.refusal));
    else {
      const error = new Error('a large body could not be understood');
      error.stack = [String(error), ...told.fault].join('\n');
      current?.reject(error);
    }
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

  /** Ends it; a later task starts it again. */
  close(): void {
    clearTimeout(this.timer);
    const { worker, current } = this;
    this.worker = undefined;
    this.current = undefined;
    current?.reject(new Error('the service ends'));
    void worker?.terminate();
  }
}
