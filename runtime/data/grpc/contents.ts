import { eachString, LENGTH_BYTES, putString, TensorFault } from '../../shared/binary';
import type { V2Datatype } from '../transcode/datatypes';
import { CONTENTS_NAMES, contentsFieldOf } from './contents-fields';
import {
  BYTES,
  FIXED32,
  FIXED64,
  packed,
  putVarint,
  ProtobufReader,
  sizeOfVarint,
  VARINT,
  WireFault,
  ProtobufWriter,
} from './protobuf';

// Typed contents (`InferTensorContents`) ↔ raw contents: little-endian and row-major. Raw is what
// tensors are here on their way, for that is also what V2's binary extension sends.

/** How one element is written where a list is not packed. */
function wireTypeOf({ kind, bytes }: V2Datatype): number {
  if (kind === 'bytes') return BYTES;
  if (kind === 'float') return bytes === 8 ? FIXED64 : FIXED32;
  return VARINT;
}

/** Gives the parts of the datatype's field: lists come packed, in pieces or one by one. */
function eachPart(contents: Buffer, datatype: V2Datatype, take: (part: Buffer) => void): void {
  const { name } = datatype;
  const { field, contents: wanted } = contentsFieldOf(datatype) ?? { field: 0, contents: '' };
  const reader = new ProtobufReader(contents);
  while (reader.next()) {
    const value = reader.value();
    if (reader.field === field) {
      if (reader.type !== BYTES && reader.type !== wireTypeOf(datatype)) {
        throw new WireFault(`${wanted} is not a list of ${name}`);
      }
      take(value);
    } else if (value.length > 0 && CONTENTS_NAMES.has(reader.field)) {
      const place = wanted === '' ? 'raw_input_contents only' : `${wanted} or raw_input_contents`;
      throw new TensorFault(`got ${CONTENTS_NAMES.get(reader.field)}, ${name} belongs in ${place}`);
    }
  }
}

/**
 * The whole list as a packed field has it. Nothing is kept of the parts: written one by one there
 * may be one for every two bytes.
 */
function packedOf(contents: Buffer, datatype: V2Datatype): Buffer {
  let count = 0;
  let size = 0;
  let only = contents;
  eachPart(contents, datatype, (part) => {
    count += 1;
    size += part.length;
    only = part;
  });
  if (count === 1) return only;
  const whole = Buffer.allocUnsafe(size);
  let end = 0;
  eachPart(contents, datatype, (part) => (end += part.copy(whole, end)));
  return whole;
}

/** Every varint ends with a byte below 128. */
function countVarints(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) if (byte < 0x80) count += 1;
  return count;
}

function outOfRange({ name }: V2Datatype, index: number, got: bigint): TensorFault {
  return new TensorFault(`element ${index} is ${got}, which ${name} does not hold`);
}

function putInteger(
  to: Buffer,
  at: number,
  reader: ProtobufReader,
  { bytes, kind }: V2Datatype,
): boolean {
  const { low } = reader;
  if (bytes === 8) {
    to.writeUInt32LE(reader.high, to.writeUInt32LE(low, at));
    return true;
  }
  // Both encoders of negative numbers are met: 32 bits, and the same stretched to 64.
  const value = kind === 'int' ? low | 0 : low;
  const bits = bytes * 8;
  const bound = kind === 'int' ? 2 ** (bits - 1) : 2 ** bits;
  if (value >= bound || (kind === 'int' && value < -bound)) return false;
  if (kind === 'int') to.writeIntLE(value, at, bytes);
  else to.writeUIntLE(value, at, bytes);
  return true;
}

function rawIntegers(datatype: V2Datatype, bytes: Buffer): Buffer {
  const raw = Buffer.allocUnsafe(countVarints(bytes) * datatype.bytes);
  const reader = new ProtobufReader(bytes);
  for (let index = 0; !reader.isAtEnd; index += 1) {
    reader.varint();
    if (!putInteger(raw, index * datatype.bytes, reader, datatype)) {
      const signed = datatype.kind === 'int' ? BigInt(reader.low | 0) : reader.unsignedBig;
      throw outOfRange(datatype, index, signed);
    }
  }
  return raw;
}

