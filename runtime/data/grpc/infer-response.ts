import { BinaryTail, HEAD_LENGTH, headLength, naming, TensorFault } from '../../shared/binary';
import { textOf } from '../../shared/utf8';
import type { Fields } from '../http/fields';
import { numberOf, readLoose } from '../transcode/exact-json';
import type { JsonObject } from '../transcode/body-json';
import { isJsonObject } from '../transcode/body-json';
import { checkCount, checkRaw, datatypeOf } from '../transcode/datatypes';
import { rawOfJson } from './element-codec';

// Responses of V2 servers, in JSON or with binary tensors behind it.

export interface InferOutputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: unknown;
  readonly raw: Buffer;
}

export interface InferResponse {
  readonly id: string;
  readonly parameters: unknown;
  readonly outputs: readonly InferOutputTensor[];
}

function shapeOf(value: unknown): readonly number[] {
  const sizes = Array.isArray(value) ? value.map(numberOf) : [undefined];
  if (sizes.every((size) => size !== undefined)) return sizes;
  throw new TensorFault('shape is not a list of numbers');
}

function rawOf(
  output: JsonObject,
  datatypeName: string,
  shape: readonly number[],
  tail: BinaryTail,
): Buffer {
  const { parameters, data } = output;
  const datatype = datatypeOf(datatypeName);
  const size = isJsonObject(parameters) ? numberOf(parameters['binary_data_size']) : undefined;
  if (size !== undefined) {
    const raw = tail.take(size);
    checkRaw(datatype, shape, raw);
    return raw;
  }
  if (!Array.isArray(data)) throw new TensorFault('it has no data');
  const flat = data.some(Array.isArray) ? data.flat(Infinity) : data;
  checkCount(shape, flat.length);
  return rawOfJson(datatype, flat);
}

function outputOf(value: unknown, tail: BinaryTail): InferOutputTensor {
  const { name, datatype, shape: sizes, parameters } = isJsonObject(value) ? value : {};
  if (!isJsonObject(value) || typeof name !== 'string')
    throw new TensorFault('an output has no name');
  return naming(`output ${name}`, () => {
    const shape = shapeOf(sizes);
    const raw = rawOf(value, String(datatype), shape, tail);
    return { name, datatype: String(datatype), shape, parameters, raw };
  });
}

/** @throws TensorFault, SyntaxError when it is not a V2 response */
export function readInferResponse(fields: Pick<Fields, 'get'>, body: Buffer): InferResponse {
  const split = headLength(fields.get(HEAD_LENGTH), body);
  const answer = readLoose(textOf(body.subarray(0, split)));
  const outputs = isJsonObject(answer) ? answer['outputs'] : undefined;
  if (!isJsonObject(answer) || !Array.isArray(outputs)) throw new TensorFault('it has no outputs');
  const { id, parameters } = answer;
  const tail = new BinaryTail(body.subarray(split));
  return {
    id: typeof id === 'string' ? id : '',
    parameters,
    outputs: outputs.map((one) => outputOf(one, tail)),
  };
}
