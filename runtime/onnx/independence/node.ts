import { fieldsOf, integersOf, textOf } from '../wire';
import type { Field } from '../wire';
import { NotRowwise } from './value';
import type { RowwiseValue, Size } from './value';

// Nodes with their attributes, and small constants, of an ONNX file.

/** Field numbers of onnx.proto: AttributeProto, TensorProto. */
const ATTRIBUTE = {
  name: 1,
  float: 2,
  integer: 3,
  text: 4,
  tensor: 5,
  graph: 6,
  floats: 7,
  integers: 8,
  texts: 9,
  graphs: 11,
  reference: 21,
} as const;
const TENSOR = { dims: 1, type: 2, floats: 4, int32s: 5, int64s: 7, name: 8, raw: 9, doubles: 10 };

export interface Attribute {
  readonly numbers: readonly number[];
  readonly texts: readonly string[];
  readonly tensor: Field | undefined;
  readonly graphs: readonly Field[];
  /** The attribute of the function's caller that it refers to. */
  readonly reference: string;
}

export type Attributes = ReadonlyMap<string, Attribute>;

export interface Node {
  readonly operator: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

const view = (bytes: Uint8Array, start: number, length: number): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset + start, length);

/** Floats of a repeated field, packed or not. */
function floatsOf(bytes: Uint8Array, field: Field, size: 4 | 8): number[] {
  const from = field.wire === 2 ? field.start : field.end - size;
  const all = view(bytes, from, field.end - from);
  return Array.from({ length: Math.floor(all.byteLength / size) }, (_, at) =>
    size === 4 ? all.getFloat32(at * 4, true) : all.getFloat64(at * 8, true),
  );
}

function attributeOf(bytes: Uint8Array, at: Field): [string, Attribute] {
  let name = '';
  let reference = '';
  let tensor: Field | undefined;
  const numbers: number[] = [];
  const texts: string[] = [];
  const graphs: Field[] = [];
  for (const field of fieldsOf(bytes, at.start, at.end)) {
    if (field.number === ATTRIBUTE.name) name = textOf(bytes, field);
    if (field.number === ATTRIBUTE.reference) reference = textOf(bytes, field);
    if (field.number === ATTRIBUTE.tensor) tensor = field;
    if (field.number === ATTRIBUTE.text || field.number === ATTRIBUTE.texts)
      texts.push(textOf(bytes, field));
    if (field.number === ATTRIBUTE.float || field.number === ATTRIBUTE.floats)
      numbers.push(...floatsOf(bytes, field, 4));
    if (field.number === ATTRIBUTE.integer || field.number === ATTRIBUTE.integers)
      numbers.push(...integersOf(bytes, field).map(Number));
    if (field.number === ATTRIBUTE.graph || field.number === ATTRIBUTE.graphs) graphs.push(field);
  }
  return [name, { numbers, texts, tensor, graphs, reference }];
}

/** A NodeProto. */
export function nodeOf(bytes: Uint8Array, at: Field): Node {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  const text = { operator: '', domain: '', name: '' };
  for (const field of fieldsOf(bytes, at.start, at.end)) {
    if (field.number === 1) inputs.push(textOf(bytes, field));
    if (field.number === 2) outputs.push(textOf(bytes, field));
    if (field.number === 3) text.name = textOf(bytes, field);
    if (field.number === 4) text.operator = textOf(bytes, field);
    if (field.number === 5) attributes.set(...attributeOf(bytes, field));
    if (field.number === 7) text.domain = textOf(bytes, field);
  }
  const domain = text.domain === 'ai.onnx' ? '' : text.domain;
  return { ...text, domain, inputs, outputs, attributes };
}

export const attributeFields = (bytes: Uint8Array, at: Field): [string, Attribute] =>
  attributeOf(bytes, at);

/** The number of an attribute, or its default. */
export function numberAt(attributes: Attributes, name: string, otherwise: number): number {
  return attributes.get(name)?.numbers[0] ?? otherwise;
}

export const numbersAt = (attributes: Attributes, name: string): readonly number[] | undefined =>
  attributes.get(name)?.numbers;

