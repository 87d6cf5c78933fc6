import { bytesField, fieldsOf, varintField, writeVarint } from './wire';
import type { Field } from './wire';
import { nodeOf } from './independence/node';
import type { Node } from './independence/node';

// ONNX Runtime divides by the number of rows in TopK: without rows the process ends with SIGFPE, and
// no caller gets an answer. Whether there are rows may hang on the data, deep inside of a graph. So
// each TopK goes behind a branch: of nothing the largest are nothing.

/** Field numbers of onnx.proto: ModelProto, GraphProto, NodeProto, AttributeProto, FunctionProto. */
const MODEL = { graph: 7, function: 25 } as const;
const FUNCTION_NODE = 7;

/** TopK takes K as an input, and Slice its bounds, since this operator set. */
const LEAST_OPSET = 10;
const INT64 = 7;
/** Appended to names of values that are added; nobody else writes such names. */
const OWN = '__guard';

const message = (number: number, parts: readonly Uint8Array[]): Uint8Array =>
  bytesField(number, parts);

function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...attributes: readonly Uint8Array[]
): Uint8Array {
  return message(1, [
    ...inputs.map((name) => bytesField(1, name)),
    ...outputs.map((name) => bytesField(2, name)),
    bytesField(4, operator),
    ...attributes,
  ]);
}

const integer = (name: string, value: number): Uint8Array =>
  message(5, [bytesField(1, name), varintField(3, value), varintField(20, 2)]);

/** An INT64 constant: a scalar, or a list of one. */
function constant(name: string, value: number, isList: boolean): Uint8Array {
  const dims = isList ? [varintField(1, 1)] : [];
  const tensor = [...dims, varintField(2, INT64), varintField(7, value)];
  const held = message(5, [bytesField(1, 'value'), message(5, tensor), varintField(20, 4)]);
  return node('Constant', [], [name], held);
}

const branch = (name: string, nodes: readonly Uint8Array[], outputs: readonly string[]) =>
  message(5, [
    bytesField(1, name),
    message(6, [
      ...nodes,
      bytesField(2, name),
      ...outputs.map((output) => message(12, [bytesField(1, output)])),
    ]),
    varintField(20, 5),
  ]);

/** The fields of a graph with a branch around the node. */
function guarded(bytes: Uint8Array, field: Field, own: Node, at: number): Uint8Array[] {
  const name = (what: string): string => `${OWN}_${at}_${what}`;
  const [input = '', count = ''] = own.inputs;
  const axis = own.attributes.get('axis')?.numbers[0] ?? -1;
  const values = [name('none'), name('nowhere')] as const;
  const empty = [
    constant(name('from'), 0, true),
    constant(name('axis'), axis, true),
    node('Slice', [input, name('from'), count, name('axis')], [values[0]]),
    node('Cast', [values[0]], [values[1]], integer('to', INT64)),
  ];
  const inner = [name('values'), name('places')];
  const kept = Array.from(fieldsOf(bytes, field.start, field.end))
    .filter(({ number }) => number !== 2)
    .map(({ tag, end }) => bytes.subarray(tag, end));
  const full = message(1, [...kept, ...inner.map((one) => bytesField(2, one))]);
  const outputs = own.outputs.map((output, place) => (output === '' ? name(`o${place}`) : output));
  return [
    node('Size', [input], [name('size')]),
    constant(name('zero'), 0, false),
    node('Equal', [name('size'), name('zero')], [name('isEmpty')]),
    node(
      'If',
      [name('isEmpty')],
      outputs,
      branch('then_branch', empty, values.slice(0, outputs.length)),
      branch('else_branch', [full], inner.slice(0, outputs.length)),
    ),
  ];
}

/** Counts the nodes that were guarded, so that each has names of its own. */
interface Counter {
  count: number;
}

function whole(bytes: Uint8Array, field: Field, parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const tag = bytes.subarray(field.tag, field.start);
  const key = tag.subarray(0, tag.findIndex((byte) => byte < 0x80) + 1);
  return Buffer.concat([key, writeVarint(body.length), body]);
}

const raw = (bytes: Uint8Array, { tag, end }: Field): Uint8Array => bytes.subarray(tag, end);

/** The nodes of a graph or a function: `number` is the number of their field. */
function nodesIn(bytes: Uint8Array, at: Field, number: number, counter: Counter): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of fieldsOf(bytes, at.start, at.end)) {
    if (field.number !== number) parts.push(raw(bytes, field));
    else parts.push(...nodeIn(bytes, field, number, counter));
  }
  return whole(bytes, at, parts);
}

function nodeIn(
  bytes: Uint8Array,
  field: Field,
  number: number,
  counter: Counter,
): readonly Uint8Array[] {
  const own = nodeOf(bytes, field);
  if (own.operator === 'TopK' && own.domain === '') {
    counter.count += 1;
    const nodes = guarded(bytes, field, own, counter.count);
    return number === 1 ? nodes : nodes.map((one) => renumbered(one, number));
  }
  const hasGraph = [...own.attributes.values()].some(({ graphs }) => graphs.length > 0);
  if (!hasGraph) return [raw(bytes, field)];
  const parts: Uint8Array[] = [];
  for (const part of fieldsOf(bytes, field.start, field.end)) {
    parts.push(part.number === 5 ? attributeIn(bytes, part, counter) : raw(bytes, part));
  }
  return [whole(bytes, field, parts)];
}

/** A message as another field: nodes have another number in functions. */
function renumbered(bytes: Uint8Array, number: number): Uint8Array {
  const [field] = fieldsOf(bytes);
  return field === undefined ? bytes : message(number, [bytes.subarray(field.start, field.end)]);
}

function attributeIn(bytes: Uint8Array, at: Field, counter: Counter): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of fieldsOf(bytes, at.start, at.end)) {
    const isGraph = field.number === 6 || field.number === 11;
    parts.push(isGraph ? nodesIn(bytes, field, 1, counter) : raw(bytes, field));
  }
  return whole(bytes, at, parts);
}

/** Cheap, and never wrong about a file without it. */
const mentionsTopK = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('TopK');

/** The file with a branch around each TopK; undefined: there is none, or of an old operator set. */
export function withGuards(bytes: Uint8Array, opset: number): Uint8Array | undefined {
  if (opset < LEAST_OPSET || !mentionsTopK(bytes)) return undefined;
  const counter: Counter = { count: 0 };
  const parts: Uint8Array[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === MODEL.graph) parts.push(nodesIn(bytes, field, 1, counter));
    else if (field.number === MODEL.function) {
      parts.push(nodesIn(bytes, field, FUNCTION_NODE, counter));
    } else parts.push(raw(bytes, field));
  }
  return counter.count === 0 ? undefined : Buffer.concat(parts);
}
