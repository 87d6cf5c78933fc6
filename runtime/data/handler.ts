import type { AuthResult, Authenticate, Caller } from '../auth/port';
import { CHALLENGE } from '../auth/port';
import type { ModelRoute, TableHolder } from '../core/table';
import type { ItemResult } from './batch';
import { inferBatch } from './batch';
import type { CallBase } from './calling';
import { CallerGone } from './calling';
import { armOfVersion, modelOf, namedArm } from './choose';
import { cohortKeyOf } from './cohort';
import { errorAnswer, Refusal } from './errors';
import type { Exchange } from './exchange';
import { BodyTooLarge } from './exchange';
import type { Passing } from './forward';
import { checkSpoken, forward, targetOf } from './forward';
import type { Tracing, Trust } from './headers';
import { firstOf, ownHeaders, tracingOf, trustOf, upstreamHeaders } from './headers';
import type { Inferred, Inferring } from './infer';
import { infer } from './infer';
import type { Dispatcher } from './job';
import { isServing, ownAnswer } from './lists';
import { createMetadataCache } from './metadata';
import type { Route, RouteKind } from './paths';
import { isOurs, kindBelow, matchPath } from './paths';
import { writeJson } from './protocols/exact';
import { inflated, parseObject } from './protocols/json';
import { parseBatch, parseCall } from './protocols/native';
import type { ShadowReport, Shadows } from './shadow';
import { createShadows } from './shadow';
import type { Upstream } from './upstream';

export interface DataPlaneOptions {
  readonly table: TableHolder;
  readonly dispatcher: Dispatcher;
  readonly authenticate: Authenticate;
  readonly upstream: Upstream;
  readonly clock: { readonly now: () => number };
  /** In [0, 1). */
  readonly random: () => number;
  /** Ids for requests that bring none. */
  readonly newId: () => string;
  /** Addresses whose X-Forwarded-* are believed. */
  readonly trustedProxies: readonly string[];
  /** Version of the service. */
  readonly version: string;
  /** May requests be sent here? Probes of V2 ask it. */
  readonly isReady: () => boolean;
  readonly onBatch: (model: string, status: 'success' | 'partial' | 'error') => void;
  readonly onShadow: (report: ShadowReport) => void;
  /** A fault of our own: where, never what was sent. */
  readonly onFault: (requestId: string, error: unknown) => void;
}

export interface DataPlane {
  /** Is this path one of ours? Everything else belongs to the management plane. */
  readonly matches: (path: string) => boolean;
  /** Answers it; never rejects. */
  readonly handle: (exchange: Exchange) => Promise<void>;
}

interface Plane extends DataPlaneOptions {
  readonly inferring: Inferring;
  readonly shadows: Shadows;
  readonly trust: Trust;
}

/** One request on its way through the steps. */
interface Request {
  readonly exchange: Exchange;
  readonly tracing: Tracing;
  /** Milliseconds since the epoch. */
  readonly began: number;
}

/** The model is named in the body; this is as much as is read before it is known whose limit counts. */
const MAX_OPENAI_BYTES = 10 * 1024 * 1024;

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { dispatcher, upstream, random, onShadow, trustedProxies } = options;
  const inferring: Inferring = { dispatcher, upstream, metadata: createMetadataCache(upstream) };
  const shadows = createShadows(inferring, random, onShadow);
  const plane: Plane = { ...options, inferring, shadows, trust: trustOf(trustedProxies) };
  return { matches: isOurs, handle: (exchange) => handle(plane, exchange) };
}

async function handle(plane: Plane, exchange: Exchange): Promise<void> {
  const tracing = tracingOf(exchange, plane.newId);
  const request: Request = { exchange, tracing, began: plane.clock.now() };
  let kind = kindBelow(exchange.path);
  try {
    const matched = matchPath(exchange.method, exchange.path);
    if (matched.found === 'method') {
      const allow = matched.allow.join(', ');
      const headers = ['allow', allow];
      throw new Refusal('METHOD_NOT_ALLOWED', `this path takes ${allow}`, { headers });
    }
    if (matched.found === 'nothing') {
      throw new Refusal(
        'NOT_FOUND',
        'there is nothing at this path; /openapi.json lists all calls',
      );
    }
    kind = matched.route.kind;
    await answer(plane, request, matched.route);
  } catch (error) {
    refuse(plane, request, kind, error);
  }
}

