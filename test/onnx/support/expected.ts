import { readFileSync } from 'node:fs';
import path from 'node:path';
import { FIXTURES } from './server';

// What Python's ONNX Runtime answered, as fixtures/README.md describes it.

export interface Expected {
  readonly datatype: string;
  readonly shape: readonly number[];
  /** Integers of 64 bits and floats that are not finite stand as strings. */
  readonly data: readonly (number | string | boolean)[];
}

export type Output =
  | Expected
  | { readonly sequence: readonly (Expected | { readonly map: Record<string, number> })[] };

export interface Case {
  readonly name: string;
  readonly inputs: Record<string, Expected>;
  readonly outputs: Record<string, Output>;
}

const read = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));

export const FIXTURE_CASES = Object.entries(
  read(path.join(FIXTURES, 'expected.json')) as Record<string, Case[]>,
).map(([file, cases]) => ({ model: file.replace(/\.onnx$/, ''), cases }));

export const referenceCases = (name: string): Case[] =>
  read(path.join(FIXTURES, '../reference', `${name}.json`)) as Case[];

/** An output as the server gives it: maps as rows of scores, a sequence of tensors stacked. */
export function asTensor(output: Output): Expected {
  if (!('sequence' in output)) return output;
  const rows = output.sequence.map((item) => ('map' in item ? Object.values(item.map) : item.data));
  const [first] = output.sequence;
  const inner = first === undefined || 'map' in first ? [rows[0]?.length ?? 0] : [...first.shape];
  return { datatype: 'FP32', shape: [rows.length, ...inner], data: rows.flat() };
}

const isFloat = (datatype: string): boolean => datatype.startsWith('FP');

/** Differences that are allowed, relative and absolute: Python shortens halves to three digits. */
const TOLERANCE = { relative: 1e-5, absolute: 1e-12 };
const HALF_TOLERANCE = { relative: 2 ** -11, absolute: 2 ** -25 };

function near(got: number, wanted: number, { relative, absolute }: typeof TOLERANCE): boolean {
  if (Object.is(got, wanted) || got === wanted) return true;
  return Math.abs(got - wanted) <= Math.max(absolute, relative * Math.abs(wanted));
}

/** Fails with the first element that differs. */
export function expectTensor(got: Expected, wanted: Expected): void {
  expect({ datatype: got.datatype, shape: got.shape }).toEqual({
    datatype: wanted.datatype,
    shape: wanted.shape,
  });
  const tolerance = wanted.datatype === 'FP16' ? HALF_TOLERANCE : TOLERANCE;
  expect(got.data).toHaveLength(wanted.data.length);
  for (const [index, value] of wanted.data.entries()) {
    const same = isFloat(wanted.datatype)
      ? near(Number(got.data[index]), Number(value), tolerance)
      : String(got.data[index]) === String(value);
    if (!same) throw new Error(`element ${index}: got ${got.data[index]}, wanted ${value}`);
  }
}

/** The data of a tensor as JSON text, exact for integers, bare words for NaN and infinities. */
export function dataText({ datatype, data }: Expected): string {
  if (datatype === 'BYTES' || datatype === 'BOOL') return JSON.stringify(data);
  return `[${data.join(',')}]`;
}

/** Quotes what JSON.parse would not read exactly, outside of strings. */
export function readExact(text: string): never {
  const token = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?\d[\d.eE+-]*/g;
  const quoted = text.replace(token, (found) =>
    /^-?(?:\d{16,}|Infinity|NaN)$/.test(found) || found === 'NaN' ? `"${found}"` : found,
  );
  return JSON.parse(quoted) as never;
}

/** Flat elements as nested lists. */
export function nested(shape: readonly number[], data: readonly unknown[]): unknown {
  const [count, ...rest] = shape;
  if (count === undefined) return data[0];
  const size = rest.reduce((product, one) => product * one, 1);
  return Array.from({ length: count }, (_, index) =>
    nested(rest, data.slice(index * size, (index + 1) * size)),
  );
}

const WRITERS: Record<string, (view: DataView, at: number, value: never) => void> = {
  FP32: (view, at, value) => view.setFloat32(at, value, true),
  FP64: (view, at, value) => view.setFloat64(at, value, true),
  INT8: (view, at, value) => view.setInt8(at, value),
  INT16: (view, at, value) => view.setInt16(at, value, true),
  INT32: (view, at, value) => view.setInt32(at, value, true),
  INT64: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
  UINT8: (view, at, value) => view.setUint8(at, value),
  UINT16: (view, at, value) => view.setUint16(at, value, true),
  UINT32: (view, at, value) => view.setUint32(at, value, true),
  UINT64: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
  BOOL: (view, at, value) => view.setUint8(at, Number(value)),
};
const READERS: Record<string, (view: DataView, at: number) => number | string | boolean> = {
  FP32: (view, at) => view.getFloat32(at, true),
  FP64: (view, at) => view.getFloat64(at, true),
  INT8: (view, at) => view.getInt8(at),
  INT16: (view, at) => view.getInt16(at, true),
  INT32: (view, at) => view.getInt32(at, true),
  INT64: (view, at) => String(view.getBigInt64(at, true)),
  UINT8: (view, at) => view.getUint8(at),
  UINT16: (view, at) => view.getUint16(at, true),
  UINT32: (view, at) => view.getUint32(at, true),
  UINT64: (view, at) => String(view.getBigUint64(at, true)),
  BOOL: (view, at) => view.getUint8(at) === 1,
};
const sizeOf = (datatype: string): number =>
  datatype === 'BOOL' ? 1 : Number(/\d+$/.exec(datatype)?.[0]) / 8;

/** Binary tensor data, as a client writes it. FP16 has no writer here: Node 20 has no half floats. */
export function toBytes({ datatype, data }: Expected): Buffer {
  if (datatype === 'BYTES') {
    return Buffer.concat(
      data.flatMap((text) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(Buffer.byteLength(String(text)));
        return [length, Buffer.from(String(text))];
      }),
    );
  }
  const size = sizeOf(datatype);
  const bytes = Buffer.alloc(size * data.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (const [index, value] of data.entries())
    WRITERS[datatype]?.(view, index * size, value as never);
  return bytes;
}

export function fromBytes(datatype: string, bytes: Buffer): (number | string | boolean)[] {
  const values: (number | string | boolean)[] = [];
  if (datatype === 'BYTES') {
    for (let at = 0; at < bytes.length;) {
      const end = at + 4 + bytes.readUInt32LE(at);
      values.push(bytes.toString('utf8', at + 4, end));
      at = end;
    }
    return values;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = sizeOf(datatype);
  for (let at = 0; at < bytes.length; at += size) values.push(READERS[datatype]?.(view, at) ?? '');
  return values;
}
