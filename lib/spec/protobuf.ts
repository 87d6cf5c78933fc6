// Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding/) in files, read
// in place: a field of 2 GB is skipped, not read. runtime/data/grpc/protobuf.ts reads and writes
// messages of gRPC: it makes no object for a field, and decodes 64-bit numbers exactly.

/** Bytes in memory, or a file with one page in memory. */
export interface ProtoBytes {
  /** Undefined after the end. */
  readonly at: (index: number) => number | undefined;
  readonly slice: (start: number, end: number) => Uint8Array;
}

export interface ProtoField {
  readonly number: number;
  readonly wire: number;
  /** A number (wire type 0); exact up to 2^53. */
  readonly value: number;
  /** The content: of a string, bytes or a message without its length. */
  readonly start: number;
  readonly end: number;
  /** Where the field begins: [tag, end) is the whole field. */
  readonly tag: number;
}

/** The bytes are not protobuf; `cut` when they end too early. */
export class ProtoError extends Error {
  constructor(readonly cut: boolean) {
    super(cut ? 'the bytes end in the middle of a field' : 'a field has no known type');
  }
}

const MAX_VARINT_BYTES = 10;

interface Read {
  readonly value: number;
  readonly next: number;
}

function varint(file: ProtoBytes, start: number, end: number): Read {
  let value = 0;
  let factor = 1;
  for (let at = start; at < start + MAX_VARINT_BYTES; at += 1) {
    const byte = at < end ? file.at(at) : undefined;
    if (byte === undefined) throw new ProtoError(true);
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, next: at + 1 };
    factor *= 128;
  }
  throw new ProtoError(false);
}

const FIXED_BYTES: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

function fieldAt(file: ProtoBytes, tag: number, end: number): ProtoField {
  const key = varint(file, tag, end);
  const wire = key.value % 8;
  const number = Math.floor(key.value / 8);
  if (number === 0) throw new ProtoError(false);
  if (wire === 0) {
    const { value, next } = varint(file, key.next, end);
    return { number, wire, value, start: key.next, end: next, tag };
  }
  const length = wire === 2 ? varint(file, key.next, end) : undefined;
  const start = length?.next ?? key.next;
  const bytes = length?.value ?? FIXED_BYTES[wire];
  if (bytes === undefined) throw new ProtoError(false);
  if (bytes > end - start) throw new ProtoError(true);
  return { number, wire, value: 0, start, end: start + bytes, tag };
}

/**
 * The fields of the message in [start, end).
 * @throws ProtoError
 */
export function* protoFields(
  file: ProtoBytes,
  start: number,
  end: number,
): Generator<ProtoField, void, void> {
  for (let at = start; at < end;) {
    const field = fieldAt(file, at, end);
    yield field;
    at = field.end;
  }
}

const utf8 = new TextDecoder();
/** Longer texts are not names; a file may claim one of gigabytes. */
const MAX_TEXT_BYTES = 65_536;

/** A text, cut at the longest name. */
export function protoText(file: ProtoBytes, { start, end }: ProtoField): string {
  return utf8.decode(file.slice(start, Math.min(end, start + MAX_TEXT_BYTES)));
}

/** All bits of a varint. */
function bitsOf(file: ProtoBytes, start: number, end: number): bigint {
  let bits = 0n;
  for (let at = end - 1; at >= start; at -= 1) {
    bits = (bits << 7n) | BigInt((file.at(at) ?? 0) & 0x7f);
  }
  return BigInt.asIntN(64, bits);
}

/**
 * The integers of a repeated field, packed or not, exactly.
 * @throws ProtoError
 */
export function protoIntegers(file: ProtoBytes, { start, end }: ProtoField): bigint[] {
  const integers: bigint[] = [];
  for (let at = start; at < end;) {
    const { value, next } = varint(file, at, end);
    integers.push(value <= Number.MAX_SAFE_INTEGER ? BigInt(value) : bitsOf(file, at, next));
    at = next;
  }
  return integers;
}

/** An integer as a varint. */
export function varintBytes(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