function rawBools(bytes: Buffer): Buffer {
  const raw = Buffer.allocUnsafe(countVarints(bytes));
  const reader = new ProtobufReader(bytes);
  for (let index = 0; !reader.isAtEnd; index += 1) {
    reader.varint();
    raw[index] = reader.low === 0 && reader.high === 0 ? 0 : 1;
  }
  return raw;
}

/** Undefined when it would be more than `limit`. */
function rawBytes(contents: Buffer, datatype: V2Datatype, limit: number): Buffer | undefined {
  let size = 0;
  eachPart(contents, datatype, (part) => (size += LENGTH_BYTES + part.length));
  if (size > limit) return undefined;
  const raw = Buffer.allocUnsafe(size);
  let end = 0;
  eachPart(contents, datatype, (part) => (end = putString(raw, end, part)));
  return raw;
}

/**
 * Raw contents of typed ones.
 * @param limit bytes that may come out: one of a varint may become eight
 * @returns undefined when there would be more than `limit`
 * @throws TensorFault, WireFault
 */
export function rawOf(datatype: V2Datatype, contents: Buffer, limit: number): Buffer | undefined {
  const { kind, bytes } = datatype;
  if (kind === 'bytes') return rawBytes(contents, datatype, limit);
  const packedList = packedOf(contents, datatype);
  if (kind === 'float' || kind === 'half') {
    if (packedList.length % bytes === 0) return packedList;
    throw new TensorFault(`${contentsFieldOf(datatype)?.contents} end within an element`);
  }
  if (countVarints(packedList) * bytes > limit) return undefined;
  return kind === 'bool' ? rawBools(packedList) : rawIntegers(datatype, packedList);
}

function packedIntegers(raw: Buffer, { bytes, kind }: V2Datatype): Buffer {
  return packed(raw.length / bytes, (to, end, index) => {
    const at = index * bytes;
    if (bytes === 8) return putVarint(to, end, raw.readUInt32LE(at), raw.readUInt32LE(at + 4));
    if (kind === 'uint') return putVarint(to, end, raw.readUIntLE(at, bytes), 0);
    const value = raw.readIntLE(at, bytes);
    return putVarint(to, end, value, value < 0 ? -1 : 0);
  });
}

/** Elements as a field that is repeated: each behind a tag of one byte and its length. */
function repeatedBytes(raw: Buffer, field: number): Buffer {
  const tag = (field << 3) | BYTES;
  let size = 0;
  eachString(raw, (begin, end) => (size += 1 + sizeOfVarint(end - begin) + end - begin));
  const to = Buffer.allocUnsafe(size);
  let at = 0;
  eachString(raw, (begin, end) => {
    to[at] = tag;
    const from = putVarint(to, at + 1, end - begin, 0);
    at = from + raw.copy(to, from, begin, end);
  });
  return to;
}

/** Typed contents of raw ones. @throws TensorFault when the datatype has none */
export function contentsOf(datatype: V2Datatype, raw: Buffer): Buffer {
  const { kind, name } = datatype;
  const place = contentsFieldOf(datatype);
  if (place === undefined) throw new TensorFault(`${name} has no typed contents`);
  const { field } = place;
  if (raw.length === 0) return raw;
  if (kind === 'bytes') return repeatedBytes(raw, field);
  const list = (): Buffer => {
    if (kind === 'float') return raw;
    return kind === 'bool'
      ? Buffer.from(raw.map((byte) => (byte === 0 ? 0 : 1)))
      : packedIntegers(raw, datatype);
  };
  return new ProtobufWriter().bytes(field, list()).finish();
}
