/** The names ONNX Runtime gives to the element types it can take and give. */
export type OrtType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string';

export type NumericData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;
export type BigData = BigInt64Array | BigUint64Array;
export type TensorData = NumericData | BigData | readonly string[];

/** The JSON values that the type accepts; `half` is a float stored in 16 bits. */
type ElementRange =
  | { readonly kind: 'float' | 'half' | 'bool' | 'string' }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  | { readonly kind: 'big'; readonly min: bigint; readonly max: bigint };

/** One element type under all its names. */
export interface ElementType {
  /** Open Inference Protocol: `FP32`, `INT64`, `BYTES`, … */
  readonly v2: string;
  readonly ort: OrtType;
  /** `TensorProto.DataType` of ONNX. */
  readonly onnx: number;
  /** Bytes of one element in binary; 0: each has its own length. */
  readonly bytes: number;
  readonly elements: ElementRange;
  /** Zeroed data for so many elements. */
  readonly make: (count: number) => NumericData | BigData | string[];
  /** Elements that lie in a buffer, little-endian, without a copy; absent for strings. */
  readonly view?: (buffer: ArrayBufferLike, offset: number, count: number) => NumericData | BigData;
}

const integer = (bits: number, signed: boolean): ElementRange => ({
  kind: 'integer',
  min: signed ? -(2 ** (bits - 1)) : 0,
  max: signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1,
});

const INT64: ElementRange = { kind: 'big', min: -(2n ** 63n), max: 2n ** 63n - 1n };
const UINT64: ElementRange = { kind: 'big', min: 0n, max: 2n ** 64n - 1n };

interface ArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (count: number): NumericData | BigData;
  new (buffer: ArrayBufferLike, offset: number, count: number): NumericData | BigData;
}

function numeric(
  v2: string,
  ort: OrtType,
  onnx: number,
  elements: ElementRange,
  Type: ArrayType,
): ElementType {
  return {
    v2,
    ort,
    onnx,
    bytes: Type.BYTES_PER_ELEMENT,
    elements,
    make: (count) => new Type(count),
    view: (buffer, offset, count) => new Type(buffer, offset, count),
  };
}

const STRING: ElementType = {
  v2: 'BYTES',
  ort: 'string',
  onnx: 8,
  bytes: 0,
  elements: { kind: 'string' },
  make: (count) => Array.from({ length: count }, () => ''),
};

/** Every element type that can be served. */
const ELEMENT_TYPES: readonly ElementType[] = [
  numeric('FP32', 'float32', 1, { kind: 'float' }, Float32Array),
  numeric('UINT8', 'uint8', 2, integer(8, false), Uint8Array),
  numeric('INT8', 'int8', 3, integer(8, true), Int8Array),
  numeric('UINT16', 'uint16', 4, integer(16, false), Uint16Array),
  numeric('INT16', 'int16', 5, integer(16, true), Int16Array),
  numeric('INT32', 'int32', 6, integer(32, true), Int32Array),
  numeric('INT64', 'int64', 7, INT64, BigInt64Array),
  STRING,
  numeric('BOOL', 'bool', 9, { kind: 'bool' }, Uint8Array),
  numeric('FP16', 'float16', 10, { kind: 'half' }, Uint16Array),
  numeric('FP64', 'float64', 11, { kind: 'float' }, Float64Array),
  numeric('UINT32', 'uint32', 12, integer(32, false), Uint32Array),
  numeric('UINT64', 'uint64', 13, UINT64, BigUint64Array),
];

const byOnnx = new Map(ELEMENT_TYPES.map((type) => [type.onnx, type]));
const byOrt = new Map<string, ElementType>(ELEMENT_TYPES.map((type) => [type.ort, type]));

export const tryFindByOnnx = (element: number): ElementType | undefined => byOnnx.get(element);
export const tryFindByOrt = (name: string): ElementType | undefined => byOrt.get(name);
