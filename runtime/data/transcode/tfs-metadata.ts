import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import { DEFAULT_SIGNATURE } from './v1-request';
import type { TensorSpec } from './v2';
import { entryOf } from '../../../lib/spec/entry';

// TensorFlow Serving's model metadata as V2 metadata.

export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

export const UNKNOWN_SIGNATURE: Signature = { inputs: [], outputs: [] };

const DATATYPES: Readonly<Record<string, string>> = {
  DT_FLOAT: 'FP32',
  DT_DOUBLE: 'FP64',
  DT_HALF: 'FP16',
  DT_BFLOAT16: 'BF16',
  DT_INT8: 'INT8',
  DT_INT16: 'INT16',
  DT_INT32: 'INT32',
  DT_INT64: 'INT64',
  DT_UINT8: 'UINT8',
  DT_UINT16: 'UINT16',
  DT_UINT32: 'UINT32',
  DT_UINT64: 'UINT64',
  DT_STRING: 'BYTES',
  DT_BOOL: 'BOOL',
};

const field = (value: unknown, ...keys: readonly string[]): unknown =>
  keys.reduce<unknown>(
    (inner, key) => (isJsonObject(inner) ? entryOf(inner, key) : undefined),
    value,
  );

/** Sizes are texts there, −1 where they are dynamic. */
function shapeOf(tensor: JsonObject): readonly number[] {
  // V2 cannot express an unknown rank.
  if (field(tensor, 'tensor_shape', 'unknown_rank') === true) return [-1];
  const dims = field(tensor, 'tensor_shape', 'dim');
  return Array.isArray(dims) ? dims.map((dim) => Number(field(dim, 'size') ?? -1)) : [];
}

/** Types that V2 cannot express (resources, variants) are not inputs for callers. */
function tensorsOf(named: unknown): readonly TensorSpec[] {
  return Object.entries(isJsonObject(named) ? named : {}).flatMap(([name, tensor]) => {
    const type = isJsonObject(tensor) ? tensor['dtype'] : undefined;
    const datatype = typeof type === 'string' ? entryOf(DATATYPES, type) : undefined;
    if (datatype === undefined || !isJsonObject(tensor)) return [];
    return { name, datatype, shape: shapeOf(tensor) };
  });
}

/** The answer of `GET /v1/models/{id}/metadata`. */
export function readSignature(answer: unknown, name = DEFAULT_SIGNATURE): Signature {
  const all = field(answer, 'metadata', 'signature_def', 'signature_def');
  const signature = field(all, name);
  return {
    inputs: tensorsOf(field(signature, 'inputs')),
    outputs: tensorsOf(field(signature, 'outputs')),
  };
}
