import { BinaryTail, headLength, naming, TensorFault } from '../../shared/binary';
import { Refusal } from './refusal';
import { readElements } from './elements';
import { numberOf, writeJson } from './exact-json';
import type { JsonObject } from './body-json';
import { isJsonObject, parseObject } from './body-json';
import type { V2Tensor } from './tensor';
import { isBoundedShape, MAX_EMPTY, MAX_RANK, nest, sizeOf } from './tensor';

// Parses a V2 call that is transcoded, as far as other protocols can express it.

export interface V2Request {
  readonly id: string | undefined;
  readonly tensors: readonly V2Tensor[];
  /** Names of the requested outputs; undefined: all. */
  readonly requestedOutputs: readonly string[] | undefined;
  /** Parameters of the request, without those about the format of the answer. */
  readonly parameters: JsonObject;
}

const bad = (message: string): Refusal => new Refusal('INVALID_REQUEST', message);

/** A value as quoted in an error message. */
const shown = (value: unknown): string =>
  value === undefined ? 'missing' : writeJson(value).slice(0, 60);

/** Requests for binary outputs are ignored: the answer is JSON, which every client reads. */
const OF_ANSWER = new Set(['binary_data_output', 'binary_data']);

/** @throws Refusal for a parameter that other protocols cannot express */
function checkParameters(path: string, given: unknown, known: readonly string[]): JsonObject {
  const parameters = given ?? {};
  if (!isJsonObject(parameters)) {
    throw bad(`${path}.parameters: got ${shown(given)}, must be an object`);
  }
  for (const [name, value] of Object.entries(parameters)) {
    if (known.includes(name) || (name === 'classification' && numberOf(value) === 0)) continue;
    throw bad(
      `${path}.parameters.${name}: the model’s server does not support it; leave it out, here may be ${known.join(', ')}`,
    );
  }
  return parameters;
}

/** @throws Refusal when there would be more of lists than of elements */
function modest(path: string, shape: readonly number[]): readonly number[] {
  if (isBoundedShape(shape)) return shape;
  throw bad(
    `${path}.shape: has ${shape.length} dimensions [${shape.slice(0, 8)}…]; at most ${MAX_RANK} are allowed, and ${MAX_EMPTY} empty lists`,
  );
}

function shapeOf(path: string, given: unknown): readonly number[] {
  const isSize = (one: unknown): boolean =>
    typeof one === 'number' && Number.isSafeInteger(one) && one >= 0;
  if (Array.isArray(given) && given.every(isSize)) return modest(path, given as number[]);
  throw bad(`${path}.shape: got ${shown(given)}, must be a list of sizes`);
}

function elementsOf(path: string, given: JsonObject, tail: BinaryTail): readonly unknown[] {
  const { name, datatype, data } = given;
  const { binary_data_size: size } = checkParameters(path, given['parameters'], [
    'binary_data_size',
  ]);
  if (size !== undefined) {
    const bytes = tail.take(numberOf(size) ?? size);
    return naming(`input '${String(name)}'`, () => readElements(bytes, String(datatype)));
  }
  if (!Array.isArray(data)) throw bad(`${path}.data: got ${shown(data)}, must be a list`);
  return data.some(Array.isArray) ? data.flat(Infinity) : data;
}

function inputOf(given: unknown, index: number, tail: BinaryTail): V2Tensor {
  const path = `inputs[${index}]`;
  if (!isJsonObject(given)) throw bad(`${path}: got ${shown(given)}, must be an object`);
  const { name, datatype } = given;
  if (typeof name !== 'string') throw bad(`${path}.name: got ${shown(name)}, must be text`);
  if (typeof datatype !== 'string') {
    throw bad(`${path}.datatype: got ${shown(datatype)}, must be text such as FP32`);
  }
  const shape = shapeOf(path, given['shape']);
  const data = elementsOf(path, given, tail);
  const wanted = sizeOf(shape);
  if (data.length === wanted) return { name, datatype, shape, data };
  throw bad(`${path}.data: has ${data.length} elements, its shape [${shape}] needs ${wanted}`);
}