function refuse(plane: Plane, request: Request, kind: RouteKind | undefined, error: unknown): void {
  const { exchange, tracing } = request;
  if (error instanceof CallerGone || exchange.signal.aborted) return;
  const refusal = refusalOf(plane, tracing, error);
  const { status, headers, body } = errorAnswer(kind, refusal, plane.clock.now());
  exchange.answer(status, [...headers, ...ownHeaders(tracing)], body);
}

function refusalOf(plane: Plane, { requestId }: Tracing, error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof BodyTooLarge) {
    return new Refusal('PAYLOAD_TOO_LARGE', `${error.message}; send less (inference.maxBodyBytes)`);
  }
  plane.onFault(requestId, error);
  return new Refusal('INTERNAL', `something failed inside the router; its log has ${requestId}`);
}

function answer(plane: Plane, request: Request, route: Route): Promise<void> | void {
  switch (route.kind) {
    case 'native':
      return answerNative(plane, request, route.model);
    case 'batch':
      return answerBatch(plane, request, route.model);
    case 'v2':
    case 'v1':
      return answerPassing(plane, request, route);
    case 'openai':
      return answerOpenai(plane, request, route);
    default:
      return answerOwn(plane, request, route);
  }
}

function callerOf(result: AuthResult): Caller {
  if (result.ok) return result.caller;
  const headers = result.code === 'UNAUTHENTICATED' ? ['www-authenticate', CHALLENGE] : [];
  throw new Refusal(result.code, result.message, { headers });
}

function authenticated(plane: Plane, { headers }: Exchange, model?: string): Caller {
  return callerOf(plane.authenticate(headers, { scope: 'infer', ...(model && { model }) }));
}

function baseOf(
  plane: Plane,
  { exchange, tracing }: Request,
  model: ModelRoute,
  arm: string | undefined,
): CallBase {
  return {
    model,
    arm,
    cohortKey: cohortKeyOf(model.cohort, exchange.headers),
    priority: 'normal',
    timeoutMs: model.inference.timeoutSeconds * 1000,
    items: 1,
    signal: exchange.signal,
    headers: upstreamHeaders(exchange, tracing, plane.trust),
    traceId: tracing.traceparent?.slice(3, 35),
  };
}

/** The headers of a body that we write ourselves. */
function jsonBase(base: CallBase): CallBase {
  const kept: string[] = [];
  for (let at = 0; at + 1 < base.headers.length; at += 2) {
    const name = (base.headers[at] ?? '').toLowerCase();
    if (/^(?:content-|accept)/.test(name)) continue;
    kept.push(base.headers[at] ?? '', base.headers[at + 1] ?? '');
  }
  return { ...base, headers: [...kept, 'content-type', 'application/json'] };
}

async function objectOf({ exchange }: Request, model: ModelRoute) {
  const limit = model.inference.maxBodyBytes;
  const raw = await exchange.body(limit);
  const body = inflated(raw, firstOf(exchange.headers['content-encoding']), limit);
  return { value: parseObject(body), bytes: body.length };
}

const seconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;

function sendJson(
  { exchange, tracing }: Request,
  value: object,
  origin?: Origin,
  status = 200,
): void {
  const headers = ['content-type', 'application/json', ...ownHeaders(tracing, origin)];
  exchange.answer(status, headers, writeJson(value));
}

type Origin = Parameters<typeof ownHeaders>[1];

async function answerNative(plane: Plane, request: Request, id: string): Promise<void> {
  const caller = authenticated(plane, request.exchange, id);
  const model = modelOf(plane.table, id);
  const arm = namedArm(request.exchange, model, caller);
  const { value, bytes } = await objectOf(request, model);
  const call = parseCall(value);
  const base = {
    ...jsonBase(baseOf(plane, request, model, arm)),
    priority: call.priority,
    timeoutMs: call.timeoutMs ?? model.inference.timeoutSeconds * 1000,
  };
  const done = await infer(plane.inferring, base, call);
  const now = plane.clock.now();
  const body = {
    request_id: request.tracing.requestId,
    model_id: id,
    model_version: done.version,
    output_data: done.output,
    confidence: done.confidence,
    processing_time: seconds(now - request.began),
    timestamp: new Date(now).toISOString(),
  };
  sendJson(request, body, { arm: done.arm, version: done.version });
  // Asked for by name is a test of that arm; only what the split decided is compared.
  if (arm === undefined)
    plane.shadows.mirror({ item: call, output: done, bytes }, base, body.request_id);
}

