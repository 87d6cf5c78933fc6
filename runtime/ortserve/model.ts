import type { Datatype } from './datatype';
import type { Port } from './tensor';
import { datatypeOfProto } from './datatype';
import type { Field } from './proto';
import { bytesField, fieldsOf, integersOf, join, textOf, varintField } from './proto';

// Reads from an ONNX file what the runtime does not tell (metadata, shapes), and rewrites outputs that are
// no tensors, which the runtime cannot give. Field numbers are those of onnx.proto.

const MODEL = { graph: 7, metadata: 14 } as const;
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12 } as const;
const NODE = { input: 1, output: 2, op: 4, attribute: 5 } as const;

export interface Graph {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** `metadata_props`, and the classes of outputs that were maps. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The rewritten file; undefined when nothing had to be changed. */
  readonly rewritten: Uint8Array | undefined;
}

/** A model that cannot be served; the message says why. */
export class UnservableModel extends Error {
  override readonly name = 'UnservableModel';
}

type Value =
  | { readonly kind: 'tensor'; readonly port: Port }
  | { readonly kind: 'sequence' | 'map' | 'other'; readonly name: string };

const find = (message: Uint8Array, number: number): Field | undefined => {
  for (const field of fieldsOf(message)) if (field.number === number) return field;
  return undefined;
};

const all = (message: Uint8Array, number: number): readonly Field[] =>
  [...fieldsOf(message)].filter((field) => field.number === number);

function dimensions(shape: Uint8Array): readonly number[] {
  return all(shape, 1).map(({ bytes }) => {
    const value = find(bytes, 1)?.value;
    return value === undefined || value < 0n ? -1 : Number(value);
  });
}

function valueOf(info: Uint8Array): Value {
  const nameField = find(info, 1);
  const name = nameField === undefined ? '' : textOf(nameField);
  const type = find(info, 2)?.bytes ?? new Uint8Array();
  const tensor = find(type, 1);
  if (tensor === undefined) {
    const kind = find(type, 4) ? 'sequence' : find(type, 5) ? 'map' : 'other';
    return { kind, name };
  }
  const datatype = datatypeOfProto(Number(find(tensor.bytes, 1)?.value ?? 0n));
  if (datatype === undefined) return { kind: 'other', name };
  const shape = find(tensor.bytes, 2);
  return { kind: 'tensor', port: { name, datatype, shape: shape && dimensions(shape.bytes) } };
}

interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly field: Field;
}

function nodeOf(field: Field): Node {
  const op = find(field.bytes, NODE.op);
  return {
    op: op === undefined ? '' : textOf(op),
    inputs: all(field.bytes, NODE.input).map(textOf),
    outputs: all(field.bytes, NODE.output).map(textOf),
    field,
  };
}

/** `classlabels_strings`, else `classlabels_int64s`, of a ZipMap. */
function classesOf({ field }: Node): readonly string[] {
  for (const { bytes } of all(field.bytes, NODE.attribute)) {
    const name = find(bytes, 1);
    if (name === undefined || !textOf(name).startsWith('classlabels_')) continue;
    const texts = all(bytes, 9).map(textOf);
    const numbers = all(bytes, 8).flatMap(integersOf).map(String);
    if (texts.length + numbers.length > 0) return [...texts, ...numbers];
  }
  return [];
}

function tensorInfo({ name, datatype, shape = [] }: Port): Uint8Array {
  const elements: Partial<Record<Datatype, number>> = { FP32: 1 };
  const size = (one: number): Uint8Array =>
    bytesField(1, one < 0 ? bytesField(2, 'batch') : varintField(1, one));
  const tensor = join([
    varintField(1, elements[datatype] ?? 1),
    bytesField(2, join(shape.map(size))),
  ]);
  return join([bytesField(1, name), bytesField(2, bytesField(1, tensor))]);
}

/** Replaces a ZipMap by what goes into it, under the name of what came out. */
interface Unzipped {
  readonly node: Node;
  readonly port: Port;
  readonly classes: readonly string[];
}

