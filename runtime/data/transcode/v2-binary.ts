import { BinaryTail, headLength, TensorFault } from '../../shared/binary';
import { textOf } from '../../shared/utf8';
import { readElements } from './elements';
import { numberOf, readLoose } from './exact-json';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';

// A V2 response with some or all tensors as bytes after its JSON.

function withData(output: unknown, tail: BinaryTail): unknown {
  if (!isJsonObject(output)) return output;
  const { parameters, datatype } = output;
  const size = isJsonObject(parameters) ? numberOf(parameters['binary_data_size']) : undefined;
  if (size === undefined) return output;
  return { ...output, data: readElements(tail.take(size), String(datatype)) };
}

/**
 * The response with all its tensors in JSON.
 * @param length the header Inference-Header-Content-Length
 * @throws TensorFault, NotUtf8, SyntaxError when it is invalid
 */
export function readBinaryAnswer(body: Buffer, length: string): JsonObject {
  const split = headLength(length, body);
  const answer = readLoose(textOf(body.subarray(0, split)));
  const outputs = isJsonObject(answer) ? answer['outputs'] : undefined;
  if (!isJsonObject(answer) || !Array.isArray(outputs)) throw new TensorFault('it has no outputs');
  const tail = new BinaryTail(body.subarray(split));
  const read = outputs.map((one) => withData(one, tail));
  tail.checkEnd();
  return { ...answer, outputs: read };
}