const isInferred = (one: ItemResult): one is Inferred => !(one instanceof Refusal);

function itemBody(result: ItemResult): object {
  if (!(result instanceof Refusal)) {
    const { output, confidence, version } = result;
    return { output_data: output, confidence, model_version: version };
  }
  const { code, message, more } = result;
  return { error: { code, message, ...(more.details && { details: more.details }) } };
}

async function answerBatch(plane: Plane, request: Request, id: string): Promise<void> {
  const caller = authenticated(plane, request.exchange, id);
  const model = modelOf(plane.table, id);
  const arm = namedArm(request.exchange, model, caller);
  const { value } = await objectOf(request, model);
  const { requests, timeoutMs } = parseBatch(value, model.inference.maxBatchSize);
  const own = jsonBase(baseOf(plane, request, model, arm));
  const base: CallBase = {
    ...own,
    timeoutMs: timeoutMs ?? model.inference.timeoutSeconds * 1000,
    // One arm for the whole batch; without a key of the caller's the request is its own cohort.
    cohortKey: own.cohortKey ?? request.tracing.requestId,
  };
  const results = await inferBatch(plane.inferring, base, requests);
  const failed = results.filter((one) => one instanceof Refusal).length;
  const succeeded = results.length - failed;
  plane.onBatch(id, failed === 0 ? 'success' : succeeded === 0 ? 'error' : 'partial');
  const body = {
    request_id: request.tracing.requestId,
    model_id: id,
    results: results.map(itemBody),
    succeeded,
    failed,
    processing_time: seconds(plane.clock.now() - request.began),
  };
  sendJson(
    request,
    body,
    results.find((one) => isInferred(one)),
  );
}

/** The router knows who is ready; a probe must neither wait in a queue nor count as inference. */
function answerReady({ exchange, tracing }: Request, model: ModelRoute, arm?: string): void {
  const ready = isServing(model, arm);
  const headers = ['content-type', 'application/json', ...ownHeaders(tracing)];
  exchange.answer(ready ? 200 : 503, headers, JSON.stringify({ name: model.id, ready }));
}

async function answerPassing(
  plane: Plane,
  request: Request,
  route: Extract<Passing, { kind: 'v1' | 'v2' }>,
): Promise<void> {
  const { exchange, tracing } = request;
  const caller = authenticated(plane, exchange, route.model);
  const model = modelOf(plane.table, route.model);
  const version = route.kind === 'v2' ? route.version : undefined;
  const arm =
    version === undefined
      ? namedArm(exchange, model, caller)
      : armOfVersion(model, version, caller);
  if (route.kind === 'v2' && route.call === 'ready') return answerReady(request, model, arm);
  checkSpoken(model, route.kind);
  const body =
    exchange.method === 'GET' ? undefined : await exchange.body(model.inference.maxBodyBytes);
  const base = baseOf(plane, request, model, arm);
  const target = targetOf(route, exchange.query);
  await forward(plane.inferring, base, exchange, target, body, tracing);
}

async function answerOpenai(
  plane: Plane,
  request: Request,
  route: Extract<Passing, { kind: 'openai' }>,
): Promise<void> {
  const { exchange, tracing } = request;
  // Who nobody knows is not read from.
  authenticated(plane, exchange);
  const raw = await exchange.body(MAX_OPENAI_BYTES);
  const encoding = firstOf(exchange.headers['content-encoding']);
  const { model: name } = parseObject(inflated(raw, encoding, MAX_OPENAI_BYTES));
  if (typeof name !== 'string') {
    throw new Refusal('INVALID_REQUEST', 'model: is missing, must be the id of a model as text');
  }
  const caller = authenticated(plane, exchange, name);
  const model = modelOf(plane.table, name);
  const arm = namedArm(exchange, model, caller);
  checkSpoken(model, 'openai');
  const base = baseOf(plane, request, model, arm);
  await forward(plane.inferring, base, exchange, targetOf(route, exchange.query), raw, tracing);
}

function answerOwn(
  plane: Plane,
  request: Request,
  route: Extract<Route, { kind: 'v2_server' | 'v1_list' | 'openai_list' }>,
): void {
  const caller = authenticated(plane, request.exchange);
  const body = ownAnswer(route, plane.table.current, caller, plane);
  // A probe reads the status, a KServe client the body.
  const unready = route.kind === 'v2_server' && route.call === 'ready' && !plane.isReady();
  sendJson(request, body, undefined, unready ? 503 : 200);
}
