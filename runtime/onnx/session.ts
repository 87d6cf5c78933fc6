import { tryFindByOrt } from './element-type';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { Ort } from './ort';
import type { Tensor, Tensors } from './tensor';
import { entryOf, setEntry } from '../../lib/spec/entry';

/** All that is needed to make a session, here or in another thread. */
export interface SessionSpec {
  /** Path of the file, or the bytes of one that was changed. */
  readonly source: string | Uint8Array;
  readonly options: InferenceSession.SessionOptions;
}

/** Runs one graph. Rejects with an Error that has the runtime's own words. */
export interface Engine {
  readonly run: (inputs: Tensors, outputs: readonly string[]) => Promise<Tensors>;
  readonly close: () => Promise<void>;
}

export function createSession(
  ort: Ort,
  { source, options }: SessionSpec,
): Promise<InferenceSession> {
  return typeof source === 'string'
    ? ort.InferenceSession.create(source, options)
    : ort.InferenceSession.create(source, options);
}

function tensorOf({ type, dims, data }: OrtTensor): Tensor {
  const datatype = tryFindByOrt(type);
  if (datatype === undefined) throw new Error(`an output is of the type ${type}`);
  return { datatype, dims, data: data as Tensor['data'] };
}

/** In this thread: nothing is copied, and the event loop is blocked while the graph runs. */
export function inlineEngine(ort: Ort, session: InferenceSession): Engine {
  return {
    run: async (inputs, outputs) => {
      const feeds: Record<string, OrtTensor> = {};
      for (const name in inputs) {
        const { datatype, data, dims } = entryOf(inputs, name) as Tensor;
        setEntry(feeds, name, new ort.Tensor(datatype.ort, data as never, dims));
      }
      const results = await session.run(feeds, outputs as string[]);
      const tensors: Record<string, Tensor> = {};
      for (const name of outputs) {
        const result = entryOf(results, name);
        if (result !== undefined) setEntry(tensors, name, tensorOf(result));
      }
      return tensors;
    },
    close: () => session.release(),
  };
}