function unzip(name: string, nodes: readonly Node[]): Unzipped {
  const node = nodes.find(({ outputs }) => outputs.includes(name));
  if (node?.op !== 'ZipMap') {
    throw new UnservableModel(
      `output ${name} is no tensor, and is not made by ZipMap but by ${node?.op ?? 'nothing'}; export the model with tensor outputs`,
    );
  }
  const classes = classesOf(node);
  return { node, classes, port: { name, datatype: 'FP32', shape: [-1, classes.length] } };
}

function identity({ inputs, outputs }: Node): Uint8Array {
  return join([
    bytesField(NODE.input, inputs[0] ?? ''),
    bytesField(NODE.output, outputs[0] ?? ''),
    bytesField(NODE.op, 'Identity'),
  ]);
}

function rewrite(model: Uint8Array, graph: Uint8Array, changes: readonly Unzipped[]): Uint8Array {
  const parts = [...fieldsOf(graph)].map((field) => {
    const change = changes.find(({ node, port }) =>
      field.number === GRAPH.node
        ? node.field.raw.byteOffset === field.raw.byteOffset
        : field.number === GRAPH.output && valueName(field.bytes) === port.name,
    );
    if (change === undefined) return field.raw;
    return field.number === GRAPH.node
      ? bytesField(GRAPH.node, identity(change.node))
      : bytesField(GRAPH.output, tensorInfo(change.port));
  });
  const changed = bytesField(MODEL.graph, join(parts));
  return join(
    [...fieldsOf(model)].map(({ number, raw }) => (number === MODEL.graph ? changed : raw)),
  );
}

function valueName(info: Uint8Array): string {
  const name = find(info, 1);
  return name === undefined ? '' : textOf(name);
}

function metadataOf(model: Uint8Array): Map<string, string> {
  return new Map(
    all(model, MODEL.metadata).map(({ bytes }) => {
      const [key, value] = [find(bytes, 1), find(bytes, 2)];
      return [key ? textOf(key) : '', value ? textOf(value) : ''];
    }),
  );
}

function tensorPorts(values: readonly Value[], what: string): readonly Port[] {
  return values.map((value) => {
    if (value.kind === 'tensor') return value.port;
    throw new UnservableModel(`${what} ${value.name} is a ${value.kind}, only tensors are served`);
  });
}

/**
 * What a graph takes and gives.
 * @throws UnservableModel, BrokenMessage
 */
export function readGraph(model: Uint8Array): Graph {
  const graph = find(model, MODEL.graph)?.bytes;
  if (graph === undefined) throw new UnservableModel('the file has no graph; is it an ONNX model?');
  const constants = new Set(
    all(graph, GRAPH.initializer).map(({ bytes }) => initializerName(bytes)),
  );
  const inputs = all(graph, GRAPH.input)
    .map(({ bytes }) => valueOf(bytes))
    // Old exporters list constants among the inputs.
    .filter((value) => !constants.has(value.kind === 'tensor' ? value.port.name : value.name));
  const values = all(graph, GRAPH.output).map(({ bytes }) => valueOf(bytes));
  const strange = values.filter((value) => value.kind !== 'tensor');
  const nodes = strange.length === 0 ? [] : all(graph, GRAPH.node).map(nodeOf);
  const changes = strange.map((value) => unzip('name' in value ? value.name : '', nodes));
  const metadata = metadataOf(model);
  for (const { port, classes } of changes) {
    if (!metadata.has(`classes.${port.name}`)) {
      metadata.set(`classes.${port.name}`, JSON.stringify(classes));
    }
  }
  const outputs = values.map((value) =>
    value.kind === 'tensor'
      ? value
      : { kind: 'tensor' as const, port: portOf(changes, value.name) },
  );
  return {
    inputs: tensorPorts(inputs, 'input'),
    outputs: tensorPorts(outputs, 'output'),
    metadata,
    rewritten: changes.length === 0 ? undefined : rewrite(model, graph, changes),
  };
}

function portOf(changes: readonly Unzipped[], name: string): Port {
  const found = changes.find(({ port }) => port.name === name);
  if (found === undefined) throw new UnservableModel(`output ${name} is no tensor`);
  return found.port;
}

/** `TensorProto.name` */
function initializerName(tensor: Uint8Array): string {
  const name = find(tensor, 8);
  return name === undefined ? '' : textOf(name);
}
