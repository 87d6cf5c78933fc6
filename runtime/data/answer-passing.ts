import type { Caller } from '../auth/port';
import { holds } from '../auth/port';
import type { ModelRoute } from '../core/table';
import type { CallBase } from './calling';
import { armOfVersion, modelOf, namedArm } from './choose';
import { Refusal } from './errors';
import type { Passed, Passing } from './forward';
import { checkSpoken, forward, targetOf } from './forward';
import { callerHeaders, JSON_TYPE, ownHeaders, withoutHeaders } from './headers';
import { parsedAnswer } from './infer';
import { passingTogether } from './joining';
import { isServing } from './lists';
import { isLookup, lookUp } from './lookup';
import { collecting, isMirrored, mirrored } from './mirror';
import { writeJson } from './protocols/exact';
import { inflated, isPlain, parseObject } from './protocols/json';
import type { Plane, Request } from './request';
import { authenticated, baseOf } from './request';

// Calls whose bytes pass as they are: V2, V1, OpenAI.

/** The router knows who is ready; a probe must neither wait in a queue nor count as inference. */
function answerReady({ exchange, tracing }: Request, model: ModelRoute, arm?: string): void {
  const ready = isServing(model, arm);
  const headers = JSON_TYPE + ownHeaders(tracing);
  exchange.answer(ready ? 200 : 503, headers, JSON.stringify({ name: model.id, ready }));
}

export function answerPassing(
  plane: Plane,
  request: Request,
  route: Extract<Passing, { kind: 'v1' | 'v2' }>,
): Promise<void> | void {
  const { exchange } = request;
  const caller = authenticated(plane, exchange, route.model);
  const model = modelOf(plane.table, route.model);
  const version = route.kind === 'v2' ? route.version : undefined;
  const arm =
    version === undefined
      ? namedArm(exchange, model, caller)
      : armOfVersion(model, version, caller);
  if (route.kind === 'v2' && route.call === 'ready') return answerReady(request, model, arm);
  checkSpoken(model, route, arm);
  const base = baseOf(plane, request, model, arm);
  const target = targetOf(route, exchange.query);
  if (isLookup(route)) return answerLookup(plane, request, route, base, target, caller);
  const body = exchange.body(model.inference.maxBodyBytes);
  if (Buffer.isBuffer(body)) return pass(plane, request, route, base, target, body);
  return body.then((later) => pass(plane, request, route, base, target, later));
}

function pass(
  plane: Plane,
  { exchange, tracing, fail }: Request,
  route: Passing,
  base: CallBase,
  target: string,
  body: Buffer,
): void {
  const own = passingTogether(plane.joiner, base, route, exchange, body, target);
  if (!isMirrored(route, base)) {
    return forward(plane.inferring, own, exchange, { target, body, tracing }, { failed: fail });
  }
  const collect = collecting(plane.limits.shadowBytes);
  const passed = (answer: Passed | undefined): void => {
    if (answer === undefined || answer.status >= 300) return;
    const copy = mirrored(plane.inferring, route, target, body, answer);
    plane.shadows.mirror(copy, base, tracing.requestId);
  };
  const forwarding = { target, body, tracing, collect };
  forward(plane.inferring, own, exchange, forwarding, { passed, failed: fail });
}

/**
 * The versions a caller may meet, and with the scope arms the ones it may ask for: what runs on
 * one replica is not all there is.
 */
function versionsOf({ arms, shares }: ModelRoute, caller: Caller): readonly string[] {
  const taking = new Set(shares.filter(({ hundredths }) => hundredths > 0).map(({ arm }) => arm));
  const seen = [...arms.values()].filter(
    ({ name, replicas }) => replicas.length > 0 && (taking.has(name) || holds(caller, 'arms')),
  );
  return [...new Set(seen.map(({ version }) => version))];
}

function withVersions(body: Buffer, versions: readonly string[]): Buffer | string {
  const metadata = parsedAnswer({ body });
  return isPlain(metadata) ? writeJson({ ...metadata, versions }) : body;
}

async function answerLookup(
  { upstream }: Plane,
  { exchange, tracing }: Request,
  route: Passing,
  base: CallBase,
  target: string,
  caller: Caller,
): Promise<void> {
  const { arm, replica, answered, body } = await lookUp(upstream, base, route, target);
  const { status, fields } = answered;
  const own = callerHeaders(fields, tracing, { arm: arm.name, version: replica.version });
  const headers = withoutHeaders(own, (name) => name === 'content-length');
  const told =
    route.kind === 'v2' && status === 200
      ? withVersions(body, versionsOf(base.model, caller))
      : body;
  exchange.answer(status, headers, told);
}

export async function answerOpenai(
  plane: Plane,
  request: Request,
  route: Extract<Passing, { kind: 'openai' }>,
): Promise<void> {
  const { exchange } = request;
  // Who nobody knows is not read from.
  authenticated(plane, exchange);
  const { openaiBytes } = plane.limits;
  const raw = await exchange.body(openaiBytes);
  const encoding = exchange.fields.get('content-encoding');
  const { model: name } = parseObject(await inflated(raw, encoding, openaiBytes));
  if (typeof name !== 'string') {
    throw new Refusal('INVALID_REQUEST', 'model: is missing, must be the id of a model as text');
  }
  const caller = authenticated(plane, exchange, name);
  const model = modelOf(plane.table, name);
  const arm = namedArm(exchange, model, caller);
  checkSpoken(model, route, arm);
  const base = baseOf(plane, request, model, arm);
  const target = targetOf(route, exchange.query);
  pass(plane, request, route, base, target, raw);
}
