// The binary tensor data extension of the Open Inference Protocol as bytes: a JSON head, then the
// tensors one after the other; each string after its length in four bytes, little-endian.

/** A fault of a tensor; the caller decides whose fault it is. */
export class TensorFault extends Error {
  override readonly name = 'TensorFault';
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes of the length before each string. */
export const LENGTH_BYTES = 4;

/**
 * Visits the strings one by one, without a list of millions of small objects.
 * @returns their number
 * @throws TensorFault
 */
export function eachString(
  bytes: Buffer,
  take: (begin: number, end: number, index: number) => void,
): number {
  let count = 0;
  for (let at = 0; at < bytes.length; count += 1) {
    const begin = at + LENGTH_BYTES;
    const end = begin <= bytes.length ? begin + bytes.readUInt32LE(at) : Infinity;
    if (end > bytes.length) throw new TensorFault(`its binary data ends within element ${count}`);
    take(begin, end, count);
    at = end;
  }
  return count;
}

/** Writes one string after its length. @returns the end */
export function putString(to: Buffer, at: number, bytes: Buffer): number {
  const begin = to.writeUInt32LE(bytes.length, at);
  return begin + bytes.copy(to, begin);
}

/** The text of one string. @throws TensorFault when it is not UTF-8 */
export function textAt(bytes: Buffer, begin: number, end: number, index: number): string {
  try {
    return utf8.decode(bytes.subarray(begin, end));
  } catch {
    throw new TensorFault(`element ${index} is not UTF-8`);
  }
}

/** @throws TensorFault */
export function splitStrings(bytes: Buffer): string[] {
  const strings: string[] = [];
  eachString(bytes, (begin, end, index) => strings.push(textAt(bytes, begin, end, index)));
  return strings;
}

export function joinStrings(texts: readonly string[]): Buffer {
  const size = texts.reduce((sum, text) => sum + LENGTH_BYTES + Buffer.byteLength(text), 0);
  const bytes = Buffer.allocUnsafe(size);
  let end = 0;
  for (const text of texts) end = putString(bytes, end, Buffer.from(text));
  return bytes;
}

/** Runs `make` and puts the name of the tensor before the message of its fault. */
export function naming<T>(tensor: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof TensorFault ? new TensorFault(`${tensor}: ${error.message}`) : error;
  }
}

const kindOf = (value: unknown): string =>
  typeof value === 'object' && value !== null ? 'no number' : String(value);

/** The binary part of a body; each tensor takes its bytes in turn. */
export class BinaryTail {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  /** @throws TensorFault */
  take(size: unknown): Buffer {
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) {
      // For an object only its kind is shown, since its content may be confidential.
      const got = typeof size === 'string' ? JSON.stringify(size.slice(0, 60)) : kindOf(size);
      throw new TensorFault(`binary_data_size is ${got}; it must be an integer of at least 0`);
    }
    const left = this.bytes.length - this.at;
    if (size > left) {
      throw new TensorFault(`binary_data_size is ${size}, but ${left} bytes are left in the body`);
    }
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  /** @throws TensorFault when bytes are left */
  checkEnd(): void {
    const left = this.bytes.length - this.at;
    if (left > 0) throw new TensorFault(`${left} bytes of binary data belong to no input`);
  }
}

/** Number of bytes of JSON in a body; binary tensors follow. */
export const HEAD_LENGTH = 'inference-header-content-length';

/**
 * Bytes of JSON before the tensors, by that header.
 * @throws TensorFault
 */
export function headLength(given: string | undefined, body: Buffer): number {
  if (given === undefined) return body.length;
  const length = Number(given);
  if (/^\d{1,15}$/.test(given) && length <= body.length) return length;
  throw new TensorFault(
    `Inference-Header-Content-Length is ${JSON.stringify(given).slice(0, 60)}; ` +
      `it must be an integer up to the body's ${body.length} bytes`,
  );
}
