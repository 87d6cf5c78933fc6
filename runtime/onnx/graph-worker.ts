import { memoryOf, packed, unpacked } from './large/packed';
import { createSession, inlineEngine } from './session';
import type { MessagePort } from 'node:worker_threads';
import type { Packed } from './large/packed';
import type { Ort } from './ort';
import type { Engine, Recipe } from './session';

/** One run that is asked of the thread; null: it is to end. */
export type GraphRequest = {
  readonly id: number;
  readonly inputs: Packed;
  readonly outputs: readonly string[];
} | null;

export type GraphReply =
  | { readonly ready: true }
  | { readonly id: number; readonly outputs: Packed }
  | { readonly id?: number; readonly error: string };

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function reply(
  port: MessagePort,
  engine: Engine,
  { id, inputs, outputs }: NonNullable<GraphRequest>,
): Promise<void> {
  try {
    const [own = {}] = await unpacked(inputs);
    const results = await packed([await engine.run(own, outputs)]);
    port.postMessage({ id, outputs: results } satisfies GraphReply, memoryOf(results));
  } catch (error) {
    port.postMessage({ id, error: words(error) } satisfies GraphReply);
  }
}

/** What a thread does that runs a graph: it makes the session, and answers what it is asked. */
export async function runGraph(
  port: MessagePort,
  { recipe, runtime }: { readonly recipe: Recipe; readonly runtime: string },
): Promise<void> {
  // See ort.ts; here the global is this thread's own.
  delete (globalThis as { Float16Array?: unknown }).Float16Array;
  try {
    // oxlint-disable-next-line typescript/no-require-imports
    const ort = require(runtime) as Ort;
    const engine = inlineEngine(ort, await createSession(ort, recipe));
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
