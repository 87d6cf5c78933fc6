import { Refusal } from '../errors';
import { isInteger, numberOf } from './exact';
import type { Plain } from './json';
import { isPlain } from './json';
import type { NativeOutput } from './native';
import { confidenceOf } from './native';

// native ↔ the Open Inference Protocol V2 (JSON).

export interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly unknown[];
}

/** What a server says of an input; shapes have −1 where they are dynamic. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly inputs: readonly TensorMetadata[];
}

/** Nested objects become dotted names: `{a: {b: 1}}` → `a.b`. */
function leaves(value: Plain, prefix = ''): readonly (readonly [string, unknown])[] {
  return Object.entries(value).flatMap(([key, inner]) =>
    isPlain(inner) ? leaves(inner, `${prefix}${key}.`) : [[`${prefix}${key}`, inner] as const],
  );
}

function shapeOf(value: unknown): readonly number[] {
  if (!Array.isArray(value)) return [];
  return value.length === 0 ? [0] : [value.length, ...shapeOf(value[0])];
}

function ragged(name: string): Refusal {
  return new Refusal(
    'INVALID_REQUEST',
    `input_data.${name}: lists of one level must have the same length; it is no tensor`,
  );
}

function fill(name: string, value: unknown, shape: readonly number[], at: number, to: unknown[]) {
  if (at === shape.length) {
    if (Array.isArray(value)) throw ragged(name);
    to.push(value);
    return;
  }
  if (!Array.isArray(value) || value.length !== shape[at]) throw ragged(name);
  for (const inner of value as readonly unknown[]) fill(name, inner, shape, at + 1, to);
}

function flatten(name: string, value: unknown, shape: readonly number[]): readonly unknown[] {
  const data: unknown[] = [];
  fill(name, value, shape, 0, data);
  return data;
}

/** Without metadata: integers are INT64, other numbers FP64, texts BYTES. */
function guessDatatype(name: string, data: readonly unknown[]): string {
  if (data.every((one) => typeof one === 'boolean')) return 'BOOL';
  if (data.every(isInteger)) return 'INT64';
  if (data.every((one) => numberOf(one) !== undefined)) return 'FP64';
  if (data.every((one) => typeof one === 'string')) return 'BYTES';
  throw new Refusal(
    'INVALID_REQUEST',
    `input_data.${name}: must hold only numbers, only texts or only booleans`,
  );
}

function tensorOf(name: string, value: unknown, known: TensorMetadata | undefined): Tensor {
  const shape = shapeOf(value);
  const data = flatten(name, value, shape);
  const datatype = known?.datatype ?? guessDatatype(name, data);
  // One item is given; a graph wants a batch of one.
  const missing = known === undefined ? 1 : Math.max(0, known.shape.length - shape.length);
  return { name, datatype, shape: [...Array<number>(missing).fill(1), ...shape], data };
}

/** @throws Refusal when a value is no tensor, or no input of the model */
export function nativeToV2(input: Plain, metadata: ModelMetadata | undefined): readonly Tensor[] {
  const known = new Map(metadata?.inputs.map((one) => [one.name, one]));
  const given = leaves(input);
  const stray = given.filter(([name]) => metadata !== undefined && !known.has(name));
  if (stray.length > 0) {
    const names = [...known.keys()].join(', ');
    const strays = stray.map(([name]) => name).join(', ');
    throw new Refusal('INVALID_REQUEST', `input_data: ${strays} is no input; inputs are ${names}`);
  }
  return given.map(([name, value]) => tensorOf(name, value, known.get(name)));
}

/** @param from where in the data this part begins */
function nest(data: readonly unknown[], shape: readonly number[], depth = 0, from = 0): unknown {
  const length = shape[depth];
  if (length === undefined) return data[from];
  if (depth === shape.length - 1) return data.slice(from, from + length);
  const size = sizeOf(shape.slice(depth + 1));
  return Array.from({ length }, (_, at) => nest(data, shape, depth + 1, from + at * size));
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, one) => size * one, 1);

function isTensor(value: unknown): value is Tensor {
  if (!isPlain(value)) return false;
  const { name, shape, data } = value;
  return typeof name === 'string' && Array.isArray(shape) && Array.isArray(data);
}

/** Outputs by name; the batch of one that was put around the item is taken off. */
export function v2ToNative(answer: unknown): NativeOutput | undefined {
  const outputs = isPlain(answer) ? answer['outputs'] : undefined;
  if (!Array.isArray(outputs) || !outputs.every(isTensor)) return undefined;
  const entries: [string, unknown][] = [];
  for (const { name, shape, data } of outputs) {
    const flat = data.some(Array.isArray) ? data.flat(Infinity) : data;
    // A tensor that lacks elements, or has too many, is none.
    if (flat.length !== sizeOf(shape)) return undefined;
    const nested = nest(flat, shape);
    entries.push([name, Array.isArray(nested) && shape[0] === 1 ? nested[0] : nested]);
  }
  const output = Object.fromEntries(entries);
  return { output, confidence: confidenceOf(output) };
}

export function readMetadata(answer: unknown): ModelMetadata | undefined {
  const inputs = isPlain(answer) ? answer['inputs'] : undefined;
  if (!Array.isArray(inputs)) return undefined;
  const known = inputs.filter(isPlain).map(({ name, datatype, shape }) => ({
    name: String(name),
    datatype: String(datatype),
    shape: Array.isArray(shape) ? shape.map(Number) : [],
  }));
  return { inputs: known };
}
