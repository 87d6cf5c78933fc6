import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { tryFindByOnnx, tryFindByOrt } from './element-type';
import { badRequest, UnservableModel } from './errors';
import { readGraph } from './graph';
import { independenceOf } from './independence';
import type { Independence } from './independence';
import { AdaptiveEngine, startEngine } from './engine';
import { withGuards } from './guards';
import { hazardsOf } from './hazards';
import type { CheckHazards } from './hazards';
import { loadOrt, sessionOptions } from './ort';
import { createSession, inlineEngine } from './session';
import { adaptGraph } from './graph-adapter';
import { ThreadDied } from './thread';
import type { Graph, GraphValue } from './graph';
import { parseExact } from './json';
import type { ModelFacts } from './model-facts';
import type { InferenceSession } from 'onnxruntime-node';
import type { Ort, Threads } from './ort';
import type { SessionSpec } from './session';
import type { Port, Tensors } from './tensor';

export interface ModelSource {
  readonly name: string;
  readonly version: string;
  /** A local file, or a folder with exactly one .onnx file. */
  readonly path: string;
}

/** A model that is loaded and can be run. */
export interface Model extends ModelFacts {
  /** Does its graph show that each row of its answers depends on its own row alone? */
  readonly independence: Independence;
  /** Runs the graph; inputs must fit the ports. Rejects with a ServeError 400 when the graph refuses them. */
  readonly run: (inputs: Tensors, outputs: readonly string[]) => Promise<Tensors>;
  /** Do its runs leave the event loop free? */
  readonly isInThread: () => boolean;
  readonly close: () => Promise<void>;
}

/** Model names are part of paths and metric labels. */
const NAME = /^[A-Za-z0-9_.-]{1,253}$/;
const URI = /^[A-Za-z][A-Za-z0-9+.-]+:\/\//;

function checkSource({ name, version, path: file }: ModelSource): void {
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
  readonly engine: AdaptiveEngine;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly zipped: ReadonlyMap<string, readonly (string | bigint)[]>;
  readonly independence: Independence;
  readonly checkHazards: CheckHazards;
}

/**
 * Ports from the file: unlike the session's own description it distinguishes a scalar from an
 * unknown rank.
 */
function portsOf(values: readonly GraphValue[]): Port[] {
  return values.map(({ name, type }) => {
    const datatype = type.kind === 'tensor' ? tryFindByOnnx(type.element) : undefined;
    if (type.kind !== 'tensor' || datatype === undefined)
      throw new Error(`'${name}' is not a tensor`);
    return { name, datatype, shape: type.shape };
  });
}

async function openOnnx(ort: Ort, file: string, bytes: Buffer, threads: Threads): Promise<Opened> {
  const graph = readGraph(bytes);
  const operated = adaptGraph(bytes, graph);
  const folder = graph.external ? path.dirname(file) : undefined;
  const guarded = withGuards(operated?.bytes ?? bytes, graph.opset);
  const changed = guarded ?? operated?.bytes;
  // From the path where nothing changed, so that weights in files beside it are found and memory is
  // not held twice.
  const spec: SessionSpec =
    changed === undefined
      ? { source: file, options: sessionOptions(threads, undefined) }
      : { source: changed, options: sessionOptions(threads, folder) };
  const served: Graph = operated === undefined ? graph : readGraph(operated.bytes);
  const size = graph.external ? Infinity : bytes.length;
  return {
    inputs: portsOf(served.inputs),
    outputs: portsOf(served.outputs),
    independence: independenceOf(operated?.bytes ?? bytes, served),
    checkHazards: hazardsOf(served),
    metadata: graph.metadata,
    zipped: operated?.classes ?? new Map(),
    engine: await startEngine(ort, spec, size),
  };
}

function sessionPorts(all: InferenceSession['inputMetadata']): Port[] {
  return all.map((value) => {
    const datatype = value.isTensor ? tryFindByOrt(value.type) : undefined;
    if (!value.isTensor || datatype === undefined) {
      throw new Error(
        `'${value.name}' is not a tensor that can be served, and a graph in the .ort format cannot be changed; export the model as .onnx`,
      );
    }
    const shape = value.shape.map((size) => (typeof size === 'number' ? size : -1));
    return { name: value.name, datatype, shape };
  });
}

/** ONNX Runtime's own format (`.ort`): no protobuf to read, so the session describes itself. */
async function openOrt(ort: Ort, file: string, threads: Threads): Promise<Opened> {
  const spec: SessionSpec = { source: file, options: sessionOptions(threads, undefined) };
  const session = await createSession(ort, spec);
  return {
    inputs: sessionPorts(session.inputMetadata),
    outputs: sessionPorts(session.outputMetadata),
    metadata: new Map(),
    zipped: new Map(),
    checkHazards: hazardsOf(undefined),
    independence: { isShown: false, reason: 'a graph in the .ort format is not analysed' },
    engine: new AdaptiveEngine({ kind: 'inline', engine: inlineEngine(ort, session) }, spec),
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
      labels = parseExact(text, 'exact integers');
    } catch {
      labels = undefined;
    }
    if (!Array.isArray(labels)) throw new Error(`metadata classes.${name} is not a JSON list`);
    classes.set(name, labels.map(String));
  }
  return classes;
}

/** ONNX Runtime's message for a refused run, without its file names and line numbers. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/\s*\/\S+\.(?:cc|h|hpp):\d+\s*/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 500);
}

function runner({ engine, checkHazards }: Opened): Model['run'] {
  return async (inputs, wanted) => {
    checkHazards(inputs);
    try {
      return await engine.run(inputs, wanted);
    } catch (error) {
      if (error instanceof ThreadDied) throw error;
      throw badRequest(`the model could not compute this input: ${reasonOf(error)}`);
    }
  };
}

const isBig = ({ datatype }: Port): boolean => datatype.elements.kind === 'big';

/** The binding collects outputs in a plain object, in which this name is the prototype. */
function refuseUnreadable({ outputs }: Opened): void {
  if (!outputs.some(({ name }) => name === '__proto__')) return;
  throw new Error(
    "ONNX Runtime cannot give back the output '__proto__'; rename it in the graph and export it again",
  );
}

/** Loads a model. Rejects with an Error that names the model and the fault. */
export async function loadModel(source: ModelSource, threads: Threads): Promise<Model> {
  checkSource(source);
  const ort = loadOrt();
  const file = await fileOf(source);
  let opened: Opened;
  let classes: Map<string, readonly string[]>;
  try {
    opened = await open(ort, file, threads);
    refuseUnreadable(opened);
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
  const { inputs, outputs, metadata, independence, engine } = opened;
  return {
    name: source.name,
    version: source.version,
    inputs,
    outputs,
    inputByName: new Map(inputs.map((port) => [port.name, port])),
    outputByName: new Map(outputs.map((port) => [port.name, port])),
    metadata,
    classes,
    independence,
    integerMode: inputs.some(isBig) ? 'exact integers' : 'doubles',
    isInThread: () => engine.isInThread,
    run: runner(opened),
    close: engine.close,
  };
}
