import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { SuiteTensor } from './tensors';
import { bytesOf, valuesOf } from './tensors';

// ONNX Runtime itself, without the server: where it differs from the suite, the server must answer
// as it does.

type Elements = new (buffer: ArrayBuffer) => ArrayLike<unknown>;

const TYPES: Readonly<Record<string, readonly [string, Elements]>> = {
  BOOL: ['bool', Uint8Array],
  UINT8: ['uint8', Uint8Array],
  INT8: ['int8', Int8Array],
  UINT16: ['uint16', Uint16Array],
  INT16: ['int16', Int16Array],
  UINT32: ['uint32', Uint32Array],
  INT32: ['int32', Int32Array],
  FP32: ['float32', Float32Array],
  UINT64: ['uint64', BigUint64Array],
  INT64: ['int64', BigInt64Array],
  FP64: ['float64', Float64Array],
};

function fed(tensor: SuiteTensor): Tensor {
  const [type, Elements] = TYPES[tensor.datatype] ?? [];
  if (type === undefined || Elements === undefined) {
    return new Tensor('string', valuesOf(tensor) as string[], tensor.shape);
  }
  const data = new Elements(new Uint8Array(bytesOf(tensor)).buffer);
  return new Tensor(type as 'float32', data as Float32Array, tensor.shape);
}

/** Values of each output, in the order of the model. */
export async function runAlone(
  file: string,
  inputs: readonly SuiteTensor[],
): Promise<readonly (readonly unknown[])[]> {
  const session = await InferenceSession.create(file);
  const feeds = Object.fromEntries(inputs.map((tensor) => [tensor.name, fed(tensor)]));
  const outputs = await session.run(feeds);
  return session.outputNames.map((name) =>
    Array.from((outputs[name]?.data ?? []) as ArrayLike<unknown>),
  );
}
