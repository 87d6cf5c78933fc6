import { Worker } from 'node:worker_threads';
import { joined } from '../shared/join-buffers';
import { memoryOf, packTensors, unpackTensors } from './large/packed';
import { workerSource } from './worker-source';
import type { GraphReply, GraphRequest } from './graph-worker';
import type { PackedTensors } from './large/packed';
import type { Engine, SessionSpec } from './session';
import type { Tensors } from './tensor';
import type { WorkerData } from './worker-source';

// A graph that takes long runs in a thread of its own: onnxruntime-node's `run` holds the thread it
// is called on, and a server that does not answer its probes meanwhile is killed.

/** The thread died and its runs are lost; not a fault of a caller. */
export class ThreadDied extends Error {}

interface Pending {
  readonly resolve: (outputs: PackedTensors) => void;
  readonly reject: (error: Error) => void;
}

class Thread implements Engine {
  private readonly pending = new Map<number, Pending>();
  private next = 0;
  private died: Error | undefined;

  constructor(
    private readonly worker: Worker,
    onReady: () => void,
    onFailed: (error: Error) => void,
  ) {
    const fail = (error: Error): void => {
      this.died ??= error;
      for (const { reject } of this.pending.values()) reject(error);
      this.pending.clear();
      onFailed(error);
    };
    worker.on('message', (message: GraphReply) => {
      if ('ready' in message) onReady();
      else if (message.id === undefined) fail(new Error((message as { error: string }).error));
      else this.settle(message.id, message);
    });
    worker.on('error', (error) =>
      fail(new ThreadDied(`the model's thread failed: ${error.message}`)),
    );
    worker.on('exit', (code) => fail(new ThreadDied(`the model's thread ended with ${code}`)));
  }

  /** Tensors change hands as a few pieces of memory: a message would copy each string in one step. */
  readonly run = async (inputs: Tensors, outputs: readonly string[]): Promise<Tensors> => {
    const own = await packTensors([inputs]);
    if (this.died !== undefined) throw this.died;
    const id = this.next;
    this.next += 1;
    const packed = await new Promise<PackedTensors>((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ id, inputs: own, outputs } satisfies GraphRequest, memoryOf(own));
    });
    const [tensors = {}] = await unpackTensors(packed);
    return tensors;
  };

  /** It ends by itself: cut off inside of ONNX Runtime it would take the process with it. */
  readonly close = async (): Promise<void> => {
    if (this.died !== undefined) return;
    const ended = new Promise((resolve) => this.worker.once('exit', resolve));
    this.worker.postMessage(null, []);
    await ended;
  };

  private settle(id: number, message: GraphReply): void {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    if ('outputs' in message) pending?.resolve(message.outputs);
    else if ('error' in message) pending?.reject(new Error(message.error));
  }
}

/** The bytes of a file that was changed go to the thread: a message would copy them in one step. */
async function sentRecipe({ source, options }: SessionSpec) {
  if (typeof source === 'string') return { spec: { source, options }, memory: [] };
  const own = await joined([source]);
  return { spec: { source: own, options }, memory: [own.buffer as ArrayBuffer] };
}

/** Starts the thread; resolves when its session is there, rejects when it cannot be made. */
export async function startThread(given: SessionSpec): Promise<Engine> {
  const { spec, memory } = await sentRecipe(given);
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerSource(), {
      eval: true,
      execArgv: [],
      workerData: { runtime: require.resolve('onnxruntime-node'), spec } satisfies WorkerData,
      transferList: memory,
    });
    const thread: Thread = new Thread(
      worker,
      () => resolve(thread),
      (error) => {
        reject(error);
        void worker.terminate();
      },
    );
  });
}

/** A thread that is started again, for the next run, should it ever die (out of memory, say). */
export async function threadEngine(
  spec: SessionSpec,
  start: (spec: SessionSpec) => Promise<Engine> = startThread,
): Promise<Engine> {
  const first = await start(spec);
  let current = Promise.resolve(first);
  return {
    run: async (inputs, outputs) => {
      const engine = current;
      try {
        const thread = await engine.catch((error: unknown) => {
          throw new ThreadDied(`the model's thread cannot be started: ${String(error)}`);
        });
        return await thread.run(inputs, outputs);
      } catch (error) {
        if (error instanceof ThreadDied && engine === current) {
          current = start(spec);
          current.catch(() => undefined);
        }
        throw error;
      }
    },
    close: async () => {
      await (await current).close();
    },
  };
}
