import { Refusal } from './refusal';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import { v2Answer } from './v2-answer';
import type { V2Request } from './v2-request';
import { columnsOf, rowsOf } from './v2-request';

// A V2 caller and a server that speaks V1: KServe's, or TensorFlow Serving's.

/**
 * @param named rows are objects by input name, even with a single input
 * @throws Refusal when V1 cannot express it
 */
export function v2ToV1Call(request: V2Request, named: boolean): JsonObject {
  const { parameters } = request;
  const { signature_name: signature } = parameters;
  const stray = Object.keys(parameters).find((name) => name !== 'signature_name');
  if (stray !== undefined) {
    throw new Refusal(
      'INVALID_REQUEST',
      `parameters.${stray}: the model speaks V1, which does not support it; leave it out, here may be signature_name`,
    );
  }
  const columns = columnsOf(request);
  const [only] = columns;
  const bare = columns.length === 1 && !named ? only?.rows : undefined;
  return {
    ...(signature !== undefined && { signature_name: signature }),
    instances: bare ?? rowsOf(columns),
  };
}

/** Undefined: the answer is not valid V1. @throws Refusal when V2 cannot express it */
export function v1ToV2Answer(
  answer: unknown,
  request: V2Request,
  model: string,
  version: string,
): JsonObject | undefined {
  const predictions = isJsonObject(answer) ? answer['predictions'] : undefined;
  const count = request.tensors[0]?.shape[0];
  if (!Array.isArray(predictions) || predictions.length !== count) return undefined;
  return v2Answer(request, predictions, model, version);
}