function wantedOf(given: unknown): readonly string[] | undefined {
  if (given === undefined) return undefined;
  if (!Array.isArray(given)) throw bad(`outputs: got ${shown(given)}, must be a list of {name}`);
  const names = (given as readonly unknown[]).map((one, index) => {
    const path = `outputs[${index}]`;
    const { name, parameters } = isJsonObject(one) ? one : {};
    if (typeof name !== 'string') throw bad(`${path}.name: got ${shown(name)}, must be text`);
    checkParameters(path, parameters, [...OF_ANSWER]);
    return name;
  });
  return names.length === 0 ? undefined : names;
}

function checkNames(tensors: readonly V2Tensor[]): readonly V2Tensor[] {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name)) throw bad(`inputs: ${name} is given twice`);
    names.add(name);
  }
  return tensors;
}

function tensorsIn(given: unknown, tail: BinaryTail): readonly V2Tensor[] {
  if (!Array.isArray(given) || given.length === 0) {
    throw bad(`inputs: got ${shown(given)}, must be a list of {name, shape, datatype, data}`);
  }
  const tensors = (given as readonly unknown[]).map((one, index) => inputOf(one, index, tail));
  tail.checkEnd();
  return checkNames(tensors);
}

function requestOf(head: JsonObject, tensors: readonly V2Tensor[]): V2Request {
  const { id, outputs, parameters = {} } = head;
  if (!isJsonObject(parameters))
    throw bad(`parameters: got ${shown(parameters)}, must be an object`);
  const own = Object.entries(parameters).filter(([name]) => !OF_ANSWER.has(name));
  return {
    id: typeof id === 'string' ? id : undefined,
    tensors,
    requestedOutputs: wantedOf(outputs),
    parameters: Object.fromEntries(own),
  };
}

/** A fault of a tensor is the caller's. */
function refusing<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof TensorFault ? bad(error.message) : error;
  }
}

/**
 * @param length the header Inference-Header-Content-Length: bytes of JSON before the tensors
 * @throws Refusal that names the field
 */
export function parseV2(body: Buffer, length: string | undefined): V2Request {
  return refusing(() => {
    const split = headLength(length, body);
    const head = parseObject(body.subarray(0, split));
    return requestOf(head, tensorsIn(head['inputs'], new BinaryTail(body.subarray(split))));
  });
}

/** An input whose elements are given as bytes, in the number of its shape. */
export interface RawInput extends Omit<V2Tensor, 'data'> {
  readonly raw: Buffer;
  readonly parameters: JsonObject;
}

/**
 * The same of a call that came in other bytes than HTTP's.
 * @param head `id`, `parameters` and `outputs`
 * @throws Refusal that names the field
 */
export function rawV2(head: JsonObject, inputs: readonly RawInput[]): V2Request {
  const tensorOf = ({ raw, parameters, ...rest }: RawInput, index: number): V2Tensor => {
    checkParameters(`inputs[${index}]`, parameters, []);
    modest(`inputs[${index}]`, rest.shape);
    const data = naming(`input '${rest.name}'`, () => readElements(raw, rest.datatype));
    return { ...rest, data };
  };
  return refusing(() => requestOf(head, checkNames(inputs.map(tensorOf))));
}

/** An input as rows: its values by the first dimension. */
export interface Column {
  readonly name: string;
  readonly rows: readonly unknown[];
}

/** @throws Refusal when the inputs do not have the same number of rows */
export function columnsOf({ tensors }: V2Request): readonly Column[] {
  const [first] = tensors;
  for (const [index, { shape, name }] of tensors.entries()) {
    if (shape[0] !== undefined && shape[0] > 0 && shape[0] === first?.shape[0]) continue;
    throw bad(
      `inputs[${index}].shape: ${name} has [${shape}], ${first?.name} [${first?.shape}]; ` +
        'the model is asked row by row, so the first dimension must be the same for all, and at least 1',
    );
  }
  return tensors.map(({ name, shape, data }) => ({ name, rows: nest(data, shape) as unknown[] }));
}

/** One object for each row: input → value. */
export function rowsOf(columns: readonly Column[]): readonly JsonObject[] {
  const [first] = columns;
  return (first?.rows ?? []).map((_, at) =>
    Object.fromEntries(columns.map(({ name, rows }) => [name, rows[at]])),
  );
}
