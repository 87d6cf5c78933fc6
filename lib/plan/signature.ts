import type { ProtoBytes, ProtoField } from '../spec/protobuf';
import { ProtoError, protoFields, protoText } from '../spec/protobuf';
import type { ModelState } from './change';
import { deploymentOf, listAt, podOf, valueAt } from './change';
import { isObject } from '../spec/entry';

// Inputs and outputs of ONNX models that travel in a ConfigMap: onnx.proto, messages ModelProto,
// GraphProto, ValueInfoProto, TypeProto and TensorShapeProto.

/** Inputs and outputs in their order, as `name: type[shape]`. */
export interface Signature {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

const GRAPH = 7;
const IN_GRAPH = { initializer: 5, input: 11, output: 12 } as const;
const TENSOR_NAME = 8;

/** TensorProto.DataType. */
const TYPES = [
  'undefined',
  'float',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'double',
  'uint32',
  'uint64',
] as const;

type Part = Pick<ProtoField, 'start' | 'end'>;

function inMemory(bytes: Uint8Array): ProtoBytes {
  return { at: (index) => bytes[index], slice: (start, end) => bytes.subarray(start, end) };
}

function partsOf(file: ProtoBytes, { start, end }: Part, number: number): readonly ProtoField[] {
  return [...protoFields(file, start, end)].filter((field) => field.number === number);
}

const textOf = (file: ProtoBytes, part: Part, number: number): string => {
  const [found] = partsOf(file, part, number);
  return found === undefined ? '' : protoText(file, found);
};

/** A dimension: its size, its name, or `?`. */
function dimension(file: ProtoBytes, part: Part): string {
  const [size] = partsOf(file, part, 1);
  if (size !== undefined) return String(size.value);
  return textOf(file, part, 2) || '?';
}

function typeOf(file: ProtoBytes, value: Part): string {
  const [tensor] = partsOf(file, value, 2).flatMap((type) => partsOf(file, type, 1));
  if (tensor === undefined) return 'other';
  const [element] = partsOf(file, tensor, 1);
  const shapes = partsOf(file, tensor, 2);
  const dimensions = shapes.flatMap((shape) => partsOf(file, shape, 1));
  const shape =
    shapes.length === 0 ? '' : `[${dimensions.map((one) => dimension(file, one)).join(',')}]`;
  const number = element?.value ?? 0;
  return `${TYPES[number] ?? `type ${number}`}${shape}`;
}

function values(file: ProtoBytes, fields: readonly ProtoField[]): readonly string[] {
  return fields.map((field) => `${textOf(file, field, 1)}: ${typeOf(file, field)}`);
}

/** Inputs (without those that only name weights) and outputs of an ONNX model. */
function onnxSignature(bytes: Uint8Array): Signature | undefined {
  const file = inMemory(bytes);
  try {
    const [graph] = partsOf(file, { start: 0, end: bytes.length }, GRAPH);
    if (graph === undefined) return undefined;
    const fields = [...protoFields(file, graph.start, graph.end)];
    const of = (number: number): readonly ProtoField[] =>
      fields.filter((field) => field.number === number);
    const weights = new Set(of(IN_GRAPH.initializer).map((one) => textOf(file, one, TENSOR_NAME)));
    const inputs = of(IN_GRAPH.input).filter((one) => !weights.has(textOf(file, one, 1)));
    return { inputs: values(file, inputs), outputs: values(file, of(IN_GRAPH.output)) };
  } catch (error) {
    if (error instanceof ProtoError) return undefined;
    throw error;
  }
}

/** Bytes of base64; none of a text that is something else. */
function decoded(base64: string): Uint8Array {
  const isBase64 = base64.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(base64);
  return Uint8Array.from(isBase64 ? atob(base64) : '', (character) => character.charCodeAt(0));
}

/** The signature of an arm whose ONNX model is in a ConfigMap; undefined when it is elsewhere. */
export function signatureOf(
  state: ModelState | undefined,
  id: string,
  arm: string,
): Signature | undefined {
  const volumes = listAt(podOf(deploymentOf(state, id, arm)), 'volumes');
  const names = new Set(volumes.map((volume) => valueAt(volume, 'configMap', 'name')));
  const files = (state?.objects ?? [])
    .filter(({ kind, metadata }) => kind === 'ConfigMap' && names.has(metadata.name))
    .flatMap((object) => {
      const data = object['binaryData'];
      return isObject(data) ? Object.entries(data) : [];
    });
  const model = files.find(([name, value]) => name.endsWith('.onnx') && typeof value === 'string');
  return model === undefined ? undefined : onnxSignature(decoded(String(model[1])));
}
