import { TensorFault } from '../../shared/binary';
import { ExactNumber, isInteger, numberOf, writeJson } from '../transcode/exact-json';
import { isJsonObject } from '../transcode/body-json';
import { FIXED64, ProtobufReader, WireFault, ProtobufWriter } from './protobuf';

// `map<string, InferParameter>` ↔ parameters of V2's JSON.

type Parameter = boolean | string | number | ExactNumber;
export type Parameters = readonly (readonly [name: string, value: Parameter])[];

/** An integer as JSON writes it, whatever its size. */
const integer = (value: bigint): ExactNumber => new ExactNumber(String(value));

function doubleOf(reader: ProtobufReader, name: string): Parameter {
  if (reader.type !== FIXED64) throw new WireFault('double_param must have eight bytes');
  const value = reader.value().readDoubleLE();
  if (!Number.isFinite(value)) {
    throw new TensorFault(`parameter ${name}: got ${value}, which JSON cannot express`);
  }
  // A float stays one for a server that looks.
  return Number.isInteger(value) && Math.abs(value) < 1e21
    ? new ExactNumber(value.toFixed(1))
    : value;
}

function parameterOf(message: Buffer, name: string): Parameter | undefined {
  const reader = new ProtobufReader(message);
  let value: Parameter | undefined;
  while (reader.next()) {
    if (reader.field === 1) value = reader.bool();
    else if (reader.field === 2) {
      reader.number();
      value = integer(reader.signedBig);
    } else if (reader.field === 3) value = reader.text();
    else if (reader.field === 4) value = doubleOf(reader, name);
    else if (reader.field === 5) {
      reader.number();
      value = integer(reader.unsignedBig);
    } else reader.value();
  }
  return value;
}

/** One entry of the map; undefined when no value is set. @throws WireFault, TensorFault */
export function readParameter(entry: Buffer): Parameters[number] | undefined {
  const reader = new ProtobufReader(entry);
  let name = '';
  let message: Buffer = Buffer.alloc(0);
  while (reader.next()) {
    if (reader.field === 1) name = reader.text();
    else if (reader.field === 2) message = reader.delimited();
    else reader.value();
  }
  const value = parameterOf(message, name);
  return value === undefined ? undefined : [name, value];
}

const MAX_INT64 = 2n ** 63n;
const MAX_UINT64 = 2n ** 64n;

function integerParameter(writer: ProtobufWriter, value: bigint, fallback: number): ProtobufWriter {
  if (value >= -MAX_INT64 && value < MAX_INT64) return writer.number(2, value);
  return value >= 0n && value < MAX_UINT64 ? writer.number(5, value) : writer.double(4, fallback);
}

/** `InferParameter`; lists and objects, for which it has no field, are their JSON text. */
function writeParameter(value: unknown): Buffer {
  const writer = new ProtobufWriter();
  const number = numberOf(value);
  // Of a choice of fields the default, too, is written.
  if (typeof value === 'boolean') return writer.number(1, value ? 1n : 0n).finish();
  if (typeof value === 'string') return writer.item(3, value).finish();
  if (number === undefined) return writer.item(3, writeJson(value)).finish();
  if (!isInteger(value)) return writer.double(4, number).finish();
  const exact = value instanceof ExactNumber ? BigInt(value.text) : BigInt(number);
  return integerParameter(writer, exact, number).finish();
}

/** Parameters of an answer; those that only say where binary data is are not the caller's. */
export function writeParameters(writer: ProtobufWriter, field: number, parameters: unknown): void {
  if (!isJsonObject(parameters)) return;
  for (const [name, value] of Object.entries(parameters)) {
    if (name === 'binary_data_size' || value === null) continue;
    const entry = new ProtobufWriter().item(1, name).bytes(2, writeParameter(value));
    writer.bytes(field, entry.finish());
  }
}
