import { HEAD_LENGTH, TensorFault } from '../../shared/binary';
import { BodyTooLarge } from '../../shared/body';
import { isLarge, LARGE_BYTES } from '../../shared/json-survey';
import type { ModelRoute } from '../../core/routing/table';
import type { UpstreamRequest, CallOptions, BufferedResponse } from '../upstream/call';
import { callBuffered } from '../upstream/call';
import { modelOf, requestedTarget } from '../routing/target';
import { Refusal } from '../transcode/refusal';
import { targetOf } from '../upstream/relay';
import type { ProxiedRoute } from '../upstream/relay';
import type { Origin } from '../upstream/headers';
import { JSON_TYPE, withoutHeaders } from '../upstream/headers';
import type { InferenceContext } from '../upstream/infer';
import { withMetadata, invalidResponse, refusalOf } from '../upstream/infer';
import { bufferOf } from '../upstream/large-call';
import { notOffered, supports, canTranscode, armSupport } from '../routing/supported-calls';
import { readElements } from '../transcode/elements';
import type { EncodedRequest } from '../transcode/transcoder';
import { v2ToNative } from '../transcode/v2';
import type { Plane } from '../handlers/request';
import { authenticated, callOptions } from '../handlers/request';
import type { InferResponse } from './infer-response';
import type { GrpcCall } from './grpc-call';
import type { ElementsSource, TranscodeTarget } from './elements-tasks';
import { parseResponse, responseFault, responseMessage, transcode } from './elements-tasks';
import type { Extensions } from './extensions';
import type { ModelInferRequest, ModelReference } from './messages';
import { readModelInferRequest, readModelReference } from './messages';
import type { RawInputTensor } from './v2-json';
import { v2RequestOf, toRefusal, tensorsOf } from './v2-json';

// ModelInfer: the steps of an HTTP call, with other messages around them.

export interface InferContext {
  readonly plane: Plane;
  readonly extensions: Extensions;
}

/** A response message and the arm that produced it. */
export interface GrpcResponse {
  readonly message: Buffer;
  readonly origin?: Origin;
}

/** Decodes a message. @throws Refusal when it is invalid */
export function parseMessage<T>(message: Buffer, reader: (message: Buffer) => T): T {
  try {
    return reader(message);
  } catch (error) {
    throw toRefusal(error);
  }
}

export function routeOf({ name, version }: ModelReference, call: 'infer' | 'metadata') {
  return { kind: 'v2', model: name, version: version || undefined, call } as const;
}

/** Authorizes the caller for the model and for the arm it names. @throws Refusal */
export function authorizedTarget(
  plane: Plane,
  { exchange }: GrpcCall,
  { name, version }: ModelReference,
) {
  const caller = authenticated(plane, exchange, name);
  const model = modelOf(plane.table, name);
  return { caller, model, ...requestedTarget(exchange, model, caller, version || undefined) };
}

type AuthorizedTarget = Omit<ReturnType<typeof authorizedTarget>, 'caller'>;

/** The caller's deadline shortens the model's own. */
export function baseFor(plane: Plane, call: GrpcCall, { model, arm, version }: AuthorizedTarget) {
  const base = callOptions(plane, call, model, { arm, version }, true);
  const left = Math.max(1, call.deadline - plane.clock.now());
  // The content type depends on the server's protocol.
  const headers = withoutHeaders(base.headers, (name) => name === 'content-type');
  return { ...base, headers, timeoutMs: Math.min(base.timeoutMs, left) };
}

interface PreparedInfer {
  readonly route: Extract<ProxiedRoute, { kind: 'v2' }>;
  readonly request: ModelInferRequest;
  readonly tensors: readonly RawInputTensor[];
  readonly source: ElementsSource;
  /** It has many elements: the thread converts them. */
  readonly isLarge: boolean;
}

/**
 * The call for a server that speaks V2.
 * @param isBinary undefined: unknown; every server takes JSON
 */
async function v2CallFor(
  { thread }: InferenceContext,
  model: ModelRoute,
  prepared: PreparedInfer,
  isBinary?: boolean,
): Promise<UpstreamRequest> {
  const { route, request, tensors, source } = prepared;
  const target = targetOf(route, '');
  try {
    if (!prepared.isLarge || isBinary === true) {
      return v2RequestOf(target, request, tensors, isBinary ?? false);
    }
    const body = await thread.run({ op: 'grpc json', target, ...source });
    return { method: 'POST', target, body: bufferOf(body), headers: JSON_TYPE };
  } catch (error) {
    if (isBinary !== undefined) throw error;
    // The server may take binary tensors: that this is unknown is not the caller's fault.
    throw new Refusal(
      'UPSTREAM_ERROR',
      `model ${model.id} could not be asked whether it takes binary tensors; try again`,
    );
  }
}

