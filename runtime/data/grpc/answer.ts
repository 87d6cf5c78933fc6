import type { Fields } from '../http/fields';
import { numberOf, readLoose } from '../protocols/exact';
import type { Plain } from '../protocols/json';
import { isPlain } from '../protocols/json';
import { checkCount, checkRaw, datatypeOf, TensorFault } from './datatypes';
import { rawOfJson } from './elements';

// What a V2 server answered, in JSON or with binary tensors behind it.

export interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: unknown;
  readonly raw: Buffer;
}

export interface Answer {
  readonly id: string;
  readonly parameters: unknown;
  readonly outputs: readonly Output[];
}

/** Says how many bytes of a body are JSON; binary tensors follow. */
export const HEADER_LENGTH = 'inference-header-content-length';

/** Where the JSON ends. */
function splitAt(fields: Pick<Fields, 'get'>, body: Buffer): number {
  const given = fields.get(HEADER_LENGTH);
  if (given === undefined) return body.length;
  const length = Number(given);
  if (/^\d{1,15}$/.test(given) && length <= body.length) return length;
  throw new TensorFault(`${HEADER_LENGTH} is no length within the body`);
}

/** The binary part; each output takes its bytes in turn. */
class Tail {
  private at = 0;
  constructor(private readonly bytes: Buffer) {}

  take(size: number): Buffer {
    const from = this.at;
    if (!Number.isInteger(size) || size < 0 || size > this.bytes.length - from) {
      throw new TensorFault(`binary_data_size is ${size}, which is not there`);
    }
    this.at += size;
    return this.bytes.subarray(from, this.at);
  }
}

function shapeOf(value: unknown): readonly number[] {
  const sizes = Array.isArray(value) ? value.map(numberOf) : [undefined];
  if (sizes.every((size) => size !== undefined)) return sizes;
  throw new TensorFault('shape is no list of numbers');
}

function rawOf(output: Plain, datatypeName: string, shape: readonly number[], tail: Tail): Buffer {
  const { parameters, data } = output;
  const datatype = datatypeOf(datatypeName);
  const size = isPlain(parameters) ? numberOf(parameters['binary_data_size']) : undefined;
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

function outputOf(value: unknown, tail: Tail): Output {
  const { name, datatype, shape: sizes, parameters } = isPlain(value) ? value : {};
  if (!isPlain(value) || typeof name !== 'string') throw new TensorFault('an output has no name');
  try {
    const shape = shapeOf(sizes);
    const raw = rawOf(value, String(datatype), shape, tail);
    return { name, datatype: String(datatype), shape, parameters, raw };
  } catch (error) {
    if (error instanceof TensorFault) throw new TensorFault(`output ${name}: ${error.message}`);
    throw error;
  }
}

/** @throws TensorFault, SyntaxError when it is no answer of V2 */
export function readAnswer(fields: Pick<Fields, 'get'>, body: Buffer): Answer {
  const split = splitAt(fields, body);
  const answer = readLoose(body.toString('utf8', 0, split));
  const outputs = isPlain(answer) ? answer['outputs'] : undefined;
  if (!isPlain(answer) || !Array.isArray(outputs)) throw new TensorFault('it has no outputs');
  const { id, parameters } = answer;
  const tail = new Tail(body.subarray(split));
  return {
    id: typeof id === 'string' ? id : '',
    parameters,
    outputs: outputs.map((one) => outputOf(one, tail)),
  };
}
