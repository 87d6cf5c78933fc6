import { HEAD_LENGTH, TensorFault } from '../../shared/binary';
import { BodyTooLarge } from '../../shared/body';
import { NotUtf8, textOf } from '../../shared/utf8';
import type { ArmRoute } from '../../core/routing/table';
import { datatypeOf } from '../transcode/datatypes';
import { bounded } from '../transcode/body-json';
import type { CalledModel, EncodedRequest } from '../transcode/transcoder';
import { v2Transcoder } from '../transcode/transcoder';
import type { ModelInputs } from '../transcode/v2';
import type { Answer } from './infer-response';
import { readAnswer } from './infer-response';
import type { InferRequest, Named } from './messages';
import { readInfer, writeInfer } from './messages';
import type { Tensor } from './v2-json';
import { askV2, invalid, requestOf, tensorsOf } from './v2-json';

// What is done with each element of a large tensor, as tasks whose parts can go from thread to thread.

/** A `ModelInferRequest`. */
export interface ElementsSource {
  readonly message: Uint8Array;
  /** Bytes of all its tensors. */
  readonly limit: number;
}

/** Whom a call is put to that is told in other words. */
export interface SaidTo {
  readonly called: CalledModel;
  readonly arm: ArmRoute;
  readonly known: ModelInputs | undefined;
}

export interface ElementsAnswer {
  readonly answer: Uint8Array;
  /** By its header: bytes of JSON before the tensors. */
  readonly headLength: string | undefined;
  readonly own: Named;
  /** The caller gets raw tensors. */
  readonly isRaw: boolean;
  /** Whom it was asked in other words; absent: the server speaks V2. */
  readonly to: SaidTo | undefined;
}

export type ElementsTask =
  | ({ readonly op: 'grpc tensors' } & ElementsSource)
  | ({ readonly op: 'grpc json'; readonly target: string } & ElementsSource)
  | ({ readonly op: 'grpc say'; readonly to: SaidTo } & ElementsSource)
  | ({ readonly op: 'grpc tell' } & ElementsSource & ElementsAnswer);

/** Why an answer is none. */
export interface ElementsFault {
  readonly fault: string;
}

export interface ElementsOutcomes {
  /** The elements of each input; undefined when they are more than the limit. */
  readonly 'grpc tensors': readonly Uint8Array[] | undefined;
  readonly 'grpc json': Uint8Array;
  readonly 'grpc say': { readonly target: string; readonly body: Uint8Array };
  /** The caller's message; undefined when the answer is not what its protocol says. */
  readonly 'grpc tell': Uint8Array | ElementsFault | undefined;
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

/** In memory of its own, so that it can be moved. */
function apart(bytes: Buffer): Uint8Array {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}

/** @throws Refusal when the server's protocol cannot say it */
export const saidTo = (
  { called, arm, known }: SaidTo,
  request: InferRequest,
  tensors: readonly Tensor[],
): EncodedRequest =>
  bounded(() => v2Transcoder(called, requestOf(request, tensors)).say(arm, known));

/** Undefined when it is not what its protocol says. @throws TensorFault, SyntaxError, NotUtf8 */
export function answerIn(
  said: EncodedRequest | undefined,
  answer: Buffer,
  headLength: string | undefined,
  version: string,
): Answer | undefined {
  const get = (name: string): string | undefined => (name === HEAD_LENGTH ? headLength : undefined);
  if (said === undefined) return readAnswer({ get }, answer);
  const told = said.read(textOf(answer), version);
  return told === undefined ? undefined : readAnswer({ get: () => undefined }, Buffer.from(told));
}

/** The caller's message. An output that has no typed form makes all of them raw. */
export function messageOf(own: Named, answer: Answer, isRaw: boolean): Buffer {
  const isHalf = answer.outputs.some(({ datatype }) => datatypeOf(datatype).kind === 'half');
  return writeInfer(own, answer, isRaw || isHalf);
}

/** What is wrong with an answer; undefined: the error is one of ours. */
export function faultIn(error: unknown): string | undefined {
  const isTheirs = [TensorFault, SyntaxError, NotUtf8].some((kind) => error instanceof kind);
  return isTheirs && error instanceof Error ? error.message : undefined;
}

interface ReadCall {
  readonly request: InferRequest;
  readonly tensors: readonly Tensor[];
}

function readCall({ message, limit }: ElementsSource): ReadCall {
  try {
    const request = readInfer(bufferOf(message));
    return { request, tensors: tensorsOf(request, limit) };
  } catch (error) {
    throw invalid(error);
  }
}

function elementsIn(source: ElementsSource): readonly Uint8Array[] | undefined {
  try {
    return readCall(source).tensors.map(({ raw }) => apart(raw));
  } catch (error) {
    if (error instanceof BodyTooLarge) return undefined;
    throw error;
  }
}

function tell(task: ElementsSource & ElementsAnswer): ElementsOutcomes['grpc tell'] {
  const { to, headLength, own, isRaw } = task;
  const call = to === undefined ? undefined : readCall(task);
  const said = to && call && saidTo(to, call.request, call.tensors);
  try {
    const answer = answerIn(said, bufferOf(task.answer), headLength, own.version);
    return answer === undefined ? undefined : apart(messageOf(own, answer, isRaw));
  } catch (error) {
    const fault = faultIn(error);
    if (fault === undefined) throw error;
    return { fault };
  }
}

/** @throws Refusal */
export function performElements(task: ElementsTask): ElementsOutcomes[ElementsTask['op']] {
  if (task.op === 'grpc tell') return tell(task);
  if (task.op === 'grpc tensors') return elementsIn(task);
  const call = readCall(task);
  if (task.op === 'grpc json') {
    return apart(askV2(task.target, call.request, call.tensors, false).body ?? Buffer.alloc(0));
  }
  const { target, body } = saidTo(task.to, call.request, call.tensors);
  return { target, body: apart(Buffer.from(body)) };
}
