import type { OnnxValue } from 'onnxruntime-node';
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { loadOrt } from '../../runtime/onnx/ort';

const { Tensor } = loadOrt();

/** A tensor as the reference files hold it: `data` flat, 64-bit integers and NaN as strings. */
export interface Stored {
  readonly datatype: keyof typeof DATATYPES;
  readonly shape: readonly number[];
  readonly data: readonly (number | string | boolean)[];
}

/** One request and what ONNX Runtime in Python answered. */
export interface Case {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Stored>>;
  readonly outputs: Readonly<Record<string, Stored>>;
}

type Numbers = readonly (number | string | boolean)[];
const numbers = (data: Numbers): number[] => data.map(Number);
const integers = (data: Numbers): bigint[] => data.map((value) => BigInt(value));

const DATATYPES = {
  BOOL: (data: Numbers, shape: number[]) =>
    new Tensor('bool', Uint8Array.from(numbers(data)), shape),
  UINT8: (data: Numbers, shape: number[]) =>
    new Tensor('uint8', Uint8Array.from(numbers(data)), shape),
  UINT16: (data: Numbers, shape: number[]) =>
    new Tensor('uint16', Uint16Array.from(numbers(data)), shape),
  UINT32: (data: Numbers, shape: number[]) =>
    new Tensor('uint32', Uint32Array.from(numbers(data)), shape),
  UINT64: (data: Numbers, shape: number[]) =>
    new Tensor('uint64', BigUint64Array.from(integers(data)), shape),
  INT8: (data: Numbers, shape: number[]) =>
    new Tensor('int8', Int8Array.from(numbers(data)), shape),
  INT16: (data: Numbers, shape: number[]) =>
    new Tensor('int16', Int16Array.from(numbers(data)), shape),
  INT32: (data: Numbers, shape: number[]) =>
    new Tensor('int32', Int32Array.from(numbers(data)), shape),
  INT64: (data: Numbers, shape: number[]) =>
    new Tensor('int64', BigInt64Array.from(integers(data)), shape),
  FP16: (data: Numbers, shape: number[]) =>
    new Tensor('float16', Uint16Array.from(numbers(data).map(halfBits)), shape),
  FP32: (data: Numbers, shape: number[]) =>
    new Tensor('float32', Float32Array.from(numbers(data)), shape),
  FP64: (data: Numbers, shape: number[]) =>
    new Tensor('float64', Float64Array.from(numbers(data)), shape),
  BYTES: (data: Numbers, shape: number[]) => new Tensor('string', data.map(String), shape),
};

/** What a session is fed with. */
export const feedsOf = (inputs: Case['inputs']): Record<string, OrtTensor> =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, { datatype, data, shape }]) => [
      name,
      DATATYPES[datatype](data, [...shape]),
    ]),
  );

const REL = 1e-5;

function same(got: unknown, wanted: unknown): boolean {
  if (typeof got !== 'number' || typeof wanted !== 'number') return got === wanted;
  if (!Number.isFinite(wanted)) return Object.is(got, wanted);
  return Math.abs(got - wanted) <= REL * Math.max(Math.abs(got), Math.abs(wanted));
}

/** Names the first difference between an answer and the stored one; undefined when they agree. */
export function differenceOf(got: OnnxValue | undefined, stored: Stored): string | undefined {
  if (got === undefined) return 'the output is missing';
  const wanted = DATATYPES[stored.datatype](stored.data, [...stored.shape]);
  if (got.type !== wanted.type) return `type: got ${got.type}, want ${wanted.type}`;
  if (String(got.dims) !== String(wanted.dims))
    return `shape: got ${got.dims}, want ${wanted.dims}`;
  const [a, b] = [
    Array.from(got.data as ArrayLike<unknown>),
    Array.from(wanted.data as ArrayLike<unknown>),
  ];
  const place = b.findIndex((value, index) => !same(a[index], value));
  return place === -1
    ? undefined
    : `at ${place}: got ${String(a[place])}, want ${String(b[place])}`;
}

/** The bits of the half-precision float nearest to `value`, ties to even. */
export function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  // Half the way from the largest half float to the next power of two: rounds to infinity.
  if (size >= 65_520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size || 1)), -14);
  const steps = evenRound(size / 2 ** (exponent - 10));
  // 1024 steps are an exponent's worth: adding carries into the exponent where it must.
  return sign | (size < 2 ** -14 ? steps : ((exponent + 15) << 10) + (steps - 1024));
}

function evenRound(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
