/** Datatypes of the Open Inference Protocol that ONNX has too. */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const;
export type Datatype = (typeof DATATYPES)[number];

/** The names onnxruntime uses. */
export const ORT_TYPE: Readonly<Record<Datatype, string>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};

const BY_ORT = new Map(DATATYPES.map((datatype) => [ORT_TYPE[datatype], datatype]));

export const datatypeOfOrt = (type: string): Datatype | undefined => BY_ORT.get(type);

/** `TensorProto.DataType` of onnx.proto. */
const BY_PROTO: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
};

export const datatypeOfProto = (number: number): Datatype | undefined => BY_PROTO[number];

export type TypedArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export type TensorData = TypedArray | string[];

type Maker = new (length: number) => TypedArray;

/** How onnxruntime wants the elements of each type; FP16 as its 16 bits. */
const ARRAY: Readonly<Record<Exclude<Datatype, 'BYTES'>, Maker>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

export function arrayOf(datatype: Datatype, length: number): TensorData {
  return datatype === 'BYTES' ? Array.from({ length }, () => '') : new ARRAY[datatype](length);
}

/** Bytes of one element in the binary extension; BYTES have a length of their own. */
export function bytesPerElement(datatype: Exclude<Datatype, 'BYTES'>): number {
  return new ARRAY[datatype](1).byteLength;
}
