import type { Datatype, TensorData } from './datatype';
import { arrayOf, bytesPerElement } from './datatype';
import { badRequest, shown } from './errors';
import { halfBits, halfValue } from './float16';
import { bigOf, isMarked, numberOf } from './json';
import type { Tensor } from './tensor';
import { elementsOf } from './tensor';

// Elements of tensors: from and to JSON, from and to the bytes of the binary extension.

/** Smallest and largest value of each integer type. */
const RANGE: Readonly<Partial<Record<Datatype, readonly [bigint, bigint]>>> = {
  UINT8: [0n, 255n],
  UINT16: [0n, 65_535n],
  UINT32: [0n, 2n ** 32n - 1n],
  UINT64: [0n, 2n ** 64n - 1n],
  INT8: [-128n, 127n],
  INT16: [-32_768n, 32_767n],
  INT32: [-(2n ** 31n), 2n ** 31n - 1n],
  INT64: [-(2n ** 63n), 2n ** 63n - 1n],
};

function wordsOf(datatype: Datatype): string {
  const range = RANGE[datatype];
  if (range !== undefined) return `an integer from ${range[0]} to ${range[1]}`;
  if (datatype === 'BOOL') return 'true or false';
  return datatype === 'BYTES' ? 'a string' : 'a number';
}

function refuse(name: string, datatype: Datatype, value: unknown): never {
  const got = isMarked(value) ? 'a number that does not fit' : shown(value);
  throw badRequest(
    `input '${name}': got ${got}, each element must be ${wordsOf(datatype)} (${datatype})`,
  );
}

type Reader = (value: unknown) => number | bigint | string | undefined;

function integerReader(datatype: Datatype): Reader {
  const [low, high] = RANGE[datatype] ?? [0n, 0n];
  const wide = datatype === 'INT64' || datatype === 'UINT64';
  const [least, most] = [Number(low), Number(high)];
  return (value) => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) {
      if (value < least || value > most) return undefined;
      return wide ? BigInt(value) : value;
    }
    const big = bigOf(value);
    if (big === undefined || big < low || big > high) return undefined;
    return wide ? big : Number(big);
  };
}

/** Python clients write numpy booleans as 0 and 1 too. */
const readBool: Reader = (value) => {
  if (value === true || value === 1) return 1;
  return value === false || value === 0 ? 0 : undefined;
};

const readHalf: Reader = (value) => {
  const number = numberOf(value);
  return number === undefined ? undefined : halfBits(number);
};

const readText: Reader = (value) =>
  typeof value === 'string' && !isMarked(value) ? value : undefined;

function readerOf(datatype: Datatype): Reader {
  if (datatype === 'BOOL') return readBool;
  if (datatype === 'BYTES') return readText;
  if (datatype === 'FP16') return readHalf;
  return datatype === 'FP32' || datatype === 'FP64' ? numberOf : integerReader(datatype);
}

/** Elements from a flat or nested JSON list, in row-major order. @throws ServeError 400 */
export function fromJson(
  name: string,
  datatype: Datatype,
  dims: readonly number[],
  given: unknown,
): TensorData {
  const flat = Array.isArray(given) ? (given as unknown[]).flat(Infinity) : [given];
  const count = elementsOf(dims);
  if (flat.length !== count) {
    throw badRequest(
      `input '${name}': data has ${flat.length} elements, its shape [${dims.join(',')}] has ${count}`,
    );
  }
  const read = readerOf(datatype);
  const data = arrayOf(datatype, count) as { [index: number]: unknown };
  for (let index = 0; index < count; index += 1) {
    const value = read(flat[index]);
    if (value === undefined) refuse(name, datatype, flat[index]);
    data[index] = value;
  }
  return data as TensorData;
}

const jsonNumber = (value: number): string => (Number.isFinite(value) ? String(value) : 'null');

/** Fewest digits that give the same float back: 0.1, not 0.10000000149011612. */
function shortFloat(value: number): string {
  if (Number.isInteger(value)) return String(value);
  if (!Number.isFinite(value)) return 'null';
  for (const digits of [7, 8]) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}

/** One element as JSON text. JSON has no NaN and no infinities: they are null; the binary form has them. */
export function elementText({ datatype, data }: Pick<Tensor, 'datatype' | 'data'>, index: number) {
  const value = data[index];
  switch (datatype) {
    case 'BYTES':
      return JSON.stringify(value ?? '');
    case 'BOOL':
      return value ? 'true' : 'false';
    case 'FP16':
      return jsonNumber(halfValue(Number(value)));
    case 'FP32':
      return shortFloat(Number(value));
    case 'FP64':
      return jsonNumber(Number(value));
    default:
      return String(value);
  }
}

/** All elements as a flat JSON list. */
export function flatText(tensor: Tensor): string {
  const texts: string[] = [];
  for (let index = 0; index < tensor.data.length; index += 1) {
    texts.push(elementText(tensor, index));
  }
  return `[${texts.join(',')}]`;
}

/** A tensor as nested lists in JSON text; `from` is the first element of this part. */
export function nestedText(tensor: Tensor, dims: readonly number[], from = 0): string {
  const [length, ...rest] = dims;
  if (length === undefined) return elementText(tensor, from);
  const size = elementsOf(rest);
  const parts = Array.from({ length }, (_, index) => nestedText(tensor, rest, from + index * size));
  return `[${parts.join(',')}]`;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

function stringsOf(name: string, bytes: Buffer, count: number): string[] {
  const all: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const start = at + 4;
    const end = start <= bytes.length ? start + bytes.readUInt32LE(at) : Infinity;
    if (end > bytes.length) {
      throw badRequest(`input '${name}': its binary strings are cut off; a length is before each`);
    }
    try {
      all.push(decoder.decode(bytes.subarray(start, end)));
    } catch {
      throw badRequest(`input '${name}': string ${all.length} is not UTF-8`);
    }
    at = end;
  }
  if (all.length === count) return all;
  throw badRequest(`input '${name}': got ${all.length} binary strings, its shape has ${count}`);
}

/** Elements from the binary extension: little-endian, strings with a 4-byte length each. */
export function fromBinary(
  name: string,
  datatype: Datatype,
  dims: readonly number[],
  bytes: Buffer,
): TensorData {
  const count = elementsOf(dims);
  if (datatype === 'BYTES') return stringsOf(name, bytes, count);
  const wanted = count * bytesPerElement(datatype);
  if (bytes.length !== wanted) {
    throw badRequest(
      `input '${name}': binary_data_size is ${bytes.length}, ${datatype} of shape [${dims.join(',')}] has ${wanted} bytes`,
    );
  }
  const data = arrayOf(datatype, count) as Exclude<TensorData, string[]>;
  // A copy: what came in need not begin at a multiple of the element's size.
  new Uint8Array(data.buffer).set(bytes);
  return data;
}

export function toBinary({ datatype, data }: Tensor): Buffer {
  if (datatype !== 'BYTES') {
    const { buffer, byteOffset, byteLength } = data as Exclude<TensorData, string[]>;
    return Buffer.from(buffer, byteOffset, byteLength);
  }
  const parts = (data as string[]).flatMap((text) => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return [length, bytes];
  });
  return Buffer.concat(parts);
}