/** How many entries a list has: class labels, texts or numbers. */
export function countAt(attributes: Attributes, ...names: readonly string[]): number {
  for (const name of names) {
    const found = attributes.get(name);
    const count = Math.max(found?.numbers.length ?? 0, found?.texts.length ?? 0);
    if (count > 0) return count;
  }
  return 0;
}

/** Longer lists are weights, and no shape, axis or bound. */
const MAX_ELEMENTS = 64;

const READERS: Readonly<Record<number, readonly [number, (data: DataView, at: number) => number]>> =
  {
    1: [4, (data, at) => data.getFloat32(at, true)],
    6: [4, (data, at) => data.getInt32(at, true)],
    7: [8, (data, at) => Number(data.getBigInt64(at, true))],
    9: [1, (data, at) => data.getUint8(at)],
    11: [8, (data, at) => data.getFloat64(at, true)],
  };

function rawNumbers(bytes: Uint8Array, field: Field, type: number): number[] | undefined {
  const reader = READERS[type];
  if (reader === undefined) return undefined;
  const [size, read] = reader;
  const all = view(bytes, field.start, field.end - field.start);
  return Array.from({ length: Math.floor(all.byteLength / size) }, (_, at) => read(all, at * size));
}

function partNumbers(bytes: Uint8Array, field: Field, type: number): number[] | undefined {
  if (field.number === TENSOR.raw) return rawNumbers(bytes, field, type);
  if (field.number === TENSOR.floats) return floatsOf(bytes, field, 4);
  if (field.number === TENSOR.doubles) return floatsOf(bytes, field, 8);
  const isList = field.number === TENSOR.int32s || field.number === TENSOR.int64s;
  return isList ? integersOf(bytes, field).map(Number) : [];
}

/** A TensorProto: its name, its sizes, and its elements if they are few numbers. */
export function constantOf(
  bytes: Uint8Array,
  at: Field,
): { readonly name: string; readonly type: number; readonly value: RowwiseValue } {
  let name = '';
  let type = 0;
  const dims: number[] = [];
  const data: Field[] = [];
  for (const field of fieldsOf(bytes, at.start, at.end)) {
    if (field.number === TENSOR.name) name = textOf(bytes, field);
    else if (field.number === TENSOR.type) type = field.value;
    else if (field.number === TENSOR.dims) dims.push(...integersOf(bytes, field).map(Number));
    else data.push(field);
  }
  const count = dims.reduce((all, size) => all * size, 1);
  const isSmall = count <= MAX_ELEMENTS && dims.length <= 1 && READERS[type] !== undefined;
  const elements = isSmall ? data.flatMap((one) => partNumbers(bytes, one, type) ?? []) : [];
  const known = isSmall && elements.length === count ? elements : undefined;
  return { name, type, value: { dims, elements: known } };
}

/** The value of a Constant node. */
export function constantNode(bytes: Uint8Array, { attributes }: Node): RowwiseValue {
  const tensor = attributes.get('value')?.tensor;
  if (tensor !== undefined) return constantOf(bytes, tensor).value;
  for (const [name, { numbers, texts }] of attributes) {
    if (name === 'value_int' || name === 'value_float') return { dims: [], elements: numbers };
    if (name === 'value_string') return { dims: [] };
    if (name === 'value_strings') return { dims: [texts.length] };
    if (name === 'value_ints' || name === 'value_floats')
      return { dims: [numbers.length], elements: numbers };
  }
  return { dims: undefined };
}

/** A list whose elements are known. */
export const listOf = (elements: readonly Size[]): RowwiseValue => ({
  dims: [elements.length],
  elements: elements.length <= MAX_ELEMENTS ? elements : undefined,
});

/** A number that an operator takes as an attribute in old operator sets, as an input in new ones. */
export function listOrInput(
  attributes: Attributes,
  name: string,
  input: RowwiseValue | undefined,
): readonly number[] | undefined {
  const stated = numbersAt(attributes, name);
  if (stated !== undefined || input === undefined) return stated;
  if (input.elements?.every((one) => typeof one === 'number') === true) return input.elements;
  throw new NotRowwise(`its ${name} are not known beforehand`);
}
