// The binary tensor data extension of the Open Inference Protocol as bytes: a head of JSON, then the
// tensors one after the other; strings each behind their length in four bytes, little-endian.

/** Binary data that is not what its head says; the message names the input. */
export class BinaryFault extends Error {
  override readonly name = 'BinaryFault';
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const LENGTH_BYTES = 4;

/** @throws BinaryFault */
export function splitStrings(bytes: Buffer, name: string): string[] {
  const strings: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end =
      at + LENGTH_BYTES + (at + LENGTH_BYTES <= bytes.length ? bytes.readUInt32LE(at) : 0);
    if (end > bytes.length || at + LENGTH_BYTES > bytes.length) {
      throw new BinaryFault(
        `input '${name}': its binary data ends within element ${strings.length}`,
      );
    }
    try {
      strings.push(utf8.decode(bytes.subarray(at + LENGTH_BYTES, end)));
    } catch {
      throw new BinaryFault(`input '${name}': element ${strings.length} is not UTF-8`);
    }
    at = end;
  }
  return strings;
}

/** The binary part of a body; each input takes its bytes in turn. */
export class BinaryTail {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  /** @throws BinaryFault */
  take(size: unknown, name: string): Buffer {
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) {
      const got = JSON.stringify(size)?.slice(0, 60);
      throw new BinaryFault(
        `input '${name}': binary_data_size is ${got}; it must be an integer of at least 0`,
      );
    }
    const left = this.bytes.length - this.at;
    if (size > left) {
      throw new BinaryFault(
        `input '${name}': binary_data_size is ${size}, but ${left} bytes are left in the body`,
      );
    }
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  /** @throws BinaryFault when bytes are left */
  checkEnd(): void {
    const left = this.bytes.length - this.at;
    if (left > 0) throw new BinaryFault(`${left} bytes of binary data belong to no input`);
  }
}

/**
 * Bytes of JSON that stand before the tensors, by the header Inference-Header-Content-Length.
 * @throws BinaryFault
 */
export function headLength(given: string | undefined, body: Buffer): number {
  if (given === undefined) return body.length;
  const length = Number(given);
  if (/^\d{1,15}$/.test(given) && length <= body.length) return length;
  throw new BinaryFault(
    `Inference-Header-Content-Length is ${JSON.stringify(given).slice(0, 60)}; ` +
      `it must be an integer up to the body's ${body.length} bytes`,
  );
}
