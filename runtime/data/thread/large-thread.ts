import { join } from 'node:path';
import { joined } from '../../shared/join-buffers';
import { LARGE_BYTES } from '../../shared/json-survey';
import { compiledSource, TaskThread } from '../../shared/taskthread';
import type { SentTask } from '../../shared/taskthread';
import { Refusal } from '../transcode/refusal';
import type { ElementsOutcomes, ElementsTask } from '../grpc/elements-tasks';
import type { LargeOutcomes, LargeTask, SerializedRefusal } from '../transcode/large-task';

// Large bodies and responses are parsed in a worker thread and never block the event loop.

/** Set in the bundle: the worker's code as text. */
declare const THREAD_SOURCE: string | undefined;

const sourceText = (): string =>
  typeof THREAD_SOURCE === 'string' ? THREAD_SOURCE : compiledSource(join(__dirname, 'worker.ts'));

/** Young generation of the worker's heap. */
const YOUNG_MIB = 16;

export interface ThreadOptions {
  /** Limit of the worker's heap in MiB. */
  readonly heapMib: number;
}

const MIB = 1024 * 1024;
const MIN_HEAP_MIB = 64;

/** As much as all request bodies together, but at least the minimum a worker needs. */
export const heapMibOf = (heldBytes: number): number =>
  Math.max(MIN_HEAP_MIB, Math.floor(heldBytes / MIB));

const DEFAULT_THREAD: ThreadOptions = { heapMib: 128 };

type ThreadTask = LargeTask | ElementsTask;
type ThreadOutcomes = LargeOutcomes & ElementsOutcomes;

type WorkerReply =
  | { readonly done: unknown }
  | { readonly refusal: SerializedRefusal }
  | { readonly fault: readonly string[] };

const tooMuch = (): Refusal =>
  new Refusal(
    'PAYLOAD_TOO_LARGE',
    'to transcode the body or its answer takes more memory or time than the service has; send less at a time, or tensors as bytes (V2)',
  );

function outcomeOf(reply: WorkerReply): unknown {
  if ('done' in reply) return reply.done;
  if ('refusal' in reply) {
    const { code, message, more } = reply.refusal;
    throw new Refusal(code, message, more);
  }
  const error = new Error('a large body could not be parsed');
  error.stack = [String(error), ...reply.fault].join('\n');
  throw error;
}

/** A task whose large buffers are copied in steps, because postMessage copies in one step. */
async function sentOf(task: ThreadTask): Promise<SentTask> {
  const memory: ArrayBuffer[] = [];
  const fields: [string, unknown][] = [];
  for (const [name, value] of Object.entries(task)) {
    const isCopied = value instanceof Uint8Array && value.length > LARGE_BYTES;
    const own: unknown = isCopied ? await joined([value]) : value;
    if (isCopied) memory.push((own as Buffer).buffer as ArrayBuffer);
    fields.push([name, own]);
  }
  return { task: Object.fromEntries(fields), memory };
}

/** Runs tasks on large bodies in a worker thread, one at a time. */
export class LargeThread {
  private readonly thread: TaskThread<WorkerReply>;

  constructor({ heapMib }: ThreadOptions = DEFAULT_THREAD) {
    this.thread = new TaskThread({
      source: sourceText,
      limits: { maxOldGenerationSizeMb: heapMib, maxYoungGenerationSizeMb: YOUNG_MIB },
      outcomeOf,
      tooMuch,
      closed: () => new Error('the service ends'),
    });
  }

  run<T extends ThreadTask>(task: T): Promise<ThreadOutcomes[T['op']]> {
    return this.thread.run(() => sentOf(task)) as Promise<ThreadOutcomes[T['op']]>;
  }

  /** Stops the worker; a later task starts it again. */
  close(): void {
    this.thread.close();
  }
}
