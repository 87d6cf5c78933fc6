import type { AuthResult } from '../../auth/port';
import { auditLineOf } from './audit-line';
import { answerNative } from './native';
import { answerBatch } from './native-batch';
import { answerOpenai, answerProxied } from './passthrough';
import { CallerGone } from '../upstream/failure';
import { errorAnswer } from './error-answer';
import { Refusal } from '../transcode/refusal';
import type { Exchange } from '../http/exchange';
import type { WriteRefusal } from '../http/server/early-refusal';
import { calledHost, DEFAULT_RULES, headerRules, ownHeaders } from '../upstream/headers';
import { tracingOf } from '../upstream/tracing';
import { trustedProxiesOf } from '../../shared/trusted-proxies';
import { crossOrigin, isOfPage, isSafeMethod } from '../../shared/origins';
import type { InferenceContext } from '../upstream/infer';
import { createBatcher } from '../batching/batcher';
import { DEFAULT_LIMITS } from './limits';
import { HeldBytes } from '../../shared/held-bytes';
import type { RouterRoute } from './model-list';
import { routerAnswer } from './model-list';
import { createMetadataCache } from '../upstream/metadata-cache';
import { LargeThread } from '../thread/large-thread';
import type { Matched, Route, RouteKind } from '../routing/paths';
import { isDataPlanePath, protocolOfPath, matchPath } from '../routing/paths';
import { refusalWriter } from './http-errors';
import type { DataPlaneOptions, Plane, Request } from './request';
import { authenticated, refusalFor, sendJson } from './request';
import { sampledExchange } from './sampled-exchange';
import { nameSpan, observerOf, spanNameOf, templateOf } from './server-span';
import { createShadows } from '../shadow/shadows';

export interface DataPlane {
  /** For other entry points than HTTP (gRPC). */
  readonly plane: Plane;
  /** Does the data plane serve this path? All others belong to the management plane. */
  readonly matches: (path: string) => boolean;
  /** Answers the request, possibly later; never throws. */
  readonly handle: (exchange: Exchange) => void;
  /** Formats the errors of the HTTP engine itself, on any path. */
  readonly refuse: WriteRefusal;
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { dispatcher, upstream, random, onShadow, trustedProxies, clock } = options;
  const { limits = DEFAULT_LIMITS, held = new HeldBytes(Infinity) } = options;
  const { extraHeaders } = options;
  const rules = extraHeaders === undefined ? DEFAULT_RULES : headerRules(extraHeaders);
  const inferring: InferenceContext = {
    rules,
    dispatcher,
    upstream,
    limits,
    metadata: createMetadataCache(upstream, clock),
    thread: options.thread ?? new LargeThread(),
  };
  const shadows = createShadows(random, onShadow, limits);
  const batcher = createBatcher({
    calling: inferring,
    clock,
    random,
    onBatch: options.onJoined,
    mayCompare: options.mayCompare ?? (() => true),
  });
  const trust = trustedProxiesOf(trustedProxies);
  const plane: Plane = { ...options, limits, held, inferring, batcher, shadows, trust, rules };
  return {
    plane,
    matches: isDataPlanePath,
    handle: (exchange) => handle(plane, exchange),
    refuse: refusalWriter(options),
  };
}

function handle(plane: Plane, incoming: Exchange): void {
  const { clock, newId, payload } = plane;
  let kind: RouteKind | undefined;
  const tracing = tracingOf(incoming, newId, plane.tracer, spanNameOf(incoming.method));
  const began = clock.now();
  const line = auditLineOf(plane, tracing, incoming, began);
  incoming.account = observerOf(incoming.method, tracing.span, line);
  const isSampled = payload !== undefined && line !== undefined;
  const exchange = isSampled ? sampledExchange(payload, incoming, line) : incoming;
  const request: Request = {
    exchange,
    tracing,
    began,
    fail: (error) => refuse(plane, request, kind ?? protocolOfPath(exchange.path), error),
  };
  try {
    const matched = matchPath(exchange.method, exchange.path);
    if (matched.found === 'method' && exchange.method === 'OPTIONS') {
      return answerOptions(request, matched.allow);
    }
    if (matched.found !== 'route') throw notFound(matched);
    const { route } = matched;
    kind = route.kind;
    if (tracing.span !== undefined) nameSpan(tracing.span, exchange.method, templateOf(route));
    requireOwnOrigin(plane, exchange);
    // The body is not read before.
    const known = plane.authenticate(exchange);
    const begin = (identity: AuthResult): Promise<void> | void => {
      exchange.identity = identity;
      return answer(plane, request, route);
    };
    (known instanceof Promise ? known.then(begin) : begin(known))?.catch(request.fail);
  } catch (error) {
    request.fail(error);
  }
}

/** @throws Refusal for a request from a web page of another origin */
function requireOwnOrigin({ trust, allowedOrigins = [] }: Plane, exchange: Exchange): void {
  const { method, fields: headers } = exchange;
  // The common case: the host is not needed.
  if (isSafeMethod(method) || !isOfPage(headers)) return;
  const host = calledHost(exchange, trust);
  const refused = crossOrigin({ method, headers, host, allowedOrigins });
  if (refused !== undefined) throw new Refusal(refused.code, refused.message);
}

/** Answered without authentication: /openapi.json is public, too. */
function answerOptions({ exchange, tracing }: Request, allow: readonly string[]): void {
  exchange.answer(204, `allow: ${allow.join(', ')}\r\n${ownHeaders(tracing)}`, '');
}

function notFound(matched: Exclude<Matched, { found: 'route' }>): Refusal {
  if (matched.found === 'nothing') {
    return new Refusal('NOT_FOUND', 'there is nothing at this path; /openapi.json lists all calls');
  }
  const allow = matched.allow.join(', ');
  const headers = `allow: ${allow}\r\n`;
  return new Refusal('METHOD_NOT_ALLOWED', `this path takes ${allow}`, { headers });
}

function refuse(plane: Plane, request: Request, kind: RouteKind | undefined, error: unknown): void {
  const { exchange, tracing } = request;
  if (error instanceof CallerGone || exchange.signal.aborted) return;
  const refusal = refusalFor(plane, tracing, error, kind);
  const { status, headers, body } = errorAnswer(kind, refusal, plane.clock.now());
  exchange.answer(status, headers + ownHeaders(tracing), body);
}

function answer(plane: Plane, request: Request, route: Route): Promise<void> | void {
  switch (route.kind) {
    case 'native':
      return answerNative(plane, request, route.model);
    case 'batch':
      return answerBatch(plane, request, route.model);
    case 'v2':
    case 'v1':
      return answerProxied(plane, request, route);
    case 'openai':
      return answerOpenai(plane, request, route);
    default:
      return answerRouter(plane, request, route);
  }
}

function answerRouter(plane: Plane, request: Request, route: RouterRoute): void {
  const named = route.kind === 'openai_model' ? route.model : undefined;
  const caller = authenticated(plane, request.exchange, named);
  const body = routerAnswer(route, plane.table.current, caller, plane);
  // A probe reads the status, a KServe client the body.
  const unready = route.kind === 'v2_server' && route.call === 'ready' && !plane.isReady();
  sendJson(request, body, undefined, unready ? 503 : 200);
}
