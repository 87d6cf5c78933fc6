import { isUtf8 } from 'node:buffer';

// The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding/), as far
// as the protocol needs it. Our own, because tensors are most of a message: bytes are given as
// parts of it without a copy, and 64-bit integers as two halves without an object for each.
// lib/spec/protobuf.ts reads ONNX files instead: it jumps over what need not be in memory.

/** How a field is written. */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;
export type WireType = typeof VARINT | typeof FIXED64 | typeof BYTES | typeof FIXED32;

/** The bytes are not a valid message. */
export class WireFault extends Error {
  override readonly name = 'WireFault';
}

const MAX_VARINT_BYTES = 10;
const TWO_32 = 2 ** 32;

/** Reads the fields of a message one after another. */
export class ProtobufReader {
  private at = 0;
  /** Number of the field that `next` came to. */
  field = 0;
  type = VARINT as number;
  /** Halves of the last varint, each as an unsigned number. */
  low = 0;
  high = 0;

  constructor(private readonly bytes: Buffer) {}

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  /** Goes to the next field. @throws WireFault */
  next(): boolean {
    if (this.isAtEnd) return false;
    this.varint();
    this.field = this.low >>> 3;
    this.type = this.low & 7;
    if (this.field === 0 || this.high !== 0) throw new WireFault('a field has no number');
    return true;
  }

  /** Reads up to 64 bits into `low` and `high`. */
  varint(): void {
    const { bytes } = this;
    let low = 0;
    let high = 0;
    for (let count = 0; count < MAX_VARINT_BYTES; count += 1) {
      const byte = bytes[this.at];
      if (byte === undefined) throw new WireFault('it ends within a number');
      this.at += 1;
      const bits = byte & 0x7f;
      // The fifth byte has four bits of the lower half and three of the upper one.
      if (count < 5) low |= bits << (7 * count);
      if (count === 4) high |= bits >>> 4;
      if (count > 4) high |= bits << (7 * count - 32);
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw new WireFault('a number has more than ten bytes');
  }

  private take(size: number): Buffer {
    const from = this.at;
    if (size > this.bytes.length - from) throw new WireFault('it ends within a field');
    this.at += size;
    return this.bytes.subarray(from, this.at);
  }

  /** The field as it is written, without its length; a part of the message. */
  value(): Buffer {
    const from = this.at;
    switch (this.type) {
      case VARINT:
        this.varint();
        return this.bytes.subarray(from, this.at);
      case FIXED64:
        return this.take(8);
      case FIXED32:
        return this.take(4);
      case BYTES:
        this.varint();
        return this.take(this.high === 0 ? this.low : Infinity);
      default:
        throw new WireFault(`field ${this.field} has the unknown wire type ${this.type}`);
    }
  }

  /** The field as a text or a message. */
  delimited(): Buffer {
    if (this.type === BYTES) return this.value();
    throw new WireFault(`field ${this.field} must be a text, bytes or a message`);
  }

  /** The field as a number; `low` and `high` have it. */
  number(): void {
    if (this.type !== VARINT) throw new WireFault(`field ${this.field} must be a number`);
    this.varint();
  }

  text(): string {
    const bytes = this.delimited();
    if (!isUtf8(bytes)) throw new WireFault(`field ${this.field} must be a text in UTF-8`);
    return bytes.toString('utf8');
  }

  bool(): boolean {
    this.number();
    return this.low !== 0 || this.high !== 0;
  }

  /** The last varint as a signed integer; beyond 2^53 the nearest double. */
  get signed(): number {
    return (this.high | 0) * TWO_32 + this.low;
  }

  /** The same, exactly. */
  get signedBig(): bigint {
    return BigInt.asIntN(64, this.unsignedBig);
  }

  get unsignedBig(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }
}

/** Writes a varint of 64 bits. @returns where it ends */
export function putVarint(to: Buffer, at: number, low: number, high: number): number {
  let rest = low >>> 0;
  let upper = high >>> 0;
  let end = at;
  while (upper !== 0 || rest > 0x7f) {
    to[end++] = (rest & 0x7f) | 0x80;
    rest = ((rest >>> 7) | (upper << 25)) >>> 0;
    upper >>>= 7;
  }
  to[end++] = rest;
  return end;
}

/** Bytes of a varint of 32 bits. */
export function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) size += 1;
  return size;
}

/** Varints behind each other, as packed fields have them. */
export function packed(count: number, put: (to: Buffer, at: number, index: number) => number) {
  const to = Buffer.allocUnsafe(count * MAX_VARINT_BYTES);
  let end = 0;
  for (let index = 0; index < count; index += 1) end = put(to, end, index);
  return to.subarray(0, end);
}

const varintOf = (low: number, high: number): Buffer =>
  packed(1, (to, at) => putVarint(to, at, low, high));

/** Collects the fields of a message; bytes are copied once, at the end. */
export class ProtobufWriter {
  private readonly parts: Buffer[] = [];

  private tag(field: number, type: WireType): void {
    this.parts.push(varintOf((field << 3) | type, 0));
  }

  /** Also an empty one, which is something in a list. */
  bytes(field: number, value: Buffer): this {
    this.tag(field, BYTES);
    this.parts.push(varintOf(value.length, 0), value);
    return this;
  }

  item(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value));
  }

  /** An empty text is not written: it is the default. */
  text(field: number, value: string): this {
    return value === '' ? this : this.item(field, value);
  }

  number(field: number, value: bigint): this {
    this.tag(field, VARINT);
    const bits = BigInt.asUintN(64, value);
    this.parts.push(varintOf(Number(bits & 0xffff_ffffn), Number(bits >> 32n)));
    return this;
  }

  bool(field: number, value: boolean): this {
    return value ? this.number(field, 1n) : this;
  }

  double(field: number, value: number): this {
    this.tag(field, FIXED64);
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleLE(value);
    this.parts.push(bytes);
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}
