import { badRequest, shown } from './errors';
import { toHalf, fromHalf } from '../shared/float16';
import { numberText } from '../shared/number-text';
import { bigOf, numberOf } from './json';
import { elementsOf, shapeText } from './tensor';
import type { BigData, ElementType, NumericData, TensorData } from './element-type';
import type { Tensor } from './tensor';

/** A place for one value of a list, for messages: `input 'x': element 3 is "a"`. */
const wrong = (name: string, index: number, value: unknown, wanted: string): Error =>
  badRequest(`input '${name}': element ${index} is ${shown(value)}; ${wanted}`);

type Fill = (source: readonly unknown[], datatype: ElementType, name: string) => TensorData;

const fillFloat: Fill = (source, datatype, name) => {
  const target = datatype.make(source.length) as NumericData;
  for (let i = 0; i < source.length; i += 1) {
    const value = source[i];
    const read = typeof value === 'number' ? value : numberOf(value);
    if (read === undefined) throw wrong(name, i, value, `${datatype.v2} takes numbers`);
    target[i] = read;
  }
  return target;
};

const fillHalf: Fill = (source, datatype, name) =>
  Uint16Array.from(
    fillFloat(source, { ...datatype, make: (n) => new Float64Array(n) }, name) as Float64Array,
    toHalf,
  );

const fillInteger: Fill = (source, datatype, name) => {
  const { elements } = datatype;
  if (elements.kind !== 'integer') throw new TypeError('not an integer type');
  const target = datatype.make(source.length) as NumericData;
  for (let i = 0; i < source.length; i += 1) {
    const value = source[i];
    if (
      typeof value !== 'number' ||
      !Number.isInteger(value) ||
      value < elements.min ||
      value > elements.max
    ) {
      const range = `${elements.min} to ${elements.max}`;
      throw wrong(name, i, value, `${datatype.v2} takes integers from ${range}`);
    }
    target[i] = value;
  }
  return target;
};

const fillBig: Fill = (source, datatype, name) => {
  const { elements } = datatype;
  if (elements.kind !== 'big') throw new TypeError('not a 64 bit integer type');
  const target = datatype.make(source.length) as BigData;
  for (let i = 0; i < source.length; i += 1) {
    const read = bigOf(source[i]);
    if (read === undefined || read < elements.min || read > elements.max) {
      const range = `${elements.min} to ${elements.max}`;
      throw wrong(name, i, source[i], `${datatype.v2} takes integers from ${range}`);
    }
    target[i] = read;
  }
  return target;
};

const fillBool: Fill = (source, datatype, name) => {
  const target = datatype.make(source.length) as NumericData;
  for (let i = 0; i < source.length; i += 1) {
    const value = source[i];
    if (value !== true && value !== false && value !== 0 && value !== 1) {
      throw wrong(name, i, value, 'BOOL takes true and false');
    }
    target[i] = value === true || value === 1 ? 1 : 0;
  }
  return target;
};

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * ONNX Runtime's binding ends a string at its first NUL and makes U+FFFD of a lone surrogate, which
 * would change it without a word.
 */
export function checkString(value: string, name: string, index: number): string {
  if (LONE_SURROGATE.test(value)) {
    throw badRequest(
      `input '${name}': element ${index} holds half of a surrogate pair (such as \\ud800), ` +
        'which is not a character; send the whole pair, or leave it out',
    );
  }
  if (value.includes('\0')) {
    throw badRequest(
      `input '${name}': element ${index} holds a NUL character, which the model runtime would cut at`,
    );
  }
  return value;
}

const fillString: Fill = (source, _datatype, name) =>
  source.map((value, index) => {
    if (typeof value !== 'string') {
      throw wrong(name, index, value, 'BYTES takes strings');
    }
    return checkString(value, name, index);
  });

const FILLS: Record<ElementType['elements']['kind'], Fill> = {
  float: fillFloat,
  half: fillHalf,
  integer: fillInteger,
  big: fillBig,
  bool: fillBool,
  string: fillString,
};

/** Appends the leaves of a nested list whose levels have the sizes of `dims`. */
function flatten(
  value: unknown,
  dims: readonly number[],
  level: number,
  name: string,
  into: unknown[],
): void {
  if (level === dims.length) {
    into.push(value);
    return;
  }
  if (!Array.isArray(value) || value.length !== dims[level]) {
    throw badRequest(
      `input '${name}': data does not have the stated shape ${shapeText(dims)}: at level ${level} ` +
        `there is ${shown(value)}, not a list of ${dims[level]}`,
    );
  }
  for (const item of value as unknown[]) flatten(item, dims, level + 1, name, into);
}

function flatOf(data: unknown, dims: readonly number[], name: string): readonly unknown[] {
  const count = elementsOf(dims);
  if (!Array.isArray(data)) {
    if (dims.length === 0) return [data];
    throw badRequest(`input '${name}': data is ${shown(data)}; it must be a list`);
  }
  const list = data as unknown[];
  if (list.length > 0 && Array.isArray(list[0]) && dims.length > 0) {
    const leaves: unknown[] = [];
    flatten(list, dims, 0, name, leaves);
    return leaves;
  }
  if (list.length !== count) {
    throw badRequest(
      `input '${name}': data has ${list.length} elements, shape ${shapeText(dims)} needs ${count}`,
    );
  }
  return list;
}

/** Reads a tensor's JSON `data`: flat in row-major order, or nested by its shape. */
export function readElements(
  data: unknown,
  datatype: ElementType,
  dims: readonly number[],
  name: string,
): TensorData {
  return FILLS[datatype.elements.kind](flatOf(data, dims, name), datatype, name);
}

/**
 * The elements as JSON, joined by commas, without brackets. Integers are exact. NaN, Infinity and
 * -Infinity stand as these bare words, as Triton and TensorFlow Serving write them.
 */
export function writeElements(tensor: Tensor): string {
  const { datatype, data } = tensor;
  switch (datatype.elements.kind) {
    case 'string':
      return (data as readonly string[]).map((text) => JSON.stringify(text)).join(',');
    case 'bool':
      return Array.from(data as Uint8Array, (bit) => (bit === 0 ? 'false' : 'true')).join(',');
    case 'half':
      return Array.from(data as Uint16Array, (bits) => numberText(fromHalf(bits))).join(',');
    case 'float':
      // Only a zero may have a sign that is lost.
      if ((data as Float32Array).includes(0)) return elementTexts(tensor, 'bare').join(',');
      return (data as Float32Array).join(',');
    default:
      return (data as NumericData).join(',');
  }
}

/** How NaN and infinities are written: bare words, or strings as in protobuf's JSON mapping. */
export type NonFinite = 'bare' | 'quoted';

/** Every element as JSON text. */
export function elementTexts({ datatype, data }: Tensor, nonFinite: NonFinite): readonly string[] {
  const float = (value: number): string =>
    nonFinite === 'bare' || Number.isFinite(value) ? numberText(value) : `"${value}"`;
  switch (datatype.elements.kind) {
    case 'string':
      return (data as readonly string[]).map((text) => JSON.stringify(text));
    case 'bool':
      return Array.from(data as Uint8Array, (bit) => (bit === 0 ? 'false' : 'true'));
    case 'half':
      return Array.from(data as Uint16Array, (bits) => float(fromHalf(bits)));
    case 'float':
      return Array.from(data as Float32Array, float);
    default:
      return Array.from(data as Int32Array, String);
  }
}
