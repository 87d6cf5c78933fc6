// Protocol Buffers' wire format, as much as an ONNX file needs: read in place, no copy.

/** One field of a message. `varint` is exact up to 2^53 in `value`; bytes lie between `start` and `end`. */
export interface Field {
  readonly number: number;
  readonly wire: 0 | 1 | 2 | 5;
  readonly value: bigint;
  readonly start: number;
  readonly end: number;
  /** Where the field's tag begins: [tag, end) is the whole field. */
  readonly tag: number;
}

export class WireError extends Error {}

class Cursor {
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly end: number,
  ) {}

  varint(): bigint {
    let result = 0;
    let factor = 1;
    for (let i = 0; i < 7; i += 1) {
      const byte = this.next();
      result += (byte & 0x7f) * factor;
      if (byte < 0x80) return BigInt(result);
      factor *= 128;
    }
    let big = BigInt(result);
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.next();
      big |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, big);
    }
    throw new WireError('a number has more than ten bytes');
  }

  next(): number {
    if (this.at >= this.end) throw new WireError('it ends in the middle of a field');
    const byte = this.bytes[this.at] ?? 0;
    this.at += 1;
    return byte;
  }

  skip(length: number): void {
    if (length > this.end - this.at) throw new WireError('it ends in the middle of a field');
    this.at += length;
  }
}

function fieldAt(cursor: Cursor): Field {
  const tag = cursor.at;
  const key = Number(cursor.varint());
  const wire = key & 7;
  const number = Math.floor(key / 8);
  if (number === 0) throw new WireError('a field has the number 0');
  let value = 0n;
  let start = cursor.at;
  if (wire === 0) value = cursor.varint();
  else if (wire === 1) cursor.skip(8);
  else if (wire === 5) cursor.skip(4);
  else if (wire === 2) {
    const length = Number(cursor.varint());
    start = cursor.at;
    cursor.skip(length);
  } else throw new WireError(`a field has the wire type ${wire}`);
  return { number, wire: wire as Field['wire'], value, start, end: cursor.at, tag };
}

/** The fields of the message that lies in [start, end). */
export function* fieldsOf(
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
): Generator<Field, void, void> {
  const cursor = new Cursor(bytes, start, end);
  while (cursor.at < end) yield fieldAt(cursor);
}

const utf8 = new TextDecoder();

export const textOf = (bytes: Uint8Array, field: Field): string =>
  utf8.decode(bytes.subarray(field.start, field.end));

/** The integers of a repeated field, packed or not. */
export function integersOf(bytes: Uint8Array, field: Field): bigint[] {
  if (field.wire === 0) return [BigInt.asIntN(64, field.value)];
  const cursor = new Cursor(bytes, field.start, field.end);
  const values: bigint[] = [];
  while (cursor.at < field.end) values.push(BigInt.asIntN(64, cursor.varint()));
  return values;
}

export function writeVarint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

/** A field of wire type 0. */
export const varintField = (number: number, value: number | bigint): Uint8Array =>
  Buffer.concat([writeVarint(number * 8), writeVarint(value)]);

/** A field of wire type 2: a string, bytes or a message. */
export function bytesField(number: number, content: string | readonly Uint8Array[]): Uint8Array {
  const body = typeof content === 'string' ? Buffer.from(content) : Buffer.concat(content);
  return Buffer.concat([writeVarint(number * 8 + 2), writeVarint(body.length), body]);
}
