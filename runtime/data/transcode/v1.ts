import type { Plain } from './body-json';
import { isPlain } from './body-json';
import type { NativeOutput } from './native';
import { confidenceOf } from './native';
import { valueWithNumbers } from './tensor';

// native ↔ KServe V1 and TensorFlow Serving's REST (the row format).

export function nativeToV1(input: Plain, parameters: Plain | undefined): Plain {
  const signature = parameters?.['signature_name'];
  return {
    ...(signature !== undefined && { signature_name: signature }),
    instances: [valueWithNumbers(input)],
  };
}

/** The only row of `predictions`. */
export function v1ToNative(answer: unknown): NativeOutput | undefined {
  const predictions = isPlain(answer) ? answer['predictions'] : undefined;
  if (!Array.isArray(predictions) || predictions.length !== 1) return undefined;
  const [row] = predictions as readonly unknown[];
  const output = isPlain(row) ? row : { predictions: row };
  return { output, confidence: confidenceOf(output) };
}
