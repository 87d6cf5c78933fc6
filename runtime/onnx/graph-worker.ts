import { memoryOf, packTensors, unpackTensors } from './large/packed';
import { createSession, inlineEngine } from './session';
import type { MessagePort } from 'node:worker_threads';
import type { PackedTensors } from './large/packed';
import type { Ort } from './ort';
import type { Engine, SessionSpec } from './session';

/** One run for the thread; null: the thread ends. */
export type GraphRequest = {
  readonly id: number;
  readonly inputs: PackedTensors;
  readonly outputs: readonly string[];
} | null;

export type GraphReply =
  | { readonly ready: true }
  | { readonly id: number; readonly outputs: PackedTensors }
  | { readonly id?: number; readonly error: string };

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function reply(
  port: MessagePort,
  engine: Engine,
  { id, inputs, outputs }: NonNullable<GraphRequest>,
): Promise<void> {
  try {
    const [own = {}] = await unpackTensors(inputs);
    const results = await packTensors([await engine.run(own, outputs)]);
    port.postMessage({ id, outputs: results } satisfies GraphReply, memoryOf(results));
  } catch (error) {
    port.postMessage({ id, error: words(error) } satisfies GraphReply);
  }
}

/** A thread that creates a session and runs its graph on request. */
export async function runGraph(
  port: MessagePort,
  { spec, runtime }: { readonly spec: SessionSpec; readonly runtime: string },
): Promise<void> {
  // See ort.ts; here the global is this thread's own.
  delete (globalThis as { Float16Array?: unknown }).Float16Array;
  try {
    // oxlint-disable-next-line typescript/no-require-imports
    const ort = require(runtime) as Ort;
    const engine = inlineEngine(ort, await createSession(ort, spec));
    const running = new Set<Promise<void>>();
    port.on('message', (request: GraphRequest) => {
      if (request === null) {
        void Promise.all(running)
          .then(engine.close)
          .finally(() => port.close());
        return;
      }
      const run = reply(port, engine, request).finally(() => running.delete(run));
      running.add(run);
    });
    port.postMessage({ ready: true } satisfies GraphReply);
  } catch (error) {
    port.postMessage({ error: words(error) } satisfies GraphReply);
  }
}
