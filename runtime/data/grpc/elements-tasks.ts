import { HEAD_LENGTH, TensorFault } from '../../shared/binary';
import { BodyTooLarge } from '../../shared/body';
import { NotUtf8, textOf } from '../../shared/utf8';
import type { ArmRoute } from '../../core/routing/table';
import { datatypeOf } from '../transcode/datatypes';
import { bounded } from '../transcode/body-json';
import type { CalledModel, EncodedRequest } from '../transcode/transcoder';
import { v2Transcoder } from '../transcode/transcoder';
import type { ModelInputs } from '../transcode/v2';
import type { InferResponse } from './infer-response';
import { readInferResponse } from './infer-response';
import type { ModelInferRequest, ModelReference } from './messages';
import { readModelInferRequest, writeModelInferResponse } from './messages';
import type { RawInputTensor } from './v2-json';
import { v2RequestOf, toRefusal, neutralRequestOf, tensorsOf } from './v2-json';

// Work on each element of large tensors, as tasks that can be posted to a thread.

/** A `ModelInferRequest`. */
export interface ElementsSource {
  readonly message: Uint8Array;
  /** Bytes of all its tensors. */
  readonly limit: number;
}

/** The arm that a call is transcoded for. */
export interface TranscodeTarget {
  readonly called: CalledModel;
  readonly arm: ArmRoute;
  readonly known: ModelInputs | undefined;
}

export interface ElementsAnswer {
  readonly answer: Uint8Array;
  /** By its header: bytes of JSON before the tensors. */
  readonly headLength: string | undefined;
  readonly own: ModelReference;
  /** The caller gets raw tensors. */
  readonly isRaw: boolean;
  /** The arm the call was transcoded for; absent: the server speaks V2. */
  readonly to: TranscodeTarget | undefined;
}

export type ElementsTask =
  | ({ readonly op: 'grpc tensors' } & ElementsSource)
  | ({ readonly op: 'grpc json'; readonly target: string } & ElementsSource)
  | ({ readonly op: 'grpc encode'; readonly to: TranscodeTarget } & ElementsSource)
  | ({ readonly op: 'grpc decode' } & ElementsSource & ElementsAnswer);

/** Why a response is invalid. */
export interface ElementsFault {
  readonly fault: string;
}

export interface ElementsOutcomes {
  /** The elements of each input; undefined when they are more than the limit. */
  readonly 'grpc tensors': readonly Uint8Array[] | undefined;
  readonly 'grpc json': Uint8Array;
  readonly 'grpc encode': { readonly target: string; readonly body: Uint8Array };
  /** The response message; undefined: the response is invalid for its protocol. */
  readonly 'grpc decode': Uint8Array | ElementsFault | undefined;
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

/** In memory of its own, so that it can be moved. */
function ownMemory(bytes: Buffer): Uint8Array {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}

/** @throws Refusal when the server's protocol cannot say it */
export const transcode = (
  { called, arm, known }: TranscodeTarget,
  request: ModelInferRequest,
  tensors: readonly RawInputTensor[],
): EncodedRequest =>
  bounded(() => v2Transcoder(called, neutralRequestOf(request, tensors)).encode(arm, known));

/** Undefined: invalid for its protocol. @throws TensorFault, SyntaxError, NotUtf8 */
export function parseResponse(
  encoded: EncodedRequest | undefined,
  answer: Buffer,
  headLength: string | undefined,
  version: string,
): InferResponse | undefined {
  const get = (name: string): string | undefined => (name === HEAD_LENGTH ? headLength : undefined);
  if (encoded === undefined) return readInferResponse({ get }, answer);
  const body = encoded.read(textOf(answer), version);
  return body === undefined
    ? undefined
    : readInferResponse({ get: () => undefined }, Buffer.from(body));
}

/** The caller's message. An output that has no typed form makes all of them raw. */
export function responseMessage(
  own: ModelReference,
  answer: InferResponse,
  isRaw: boolean,
): Buffer {
  const isHalf = answer.outputs.some(({ datatype }) => datatypeOf(datatype).kind === 'half');
  return writeModelInferResponse(own, answer, isRaw || isHalf);
}

/** The fault of a response; undefined: the error is internal. */
export function responseFault(error: unknown): string | undefined {
  const isTheirs = [TensorFault, SyntaxError, NotUtf8].some((kind) => error instanceof kind);
  return isTheirs && error instanceof Error ? error.message : undefined;
}

interface ReadCall {
  readonly request: ModelInferRequest;
  readonly tensors: readonly RawInputTensor[];
}

function readCall({ message, limit }: ElementsSource): ReadCall {
  try {
    const request = readModelInferRequest(bufferOf(message));
    return { request, tensors: tensorsOf(request, limit) };
  } catch (error) {
    throw toRefusal(error);
  }
}

function elementsIn(source: ElementsSource): readonly Uint8Array[] | undefined {
  try {
    return readCall(source).tensors.map(({ raw }) => ownMemory(raw));
  } catch (error) {
    if (error instanceof BodyTooLarge) return undefined;
    throw error;
  }
}

function decodeResponse(task: ElementsSource & ElementsAnswer): ElementsOutcomes['grpc decode'] {
  const { to, headLength, own, isRaw } = task;
  const call = to === undefined ? undefined : readCall(task);
  const encoded = to && call && transcode(to, call.request, call.tensors);
  try {
    const answer = parseResponse(encoded, bufferOf(task.answer), headLength, own.version);
    return answer === undefined ? undefined : ownMemory(responseMessage(own, answer, isRaw));
  } catch (error) {
    const fault = responseFault(error);
    if (fault === undefined) throw error;
    return { fault };
  }
}

/** @throws Refusal */
export function performElements(task: ElementsTask): ElementsOutcomes[ElementsTask['op']] {
  if (task.op === 'grpc decode') return decodeResponse(task);
  if (task.op === 'grpc tensors') return elementsIn(task);
  const call = readCall(task);
  if (task.op === 'grpc json') {
    return ownMemory(
      v2RequestOf(task.target, call.request, call.tensors, false).body ?? Buffer.alloc(0),
    );
  }
  const { target, body } = transcode(task.to, call.request, call.tensors);
  return { target, body: ownMemory(Buffer.from(body)) };
}
