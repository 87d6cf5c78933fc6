import type { Parameters } from './parameters';
import { readParameter, writeParameters } from './parameters';
import { contentsOf } from './contents';
import { datatypeOf } from '../transcode/datatypes';
import type { Answer, Output } from './infer-response';
import { BYTES, Reader, WireFault, Writer } from './protobuf';

// The messages of `inference.GRPCInferenceService`; schema/open_inference.proto states them.

/** `ModelReadyRequest`, `ModelMetadataRequest`, and how `ModelInferRequest` begins. */
export interface Named {
  readonly name: string;
  /** '' when none is named. */
  readonly version: string;
}

/** `InferInputTensor`; its contents are read when its datatype is known. */
export interface Input {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: Parameters;
  readonly contents: Buffer | undefined;
}

export interface WantedOutput {
  readonly name: string;
  readonly parameters: Parameters;
}

/** `ModelInferRequest` */
export interface InferRequest {
  readonly model: string;
  readonly version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly Input[];
  readonly outputs: readonly WantedOutput[];
  readonly raw: readonly Buffer[];
}

/** What is read for each field, by its number; what we do not know is left out (as protobuf says). */
type Fields = Readonly<Record<number, (reader: Reader) => void>>;

function readFields(message: Buffer, fields: Fields): void {
  const reader = new Reader(message);
  while (reader.next()) {
    const read = fields[reader.field];
    if (read === undefined) reader.value();
    else read(reader);
  }
}

/** @throws WireFault */
export function readNamed(message: Buffer): Named {
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

const parametersTo = (list: Parameters[number][]) => (reader: Reader) => {
  const parameter = readParameter(reader.delimited());
  if (parameter !== undefined) add(list, parameter);
};

/** Sizes come packed or one by one. */
const shapeTo = (shape: number[]) => (reader: Reader) => {
  if (reader.type !== BYTES) {
    reader.number();
    add(shape, reader.signed);
    return;
  }
  const sizes = new Reader(reader.value());
  while (!sizes.isAtEnd) {
    sizes.varint();
    add(shape, sizes.signed);
  }
};

/** Parts of one message that come apart are one message; undefined: there is none. */
function joined(parts: readonly Buffer[]): Buffer | undefined {
  return parts.length <= 1 ? parts[0] : Buffer.concat(parts);
}

function readInput(message: Buffer): Input {
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

function readWanted(message: Buffer): WantedOutput {
  let name = '';
  const parameters: Parameters[number][] = [];
  readFields(message, {
    1: (reader) => (name = reader.text()),
    2: parametersTo(parameters),
  });
  return { name, parameters };
}

/** @throws WireFault, TensorFault */
export function readInfer(message: Buffer): InferRequest {
  let [model, version, id] = ['', '', ''];
  const parameters: Parameters[number][] = [];
  const inputs: Input[] = [];
  const outputs: WantedOutput[] = [];
  const raw: Buffer[] = [];
  readFields(message, {
    1: (reader) => (model = reader.text()),
    2: (reader) => (version = reader.text()),
    3: (reader) => (id = reader.text()),
    4: parametersTo(parameters),
    5: (reader) => add(inputs, readInput(reader.delimited())),
    6: (reader) => add(outputs, readWanted(reader.delimited())),
    7: (reader) => add(raw, reader.delimited()),
  });
  return { model, version, id, parameters, inputs, outputs, raw };
}

/** `ServerLiveResponse`, `ServerReadyResponse`, `ModelReadyResponse` */
export function writeFlag(value: boolean): Buffer {
  return new Writer().bool(1, value).finish();
}

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

export function writeServer({ name, version, extensions }: ServerMetadata): Buffer {
  const writer = new Writer().text(1, name).text(2, version);
  for (const one of extensions) writer.item(3, one);
  return writer.finish();
}

export interface IndexEntry extends Named {
  readonly state: string;
  readonly reason: string;
}

/** `RepositoryIndexResponse` */
export function writeIndex(entries: readonly IndexEntry[]): Buffer {
  const writer = new Writer();
  for (const { name, version, state, reason } of entries) {
    const entry = new Writer().text(1, name).text(2, version).text(3, state).text(4, reason);
    writer.bytes(1, entry.finish());
  }
  return writer.finish();
}

function writeShape(writer: Writer, shape: readonly number[]): Writer {
  for (const size of shape) writer.number(3, BigInt(size));
  return writer;
}

export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** `ModelMetadataResponse` */
export function writeModel({ name, versions, platform, inputs, outputs }: ModelMetadata): Buffer {
  const writer = new Writer().text(1, name);
  for (const version of versions) writer.item(2, version);
  writer.text(3, platform);
  const tensor = (one: TensorMetadata): Buffer =>
    writeShape(new Writer().text(1, one.name).text(2, one.datatype), one.shape).finish();
  for (const one of inputs) writer.bytes(4, tensor(one));
  for (const one of outputs) writer.bytes(5, tensor(one));
  return writer.finish();
}

function writeOutput({ name, datatype, shape, parameters, raw }: Output, isRaw: boolean): Buffer {
  const writer = writeShape(new Writer().text(1, name).text(2, datatype), shape);
  writeParameters(writer, 4, parameters);
  if (!isRaw) writer.bytes(5, contentsOf(datatypeOf(datatype), raw));
  return writer.finish();
}

/** `ModelInferResponse`; all outputs are raw, or none. @throws TensorFault */
export function writeInfer(named: Named, { id, parameters, outputs }: Answer, isRaw: boolean) {
  const writer = new Writer().text(1, named.name).text(2, named.version).text(3, id);
  writeParameters(writer, 4, parameters);
  for (const output of outputs) writer.bytes(5, writeOutput(output, isRaw));
  if (isRaw) for (const { raw } of outputs) writer.bytes(6, raw);
  return writer.finish();
}
