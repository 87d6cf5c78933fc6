import type { Parameters } from './parameters';
import { readParameter, writeParameters } from './parameters';
import { contentsOf } from './contents';
import { datatypeOf } from '../transcode/datatypes';
import type { InferResponse, InferOutputTensor } from './infer-response';
import { BYTES, ProtobufReader, WireFault, ProtobufWriter } from './protobuf';

// The messages of `inference.GRPCInferenceService`; schema/open_inference.proto states them.

/** `ModelReadyRequest`, `ModelMetadataRequest`, and how `ModelInferRequest` begins. */
export interface ModelReference {
  readonly name: string;
  /** '' when none is named. */
  readonly version: string;
}

/** `InferInputTensor`; its contents are read when its datatype is known. */
export interface InferInputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: Parameters;
  readonly contents: Buffer | undefined;
}

export interface InferRequestedOutput {
  readonly name: string;
  readonly parameters: Parameters;
}

/** `ModelInferRequest` */
export interface ModelInferRequest {
  readonly model: string;
  readonly version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly InferInputTensor[];
  readonly outputs: readonly InferRequestedOutput[];
  readonly raw: readonly Buffer[];
}

/** Readers by field number; unknown fields are skipped, as protobuf requires. */
type FieldReaders = Readonly<Record<number, (reader: ProtobufReader) => void>>;

function readFields(message: Buffer, fields: FieldReaders): void {
  const reader = new ProtobufReader(message);
  while (reader.next()) {
    const read = fields[reader.field];
    if (read === undefined) reader.value();
    else read(reader);
  }
}

/** @throws WireFault */
export function readModelReference(message: Buffer): ModelReference {
  let name = '';
  let version = '';
  readFields(message, {
    1: (reader) => (name = reader.text()),
    2: (reader) => (version = reader.text()),
  });
  return { name, version };
}

/** `RepositoryIndexRequest`: only those that are ready? @throws WireFault */
export function readIndexRequest(message: Buffer): { readonly ready: boolean } {
  let ready = false;
  readFields(message, { 2: (reader) => (ready = reader.bool()) });
  return { ready };
}

/** More inputs, outputs, sizes or parameters than any model has are a way to fill the memory. */
const MAX_ITEMS = 10_000;

function add<T>(list: T[], item: T): void {
  if (list.length >= MAX_ITEMS) throw new WireFault(`a list has more than ${MAX_ITEMS} items`);
  list.push(item);
}

const parametersTo = (list: Parameters[number][]) => (reader: ProtobufReader) => {
  const parameter = readParameter(reader.delimited());
  if (parameter !== undefined) add(list, parameter);
};

/** Sizes come packed or one by one. */
const shapeTo = (shape: number[]) => (reader: ProtobufReader) => {
  if (reader.type !== BYTES) {
    reader.number();
    add(shape, reader.signed);
    return;
  }
  const sizes = new ProtobufReader(reader.value());
  while (!sizes.isAtEnd) {
    sizes.varint();
    add(shape, sizes.signed);
  }
};

/** Parts of one message that come apart are one message; undefined: there is none. */
function joined(parts: readonly Buffer[]): Buffer | undefined {
  return parts.length <= 1 ? parts[0] : Buffer.concat(parts);
}

function readInput(message: Buffer): InferInputTensor {
  let [name, datatype] = ['', ''];
  const contents: Buffer[] = [];
  const shape: number[] = [];
  const parameters: Parameters[number][] = [];
  readFields(message, {
    1: (reader) => (name = reader.text()),
    2: (reader) => (datatype = reader.text()),
    3: shapeTo(shape),
    4: parametersTo(parameters),
    5: (reader) => add(contents, reader.delimited()),
  });
  return { name, datatype, shape, parameters, contents: joined(contents) };
}

function readRequestedOutput(message: Buffer): InferRequestedOutput {
  let name = '';
  const parameters: Parameters[number][] = [];
  readFields(message, {
    1: (reader) => (name = reader.text()),
    2: parametersTo(parameters),
  });
  return { name, parameters };
}

