import type { FileBytes, Steps } from './filebytes';
import { PagedFile } from './filebytes';
import type { ProtoField } from './protobuf';
import { protoFields, protoText } from './protobuf';

/** Newest versions that the ONNX Runtime of this package loads (1.30); a test checks it. */
export const MAX_ONNX_IR = 13;
export const MAX_ONNX_OPSET = 26;

/** Weights of one tensor in another file. */
export interface ExternalTensor {
  readonly name: string;
  /** Path of the file, relative to the model. */
  readonly location: string;
  readonly offset: number;
  /** Absent: to the end of the file. */
  readonly length: number | undefined;
}

/** Facts of an ONNX file. */
export interface OnnxFile {
  readonly irVersion: number | undefined;
  /** Version of the default operator set; undefined when none is named. */
  readonly opset: number | undefined;
  readonly hasGraph: boolean;
  readonly external: readonly ExternalTensor[];
}

/** Fields of an onnx.proto message that may contain tensors: field number → message. */
export type OnnxMessage =
  'model' | 'graph' | 'node' | 'attribute' | 'sparse' | 'function' | 'tensor';
export const ONNX_PARTS: Readonly<Record<OnnxMessage, Readonly<Record<number, OnnxMessage>>>> = {
  model: { 7: 'graph', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  tensor: {},
};
export const TENSOR = { name: 8, raw: 9, external: 13, location: 14 } as const;

/** Graphs in graphs: a real model has three or four levels. */
export const MAX_LEVELS = 100;
/** A longer list would fill the memory; a real model has some thousands. */
export const MAX_EXTERNAL_TENSORS = 100_000;

type Entries = { -readonly [Key in 'location' | 'offset' | 'length']?: string };

const isEntry = (key: string): key is keyof Entries =>
  key === 'location' || key === 'offset' || key === 'length';

function* readEntry(file: PagedFile, { start, end }: ProtoField, entries: Entries): Steps<void> {
  let [key, value] = ['', ''];
  for (const field of protoFields(file, start, end)) {
    yield 1;
    if (field.number === 1) key = protoText(file, field);
    if (field.number === 2) value = protoText(file, field);
  }
  if (isEntry(key)) entries[key] = value;
}

/** The place of a tensor's bytes, when they are external. */
export function* externalOf(
  file: PagedFile,
  tensor: ProtoField,
): Steps<ExternalTensor | undefined> {
  let name = '';
  let isExternal = false;
  const entries: Entries = {};
  for (const field of protoFields(file, tensor.start, tensor.end)) {
    yield 1;
    if (field.number === TENSOR.name) name = protoText(file, field);
    if (field.number === TENSOR.location) isExternal = field.value === 1;
    if (field.number === TENSOR.external && field.wire === 2)
      yield* readEntry(file, field, entries);
  }
  if (!isExternal) return undefined;
  const { location = '', offset = 0, length } = entries;
  return {
    name,
    location,
    offset: Number(offset),
    length: length === undefined ? undefined : Number(length),
  };
}

function* findExternal(
  file: PagedFile,
  message: OnnxMessage,
  field: Pick<ProtoField, 'start' | 'end'>,
  found: ExternalTensor[],
  level = 0,
): Steps<void> {
  if (level > MAX_LEVELS) return;
  for (const inner of protoFields(file, field.start, field.end)) {
    yield 1;
    if (found.length > MAX_EXTERNAL_TENSORS) return;
    const part = inner.wire === 2 ? ONNX_PARTS[message][inner.number] : undefined;
    if (part === 'tensor') {
      const tensor = yield* externalOf(file, inner);
      if (tensor !== undefined) found.push(tensor);
    } else if (part !== undefined) yield* findExternal(file, part, inner, found, level + 1);
  }
}

function* opsetOf(file: PagedFile, { start, end }: ProtoField): Steps<number | undefined> {
  let [domain, version] = ['', 0];
  for (const field of protoFields(file, start, end)) {
    yield 1;
    if (field.number === 1) domain = protoText(file, field);
    if (field.number === 2) version = field.value;
  }
  return domain === '' || domain === 'ai.onnx' ? version : undefined;
}

/**
 * Looks into an ONNX file without reading its weights.
 * @throws ProtoError when the bytes are cut off, or are not protobuf at all
 */
export function* onnxFile(bytes: FileBytes): Steps<OnnxFile> {
  const file = new PagedFile(bytes);
  let irVersion: number | undefined;
  let opset: number | undefined;
  let hasGraph = false;
  for (const field of protoFields(file, 0, file.size)) {
    yield 1;
    if (field.number === 1 && field.wire === 0) irVersion = field.value;
    if (field.number === 7 && field.wire === 2) hasGraph = true;
    if (field.number === 8 && field.wire === 2) opset = (yield* opsetOf(file, field)) ?? opset;
  }
  const external: ExternalTensor[] = [];
  yield* findExternal(file, 'model', { start: 0, end: file.size }, external);
  return { irVersion, opset, hasGraph, external };
}
