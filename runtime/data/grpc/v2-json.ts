import { HEAD_LENGTH, TensorFault } from '../../shared/binary';
import { BodyTooLarge } from '../../shared/body';
import type { UpstreamRequest } from '../upstream/call';
import { Refusal } from '../transcode/refusal';
import { JSON_TYPE } from '../upstream/headers';
import { checkCount, checkRaw, datatypeOf } from '../transcode/datatypes';
import { writeJson } from '../transcode/exact-json';
import type { JsonObject } from '../transcode/body-json';
import type { V2Request } from '../transcode/v2-request';
import { rawV2 } from '../transcode/v2-request';
import { rawOf } from './contents';
import { jsonOf } from './element-codec';
import type { ModelInferRequest, InferInputTensor, InferRequestedOutput } from './messages';
import type { Parameters } from './parameters';
import { WireFault } from './protobuf';

// A call in the words of V2, for servers that speak it over HTTP and for those that speak something
// else.

/** An input with its elements. */
export interface RawInputTensor extends InferInputTensor {
  readonly raw: Buffer;
}

/** Turns a fault in the caller's message into a refusal. */
export function toRefusal(error: unknown, where = ''): unknown {
  if (!(error instanceof TensorFault) && !(error instanceof WireFault)) return error;
  const what = error instanceof WireFault ? 'the message is not valid in the protocol: ' : '';
  return new Refusal('INVALID_REQUEST', `${where}${what}${error.message}`);
}

function rawTensor(
  input: InferInputTensor,
  given: Buffer | undefined,
  limit: number,
): RawInputTensor {
  const datatype = datatypeOf(input.datatype);
  const { contents, shape } = input;
  if (given !== undefined) {
    if (contents !== undefined && contents.length > 0) {
      throw new TensorFault('has contents beside raw_input_contents; send one of the two');
    }
    checkRaw(datatype, shape, given);
    return { ...input, raw: given };
  }
  if (contents === undefined && datatype.kind === 'half') {
    throw new TensorFault(`${input.datatype} belongs in raw_input_contents only`);
  }
  const raw = rawOf(datatype, contents ?? Buffer.alloc(0), limit);
  if (raw === undefined) throw new BodyTooLarge(limit);
  if (datatype.kind === 'bytes') checkRaw(datatype, shape, raw);
  else checkCount(shape, raw.length / datatype.bytes);
  return { ...input, raw };
}

/**
 * The inputs with their elements, whichever form they came in.
 * @param limit bytes of all of them
 * @throws Refusal, BodyTooLarge
 */
export function tensorsOf(
  { inputs, raw }: ModelInferRequest,
  limit: number,
): readonly RawInputTensor[] {
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw new Refusal(
      'INVALID_REQUEST',
      `raw_input_contents: got ${raw.length}, must be one for each of the ${inputs.length} inputs`,
    );
  }
  let left = limit;
  return inputs.map((input, index) => {
    try {
      const tensor = rawTensor(input, raw[index], left);
      left -= tensor.raw.length;
      if (left < 0) throw new BodyTooLarge(limit);
      return tensor;
    } catch (error) {
      throw error instanceof BodyTooLarge
        ? new BodyTooLarge(limit)
        : toRefusal(error, `input ${input.name}: `);
    }
  });
}

const plain = (parameters: Parameters): JsonObject => Object.fromEntries(parameters);

const withParameters = (parameters: object): object =>
  Object.keys(parameters).length > 0 ? { parameters } : {};

function headOf({ name, shape, datatype, parameters }: InferInputTensor, more: object): string {
  return writeJson({
    name,
    shape,
    datatype,
    ...withParameters({ ...plain(parameters), ...more }),
  });
}

function inputText(tensor: RawInputTensor): string {
  try {
    const data = jsonOf(datatypeOf(tensor.datatype), tensor.raw);
    return `${headOf(tensor, {}).slice(0, -1)},"data":${data}}`;
  } catch (error) {
    throw toRefusal(error, `input ${tensor.name}: `);
  }
}

const binaryText = (tensor: RawInputTensor): string =>
  headOf(tensor, { binary_data_size: tensor.raw.length });

function outputText({ name, parameters }: InferRequestedOutput, isBinary: boolean): string {
  const own = plain(parameters);
  return writeJson({ name, ...withParameters({ ...own, ...(isBinary && { binary_data: true }) }) });
}

function jsonBody(
  call: ModelInferRequest,
  tensors: readonly RawInputTensor[],
  isBinary: boolean,
): string {
  const { id, outputs } = call;
  const all = isBinary && outputs.length === 0 ? { binary_data_output: true } : {};
  const parameters = withParameters({ ...plain(call.parameters), ...all });
  const head = writeJson({ ...(id !== '' && { id }), ...parameters }).slice(1, -1);
  const inputs = tensors.map((tensor) => (isBinary ? binaryText(tensor) : inputText(tensor)));
  const wanted = outputs.map((output) => outputText(output, isBinary));
  const parts = [
    ...(head === '' ? [] : [head]),
    `"inputs":[${inputs.join(',')}]`,
    ...(wanted.length === 0 ? [] : [`"outputs":[${wanted.join(',')}]`]),
  ];
  return `{${parts.join(',')}}`;
}

/**
 * The call for a V2 server, without the caller's headers.
 * @param isBinary the server takes and gives binary tensors; JSON otherwise
 * @throws Refusal when JSON cannot say it
 */
export function v2RequestOf(
  target: string,
  call: ModelInferRequest,
  tensors: readonly RawInputTensor[],
  isBinary: boolean,
): UpstreamRequest {
  const head = Buffer.from(jsonBody(call, tensors, isBinary));
  if (!isBinary) return { method: 'POST', target, body: head, headers: JSON_TYPE };
  const body = Buffer.concat([head, ...tensors.map(({ raw }) => raw)]);
  const type = 'content-type: application/octet-stream\r\n';
  return { method: 'POST', target, body, headers: `${type}${HEAD_LENGTH}: ${head.length}\r\n` };
}

/** The protocol-neutral request, to be transcoded for another server. @throws Refusal */
export function neutralRequestOf(
  call: ModelInferRequest,
  tensors: readonly RawInputTensor[],
): V2Request {
  const outputs = call.outputs.map(({ name, parameters }) => ({
    name,
    parameters: plain(parameters),
  }));
  const head = { id: call.id || undefined, parameters: plain(call.parameters), outputs };
  const inputs = tensors.map(({ name, datatype, shape, raw, parameters }) => {
    return { name, datatype, shape, raw, parameters: plain(parameters) };
  });
  return rawV2(head, inputs);
}
