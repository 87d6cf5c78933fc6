import type { AuditEntry, PayloadSampler } from '../../audit';
import type { AuthResult, Authenticate, Caller, Quotas } from '../../auth/port';
import { ANYONE_NAME, authorize, CHALLENGE } from '../../auth/port';
import type { ModelRoute, TableHolder } from '../../core/routing/table';
import type { CallOptions } from '../upstream/call';
import type { ArmSelector } from '../routing/target';
import { cohortKeyOf } from '../routing/cohort';
import type { TimerClock } from '../dispatch/queue';
import { Refusal } from '../transcode/refusal';
import type { Exchange, IncomingRequest } from '../http/exchange';
import { BodyTooLarge, BodyTooSlow } from '../../shared/body';
import type { HeldBytes, Holding } from '../../shared/held-bytes';
import { MemoryFull } from '../../shared/held-bytes';
import type { IsTrustedProxy } from '../../shared/trusted-proxies';
import { callerAddress } from '../../shared/trusted-proxies';
import type { Tracer } from '../../shared/spans';
import type { ExtraHeaders, HeaderRules, Origin } from '../upstream/headers';
import type { Tracing } from '../upstream/tracing';
import { JSON_TYPE, ownHeaders, upstreamHeaders } from '../upstream/headers';
import { HttpFault } from '../http/fields';
import type { InferenceContext } from '../upstream/infer';
import type { Dispatcher } from '../dispatch/job';
import type { BatchReport, CallBatcher } from '../batching/batcher';
import type { DataPlaneLimits } from './limits';
import type { RouteKind } from '../routing/paths';
import { writeStrict } from '../transcode/exact-json';
import { inflated } from '../transcode/body-json';
import type { ShadowReport, Shadows } from '../shadow/shadows';
import type { HttpClient } from '../http/client/client';
import type { LargeThread } from '../thread/large-thread';
import { priorityOf, timeoutWithin } from './request-hints';

// A request in progress, and the steps common to all handlers.

export interface DataPlaneOptions {
  readonly table: TableHolder;
  readonly dispatcher: Dispatcher;
  readonly authenticate: Authenticate;
  /** Limits of the callers; absent: none. */
  readonly quotas?: Quotas | undefined;
  readonly upstream: HttpClient;
  readonly clock: TimerClock;
  /** In [0, 1). */
  readonly random: () => number;
  /** Records requests; absent: none is traced. */
  readonly tracer?: Tracer | undefined;
  /** Ids for requests that bring none. */
  readonly newId: () => string;
  /** Addresses whose X-Forwarded-* headers are trusted. */
  readonly trustedProxies: readonly string[];
  /** Other origins whose web pages may call models. */
  readonly allowedOrigins?: readonly string[];
  /** Headers that pass in addition to the built-in lists. */
  readonly extraHeaders?: ExtraHeaders;
  /** Version of the service. */
  readonly version: string;
  readonly limits?: DataPlaneLimits;
  /** Memory for all requests; absent: without a bound. */
  readonly held?: HeldBytes | undefined;
  /** The worker thread for large bodies; absent: one of the default size. */
  readonly thread?: LargeThread | undefined;
  /** Is the router ready? Answered to V2 probes. */
  readonly isReady: () => boolean;
  /** One entry per request; absent: no audit log. */
  readonly audit?: ((entry: AuditEntry) => void) | undefined;
  /** Adds the payload of some requests to their entries; absent: of none. */
  readonly payload?: PayloadSampler | undefined;
  readonly onBatch: (model: string, status: 'success' | 'partial' | 'error') => void;
  readonly onShadow: (report: ShadowReport) => void;
  readonly onJoined: (joined: BatchReport) => void;
  /** May this joined call be compared with single ones? Absent: when its turn comes. */
  readonly mayCompare?: (() => boolean) | undefined;
  /** An internal error: where it happened, never the request's content. */
  readonly onFault: (requestId: string, error: unknown) => void;
}

export interface Plane extends DataPlaneOptions {
  readonly limits: DataPlaneLimits;
  readonly held: HeldBytes;
  readonly inferring: InferenceContext;
  readonly batcher: CallBatcher;
  readonly shadows: Shadows;
  readonly trust: IsTrustedProxy;
  readonly rules: HeaderRules;
}

/** One request in progress. */
export interface Request {
  readonly exchange: Exchange;
  readonly tracing: Tracing;
  /** Milliseconds since the epoch. */
  readonly began: number;
  /** Answers with an error; for steps that end after their function has returned. */
  readonly fail: (error: unknown) => void;
}

function callerOf(result: AuthResult): Caller {
  if (result.ok) return result.caller;
  const headers = result.code === 'UNAUTHENTICATED' ? `www-authenticate: ${CHALLENGE}\r\n` : '';
  throw new Refusal(result.code, result.message, { headers });
}

