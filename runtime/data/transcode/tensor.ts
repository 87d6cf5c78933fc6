import { ExactNumber, isInteger, isNonFiniteWord, numberOf } from './exact-json';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';

// Values as tensors: nested lists ↔ a shape and its elements in row-major order.

export interface V2Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly unknown[];
}

/** Elements in row-major order, and how they lie. */
export interface Shaped {
  readonly shape: readonly number[];
  readonly data: readonly unknown[];
}

export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((size, one) => size * one, 1);

/** As numpy; each dimension costs a recursive call. */
export const MAX_RANK = 64;
/** Empty lists in a tensor at most; their number is not bounded by the size of the message. */
export const MAX_EMPTY = 10_000;

/** Is the result of `nest` bounded? `[1000000000, 0]` has no elements but a billion lists. */
export function isBoundedShape(shape: readonly number[]): boolean {
  const zero = shape.indexOf(0);
  return shape.length <= MAX_RANK && (zero < 0 || sizeOf(shape.slice(0, zero)) <= MAX_EMPTY);
}

function lengthsOf(value: unknown): readonly number[] {
  if (!Array.isArray(value)) return [];
  return value.length === 0 ? [0] : [value.length, ...lengthsOf(value[0])];
}

/** False: the lists of one level are not equally long. */
function fill(value: unknown, shape: readonly number[], at: number, to: unknown[]): boolean {
  if (at === shape.length) {
    to.push(value);
    return !Array.isArray(value);
  }
  if (!Array.isArray(value) || value.length !== shape[at]) return false;
  return (value as readonly unknown[]).every((inner) => fill(inner, shape, at + 1, to));
}

/** Undefined: lists of one level differ in length, so the value is not a tensor. */
export function shapedOf(value: unknown): Shaped | undefined {
  const shape = lengthsOf(value);
  const data: unknown[] = [];
  return fill(value, shape, 0, data) ? { shape, data } : undefined;
}

/**
 * By how they are written: integers are INT64, other numbers FP64, texts BYTES. Undefined when they
 * are mixed.
 */
export function guessDatatype(data: readonly unknown[]): string | undefined {
  if (data.every((one) => typeof one === 'boolean')) return 'BOOL';
  if (data.every(isInteger)) return 'INT64';
  if (data.every((one) => numberOf(one) !== undefined)) return 'FP64';
  return data.every((one) => typeof one === 'string') ? 'BYTES' : undefined;
}

/**
 * The words NaN, Infinity and -Infinity, which native writes as strings, as numbers: of a float
 * tensor all of them, without a stated type only those among numbers, so that texts stay texts.
 */
export function withNumbers(data: readonly unknown[], datatype?: string): readonly unknown[] {
  if (datatype !== undefined && !/^(?:BF|FP)/.test(datatype)) return data;
  if (!data.some(isNonFiniteWord)) return data;
  const isAmong = (): boolean =>
    data.every((one) => isNonFiniteWord(one) || numberOf(one) !== undefined) &&
    !data.every(isNonFiniteWord);
  if (datatype === undefined && !isAmong()) return data;
  return data.map((one) => (isNonFiniteWord(one) ? new ExactNumber(one) : one));
}

/** The same for values of any form, list by list. */
export function valueWithNumbers(value: unknown): unknown {
  if (isJsonObject(value)) {
    const entries = Object.entries(value).map(([key, one]) => [key, valueWithNumbers(one)]);
    return Object.fromEntries(entries) as JsonObject;
  }
  if (!Array.isArray(value)) return value;
  const shaped = shapedOf(value);
  if (shaped === undefined || shaped.data.some(isJsonObject)) return value.map(valueWithNumbers);
  const data = withNumbers(shaped.data);
  return data === shaped.data ? value : nest(data, shaped.shape);
}

/** @param from where in the data this part begins */
export function nest(
  data: readonly unknown[],
  shape: readonly number[],
  depth = 0,
  from = 0,
): unknown {
  const length = shape[depth];
  if (length === undefined) return data[from];
  if (depth === shape.length - 1) return data.slice(from, from + length);
  const size = sizeOf(shape.slice(depth + 1));
  return Array.from({ length }, (_, at) => nest(data, shape, depth + 1, from + at * size));
}

type Leaf = readonly [name: string, value: unknown];

/**
 * Characters of all name prefixes at most: a long name around many values is repeated for each, so
 * that a small message could produce gigabytes of names.
 */
const MAX_PREFIXES = 4 * 1024 * 1024;

class Leaves {
  readonly all: Leaf[] = [];
  private prefixes = 0;

  /** @throws RangeError when the names grow beyond all measure, as what is nested too deeply does */
  collect(value: JsonObject, prefix: string): this {
    for (const [key, inner] of Object.entries(value)) {
      const name = `${prefix}${key}`;
      this.prefixes += prefix.length;
      if (this.prefixes > MAX_PREFIXES) throw new RangeError('the names are too long');
      if (isJsonObject(inner)) this.collect(inner, `${name}.`);
      else this.all.push([name, inner]);
    }
    return this;
  }
}

/** Nested objects become dotted names: `{a: {b: 1}}` → `a.b`. @throws RangeError */
export const leaves = (value: JsonObject): readonly Leaf[] => new Leaves().collect(value, '').all;

/** The tensors of a V2 response, each with as many elements as its shape; else undefined. */
export function tensorsOf(answer: unknown): readonly V2Tensor[] | undefined {
  const outputs = isJsonObject(answer) ? answer['outputs'] : undefined;
  if (!Array.isArray(outputs)) return undefined;
  const tensors = outputs.map(tensorOf).filter((one) => one !== undefined);
  return tensors.length === outputs.length ? tensors : undefined;
}

function tensorOf(value: unknown): V2Tensor | undefined {
  if (!isJsonObject(value)) return undefined;
  const { name, datatype, shape, data: given } = value;
  if (typeof name !== 'string' || !Array.isArray(shape) || !Array.isArray(given)) return undefined;
  const data = given.some(Array.isArray) ? given.flat(Infinity) : given;
  const sizes = shape as readonly number[];
  if (data.length !== sizeOf(sizes) || !isBoundedShape(sizes)) return undefined;
  return { name, datatype: String(datatype), shape: sizes, data };
}