/** @throws WireFault, TensorFault */
export function readModelInferRequest(message: Buffer): ModelInferRequest {
  let [model, version, id] = ['', '', ''];
  const parameters: Parameters[number][] = [];
  const inputs: InferInputTensor[] = [];
  const outputs: InferRequestedOutput[] = [];
  const raw: Buffer[] = [];
  readFields(message, {
    1: (reader) => (model = reader.text()),
    2: (reader) => (version = reader.text()),
    3: (reader) => (id = reader.text()),
    4: parametersTo(parameters),
    5: (reader) => add(inputs, readInput(reader.delimited())),
    6: (reader) => add(outputs, readRequestedOutput(reader.delimited())),
    7: (reader) => add(raw, reader.delimited()),
  });
  return { model, version, id, parameters, inputs, outputs, raw };
}

/** `ServerLiveResponse`, `ServerReadyResponse`, `ModelReadyResponse` */
export function writeBool(value: boolean): Buffer {
  return new ProtobufWriter().bool(1, value).finish();
}

export interface ServerMetadataResponse {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

export function writeServer({ name, version, extensions }: ServerMetadataResponse): Buffer {
  const writer = new ProtobufWriter().text(1, name).text(2, version);
  for (const one of extensions) writer.item(3, one);
  return writer.finish();
}

export interface IndexEntry extends ModelReference {
  readonly state: string;
  readonly reason: string;
}

/** `RepositoryIndexResponse` */
export function writeIndex(entries: readonly IndexEntry[]): Buffer {
  const writer = new ProtobufWriter();
  for (const { name, version, state, reason } of entries) {
    const entry = new ProtobufWriter()
      .text(1, name)
      .text(2, version)
      .text(3, state)
      .text(4, reason);
    writer.bytes(1, entry.finish());
  }
  return writer.finish();
}

function writeShape(writer: ProtobufWriter, shape: readonly number[]): ProtobufWriter {
  for (const size of shape) writer.number(3, BigInt(size));
  return writer;
}

export interface GrpcTensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface ModelMetadataResponse {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly GrpcTensorMetadata[];
  readonly outputs: readonly GrpcTensorMetadata[];
}

/** `ModelMetadataResponse` */
export function writeModel({
  name,
  versions,
  platform,
  inputs,
  outputs,
}: ModelMetadataResponse): Buffer {
  const writer = new ProtobufWriter().text(1, name);
  for (const version of versions) writer.item(2, version);
  writer.text(3, platform);
  const tensor = (one: GrpcTensorMetadata): Buffer =>
    writeShape(new ProtobufWriter().text(1, one.name).text(2, one.datatype), one.shape).finish();
  for (const one of inputs) writer.bytes(4, tensor(one));
  for (const one of outputs) writer.bytes(5, tensor(one));
  return writer.finish();
}

function writeOutput(
  { name, datatype, shape, parameters, raw }: InferOutputTensor,
  isRaw: boolean,
): Buffer {
  const writer = writeShape(new ProtobufWriter().text(1, name).text(2, datatype), shape);
  writeParameters(writer, 4, parameters);
  if (!isRaw) writer.bytes(5, contentsOf(datatypeOf(datatype), raw));
  return writer.finish();
}

/** `ModelInferResponse`; all outputs are raw, or none. @throws TensorFault */
export function writeModelInferResponse(
  named: ModelReference,
  { id, parameters, outputs }: InferResponse,
  isRaw: boolean,
) {
  const writer = new ProtobufWriter().text(1, named.name).text(2, named.version).text(3, id);
  writeParameters(writer, 4, parameters);
  for (const output of outputs) writer.bytes(5, writeOutput(output, isRaw));
  if (isRaw) for (const { raw } of outputs) writer.bytes(6, raw);
  return writer.finish();
}
