import { eachString, joinStrings, TensorFault, textAt } from '../../shared/binary';
import { ExactNumber, isInteger, numberOf } from '../transcode/exact-json';
import type { V2Datatype } from '../transcode/datatypes';
import { elementAt } from '../transcode/datatypes';

// Raw contents ↔ the numbers and texts of V2's JSON.

function textOf(raw: Buffer, begin: number, end: number, index: number): string {
  try {
    return JSON.stringify(textAt(raw, begin, end, index));
  } catch {
    throw new TensorFault(
      `element ${index} is not UTF-8 text, and this server takes JSON only; send text (base64)`,
    );
  }
}

function floatText(value: number, index: number): string {
  if (!Number.isFinite(value)) {
    throw new TensorFault(
      `element ${index} is ${value}, and this server takes JSON only, which cannot express it`,
    );
  }
  return Object.is(value, -0) ? '-0.0' : String(value);
}

function oneText(raw: Buffer, at: number, index: number, datatype: V2Datatype): string {
  const value = elementAt(raw, at, datatype);
  return datatype.kind === 'float' ? floatText(Number(value), index) : String(value);
}

/** The elements as a JSON list. @throws TensorFault when JSON cannot say them */
export function jsonOf(datatype: V2Datatype, raw: Buffer): string {
  const { kind, bytes, name } = datatype;
  if (kind === 'half') {
    throw new TensorFault(
      `${name} travels raw only, and this server takes JSON only; send FP32, or use a server ` +
        'with the extension binary_tensor_data',
    );
  }
  const texts: string[] = [];
  if (kind === 'bytes') {
    eachString(raw, (begin, end, index) => texts.push(textOf(raw, begin, end, index)));
    return `[${texts.join(',')}]`;
  }
  for (let at = 0; at < raw.length; at += bytes)
    texts.push(oneText(raw, at, texts.length, datatype));
  return `[${texts.join(',')}]`;
}

/** Values from a server are not quoted in errors, except numbers. */
const describeValue = (value: unknown): string =>
  numberOf(value) === undefined
    ? typeof value
    : String(value instanceof ExactNumber ? value.text : value);

function wrong({ name }: V2Datatype, value: unknown, index: number): TensorFault {
  return new TensorFault(
    `element ${index} is ${describeValue(value)}, which is not a value of ${name}`,
  );
}

/** The integer a number of JSON is, exactly; `2.0` is one, too. */
function integerOf(value: unknown): bigint | undefined {
  if (value instanceof ExactNumber && isInteger(value)) return BigInt(value.text);
  const number = numberOf(value);
  return Number.isInteger(number) ? BigInt(number as number) : undefined;
}

function fits(value: bigint, { kind, bytes }: V2Datatype): boolean {
  const bits = bytes * 8;
  return value === (kind === 'int' ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
}

function putOne(raw: Buffer, value: unknown, index: number, datatype: V2Datatype): void {
  const { kind, bytes } = datatype;
  const at = index * bytes;
  if (kind === 'bool') {
    const number = typeof value === 'boolean' ? Number(value) : numberOf(value);
    if (number !== 0 && number !== 1) throw wrong(datatype, value, index);
    raw[at] = number;
  } else if (kind === 'float') {
    // Servers that have no words for NaN write null.
    const number = value === null ? NaN : numberOf(value);
    if (number === undefined) throw wrong(datatype, value, index);
    if (bytes === 8) raw.writeDoubleLE(number, at);
    else raw.writeFloatLE(number, at);
  } else {
    const integer = integerOf(value);
    if (integer === undefined || !fits(integer, datatype)) throw wrong(datatype, value, index);
    if (bytes < 8) raw.writeUIntLE(Number(BigInt.asUintN(bytes * 8, integer)), at, bytes);
    else raw.writeBigUInt64LE(BigInt.asUintN(64, integer), at);
  }
}

function rawTexts(datatype: V2Datatype, values: readonly unknown[]): Buffer {
  const texts = values.map((value, index) => {
    if (typeof value !== 'string') throw wrong(datatype, value, index);
    return value;
  });
  return joinStrings(texts);
}

/** Raw contents of a list from JSON. @throws TensorFault */
export function rawOfJson(datatype: V2Datatype, values: readonly unknown[]): Buffer {
  const { kind, bytes, name } = datatype;
  if (kind === 'half') throw new TensorFault(`${name} in JSON is not defined by the protocol`);
  if (kind === 'bytes') return rawTexts(datatype, values);
  const raw = Buffer.alloc(values.length * bytes);
  for (const [index, value] of values.entries()) putOne(raw, value, index, datatype);
  return raw;
}
