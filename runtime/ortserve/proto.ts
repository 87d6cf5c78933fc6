// As much of the protobuf wire format as an ONNX file needs (protobuf.dev/programming-guides/encoding).

/** A field as it stands in a message. */
export interface Field {
  readonly number: number;
  /** 0 varint, 1 64 bits, 2 bytes, 5 32 bits. */
  readonly wire: number;
  /** Value of a varint (as a signed 64-bit number), else 0. */
  readonly value: bigint;
  /** Bytes of a bytes field, or of a fixed one. */
  readonly bytes: Uint8Array;
  /** The whole field with its tag, to be copied as it is. */
  readonly raw: Uint8Array;
}

/** A file that is no protobuf message. */
export class BrokenMessage extends Error {}

const EMPTY = new Uint8Array();
/** 64 bits in groups of 7. */
const MAX_VARINT_BYTES = 10;

class Cursor {
  at = 0;
  constructor(readonly bytes: Uint8Array) {}

  varint(): bigint {
    let value = 0n;
    for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw new BrokenMessage('the message ends within a number');
      this.at += 1;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new BrokenMessage('a number has more than 64 bits');
  }

  take(length: number): Uint8Array {
    const end = this.at + length;
    if (!(length >= 0) || end > this.bytes.length) throw new BrokenMessage('a field is cut off');
    const part = this.bytes.subarray(this.at, end);
    this.at = end;
    return part;
  }
}

const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** The fields of a message in their order. @throws BrokenMessage */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  const cursor = new Cursor(message);
  while (cursor.at < message.length) {
    const start = cursor.at;
    const tag = Number(cursor.varint());
    const wire = tag & 7;
    let value = 0n;
    let bytes: Uint8Array = EMPTY;
    if (wire === 0) value = cursor.varint();
    else if (wire === 2) bytes = cursor.take(Number(cursor.varint()));
    else if (FIXED[wire] !== undefined) bytes = cursor.take(FIXED[wire]);
    else throw new BrokenMessage(`wire type ${wire} is not known`);
    yield { number: tag >>> 3, wire, value, bytes, raw: message.subarray(start, cursor.at) };
  }
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export const textOf = ({ bytes }: Field): string => decoder.decode(bytes);

/** A repeated integer: packed into one field, or a field each. */
export function integersOf({ wire, value, bytes }: Field): readonly bigint[] {
  if (wire === 0) return [value];
  const cursor = new Cursor(bytes);
  const all: bigint[] = [];
  while (cursor.at < bytes.length) all.push(cursor.varint());
  return all;
}

function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  return [...bytes, left];
}

/** A bytes field. */
export function bytesField(number: number, content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === 'string' ? encoder.encode(content) : content;
  return join([
    Uint8Array.from([...varintBytes(number * 8 + 2), ...varintBytes(bytes.length)]),
    bytes,
  ]);
}

export function varintField(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varintBytes(number * 8), ...varintBytes(value)]);
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