/** The call for a server that does not speak V2, transcoded. */
async function transcodedCallFor(
  { thread }: InferenceContext,
  prepared: PreparedInfer,
  to: TranscodeTarget,
): Promise<TranscodedCall> {
  const { route, request, tensors, source } = prepared;
  if (!canTranscode(to.arm, route)) throw notOffered(to.called.id, to.arm, route);
  if (prepared.isLarge) {
    const arm = { ...to.arm, replicas: [] };
    const { target, body } = await thread.run({ op: 'grpc encode', to: { ...to, arm }, ...source });
    return { to, call: { method: 'POST', target, body: bufferOf(body), headers: JSON_TYPE } };
  }
  const encoded = transcode(to, request, tensors);
  const body = Buffer.from(encoded.body);
  return {
    to,
    encoded,
    call: { method: 'POST', target: encoded.target, body, headers: JSON_TYPE },
  };
}

/** A call encoded for a server that does not speak V2. */
interface TranscodedCall {
  readonly to: TranscodeTarget;
  /** Absent where the thread has it. */
  readonly encoded?: EncodedRequest;
  readonly call: UpstreamRequest;
}

interface GrpcRequest extends UpstreamRequest {
  readonly transcoded: TranscodedCall | undefined;
}

interface InferResult {
  /** Absent where it was large. */
  readonly answer: InferResponse | undefined;
  readonly message: Buffer;
  readonly origin: Origin;
}

/** Must each of many elements be converted? Not for binary tensors that stay binary. */
function isLargeAnswer({ body, fields }: BufferedResponse, isRaw: boolean): boolean {
  const isMoved = isRaw && fields.get(HEAD_LENGTH) !== undefined;
  return !isMoved && isLarge(body);
}

/** The caller's message, made in the thread. @throws Refusal */
async function largeResponseMessage(
  { thread }: InferenceContext,
  prepared: PreparedInfer,
  transcoded: TranscodedCall | undefined,
  reply: BufferedResponse,
  own: ModelReference,
): Promise<Buffer> {
  const to = transcoded && { ...transcoded.to, arm: { ...transcoded.to.arm, replicas: [] } };
  const decoded = await thread.run({
    op: 'grpc decode',
    answer: reply.body,
    headLength: reply.fields.get(HEAD_LENGTH),
    own,
    isRaw: prepared.request.raw.length > 0,
    to,
    ...prepared.source,
  });
  if (decoded instanceof Uint8Array) return bufferOf(decoded);
  throw invalidResponse(own.name, decoded?.fault);
}

async function resultOf(
  plane: Plane,
  base: CallOptions,
  prepared: PreparedInfer,
  transcoded: TranscodedCall | undefined,
  reply: BufferedResponse,
): Promise<InferResult> {
  const { id } = base.model;
  if (reply.status >= 300) throw refusalOf(reply, id);
  const origin = { arm: reply.arm.name, version: reply.replica.version };
  const own = { name: id, version: origin.version };
  const isRaw = prepared.request.raw.length > 0;
  if (
    isLargeAnswer(reply, isRaw) ||
    (transcoded !== undefined && transcoded.encoded === undefined)
  ) {
    const message = await largeResponseMessage(plane.inferring, prepared, transcoded, reply, own);
    base.held?.take(message.length);
    return { answer: undefined, message, origin };
  }
  try {
    const length = reply.fields.get(HEAD_LENGTH);
    const answer = parseResponse(transcoded?.encoded, reply.body, length, own.version);
    if (answer !== undefined)
      return { answer, message: responseMessage(own, answer, isRaw), origin };
  } catch (error) {
    const fault = responseFault(error);
    throw fault === undefined ? error : invalidResponse(id, fault);
  }
  throw invalidResponse(id);
}

