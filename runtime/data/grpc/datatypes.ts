/** Something is wrong with a tensor; the message names it. Whose fault it is, the caller knows. */
export class TensorFault extends Error {
  override readonly name = 'TensorFault';
}

/** A datatype of the protocol, and where its elements stand in `InferTensorContents`. */
export interface Datatype {
  readonly name: string;
  readonly kind: 'bool' | 'int' | 'uint' | 'float' | 'half' | 'bytes';
  /** Of one element in raw contents; BYTES have their own length before each. */
  readonly bytes: number;
  /** Number and name of the field; a half has none and travels raw only. */
  readonly field: number | undefined;
  readonly contents: string;
}

const type = (
  name: string,
  kind: Datatype['kind'],
  bytes: number,
  field?: number,
  contents = '',
): Datatype => ({ name, kind, bytes, field, contents });

const ALL: readonly Datatype[] = [
  type('BOOL', 'bool', 1, 1, 'bool_contents'),
  type('INT8', 'int', 1, 2, 'int_contents'),
  type('INT16', 'int', 2, 2, 'int_contents'),
  type('INT32', 'int', 4, 2, 'int_contents'),
  type('INT64', 'int', 8, 3, 'int64_contents'),
  type('UINT8', 'uint', 1, 4, 'uint_contents'),
  type('UINT16', 'uint', 2, 4, 'uint_contents'),
  type('UINT32', 'uint', 4, 4, 'uint_contents'),
  type('UINT64', 'uint', 8, 5, 'uint64_contents'),
  type('FP16', 'half', 2),
  type('BF16', 'half', 2),
  type('FP32', 'float', 4, 6, 'fp32_contents'),
  type('FP64', 'float', 8, 7, 'fp64_contents'),
  type('BYTES', 'bytes', 0, 8, 'bytes_contents'),
];

const byName = new Map(ALL.map((one) => [one.name, one]));

/** Names of the fields of `InferTensorContents`, by number. */
export const CONTENTS_NAMES: ReadonlyMap<number, string> = new Map(
  ALL.flatMap(({ field, contents }) => (field === undefined ? [] : [[field, contents] as const])),
);

/** @throws TensorFault */
export function datatypeOf(name: string): Datatype {
  const found = byName.get(name);
  if (found !== undefined) return found;
  const names = [...byName.keys()].join(', ');
  throw new TensorFault(`datatype: got "${name}", must be one of ${names}`);
}

/** Elements of a shape. @throws TensorFault when a size is none */
export function countOf(shape: readonly number[]): number {
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

/** Of the length before an element of raw BYTES. */
export const LENGTH_BYTES = 4;

/**
 * Goes through raw BYTES, each element behind its length in four bytes: no list of millions of
 * small objects is made of a few bytes.
 * @returns how many there are
 * @throws TensorFault
 */
export function eachBytes(
  raw: Buffer,
  take: (begin: number, end: number, index: number) => void,
): number {
  let count = 0;
  for (let at = 0; at < raw.length; count += 1) {
    const begin = at + LENGTH_BYTES;
    const end = begin <= raw.length ? begin + raw.readUInt32LE(at) : Infinity;
    if (end > raw.length) throw new TensorFault(`its raw contents end within element ${count}`);
    take(begin, end, count);
    at = end;
  }
  return count;
}

/** Writes one element of raw BYTES. @returns where it ends */
export function putBytes(to: Buffer, at: number, element: Buffer): number {
  const begin = to.writeUInt32LE(element.length, at);
  return begin + element.copy(to, begin);
}

/** @throws TensorFault when raw contents are not as long as their shape says */
export function checkRaw({ name, bytes, kind }: Datatype, shape: readonly number[], raw: Buffer) {
  const count = countOf(shape);
  if (kind === 'bytes')
    return checkCount(
      shape,
      eachBytes(raw, () => undefined),
    );
  if (raw.length === count * bytes) return;
  throw new TensorFault(
    `got ${raw.length} bytes of raw contents, ${name} of shape [${shape.join(', ')}] ` +
      `has ${count * bytes}`,
  );
}
