import type { ErrorCode } from '../../core/routing/error-codes';
import type { UpstreamRequest, CallOptions, UpstreamContext, BufferedResponse } from './call';
import { callBuffered } from './call';
import { firstNotUtf8, NotUtf8, textOf } from '../../shared/utf8';
import { Refusal } from '../transcode/refusal';
import type { Attempt } from '../dispatch/job';
import type { MetadataCache } from './metadata-cache';
import type { EncodedNativeCall } from '../transcode';
import { encodeNative, wantsMetadata } from '../transcode';
import { readLoose } from '../transcode/exact-json';
import { bounded, serverMessage } from '../transcode/body-json';
import type { LargeOutput, EncodeTarget } from '../transcode/large-task';
import type { LargeThread } from '../thread/large-thread';
import type { LargeCall } from './large-call';
import { bufferOf, itemBytes, LargeItem, largeNative } from './large-call';
import { RawBytes } from '../transcode/raw-bytes';
import { isLarge, LARGE_BYTES } from '../../shared/json-survey';
import type { NativeItem, NativeOutput } from '../transcode/native-format';
import type { ModelInputs } from '../transcode/v2';

export interface InferenceContext extends UpstreamContext {
  readonly metadata: MetadataCache;
  /** The worker thread for large bodies. */
  readonly thread: LargeThread;
}

/** A native output with the arm and version that produced it. */
export interface InferenceResult extends NativeOutput {
  readonly arm: string;
  readonly version: string;
}

/** Characters of a server's error message that are passed on. */
const MAX_MESSAGE = 500;

function codeOf(status: number): ErrorCode {
  if (status === 413) return 'PAYLOAD_TOO_LARGE';
  if (status === 429 || status === 503) return 'QUEUE_FULL';
  if (status === 504) return 'INFERENCE_TIMEOUT';
  return status >= 400 && status < 500 ? 'INVALID_REQUEST' : 'UPSTREAM_ERROR';
}

/** Retry-After in seconds; undefined when it is missing or a date. */
const secondsOf = (retryAfter: string | undefined): number | undefined =>
  /^\d{1,5}$/.test(retryAfter ?? '') ? Math.max(1, Number(retryAfter)) : undefined;

/** Maps a server's error. Its message about the caller's input is passed on unchanged. */
export function refusalOf(
  { status, body, fields }: Pick<BufferedResponse, 'status' | 'body' | 'fields'>,
  model: string,
): Refusal {
  const code = codeOf(status);
  const serverText = serverMessage(body).slice(0, MAX_MESSAGE);
  const message =
    code === 'INVALID_REQUEST' ? serverText : `model ${model} answered ${status}: ${serverText}`;
  return new Refusal(code, message, { retryAfterSeconds: secondsOf(fields.get('retry-after')) });
}

/** The text of a response. @throws Refusal when it is not UTF-8 */
export function answerText({ body }: Pick<BufferedResponse, 'body'>, model: string): string {
  try {
    return textOf(body);
  } catch (error) {
    if (error instanceof NotUtf8) throw invalidResponse(model, `it is ${error.message}`);
    throw error;
  }
}

/** @throws Refusal when a response is not UTF-8 */
export function checkUtf8({ body }: Pick<BufferedResponse, 'body'>, model: string): void {
  const offset = firstNotUtf8(body);
  if (offset === undefined) return;
  throw invalidResponse(model, `it is ${new NotUtf8(offset).message}`);
}

/** Undefined when it is not JSON. */
export function parsedText(text: string): unknown {
  try {
    return readLoose(text);
  } catch {
    return undefined;
  }
}

/** The JSON of a response; undefined when it is not JSON. */
export function parsedAnswer({ body }: Pick<BufferedResponse, 'body'>): unknown {
  return firstNotUtf8(body) === undefined ? parsedText(body.toString('utf8')) : undefined;
}

/** @param what is wrong with it, when that is known */
export function invalidResponse(model: string, what = ''): Refusal {
  const why = what === '' ? '' : ` (${what.slice(0, MAX_MESSAGE)})`;
  return new Refusal(
    'UPSTREAM_PROTOCOL_ERROR',
    `model ${model} returned an invalid response for its protocol${why}; look at its server's log`,
  );
}

