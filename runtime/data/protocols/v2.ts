import { Refusal } from '../errors';
import type { Plain } from './json';
import { isPlain } from './json';
import type { NativeOutput } from './native';
import { confidenceOf } from './native';
import type { Tensor } from './tensor';
import { guessDatatype, leaves, nest, shapedOf, tensorsOf } from './tensor';

// native ↔ the Open Inference Protocol V2 (JSON).

/** What a server says of an input; shapes have −1 where they are dynamic. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly inputs: readonly TensorMetadata[];
}

/** Without metadata the datatype is as the elements are written. @throws Refusal */
export function toTensor(
  path: string,
  name: string,
  value: unknown,
  known: TensorMetadata | undefined,
): Tensor {
  const shaped = shapedOf(value);
  if (shaped === undefined) {
    throw new Refusal(
      'INVALID_REQUEST',
      `${path}: lists of one level must have the same length; it is no tensor`,
    );
  }
  const datatype = known?.datatype ?? guessDatatype(shaped.data);
  if (datatype !== undefined) return { name, datatype, ...shaped };
  throw new Refusal(
    'INVALID_REQUEST',
    `${path}: must hold only numbers, only texts or only booleans`,
  );
}

function itemTensor(name: string, value: unknown, known: TensorMetadata | undefined): Tensor {
  const tensor = toTensor(`input_data.${name}`, name, value, known);
  const { shape } = tensor;
  // One item is given; a graph wants a batch of one.
  const missing = known === undefined ? 1 : Math.max(0, known.shape.length - shape.length);
  return { ...tensor, shape: [...Array<number>(missing).fill(1), ...shape] };
}

/** Inputs by name. Undefined: not known, or the server says nothing of them. */
export function inputsByName(metadata: ModelMetadata | undefined) {
  if (metadata === undefined || metadata.inputs.length === 0) return undefined;
  return new Map(metadata.inputs.map((one) => [one.name, one]));
}

/** @throws Refusal when one of the names is no input of the model */
export function checkNames(
  path: string,
  names: readonly string[],
  known: ReadonlyMap<string, TensorMetadata> | undefined,
): void {
  const strays = known === undefined ? [] : names.filter((name) => !known.has(name));
  if (known === undefined || strays.length === 0) return;
  throw new Refusal(
    'INVALID_REQUEST',
    `${path}: ${strays.join(', ')} is no input; inputs are ${[...known.keys()].join(', ')}`,
  );
}

/** @throws Refusal when a value is no tensor, or no input of the model */
export function nativeToV2(input: Plain, metadata: ModelMetadata | undefined): readonly Tensor[] {
  const known = inputsByName(metadata);
  const given = leaves(input);
  checkNames(
    'input_data',
    given.map(([name]) => name),
    known,
  );
  return given.map(([name, value]) => itemTensor(name, value, known?.get(name)));
}

/** Outputs by name; the batch of one that was put around the item is taken off. */
export function v2ToNative(answer: unknown): NativeOutput | undefined {
  const tensors = tensorsOf(answer);
  if (tensors === undefined) return undefined;
  const entries = tensors.map(({ name, shape, data }) => {
    const nested = nest(data, shape);
    return [name, Array.isArray(nested) && shape[0] === 1 ? nested[0] : nested] as const;
  });
  const output = Object.fromEntries(entries);
  return { output, confidence: confidenceOf(output) };
}

export function readMetadata(answer: unknown): ModelMetadata | undefined {
  const inputs = isPlain(answer) ? answer['inputs'] : undefined;
  if (!Array.isArray(inputs)) return undefined;
  const known = inputs.filter(isPlain).map(({ name, datatype, shape }) => ({
    name: String(name),
    datatype: String(datatype),
    shape: Array.isArray(shape) ? shape.map(Number) : [],
  }));
  return { inputs: known };
}
