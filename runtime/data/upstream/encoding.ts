import type { ModelRoute } from '../../core/routing/table';
import { HEAD_LENGTH } from '../../shared/binary';
import type { CallOptions, BufferedResponse, Encode } from './call';
import type { HeaderText } from '../http/exchange';
import type { Encoding, ProxiedRoute } from './relay';
import { upstreamHeaders } from './headers';
import type { InferenceContext } from './infer';
import { answerText, checkUtf8, withMetadata, invalidResponse, refusalOf } from './infer';
import { bufferOf, LargeCall } from './large-call';
import type { LargeThread } from '../thread/large-thread';
import { notOffered, supports, canTranscode } from '../routing/supported-calls';
import { bounded, inflated } from '../transcode/body-json';
import { isTranscodableOpenai } from '../transcode/openai-to-native';
import type { EncodedRequest, Transcoder } from '../transcode/transcoder';
import { isLarge, LARGE_BYTES } from '../../shared/json-survey';
import type { LargeSource, EncodeTarget } from '../transcode/large-task';
import { readable, readTranscoder } from '../transcode/large-task';
import type { Plane, Request } from '../handlers/request';

// How a V1, V2 or OpenAI call reaches an arm: unchanged where the arm's server supports that
// protocol, else transcoded.

/** A call with everything its encodings need. */
export interface TranscodableCall {
  readonly route: ProxiedRoute;
  readonly base: CallOptions;
  /** For servers that get the call unchanged. */
  readonly target: string;
  readonly rawBody: Buffer;
  /** Parsed when the first server needs it. @throws Refusal */
  readonly transcoder: () => Promise<Transcoder | LargeTranscoder>;
  /** The same for a large response. */
  readonly largeCall: () => Promise<LargeCall>;
  /** For servers that get a body the router wrote. */
  readonly ownHeaders: () => HeaderText;
}

/** A call that the worker thread transcodes. */
class LargeTranscoder {
  constructor(
    readonly call: LargeCall,
    readonly items: number,
    readonly type: Transcoder['type'],
  ) {}
}

/** The call without its body. */
function sourceOf(
  { clock }: Plane,
  { exchange, tracing }: Request,
  { id, inference }: ModelRoute,
  route: ProxiedRoute,
): Omit<LargeSource, 'id'> {
  const calledModel = { id, maxBatchSize: inference.maxBatchSize };
  if (route.kind === 'v1') return { kind: 'v1', calledModel };
  if (route.kind === 'v2') {
    return { kind: 'v2', calledModel, jsonLength: exchange.fields.get(HEAD_LENGTH) };
  }
  if (!isTranscodableOpenai(route.call)) throw new Error(`${route.call} has no transcoder`);
  const created = Math.floor(clock.now() / 1000);
  const completion = { id: tracing.requestId, created, model: id };
  return { kind: 'openai', calledModel, call: route.call, completion };
}

function inflatedBodyOf(
  { limits }: Plane,
  { exchange }: Request,
  { inference }: ModelRoute,
  route: ProxiedRoute,
  rawBody: Buffer,
): Promise<Buffer> {
  const limit = route.kind === 'openai' ? limits.openaiBytes : inference.maxBodyBytes;
  return inflated(rawBody, exchange.fields.get('content-encoding'), limit, exchange.held);
}

/** @throws Refusal when the body is invalid in its protocol, or cannot be transcoded */
async function transcoderFor(
  thread: LargeThread,
  source: Omit<LargeSource, 'id'>,
  body: Buffer,
): Promise<Transcoder | LargeTranscoder> {
  const { jsonLength } = source;
  const isMuch = body.length > LARGE_BYTES || (jsonLength === undefined ? isLarge(body) : false);
  if (!isMuch) return readTranscoder(source, body);
  const call = new LargeCall(thread, source, body);
  const { items, type } = await call.check();
  return new LargeTranscoder(call, items, type);
}

/** Computes the value at the first call, and returns the same value from then on. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

export function transcodableCall(
  plane: Plane,
  request: Request,
  route: ProxiedRoute,
  base: CallOptions,
  target: string,
  rawBody: Buffer,
): TranscodableCall {
  const { thread } = plane.inferring;
  const plain = once(() => inflatedBodyOf(plane, request, base.model, route, rawBody));
  const source = once(() => sourceOf(plane, request, base.model, route));
  const transcoder = once(async () => transcoderFor(thread, source(), await plain()));
  const largeCall = once(async () => new LargeCall(thread, source(), await plain()));
  const ownHeaders = once(() => upstreamHeaders(request.exchange, request.tracing, plane, true));
  return { route, base, target, rawBody, transcoder, largeCall, ownHeaders };
}

/** @throws Refusal when the server answered with an error */
export function checkAnswered(reply: BufferedResponse, model: string): void {
  if (reply.status >= 300) throw refusalOf(reply, model);
}

/** Decodes a large response in the worker thread. */
async function readLarge(
  { base: { model, held } }: TranscodableCall,
  call: LargeCall,
  to: EncodeTarget,
  reply: BufferedResponse,
): Promise<Buffer> {
  checkUtf8(reply, model.id);
  const output = await call.read(to, reply.body, reply.replica.version, held);
  if (output === undefined) throw invalidResponse(model.id);
  return bufferOf(output.bytes);
}

/** The encoding of a large call. @throws Refusal */
async function largeEncoding(
  transcodable: TranscodableCall,
  transcoder: LargeTranscoder,
  to: EncodeTarget,
): Promise<Encoding> {
  const { base, ownHeaders } = transcodable;
  const { call, type } = transcoder;
  const read = (reply: BufferedResponse): Promise<Buffer> => {
    checkAnswered(reply, base.model.id);
    return readLarge(transcodable, call, to, reply);
  };
  const { target, body } = await call.encode(to, base.held);
  return { method: 'POST', target, body, headers: ownHeaders(), decoder: { type, read } };
}

function transcodedEncoding(
  transcodable: TranscodableCall,
  { target, body, read }: EncodedRequest,
  type: string,
  to: EncodeTarget,
): Encoding {
  const { base, ownHeaders, largeCall } = transcodable;
  const { id } = base.model;
  const decode = (reply: BufferedResponse): string | Promise<Buffer> => {
    checkAnswered(reply, id);
    if (isLarge(reply.body)) {
      return largeCall().then((call) => readLarge(transcodable, call, to, reply));
    }
    const output = readable(() => read(answerText(reply, id), reply.replica.version));
    if (output === undefined) throw invalidResponse(id);
    return output;
  };
  return {
    method: 'POST',
    target,
    body: Buffer.from(body),
    headers: ownHeaders(),
    decoder: { type, read: decode },
  };
}

export function encoderOf(context: InferenceContext, call: TranscodableCall): Encode<Encoding> {
  const { route, base, target, rawBody: body } = call;
  const passthrough = { method: 'POST', target, body, headers: base.headers };
  return (attempt) => {
    const { arm } = attempt;
    if (supports(arm, route)) return passthrough;
    if (!canTranscode(arm, route)) throw notOffered(base.model.id, arm, route);
    const encodeWith = (transcoder: Transcoder | LargeTranscoder): Encoding | Promise<Encoding> =>
      withMetadata(context, base, attempt, (modelInputs) => {
        const to = { arm, modelInputs };
        if (transcoder instanceof LargeTranscoder) return largeEncoding(call, transcoder, to);
        return transcodedEncoding(
          call,
          bounded(() => transcoder.encode(arm, modelInputs)),
          transcoder.type,
          to,
        );
      });
    return call.transcoder().then(encodeWith);
  };
}