/** Calls `put` with the arm's input metadata where transcoding needs it. */
export function withMetadata<T>(
  { metadata }: InferenceContext,
  { model, signal }: CallOptions,
  attempt: Attempt,
  put: (modelInputs: ModelInputs | undefined) => T | Promise<T>,
): T | Promise<T> {
  if (!wantsMetadata(attempt.arm)) return put(undefined);
  const modelInputs = metadata.get(model.id, attempt, signal);
  return modelInputs instanceof Promise ? modelInputs.then(put) : put(modelInputs);
}

/** A request for one arm, and what its response is read with. */
interface LargeNativeRequest extends UpstreamRequest {
  readonly to: EncodeTarget;
}

interface NativeRequest extends LargeNativeRequest {
  readonly encoded: EncodedNativeCall;
}

/** Runs one item on any server, in the server's protocol. @throws Refusal, CallerGone */
export async function infer(
  context: InferenceContext,
  base: CallOptions,
  item: NativeItem | LargeItem,
): Promise<InferenceResult> {
  if (item instanceof LargeItem) return inferLarge(context, base, item.call);
  const { id } = base.model;
  const { headers } = base;
  const put = ({ arm }: Attempt, modelInputs: ModelInputs | undefined): NativeRequest => {
    const encoded = bounded(() => encodeNative(arm, id, item, modelInputs));
    const { target, body } = encoded;
    const to = { arm, modelInputs };
    return { method: 'POST', target, body: Buffer.from(body), headers, to, encoded };
  };
  const { reply, request } = await callBuffered(context, base, (attempt) =>
    withMetadata(context, base, attempt, (modelInputs) => put(attempt, modelInputs)),
  );
  const { to, encoded } = request;
  if (reply.status >= 300) throw refusalOf(reply, id);
  const text = reply.body.length > LARGE_BYTES ? undefined : answerText(reply, id);
  const spliced = text === undefined ? undefined : encoded.splice(text);
  if (spliced === undefined && isLarge(reply.body)) {
    const { maxBatchSize } = base.model.inference;
    const call = largeNative(context.thread, { id, maxBatchSize }, itemBytes(item));
    return readLargeResult(base, call, to, reply);
  }
  const output = spliced ?? (text === undefined ? undefined : encoded.read(text));
  if (output === undefined) throw invalidResponse(id);
  const { output: value, confidence } = output;
  return { output: value, confidence, arm: reply.arm.name, version: reply.replica.version };
}

/** Decodes a large response in the worker thread. @throws Refusal */
export async function readLargeResult(
  { model, held }: CallOptions,
  call: LargeCall,
  to: EncodeTarget,
  reply: BufferedResponse,
): Promise<InferenceResult> {
  const { version } = reply.replica;
  checkUtf8(reply, model.id);
  const output = await call.read(to, reply.body, version, held);
  if (output === undefined) throw invalidResponse(model.id);
  return { ...outputOf(output), arm: reply.arm.name, version };
}

/** `RawBytes` carries the confidence as JSON, so the field itself is null. */
export const outputOf = ({ bytes, confidence }: LargeOutput): NativeOutput => ({
  output: new RawBytes(bufferOf(bytes), bufferOf(confidence)),
  confidence: null,
});

async function inferLarge(
  context: InferenceContext,
  base: CallOptions,
  call: LargeCall,
): Promise<InferenceResult> {
  const { headers } = base;
  const put = async (
    { arm }: Attempt,
    modelInputs: ModelInputs | undefined,
  ): Promise<LargeNativeRequest> => {
    const to = { arm, modelInputs };
    const { target, body } = await call.encode(to, base.held);
    return { method: 'POST', target, body, headers, to };
  };
  const { reply, request } = await callBuffered(context, base, (attempt) =>
    withMetadata(context, base, attempt, (modelInputs) => put(attempt, modelInputs)),
  );
  if (reply.status >= 300) throw refusalOf(reply, base.model.id);
  return readLargeResult(base, call, request.to, reply);
}
