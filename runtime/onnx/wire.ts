import type { ProtoField as Field } from '../../lib/spec/protobuf';
import { protoFields, varintBytes } from '../../lib/spec/protobuf';

// Messages of ONNX files that are in memory: read in place, no copy.

export type { ProtoField as Field } from '../../lib/spec/protobuf';
export { protoIntegers as integersOf } from '../../lib/spec/protobuf';

/** The fields of the message in [start, end). @throws ProtoError */
export const fieldsOf = (
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
): Generator<Field, void, void> => protoFields(bytes, start, end);

const utf8 = new TextDecoder();

export const textOf = (bytes: Uint8Array, { start, end }: Field): string =>
  utf8.decode(bytes.subarray(start, end));

/** The field as it is in the file. */
export const rawOf = (bytes: Uint8Array, { tag, end }: Field): Uint8Array =>
  bytes.subarray(tag, end);

/** A field of wire type 0. */
export const varintField = (number: number, value: number | bigint): Uint8Array =>
  Buffer.concat([varintBytes(number * 8), varintBytes(value)]);

/** A field of wire type 2: a string, bytes or a message. */
export function bytesField(number: number, content: string | readonly Uint8Array[]): Uint8Array {
  const body = typeof content === 'string' ? Buffer.from(content) : Buffer.concat(content);
  return Buffer.concat([varintBytes(number * 8 + 2), varintBytes(body.length), body]);
}
