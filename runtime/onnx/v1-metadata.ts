import type { ElementType } from './element-type';
import type { Model } from './model';
import type { Port } from './tensor';
import { entryOf } from '../../lib/spec/entry';

// What V1 tells about a model: KServe's readiness and TensorFlow Serving's version status in one
// object, for clients of either read their own part; and TensorFlow Serving's metadata.

export function modelStatus({ name, version }: Model, ready: boolean): object {
  const status = {
    version,
    state: ready ? 'AVAILABLE' : 'UNLOADING',
    status: { error_code: 'OK', error_message: '' },
  };
  return { name, ready, model_version_status: [status] };
}

/** `FP32` → `DT_FLOAT`: TensorFlow has names of its own for some types. */
function typeName({ v2 }: ElementType): string {
  const own: Readonly<Record<string, string>> = {
    FP16: 'DT_HALF',
    FP32: 'DT_FLOAT',
    FP64: 'DT_DOUBLE',
    BYTES: 'DT_STRING',
  };
  return entryOf(own, v2) ?? `DT_${v2}`;
}

/** Sizes are strings, as protobuf's JSON writes integers of 64 bits. */
const tensorInfo = ({ name, datatype, shape }: Port): object => ({
  name,
  dtype: typeName(datatype),
  tensor_shape: {
    dim: (shape ?? []).map((size) => ({ size: String(size), name: '' })),
    unknown_rank: shape === undefined,
  },
});

const byName = (ports: readonly Port[]): object =>
  Object.fromEntries(ports.map((port) => [port.name, tensorInfo(port)]));

export function signatureMetadata({ name, version, inputs, outputs }: Model): object {
  const signature = {
    inputs: byName(inputs),
    outputs: byName(outputs),
    method_name: 'tensorflow/serving/predict',
  };
  return {
    model_spec: { name, signature_name: '', version },
    metadata: { signature_def: { signature_def: { serving_default: signature } } },
  };
}
