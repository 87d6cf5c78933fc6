import { eachString, TensorFault } from '../../shared/binary';
import { fromHalf } from '../../shared/float16';

// The datatypes of the Open Inference Protocol, and elements as bytes: little-endian, row-major.

/** A datatype of the protocol. */
export interface V2Datatype {
  readonly name: string;
  readonly kind: 'bool' | 'int' | 'uint' | 'float' | 'half' | 'bytes';
  /** Of one element; BYTES have their own length before each. */
  readonly bytes: number;
}

const type = (name: string, kind: V2Datatype['kind'], bytes: number): V2Datatype => ({
  name,
  kind,
  bytes,
});

const byName = new Map(
  [
    type('BOOL', 'bool', 1),
    type('INT8', 'int', 1),
    type('INT16', 'int', 2),
    type('INT32', 'int', 4),
    type('INT64', 'int', 8),
    type('UINT8', 'uint', 1),
    type('UINT16', 'uint', 2),
    type('UINT32', 'uint', 4),
    type('UINT64', 'uint', 8),
    type('FP16', 'half', 2),
    type('BF16', 'half', 2),
    type('FP32', 'float', 4),
    type('FP64', 'float', 8),
    type('BYTES', 'bytes', 0),
  ].map((one) => [one.name, one]),
);

export const DATATYPE_NAMES: readonly string[] = [...byName.keys()];

export const tryDatatypeOf = (name: string): V2Datatype | undefined => byName.get(name);

/** @throws TensorFault */
export function datatypeOf(name: string): V2Datatype {
  const found = byName.get(name);
  if (found !== undefined) return found;
  throw new TensorFault(`datatype: got "${name}", must be one of ${DATATYPE_NAMES.join(', ')}`);
}

/** Number of elements of a shape. @throws TensorFault when a size is invalid */
function countOf(shape: readonly number[]): number {
  const wrong = shape.find((size) => !Number.isSafeInteger(size) || size < 0);
  if (wrong !== undefined) {
    throw new TensorFault(`shape: got ${wrong} in [${shape.join(', ')}], must be at least 0`);
  }
  return shape.reduce((count, size) => count * size, 1);
}

/** @throws TensorFault */
export function checkCount(shape: readonly number[], got: number): void {
  const count = countOf(shape);
  if (got === count) return;
  throw new TensorFault(`got ${got} elements, shape [${shape.join(', ')}] has ${count}`);
}

const skip = (): undefined => undefined;

/** @throws TensorFault when the number of bytes does not match the shape */
export function checkRaw({ name, bytes, kind }: V2Datatype, shape: readonly number[], raw: Buffer) {
  if (kind === 'bytes') return checkCount(shape, eachString(raw, skip));
  const count = countOf(shape);
  if (raw.length === count * bytes) return;
  throw new TensorFault(
    `got ${raw.length} bytes of raw contents, ${name} of shape [${shape.join(', ')}] ` +
      `has ${count * bytes}`,
  );
}

/** One element; 64-bit integers without loss. BYTES and BF16 are not supported here. */
export function elementAt(
  raw: Buffer,
  at: number,
  { kind, bytes }: V2Datatype,
): number | bigint | boolean {
  switch (kind) {
    case 'bool':
      return raw[at] !== 0;
    case 'int':
      return bytes === 8 ? raw.readBigInt64LE(at) : raw.readIntLE(at, bytes);
    case 'uint':
      return bytes === 8 ? raw.readBigUInt64LE(at) : raw.readUIntLE(at, bytes);
    case 'half':
      return fromHalf(raw.readUInt16LE(at));
    default:
      return bytes === 8 ? raw.readDoubleLE(at) : raw.readFloatLE(at);
  }
}
