import { HAND_OVER_HEADER } from '../../auth/port';
import type { Exchange, HeaderText } from '../http/exchange';
import { BodyTooLarge } from '../../shared/body';
import { MemoryFull } from '../../shared/held-bytes';
import { errorAnswer } from './error-answer';
import { Refusal } from '../transcode/refusal';
import { calledHost, endToEnd, filterOf, forwardedFor } from '../upstream/headers';
import type { HttpClient, ServerAddress } from '../http/client/client';
import { awaitResponse } from '../http/client/client';
import { traceparentOf } from '../../shared/request-id';
import type { Span } from '../../shared/spans';
import { observerOf, spanNameOf } from './server-span';
import type { Plane } from './request';
import { ownerOf } from './request';

/** More than any management call accepts; its own error names the exact limit. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** Management calls answer at once; progress is reported by the status. */
const TIMEOUT_MS = 60_000;

/** Methods without side effects. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Methods used by the API. */
const KNOWN = new Set([...SAFE, 'POST', 'PUT', 'PATCH', 'DELETE']);
/** Stands in for methods that node:http would reject by closing; no call of the API uses it. */
const UNKNOWN = 'TRACE';

export interface ManagementOptions {
  readonly client: HttpClient;
  /** Where the management app listens; only this process can connect. */
  readonly place: ServerAddress;
  readonly plane: Pick<Plane, 'trust' | 'clock' | 'authenticate' | 'tracer'>;
  /** What tells the app who showed a client certificate; absent: nothing. */
  readonly handOver?: (exchange: Exchange) => string | undefined;
}

/**
 * Is the body read? Not without valid credentials: the app rejects such requests anyway, and their
 * bodies (2 MiB per connection) could fill the memory.
 */
async function isRead(exchange: Exchange, plane: ManagementOptions['plane']): Promise<boolean> {
  const { fields, held } = exchange;
  if (fields.count('content-length') + fields.count('transfer-encoding') === 0) return false;
  const result = await plane.authenticate(exchange);
  if (result.ok) held.belongsTo(ownerOf(plane, exchange, result.caller.name));
  return result.ok || result.code === 'FORBIDDEN';
}

const FOR_US = filterOf(
  (name) =>
    name !== 'content-length' &&
    name !== HAND_OVER_HEADER &&
    !name.startsWith('x-forwarded-') &&
    name !== 'forwarded',
);
/** The app gets the context of our own span instead of the caller's. */
const FOR_US_TRACED = filterOf((name) => FOR_US(name) && name !== 'traceparent');
const FOR_CALLER = filterOf(() => true);

/** The app gets all end-to-end headers, credentials included. */
function headersFor(
  { plane: { trust }, handOver }: ManagementOptions,
  exchange: Exchange,
  body: Buffer | undefined,
  span: Span | undefined,
): HeaderText {
  const own = endToEnd(exchange.fields, span === undefined ? FOR_US : FOR_US_TRACED);
  const kept = span === undefined ? own : `${own}traceparent: ${span.traceparent}\r\n`;
  const trusted = trust(exchange.remoteAddress);
  const caller = forwardedFor(exchange, trusted);
  const host = trusted ? calledHost(exchange, trust) : undefined;
  const named = host === undefined ? '' : `x-forwarded-host: ${host}\r\n`;
  const length = body === undefined ? '' : `content-length: ${body.length}\r\n`;
  const shown = handOver?.(exchange);
  const handed = shown === undefined ? '' : `${HAND_OVER_HEADER}: ${shown}\r\n`;
  return kept + caller + named + length + handed;
}

function refuse(exchange: Exchange, { plane }: ManagementOptions, refusal: Refusal): void {
  const { status, headers, body } = errorAnswer(undefined, refusal, plane.clock.now());
  exchange.answer(status, headers, body);
}

const noResponse = (what: string): Refusal =>
  new Refusal('INTERNAL', `the management API gave no answer: ${what}`);

/** The span of a management call, if it is sampled. */
function beginSpan({ plane }: ManagementOptions, exchange: Exchange): Span | undefined {
  const { method, fields } = exchange;
  if (plane.tracer === undefined) return undefined;
  const given = traceparentOf(fields.get('traceparent'));
  const span = plane.tracer.start(spanNameOf(method), 'server', given);
  exchange.account = observerOf(method, span, exchange.account);
  return span;
}

async function pass(options: ManagementOptions, exchange: Exchange): Promise<void> {
  const { client, place, plane } = options;
  const { signal } = exchange;
  const span = beginSpan(options, exchange);
  const method = KNOWN.has(exchange.method) ? exchange.method : UNKNOWN;
  const body = (await isRead(exchange, plane)) ? await exchange.body(MAX_BODY_BYTES) : undefined;
  const target = exchange.path + exchange.query;
  const headers = headersFor(options, exchange, body, span);
  const repeatable = SAFE.has(method);
  const timeoutMs = TIMEOUT_MS;
  const takesRedirects = true;
  const asking = { method, target, headers, body, timeoutMs, signal, repeatable, takesRedirects };
  const result = await awaitResponse((asker) => client.send(place, asking, asker));
  if (result.kind === 'aborted') return;
  if (result.kind !== 'answered') {
    return refuse(exchange, options, noResponse(result.kind));
  }
  const toCaller = endToEnd(result.fields, FOR_CALLER);
  exchange.stream(result.status, toCaller, result.body, (how, why) => {
    if (how === 'unsent') refuse(exchange, options, noResponse(why?.kind ?? 'reset'));
  });
}

function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof BodyTooLarge) return new Refusal('PAYLOAD_TOO_LARGE', error.message);
  if (error instanceof MemoryFull) return new Refusal('QUEUE_FULL', error.message);
  return undefined;
}

/** Forwards requests other than inference to the management app. Never rejects. */
export function createManagement(
  options: ManagementOptions,
): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    try {
      await pass(options, exchange);
    } catch (error) {
      const refusal = refusalOf(error);
      // Any other error means that the caller disconnected.
      if (refusal !== undefined) refuse(exchange, options, refusal);
    }
  };
}
