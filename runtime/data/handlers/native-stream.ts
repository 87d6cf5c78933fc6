import type { ArmRoute, ModelRoute } from '../../core/routing/table';
import type { CallOptions, BufferedResponse, UpstreamHead } from '../upstream/call';
import type { Encoding, ResponseBody, ResponseDecoder } from '../upstream/relay';
import { relay } from '../upstream/relay';
import { envelope } from './native-envelope';
import { Refusal } from '../transcode/refusal';
import type { Exchange } from '../http/exchange';
import {
  answerText,
  withMetadata,
  invalidResponse,
  refusalOf,
  readLargeResult,
} from '../upstream/infer';
import type { LargeCall } from '../upstream/large-call';
import { itemBytes, LargeItem, largeNative } from '../upstream/large-call';
import { isLarge } from '../../shared/json-survey';
import type { EncodeTarget } from '../transcode/large-task';
import { hasProtocol } from '../routing/supported-calls';
import type { EncodedNativeCall } from '../transcode';
import { encodeOpenai, encodeNative } from '../transcode';
import type { NativeItem } from '../transcode/native-format';
import type { Plane, Request } from './request';

// Native calls answered by an event stream, relayed from the model's server.

const EVENTS = 'text/event-stream';

const takes = (accept: string, ...types: readonly string[]): boolean =>
  types.some((type) => accept.includes(type));

/** Does the caller accept JSON? */
const takesJson = ({ fields }: Exchange): boolean =>
  takes(fields.get('accept') ?? '', 'application/json', 'application/*', '*/*');

/** @throws Refusal when the caller accepts only events, and the model cannot stream */
export function wantsEvents(exchange: Exchange, model: ModelRoute, named?: string): boolean {
  const accept = exchange.fields.get('accept');
  if (accept === undefined || !takes(accept, EVENTS)) return false;
  if (hasProtocol(model, 'openai', named)) return true;
  if (takesJson(exchange)) return false;
  throw cannotStream(model.id);
}

function cannotStream(model: string): Refusal {
  return new Refusal(
    'INVALID_REQUEST',
    `Accept: got ${EVENTS}, but model ${model} cannot stream; accept application/json`,
  );
}

function isEventStream({ status, fields }: UpstreamHead): boolean {
  return status < 300 && fields.get('content-type')?.includes(EVENTS) === true;
}

/** Event streams are relayed; errors and JSON are buffered and decoded. */
function encodingOf(
  plane: Plane,
  request: Request,
  base: CallOptions,
  { target, body, read }: EncodedNativeCall,
  largeCall: () => LargeCall,
  to: EncodeTarget,
): Encoding {
  const { id } = base.model;
  const decode = (reply: BufferedResponse): ResponseBody | Promise<ResponseBody> => {
    if (reply.status >= 300) throw refusalOf(reply, id);
    if (isLarge(reply.body)) return largeAnswer(plane, request, base, largeCall(), to, reply);
    const output = read(answerText(reply, id));
    if (output === undefined) throw invalidResponse(id);
    const from = { arm: reply.arm.name, version: reply.replica.version };
    return envelope(request, id, { ...output, ...from }, plane.clock.now());
  };
  return eventsEncoding(base, { target, body: Buffer.from(body) }, decode);
}

function eventsEncoding(
  { headers }: CallOptions,
  { target, body }: { readonly target: string; readonly body: Buffer },
  read: ResponseDecoder['read'],
): Encoding {
  const decoder = { isRelayed: isEventStream, read, type: 'application/json' };
  return { method: 'POST', target, body, headers, decoder };
}

async function largeAnswer(
  { clock }: Plane,
  request: Request,
  base: CallOptions,
  call: LargeCall,
  to: EncodeTarget,
  reply: BufferedResponse,
): Promise<ResponseBody> {
  const { id } = base.model;
  return envelope(request, id, await readLargeResult(base, call, to, reply), clock.now());
}

/** The same for a large call. */
async function largeEncoding(
  plane: Plane,
  request: Request,
  base: CallOptions,
  call: LargeCall,
  to: EncodeTarget,
): Promise<Encoding> {
  const encoded = await call.encode(to, base.held);
  return eventsEncoding(base, encoded, (reply) => {
    if (reply.status >= 300) throw refusalOf(reply, base.model.id);
    return largeAnswer(plane, request, base, call, to, reply);
  });
}

export function answerEvents(
  plane: Plane,
  request: Request,
  base: CallOptions,
  item: NativeItem | LargeItem,
): void {
  const { inferring } = plane;
  const { exchange, tracing, fail } = request;
  const { id } = base.model;
  const put = (
    arm: ArmRoute,
    modelInputs?: EncodeTarget['modelInputs'],
  ): Encoding | Promise<Encoding> => {
    const isStream = arm.protocol === 'openai';
    if (!isStream && !takesJson(exchange)) throw cannotStream(id);
    const to = { arm, modelInputs, isStream };
    if (item instanceof LargeItem) return largeEncoding(plane, request, base, item.call, to);
    const encoded = isStream
      ? encodeOpenai(id, item, true)
      : encodeNative(arm, id, item, modelInputs);
    return encodingOf(
      plane,
      request,
      base,
      encoded,
      () => {
        const { maxBatchSize } = base.model.inference;
        return largeNative(inferring.thread, { id, maxBatchSize }, itemBytes(item));
      },
      to,
    );
  };
  relay(inferring, base, exchange, { tracing, failed: fail, bytes: 0 }, (attempt) =>
    withMetadata(inferring, base, attempt, (modelInputs) => put(attempt.arm, modelInputs)),
  );
}
