import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { tryFindByOnnx, tryFindByOrt } from './datatype';
import { badRequest, listed, UnservableModel } from './errors';
import { readGraph } from './graph';
import { loadOrt, sessionOptions } from './ort';
import { operate } from './surgery';
import type { Graph, GraphValue } from './graph';
import type { Numbers } from './json';
import type { Ort, Session, Threads } from './ort';
import type { Port, Tensor, Tensors } from './tensor';

export interface ModelSource {
  readonly name: string;
  readonly version: string;
  /** A local file, or a folder with exactly one .onnx file. */
  readonly path: string;
}

/** A model that is loaded and can be run. */
export interface Model {
  readonly name: string;
  readonly version: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly inputByName: ReadonlyMap<string, Port>;
  readonly outputByName: ReadonlyMap<string, Port>;
  /** metadata_props of the file. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Labels of the columns of an output, where the file states them. */
  readonly classes: ReadonlyMap<string, readonly string[]>;
  /** How its requests have to be read. */
  readonly numbers: Numbers;
  /** Runs the graph; inputs must fit the ports. Rejects with a ServeError 400 when the graph refuses them. */
  readonly run: (inputs: Tensors, outputs: readonly string[]) => Promise<Tensors>;
  readonly close: () => Promise<void>;
}

/** Model names stand in paths and metric labels. */
const NAME = /^[A-Za-z0-9_.-]{1,253}$/;
const URI = /^[A-Za-z][A-Za-z0-9+.-]+:\/\//;

export function checkSource({ name, version, path: file }: ModelSource): void {
  if (!NAME.test(name) || name === '.' || name === '..') {
    throw new UnservableModel(
      `model name '${name}': letters, digits, '_', '.' and '-' are allowed`,
    );
  }
  if (!NAME.test(version.replaceAll('+', ''))) {
    throw new Error(`version '${version}': letters, digits, '_', '.', '+' and '-' are allowed`);
  }
  if (URI.test(file)) {
    throw new UnservableModel(
      `model '${name}': '${file}' is a URI; models are loaded from a local path only, fetch it first`,
    );
  }
}

async function fileOf({ name, path: given }: ModelSource): Promise<string> {
  const absolute = path.resolve(given);
  const found = await stat(absolute).catch(() => undefined);
  if (found === undefined) throw new UnservableModel(`model '${name}': there is no file ${given}`);
  if (!found.isDirectory()) return absolute;
  const inside = (await readdir(absolute)).filter((file) => file.endsWith('.onnx'));
  const [only] = inside;
  if (only === undefined || inside.length > 1) {
    throw new UnservableModel(
      `model '${name}': the folder ${given} holds ${inside.length} .onnx files, one is needed`,
    );
  }
  return path.join(absolute, only);
}

interface Opened {
  readonly session: Session;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly zipped: ReadonlyMap<string, readonly (string | bigint)[]>;
}

/** Ports from the file: unlike the session's own description it tells a scalar from an unknown rank. */
function portsOf(values: readonly GraphValue[]): Port[] {
  return values.map(({ name, type }) => {
    const datatype = type.kind === 'tensor' ? tryFindByOnnx(type.element) : undefined;
    if (type.kind !== 'tensor' || datatype === undefined) throw new Error(`'${name}' is no tensor`);
    return { name, datatype, shape: type.shape };
  });
}

async function openOnnx(ort: Ort, file: string, bytes: Buffer, threads: Threads): Promise<Opened> {
  const graph = readGraph(bytes);
  const operated = operate(bytes, graph);
  const folder = graph.external ? path.dirname(file) : undefined;
  // From the path where nothing changed, so that weights in files beside it are found and memory is
  // not held twice.
  const session =
    operated === undefined
      ? await ort.InferenceSession.create(file, sessionOptions(threads, undefined))
      : await ort.InferenceSession.create(operated.bytes, sessionOptions(threads, folder));
  const { inputs, outputs }: Graph = operated === undefined ? graph : readGraph(operated.bytes);
  return {
    session,
    inputs: portsOf(inputs),
    outputs: portsOf(outputs),
    metadata: graph.metadata,
    zipped: operated?.classes ?? new Map(),
  };
}

