import { Refusal } from './refusal';
import { numberOf } from './exact-json';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { V2Tensor } from './tensor';
import { guessDatatype, leaves, shapedOf, withNumbers } from './tensor';
import type { V2Request } from './v2-request';

// Rows answered by a server of another protocol, as a V2 answer.

/** The name of an output that the server does not name. */
const NAMELESS = 'predictions';

/** As other servers write it in JSON, where NaN and infinities are null. */
function datatypeOf(data: readonly unknown[]): string | undefined {
  const known = data.filter((one) => one !== null);
  if (known.length === data.length) return data.length === 0 ? 'FP64' : guessDatatype(data);
  return known.every((one) => numberOf(one) !== undefined) ? 'FP64' : undefined;
}

function notTranscodable(model: string, what: string): Refusal {
  return new Refusal(
    'UPSTREAM_PROTOCOL_ERROR',
    `the answer of model ${model} is not a valid V2 response: ${what}; call POST /api/v1/models/${model}/inference`,
  );
}

/** Rows of one output, put together. @throws Refusal when they do not form a tensor */
function columnTensor(model: string, name: string, rows: readonly unknown[]): V2Tensor {
  const shaped = shapedOf(rows);
  const data = withNumbers(shaped?.data ?? []);
  const datatype = shaped && datatypeOf(data);
  if (shaped !== undefined && datatype !== undefined) {
    return { name, datatype, shape: shaped.shape, data };
  }
  const what = shaped === undefined ? 'has rows of different lengths' : 'mixes types, or has nulls';
  throw notTranscodable(model, `output ${name} ${what}`);
}

function namedColumns(model: string, rows: readonly JsonObject[]): readonly V2Tensor[] {
  const flat = rows.map((row) => new Map(leaves(row)));
  const names = [...(flat[0]?.keys() ?? [])];
  const isLike = (row: ReadonlyMap<string, unknown>): boolean =>
    row.size === names.length && names.every((name) => row.has(name));
  if (!flat.every(isLike)) throw notTranscodable(model, 'its rows have different outputs');
  return names.map((name) =>
    columnTensor(
      model,
      name,
      flat.map((row) => row.get(name)),
    ),
  );
}

/** A value without a name gets the only requested name. */
function outputsOf(
  model: string,
  rows: readonly unknown[],
  requestedOutputs: V2Request['requestedOutputs'],
): readonly V2Tensor[] {
  if (rows.every(isJsonObject)) return namedColumns(model, rows);
  const [only = NAMELESS] = requestedOutputs?.length === 1 ? requestedOutputs : [];
  return [columnTensor(model, only, rows)];
}

/** @throws Refusal when a requested output is missing */
function chosen(
  tensors: readonly V2Tensor[],
  requestedOutputs: V2Request['requestedOutputs'],
): readonly V2Tensor[] {
  return (requestedOutputs ?? tensors.map(({ name }) => name)).map((name, index) => {
    const found = tensors.find((one) => one.name === name);
    if (found !== undefined) return found;
    const names = tensors.map((one) => one.name).join(', ');
    throw new Refusal(
      'INVALID_REQUEST',
      `outputs[${index}].name: the model gave no output ${name}; it gave ${names}`,
    );
  });
}

/** @throws Refusal when the rows do not form tensors, or lack a requested output */
export function v2Answer(
  { id, requestedOutputs }: V2Request,
  rows: readonly unknown[],
  model: string,
  version: string,
): JsonObject {
  const outputs = chosen(outputsOf(model, rows, requestedOutputs), requestedOutputs);
  return {
    model_name: model,
    model_version: version,
    ...(id !== undefined && { id }),
    outputs,
  };
}
