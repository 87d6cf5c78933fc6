import { Worker } from 'node:worker_threads';
import type { Engine, RawOutputs, Recipe } from './session';
import type { Tensors } from './tensor';

// A graph that takes long runs in a thread of its own: onnxruntime-node's `run` holds the thread it is
// called on, and a server that does not answer its probes meanwhile is killed.

/** Plain JavaScript as text: it runs the same from sources, from a bundle and under a test runner. */
const SOURCE = `
const { parentPort, workerData } = require('node:worker_threads');
// See ort.ts; here the global is this thread's own.
delete globalThis.Float16Array;
const ort = require(workerData.runtime);
const { source, options } = workerData.recipe;
const words = (error) => (error instanceof Error ? error.message : String(error));
async function answer(session, { id, inputs, outputs }) {
  try {
    const feeds = Object.create(null);
    for (const name in inputs) {
      const { type, data, dims } = inputs[name];
      feeds[name] = new ort.Tensor(type, data, dims);
    }
    const results = await session.run(feeds, outputs);
    const plain = Object.create(null);
    for (const name of outputs) {
      plain[name] = { dims: results[name].dims, data: results[name].data };
    }
    parentPort.postMessage({ id, outputs: plain });
  } catch (error) {
    parentPort.postMessage({ id, error: words(error) });
  }
}
ort.InferenceSession.create(source, options).then(
  (session) => {
    parentPort.on('message', (request) => {
      if (request !== null) return void answer(session, request);
      session.release().finally(() => parentPort.close());
    });
    parentPort.postMessage({ ready: true });
  },
  (error) => parentPort.postMessage({ error: words(error) }),
);
`;

type Message =
  | { readonly ready: true }
  | { readonly id: number; readonly outputs: RawOutputs }
  | { readonly id?: number; readonly error: string };

/** The thread is gone; what ran in it is lost, and no caller is to blame. */
export class ThreadDied extends Error {}

interface Pending {
  readonly resolve: (outputs: RawOutputs) => void;
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
    worker.on('message', (message: Message) => {
      if ('ready' in message) onReady();
      else if (message.id === undefined) fail(new Error((message as { error: string }).error));
      else this.settle(message.id, message);
    });
    worker.on('error', (error) =>
      fail(new ThreadDied(`the model's thread failed: ${error.message}`)),
    );
    worker.on('exit', (code) => fail(new ThreadDied(`the model's thread ended with ${code}`)));
  }

  readonly run = (inputs: Tensors, outputs: readonly string[]): Promise<RawOutputs> => {
    if (this.died !== undefined) return Promise.reject(this.died);
    const plain = Object.fromEntries(
      Object.entries(inputs).map(([name, { datatype, data, dims }]) => [
        name,
        { type: datatype.ort, data, dims },
      ]),
    );
    const id = this.next;
    this.next += 1;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ id, inputs: plain, outputs }, []);
    });
  };

  /** It ends by itself: cut off inside of ONNX Runtime it would take the process with it. */
  readonly close = async (): Promise<void> => {
    if (this.died !== undefined) return;
    const ended = new Promise((resolve) => this.worker.once('exit', resolve));
    this.worker.postMessage(null, []);
    await ended;
  };

  private settle(id: number, message: Message): void {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    if ('outputs' in message) pending?.resolve(message.outputs);
    else if ('error' in message) pending?.reject(new Error(message.error));
  }
}

/** Starts the thread; resolves when its session is there, rejects when it cannot be made. */
export function startThread(recipe: Recipe): Promise<Engine> {
  return new Promise((resolve, reject) => {
    const runtime = require.resolve('onnxruntime-node');
    const worker = new Worker(SOURCE, { eval: true, workerData: { runtime, recipe } });
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
  recipe: Recipe,
  start: (recipe: Recipe) => Promise<Engine> = startThread,
): Promise<Engine> {
  const first = await start(recipe);
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
          current = start(recipe);
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
