import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { NativeOutput } from './native-format';
import { confidenceOf } from './native-format';
import { valueWithNumbers } from './tensor';

// native ↔ KServe V1 and TensorFlow Serving's REST (the row format).

export function nativeToV1(input: JsonObject, parameters: JsonObject | undefined): JsonObject {
  const signature = parameters?.['signature_name'];
  return {
    ...(signature !== undefined && { signature_name: signature }),
    instances: [valueWithNumbers(input)],
  };
}

/** The only row of `predictions`. */
export function v1ToNative(answer: unknown): NativeOutput | undefined {
  const predictions = isJsonObject(answer) ? answer['predictions'] : undefined;
  if (!Array.isArray(predictions) || predictions.length !== 1) return undefined;
  const [row] = predictions as readonly unknown[];
  const output = isJsonObject(row) ? row : { predictions: row };
  return { output, confidence: confidenceOf(output) };
}
