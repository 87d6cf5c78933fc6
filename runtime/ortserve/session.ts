import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type * as Onnx from 'onnxruntime-node';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { TensorData } from './datatype';
import { datatypeOfOrt, ORT_TYPE } from './datatype';
import type { Graph } from './model';
import { readGraph, UnservableModel } from './model';
import { BrokenMessage } from './proto';
import type { Tensors } from './tensor';

/** A model as the server is told of it. */
export interface ModelFile {
  readonly name: string;
  readonly version: string;
  /** Path of a local .onnx file. */
  readonly path: string;
}

export interface Threads {
  readonly intraOpThreads?: number | undefined;
  readonly interOpThreads?: number | undefined;
}

/** A loaded model. */
export interface Session extends ModelFile {
  readonly graph: Graph;
  /** One run. Node's event loop stands still meanwhile; the runtime's own threads work. */
  readonly run: (feeds: Tensors, outputs: readonly string[]) => Promise<Tensors>;
  readonly release: () => Promise<void>;
}

type Runtime = typeof Onnx;

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9])?$/;

async function loadRuntime(): Promise<Runtime> {
  try {
    return await import('onnxruntime-node');
  } catch (error) {
    throw new UnservableModel(
      `onnxruntime-node cannot be loaded (${(error as Error).message.split('\n')[0]}); install it: npm install onnxruntime-node`,
    );
  }
}

function checkFile({ name, path }: ModelFile): void {
  if (!NAME.test(name)) {
    throw new UnservableModel(
      `model name: got "${name}", must be letters, digits, _ . - and at most 128 of them`,
    );
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) {
    throw new UnservableModel(`model ${name}: got ${path}, must be a local path; fetch it first`);
  }
  if (!existsSync(path)) throw new UnservableModel(`model ${name}: there is no file ${path}`);
}

async function graphOf(file: ModelFile): Promise<Graph> {
  try {
    return readGraph(await readFile(file.path));
  } catch (error) {
    if (error instanceof BrokenMessage) {
      throw new UnservableModel(
        `model ${file.name}: ${file.path} is no ONNX model: ${error.message}`,
      );
    }
    if (!(error instanceof UnservableModel)) throw error;
    throw new UnservableModel(`model ${file.name}: ${error.message}`);
  }
}

async function createSession(
  runtime: Runtime,
  file: ModelFile,
  { rewritten }: Graph,
  { intraOpThreads, interOpThreads }: Threads,
): Promise<InferenceSession> {
  const options: InferenceSession.SessionOptions = {
    ...(intraOpThreads !== undefined && { intraOpNumThreads: intraOpThreads }),
    ...(interOpThreads !== undefined && {
      interOpNumThreads: interOpThreads,
      executionMode: interOpThreads > 1 ? 'parallel' : 'sequential',
    }),
  };
  try {
    return rewritten === undefined
      ? await runtime.InferenceSession.create(file.path, options)
      : await runtime.InferenceSession.create(rewritten, options);
  } catch (error) {
    const words = (error as Error).message;
    throw new UnservableModel(`model ${file.name}: ${file.path} cannot be loaded: ${words}`);
  }
}

function tensorsOf(outputs: Readonly<Record<string, OrtTensor>>): Tensors {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { type, dims, data }]) => {
      const datatype = datatypeOfOrt(type);
      if (datatype === undefined) throw new Error(`output ${name} has the type ${type}`);
      return [name, { datatype, dims: dims as number[], data: data as TensorData }];
    }),
  );
}

/**
 * Loads a model.
 * @throws UnservableModel with a sentence that says what is wrong with it
 */
export async function loadSession(file: ModelFile, threads: Threads): Promise<Session> {
  checkFile(file);
  const graph = await graphOf(file);
  const runtime = await loadRuntime();
  const session = await createSession(runtime, file, graph, threads);
  const make = runtime.Tensor as unknown as new (
    type: string,
    data: TensorData,
    dims: readonly number[],
  ) => OrtTensor;
  return {
    ...file,
    graph,
    run: async (feeds, outputs) => {
      const given: Record<string, OrtTensor> = {};
      for (const [name, { datatype, data, dims }] of Object.entries(feeds)) {
        given[name] = new make(ORT_TYPE[datatype], data, dims);
      }
      return tensorsOf(await session.run(given, [...outputs]));
    },
    release: () => session.release(),
  };
}
