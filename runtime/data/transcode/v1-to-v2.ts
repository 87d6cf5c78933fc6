import { Refusal } from './refusal';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { V2Tensor } from './tensor';
import { leaves, nest, tensorsOf } from './tensor';
import type { V1Request } from './v1-request';
import { DEFAULT_SIGNATURE } from './v1-request';
import type { ModelInputs, TensorSpec } from './v2';
import { checkNames, inputsByName, toTensor } from './v2';

// A V1 caller and a V2 server.

type Known = ReadonlyMap<string, TensorSpec> | undefined;

const bad = (message: string): Refusal => new Refusal('INVALID_REQUEST', message);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(base64: string, path: string): string {
  try {
    return utf8.decode(Buffer.from(base64, 'base64'));
  } catch {
    throw bad(
      `${path}.b64: is not UTF-8, and the model is asked in JSON; send text, or call it by V2`,
    );
  }
}

/** `{"b64": …}` is text, at any place. */
function decoded(value: unknown, path: string): unknown {
  if (Array.isArray(value)) return value.map((one, at) => decoded(one, `${path}[${at}]`));
  if (!isJsonObject(value)) return value;
  const { b64 } = value;
  if (typeof b64 === 'string' && Object.keys(value).length === 1) return text(b64, path);
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, one]) => [key, decoded(one, `${path}.${key}`)]));
}

/** `[n]` for an input of `[-1, 1]` is `[n, 1]`. */
function inRank(tensor: V2Tensor, known: TensorSpec | undefined): V2Tensor {
  const { shape } = tensor;
  const missing = (known?.shape.length ?? 0) - shape.length;
  if (missing <= 0) return tensor;
  const [rows = 1, ...rest] = shape;
  return { ...tensor, shape: [rows, ...Array<number>(missing).fill(1), ...rest] };
}

/** KServe's name of the only input of a V1 call; MLServer runtimes without metadata take any. */
const DEFAULT_INPUT = 'input-0';

/** The input that values without a name are for. */
function onlyName(path: string, known: Known): string {
  const names = [...(known?.keys() ?? [])];
  const [only = DEFAULT_INPUT] = names;
  if (names.length <= 1) return only;
  throw bad(`${path}: must be by the names of the model’s inputs: ${names.join(', ')}`);
}

function checkRow(
  index: number,
  names: readonly string[],
  columns: ReadonlyMap<string, unknown>,
): void {
  if (names.length === columns.size && names.every((name) => columns.has(name))) return;
  const [has, wanted] = [names, [...columns.keys()]].map((all) => all.join(', ').slice(0, 500));
  throw bad(
    `instances[${index}]: has ${has}, instances[0] has ${wanted}; all rows must have the same inputs`,
  );
}

/** Rows of objects by input, each with the same inputs. */
function columnsOf(
  rows: readonly JsonObject[],
): readonly (readonly [string, readonly unknown[]])[] {
  const columns = new Map(leaves(rows[0] ?? {}).map(([name]) => [name, [] as unknown[]]));
  for (const [index, one] of rows.entries()) {
    // One row at a time: the names of all of them together may be much more than the message.
    const row = new Map(leaves(one));
    checkRow(index, [...row.keys()], columns);
    for (const [name, value] of row) columns.get(name)?.push(value);
  }
  return [...columns];
}

function ofRows(rows: readonly unknown[], known: Known): readonly V2Tensor[] {
  if (rows.every(isJsonObject)) {
    const columns = columnsOf(rows);
    checkNames(
      'instances',
      columns.map(([name]) => name),
      known,
    );
    return columns.map(([name, values]) => {
      const own = known?.get(name);
      return inRank(toTensor(`instances[].${name}`, name, values, own), own);
    });
  }
  if (rows.some(isJsonObject)) {
    throw bad('instances: must be all objects by input, or all values; got both');
  }
  const name = onlyName('instances', known);
  const own = known?.get(name);
  return [inRank(toTensor('instances', name, rows, own), own)];
}

function ofColumns(inputs: unknown, known: Known): readonly V2Tensor[] {
  if (!isJsonObject(inputs)) {
    const name = onlyName('inputs', known);
    return [toTensor('inputs', name, inputs, known?.get(name))];
  }
  const columns = leaves(inputs);
  checkNames(
    'inputs',
    columns.map(([name]) => name),
    known,
  );
  return columns.map(([name, value]) => toTensor(`inputs.${name}`, name, value, known?.get(name)));
}

/** @throws Refusal when a value is not a tensor, or not an input of the model */
export function v1ToV2(call: V1Request, metadata: ModelInputs | undefined): readonly V2Tensor[] {
  const { signature } = call;
  if (signature !== DEFAULT_SIGNATURE) {
    throw bad(
      `signature_name: got "${signature}", must be "${DEFAULT_SIGNATURE}" or left out: the model has no signatures`,
    );
  }
  const known = inputsByName(metadata);
  return call.kind === 'rows'
    ? ofRows(decoded(call.rows, 'instances') as readonly unknown[], known)
    : ofColumns(decoded(call.inputs, 'inputs'), known);
}

/** One output alone, several by name. */
function byName(tensors: readonly V2Tensor[], valueOf: (tensor: V2Tensor) => unknown): unknown {
  const [only] = tensors;
  if (only !== undefined && tensors.length === 1) return valueOf(only);
  return Object.fromEntries(tensors.map((tensor) => [tensor.name, valueOf(tensor)]));
}

function predictionsOf(tensors: readonly V2Tensor[], count: number): readonly unknown[] {
  const rows = new Map(
    tensors.map((tensor) => {
      const { name, shape, data } = tensor;
      if (shape[0] === count) return [tensor, nest(data, shape) as readonly unknown[]];
      // A single instance needs no row dimension.
      if (count === 1) return [tensor, [nest(data, shape)]];
      throw new Refusal(
        'UPSTREAM_PROTOCOL_ERROR',
        `output ${name} has the shape [${shape}] and so no row for each of ${count} instances; send inputs (columns), or call the model by V2`,
      );
    }),
  );
  return Array.from({ length: count }, (_, at) => byName(tensors, (one) => rows.get(one)?.[at]));
}

/** Rows are answered by rows, columns by columns. Undefined: the answer is not valid V2. */
export function v2ToV1(answer: unknown, call: V1Request): JsonObject | undefined {
  const tensors = tensorsOf(answer);
  if (tensors === undefined) return undefined;
  if (call.kind === 'rows') return { predictions: predictionsOf(tensors, call.rows.length) };
  return { outputs: byName(tensors, ({ data, shape }) => nest(data, shape)) };
}