/** The owner whose memory share a request uses: its caller, or its address without keys. */
export function ownerOf(
  { trust }: Pick<Plane, 'trust'>,
  exchange: Pick<IncomingRequest, 'fields' | 'remoteAddress'>,
  caller: string,
): string {
  return caller === ANYONE_NAME ? callerAddress(trust, exchange) : caller;
}

type AuthenticatedMessage = Pick<
  IncomingRequest,
  'fields' | 'remoteAddress' | 'identity' | 'held'
> &
  Partial<Pick<IncomingRequest, 'account'>>;

/** The caller of a message that was authenticated when it began. @throws Refusal */

export function authenticated(
  plane: Plane,
  exchange: AuthenticatedMessage,
  model?: string,
): Caller {
  const { held, identity } = exchange;
  if (identity === undefined) throw new Error('a handler began before authentication');
  // Unknown model names are arbitrary text, so they are not logged.
  const known = plane.table.current.models.has(model ?? '') ? model : undefined;
  exchange.account?.onIdentified(identity.ok ? identity.caller.name : undefined, known);
  const caller = callerOf(authorize(identity, { scope: 'infer', model }));
  held.belongsTo(ownerOf(plane, exchange, caller.name));
  // A call names its model once, and is counted then.
  if (model !== undefined && caller.quota !== undefined) enter(plane, held, caller, known);
  return caller;
}

/** @throws Refusal beyond the limits of the caller */
function enter({ quotas }: Plane, held: Holding, caller: Caller, known: string | undefined): void {
  const entered = quotas?.enter(caller, known ?? '');
  if (entered === undefined) return;
  if (entered.ok) return held.onRelease(entered.leave);
  const { message, headers, retryAfterSeconds } = entered;
  throw new Refusal('RATE_LIMITED', message, { headers, retryAfterSeconds });
}

/** The error for the caller; internal errors are logged. */
export function refusalFor(
  plane: Plane,
  { requestId }: Tracing,
  error: unknown,
  kind?: RouteKind,
): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof BodyTooLarge) {
    const key = kind === 'openai' ? 'inference.max_openai_body_bytes' : 'inference.max_body_bytes';
    return new Refusal('PAYLOAD_TOO_LARGE', `${error.message}; send less (${key})`);
  }
  if (error instanceof MemoryFull) return new Refusal('QUEUE_FULL', error.message);
  if (error instanceof BodyTooSlow) return new Refusal('REQUEST_TIMEOUT', error.message);
  if (error instanceof HttpFault) return new Refusal('INVALID_REQUEST', error.message);
  plane.onFault(requestId, error);
  return new Refusal('INTERNAL', `internal error of the router; its log has ${requestId}`);
}

/** @param ownBody the server gets JSON the router wrote, not the caller's bytes */
export function callOptions(
  plane: Plane,
  { exchange, tracing }: { readonly exchange: IncomingRequest; readonly tracing: Tracing },
  model: ModelRoute,
  { arm, version }: ArmSelector,
  ownBody = false,
): CallOptions {
  return {
    model,
    arm,
    version,
    cohortKey: cohortKeyOf(model.cohort, exchange.fields),
    priority: priorityOf(exchange.fields) ?? 'normal',
    timeoutMs: timeoutWithin(exchange.fields, model.inference.timeoutSeconds * 1000),
    items: 1,
    isBatchCall: false,
    planned: undefined,
    joinBatch: undefined,
    signal: exchange.signal,
    held: exchange.held,
    headers: upstreamHeaders(exchange, tracing, plane, ownBody),
    traceId: tracing.traceparent?.slice(3, 35),
    span: tracing.span,
  };
}

/** The inflated body; synchronously if it has arrived. @throws Refusal, BodyTooLarge, MemoryFull */
export function plainBody(
  { exchange }: Request,
  { inference }: ModelRoute,
): Buffer | Promise<Buffer> {
  const limit = inference.maxBodyBytes;
  const raw = exchange.body(limit);
  const encoding = exchange.fields.get('content-encoding');
  if (encoding === undefined) return raw;
  const inflate = (body: Buffer) => inflated(body, encoding, limit, exchange.held);
  return Buffer.isBuffer(raw) ? inflate(raw) : raw.then(inflate);
}

export const seconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;

/** Answers with a body the router wrote, and records the arm that answered. */
export function send(
  { exchange, tracing }: Request,
  body: string | Buffer,
  origin?: Origin,
  { status = 200, type = JSON_TYPE } = {},
): void {
  if (origin !== undefined) exchange.account?.onRouted(origin.arm, origin.version);
  exchange.answer(status, type + ownHeaders(tracing, origin), body);
}

export function sendJson(request: Request, value: object, origin?: Origin, status = 200): void {
  send(request, writeStrict(value), origin, { status });
}