/** ONNX Runtime's own format (`.ort`): no protobuf to read, so the session describes itself. */
async function openOrt(ort: Ort, file: string, threads: Threads): Promise<Opened> {
  const session = await ort.InferenceSession.create(file, sessionOptions(threads, undefined));
  const ports = (all: Session['inputMetadata']): Port[] =>
    all.map((value) => {
      const datatype = value.isTensor ? tryFindByOrt(value.type) : undefined;
      if (!value.isTensor || datatype === undefined) {
        throw new UnservableModel(
          `'${value.name}' is not a tensor; in the .ort format that cannot be changed`,
        );
      }
      const shape = value.shape.map((size) => (typeof size === 'number' ? size : -1));
      return { name: value.name, datatype, shape };
    });
  return {
    session,
    inputs: ports(session.inputMetadata),
    outputs: ports(session.outputMetadata),
    metadata: new Map(),
    zipped: new Map(),
  };
}

const ORT_MAGIC = 'ORTM';

async function open(ort: Ort, file: string, threads: Threads): Promise<Opened> {
  const bytes = await readFile(file);
  if (bytes.toString('latin1', 4, 8) === ORT_MAGIC) return openOrt(ort, file, threads);
  return openOnnx(ort, file, bytes, threads);
}

/** Class labels: from ZipMap, or from the metadata `classes.<output>`, a JSON list. */
function classesOf({ metadata, zipped, outputs }: Opened): Map<string, readonly string[]> {
  const classes = new Map<string, readonly string[]>();
  for (const [output, labels] of zipped) classes.set(output, labels.map(String));
  for (const { name } of outputs) {
    const text = metadata.get(`classes.${name}`);
    if (text === undefined) continue;
    let labels: unknown;
    try {
      labels = JSON.parse(text);
    } catch {
      labels = undefined;
    }
    if (!Array.isArray(labels)) throw new Error(`metadata classes.${name} is not a JSON list`);
    classes.set(name, labels.map(String));
  }
  return classes;
}

/** What ONNX Runtime says of a run it refused, without its file names and line numbers. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/\s*\/\S+\.(?:cc|h|hpp):\d+\s*/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 500);
}

function runner(ort: Ort, { session, outputs }: Opened): Model['run'] {
  const types = new Map(outputs.map(({ name, datatype }) => [name, datatype]));
  return async (inputs, wanted) => {
    const feeds: Record<string, InstanceType<Ort['Tensor']>> = {};
    for (const name in inputs) {
      const tensor = inputs[name] as Tensor;
      feeds[name] = new ort.Tensor(tensor.datatype.ort, tensor.data as never, tensor.dims);
    }
    let results: Awaited<ReturnType<Session['run']>>;
    try {
      results = await session.run(feeds, wanted as string[]);
    } catch (error) {
      throw badRequest(`the model could not compute this input: ${reasonOf(error)}`);
    }
    const tensors: Record<string, Tensor> = {};
    for (const name of wanted) {
      const value = results[name];
      const datatype = types.get(name);
      if (value === undefined || datatype === undefined) continue;
      tensors[name] = { datatype, dims: value.dims, data: value.data as Tensor['data'] };
    }
    return tensors;
  };
}

const isBig = ({ datatype }: Port): boolean => datatype.elements.kind === 'big';

/** Loads a model. Rejects with an Error that names the model and says what is wrong with it. */
export async function loadModel(source: ModelSource, threads: Threads): Promise<Model> {
  checkSource(source);
  const ort = loadOrt();
  const file = await fileOf(source);
  let opened: Opened;
  let classes: Map<string, readonly string[]>;
  try {
    opened = await open(ort, file, threads);
    classes = classesOf(opened);
  } catch (error) {
    const reason = error instanceof Error ? reasonOf(error) : String(error);
    throw new UnservableModel(
      `model '${source.name}' (${source.path}) cannot be loaded: ${reason}`,
      {
        cause: error,
      },
    );
  }
  const { inputs, outputs, metadata, session } = opened;
  return {
    name: source.name,
    version: source.version,
    inputs,
    outputs,
    inputByName: new Map(inputs.map((port) => [port.name, port])),
    outputByName: new Map(outputs.map((port) => [port.name, port])),
    metadata,
    classes,
    numbers: inputs.some(isBig) ? 'exact integers' : 'doubles',
    run: runner(ort, opened),
    close: () => session.release(),
  };
}

/** Checks that every input of the graph is there; names those that are not. */
export function checkComplete(model: Model, inputs: Tensors): void {
  const missing = model.inputs.filter(({ name }) => inputs[name] === undefined);
  if (missing.length === 0) return;
  throw badRequest(
    `missing input ${listed(missing.map(({ name }) => `'${name}'`))}; ` +
      `the model takes ${listed(model.inputs.map(({ name }) => `'${name}'`))}`,
  );
}
