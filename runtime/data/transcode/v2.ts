import { Refusal } from './refusal';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { NativeOutput } from './native-format';
import { confidenceOf, rowConfidence } from './native-format';
import type { V2Tensor } from './tensor';
import { guessDatatype, leaves, nest, shapedOf, tensorsOf, withNumbers } from './tensor';

// native ↔ the Open Inference Protocol V2 (JSON).

/** Metadata of a tensor; −1 is a dynamic size. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface ModelInputs {
  readonly inputs: readonly TensorSpec[];
}

/** Without metadata the datatype is as the elements are written. @throws Refusal */
export function toTensor(
  path: string,
  name: string,
  value: unknown,
  known: TensorSpec | undefined,
): V2Tensor {
  const shaped = shapedOf(value);
  if (shaped === undefined) {
    throw new Refusal(
      'INVALID_REQUEST',
      `${path}: is not a tensor: lists of one level must have the same length`,
    );
  }
  const { shape } = shaped;
  const data = withNumbers(shaped.data, known?.datatype);
  const datatype = known?.datatype ?? guessDatatype(data);
  if (datatype !== undefined) return { name, datatype, shape, data };
  throw new Refusal(
    'INVALID_REQUEST',
    `${path}: must hold only numbers, only texts or only booleans`,
  );
}

function itemTensor(name: string, value: unknown, known: TensorSpec | undefined): V2Tensor {
  const tensor = toTensor(`input_data.${name}`, name, value, known);
  return { ...tensor, shape: batchShape(tensor.shape, known) };
}

/** One item is given; a graph wants a batch of one. A list for `[batch, 1]` is a column of rows. */
export function batchShape(
  shape: readonly number[],
  known: TensorSpec | undefined,
): readonly number[] {
  const missing = known === undefined ? 1 : Math.max(0, known.shape.length - shape.length);
  const ones = Array<number>(missing).fill(1);
  const isColumn = shape.length === 1 && known?.shape.slice(1).every((size) => size === 1);
  return isColumn === true ? [...shape, ...ones] : [...ones, ...shape];
}

/** Rows of a call: what the first dimensions agree on, else 1. */
export function rowsOfShapes(shapes: readonly (readonly number[])[]): number {
  const [rows = 1, ...others] = shapes.map(([first = 1]) => first);
  return others.every((one) => one === rows) ? rows : 1;
}

/** Inputs by name. Undefined: not known, or the server does not list them. */
export function inputsByName(metadata: ModelInputs | undefined) {
  if (metadata === undefined || metadata.inputs.length === 0) return undefined;
  return new Map(metadata.inputs.map((one) => [one.name, one]));
}

/** @throws Refusal when one of the names is not an input of the model */
export function checkNames(
  path: string,
  names: readonly string[],
  known: ReadonlyMap<string, TensorSpec> | undefined,
): void {
  const strays = known === undefined ? [] : names.filter((name) => !known.has(name));
  if (known === undefined || strays.length === 0) return;
  throw new Refusal(
    'INVALID_REQUEST',
    `${path}: unknown input ${strays.join(', ')}; the inputs are ${[...known.keys()].join(', ')}`,
  );
}

/** @throws Refusal when a value is not a tensor, or not an input of the model */
export function nativeToV2(
  input: JsonObject,
  metadata: ModelInputs | undefined,
): readonly V2Tensor[] {
  const known = inputsByName(metadata);
  const given = leaves(input);
  checkNames(
    'input_data',
    given.map(([name]) => name),
    known,
  );
  return given.map(([name, value]) => itemTensor(name, value, known?.get(name)));
}

/**
 * Outputs by name; the batch of one that was put around the item is taken off.
 * @param rows of the call
 */
export function v2ToNative(answer: unknown, rows = 1): NativeOutput | undefined {
  const tensors = tensorsOf(answer);
  if (tensors === undefined) return undefined;
  const entries = tensors.map(({ name, shape, data }) => {
    const nested = nest(data, shape);
    return [name, Array.isArray(nested) && shape[0] === 1 ? nested[0] : nested] as const;
  });
  const output = Object.fromEntries(entries);
  return { output, confidence: rows > 1 ? rowConfidence(tensors, rows) : confidenceOf(output) };
}

export function readMetadata(answer: unknown): ModelInputs | undefined {
  const inputs = isJsonObject(answer) ? answer['inputs'] : undefined;
  if (!Array.isArray(inputs)) return undefined;
  const known = inputs.filter(isJsonObject).map(({ name, datatype, shape }) => ({
    name: String(name),
    datatype: String(datatype),
    shape: Array.isArray(shape) ? shape.map(Number) : [],
  }));
  return { inputs: known };
}