async function infer(
  { plane, extensions }: InferContext,
  base: CallOptions,
  prepared: PreparedInfer,
): Promise<InferResult> {
  const { model, signal } = base;
  const { inferring } = plane;
  const complete = (call: UpstreamRequest, transcoded?: TranscodedCall): GrpcRequest => {
    return { ...call, headers: base.headers + call.headers, transcoded };
  };
  const { reply, request } = await callBuffered(inferring, base, (attempt) => {
    const { arm } = attempt;
    if (!supports(arm, prepared.route)) {
      return withMetadata(inferring, base, attempt, async (known) => {
        const called = { id: model.id, maxBatchSize: model.inference.maxBatchSize };
        const transcoded = await transcodedCallFor(inferring, prepared, { called, arm, known });
        return complete(transcoded.call, transcoded);
      });
    }
    const put = async (isBinary?: boolean): Promise<GrpcRequest> =>
      complete(await v2CallFor(inferring, model, prepared, isBinary));
    const isBinary = extensions.isBinary(model.id, attempt, signal);
    return isBinary instanceof Promise ? isBinary.then(put) : put(isBinary);
  });
  return resultOf(plane, base, prepared, request.transcoded, reply);
}

/** The outputs in a comparable form; undefined: unreadable or too large. */
function comparable({ answer }: InferResult): unknown {
  if (answer === undefined || answer.outputs.some(({ raw }) => raw.length > LARGE_BYTES)) {
    return undefined;
  }
  try {
    const outputs = answer.outputs.map(({ name, shape, datatype, raw }) => {
      return { name, shape, data: readElements(raw, datatype) };
    });
    return v2ToNative({ outputs })?.output;
  } catch (error) {
    if (error instanceof TensorFault) return undefined;
    throw error;
  }
}

function mirror(
  inference: InferContext,
  base: CallOptions,
  prepared: PreparedInfer,
  done: InferResult,
  { tracing }: GrpcCall,
): void {
  // Asked for by name is a test of that arm; only what the split decided is compared.
  if (base.arm !== undefined || base.model.shadows.length === 0) return;
  const bytes = prepared.tensors.reduce((sum, { raw }) => sum + raw.length, 0);
  const live = (): readonly unknown[] | undefined => {
    const output = comparable(done);
    return output === undefined ? undefined : [output];
  };
  const askShadow = async (own: CallOptions) => [comparable(await infer(inference, own, prepared))];
  inference.plane.shadows.mirror({ bytes, live, askShadow }, base, tracing.requestId);
}

/** Raw tensors of numbers are not looked into: they pass as they are to servers that take them. */
const isTyped = ({ raw, inputs }: ModelInferRequest): boolean =>
  raw.length === 0 || inputs.some(({ datatype }) => datatype === 'BYTES');

/** @throws Refusal, BodyTooLarge */
async function prepareInfer(
  { thread }: InferenceContext,
  route: PreparedInfer['route'],
  source: ElementsSource & { readonly message: Buffer },
): Promise<PreparedInfer> {
  const { message, limit } = source;
  const request = parseMessage(message, readModelInferRequest);
  const isMany = message.length > LARGE_BYTES;
  if (!isMany || !isTyped(request)) {
    return { route, request, tensors: tensorsOf(request, limit), source, isLarge: isMany };
  }
  const raws = await thread.run({ op: 'grpc tensors', ...source });
  if (raws === undefined) throw new BodyTooLarge(limit);
  const tensors = request.inputs.map((input, at) => ({
    ...input,
    raw: bufferOf(raws[at] as Uint8Array),
  }));
  return { route, request, tensors, source, isLarge: true };
}

/** @throws Refusal, BodyTooLarge, CallerGone */
export async function modelInfer(
  inference: InferContext,
  call: GrpcCall,
  message: Buffer,
): Promise<GrpcResponse> {
  const { plane } = inference;
  // Model and version stand where other requests have them, and say how large the rest may be.
  const named = parseMessage(message, readModelReference);
  const choice = authorizedTarget(plane, call, named);
  const { model, arm } = choice;
  const { maxBodyBytes } = model.inference;
  if (message.length > maxBodyBytes) throw new BodyTooLarge(maxBodyBytes);
  const route = routeOf(named, 'infer');
  armSupport(model, route, arm);
  const prepared = await prepareInfer(plane.inferring, route, { message, limit: maxBodyBytes });
  const base = baseFor(plane, call, choice);
  const done = await infer(inference, base, prepared);
  mirror(inference, base, prepared, done, call);
  return { message: done.message, origin: done.origin };
}
