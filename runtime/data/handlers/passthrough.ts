import type { Caller } from '../../auth/port';
import { areJoined } from '../../core/routing/batching';
import { answerSynthesized, answerReady, versionsOf } from './metadata-synthesized';
import { answerMixed, answerTranscoded } from './transcoded';
import type { ModelRoute } from '../../core/routing/table';
import type { CallOptions, UpstreamRequest } from '../upstream/call';
import { modelOf, requestedArm, requestedTarget } from '../routing/target';
import { Refusal } from '../transcode/refusal';
import type { ProxiedRoute } from '../upstream/relay';
import { relay, targetOf } from '../upstream/relay';
import { callerHeaders, withoutHeaders } from '../upstream/headers';
import { parsedAnswer } from '../upstream/infer';
import { batchRelayedCall } from '../batching/batchable';
import { fetchMetadata } from './metadata-proxied';
import { isMirrored, mirrorOf } from '../shadow/mirror';
import type { ArmSupport } from '../routing/supported-calls';
import { armSupport } from '../routing/supported-calls';
import { readJson, writeJson } from '../transcode/exact-json';
import { bodyText, inflated, isJsonObject, parseText } from '../transcode/body-json';
import { isLarge, textsNamed } from '../../shared/json-survey';
import type { RequestPayload, Upload } from '../http/exchange';
import type { Plane, Request } from './request';
import { authenticated, callOptions } from './request';
import { transcodableCall } from '../upstream/encoding';

// V2, V1 and OpenAI calls: relayed unchanged where the server supports the protocol.

export function answerProxied(
  plane: Plane,
  request: Request,
  route: Extract<ProxiedRoute, { kind: 'v1' | 'v2' }>,
): Promise<void> | void {
  const { exchange } = request;
  const caller = authenticated(plane, exchange, route.model);
  const model = modelOf(plane.table, route.model);
  const named = requestedTarget(
    exchange,
    model,
    caller,
    route.kind === 'v2' ? route.version : undefined,
  );
  if (route.kind === 'v2' && route.call === 'ready') return answerReady(request, model, named);
  const support = armSupport(model, route, named.arm);
  const base = callOptions(plane, request, model, named);
  const target = targetOf(route, exchange.query);
  if (route.call === 'metadata' || route.call === 'status') {
    if (support === 'none') return answerSynthesized(plane, request, route, base, caller);
    return answerMetadata(plane, request, route, base, target, caller);
  }
  const send = SEND[support];
  const body = bodyOf(plane, request, route, base, support);
  if (Buffer.isBuffer(body)) return send(plane, request, route, base, target, body);
  const go = (later: RequestPayload): Promise<void> | void =>
    Buffer.isBuffer(later)
      ? send(plane, request, route, base, target, later)
      : passUpload(plane, request, base, target, later);
  return body instanceof Promise ? body.then(go) : go(body);
}

/** Requests of this model only go to its server: none is batched, or copied to a shadow. */
const isPlain = ({ inference, shadows }: ModelRoute): boolean =>
  inference.batching === undefined && shadows.length === 0;

/** A large body is streamed where only the server reads it. */
function bodyOf(
  { limits }: Plane,
  { exchange }: Request,
  route: ProxiedRoute,
  base: CallOptions,
  support: ArmSupport,
): RequestPayload | Promise<RequestPayload> {
  const { model } = base;
  const { maxBodyBytes, replayBytes } = model.inference;
  const isAlone = isPlain(model) || !(areJoined(model.inference) || isMirrored(route, base));
  if (support !== 'all' || !isAlone) return exchange.body(maxBodyBytes);
  // Bodies small enough for a retry are kept in memory.
  return exchange.upload(Math.max(limits.streamBytes, replayBytes), maxBodyBytes);
}

function passUpload(
  { inferring }: Plane,
  { exchange, tracing, fail: failed }: Request,
  base: CallOptions,
  target: string,
  upload: Upload,
): void {
  const { method } = exchange;
  const request = { method, target, body: undefined, headers: base.headers };
  relay(inferring, base, exchange, { tracing, failed, upload, bytes: 0 }, () => request);
}

type Send = (
  plane: Plane,
  request: Request,
  route: ProxiedRoute,
  base: CallOptions,
  target: string,
  body: Buffer,
) => Promise<void> | void;

/** How a call reaches its model: by how many arms support its protocol. */
const SEND: Readonly<Record<ArmSupport, Send>> = {
  all: pass,
  some: answerMixed,
  none: answerTranscoded,
};

function pass(
  plane: Plane,
  request: Request,
  route: ProxiedRoute,
  base: CallOptions,
  target: string,
  body: Buffer,
): void {
  const { exchange, tracing, fail: failed } = request;
  const { method } = exchange;
  const { model, headers } = base;
  const upstreamRequest = { method, target, body, headers };
  const options = { tracing, failed, bytes: body.length };
  const encode = (): UpstreamRequest => upstreamRequest;
  if (isPlain(model)) return relay(plane.inferring, base, exchange, options, encode);
  const own = batchRelayedCall(plane.batcher, base, route, exchange, body, target);
  const mirror = mirrorOf(plane, request, route, base, () =>
    transcodableCall(plane, request, route, base, target, body),
  );
  relay(plane.inferring, own, exchange, { ...options, ...mirror }, encode);
}

function withVersions(body: Buffer, versions: readonly string[]): Buffer | string {
  const metadata = parsedAnswer({ body });
  return isJsonObject(metadata) ? writeJson({ ...metadata, versions }) : body;
}

async function answerMetadata(
  { upstream, rules }: Plane,
  { exchange, tracing }: Request,
  route: ProxiedRoute,
  base: CallOptions,
  target: string,
  caller: Caller,
): Promise<void> {
  const { arm, replica, answered, body } = await fetchMetadata(upstream, base, route, target);
  const { status, fields } = answered;
  const origin = { arm: arm.name, version: replica.version };
  const own = callerHeaders(fields, tracing, origin, rules);
  const headers = withoutHeaders(own, (name) => name === 'content-length');
  exchange.account?.onRouted(arm.name, replica.version);
  const responseBody =
    route.kind === 'v2' && status === 200
      ? withVersions(body, versionsOf(base.model, caller))
      : body;
  exchange.answer(status, headers, responseBody);
}

const NOT_GIVEN = 'model: is missing, must be the id of a model as text';
const GIVEN_TWICE = 'model: is given twice, must be given once';

/** @throws Refusal unless every parser would read the same model */
function namedModel({ inferring }: Plane, body: Buffer): string | Promise<string> {
  if (isLarge(body)) return inferring.thread.run({ op: 'model_names', body }).then(nameAmong);
  const { model: name } = parseText(bodyText(body), readJson);
  if (typeof name !== 'string') {
    throw new Refusal('INVALID_REQUEST', NOT_GIVEN);
  }
  // Parsers differ in which duplicate key wins, and Go's also accepts "Model".
  if (textsNamed(body, 'model')?.length === 1) return name;
  throw new Refusal('INVALID_REQUEST', GIVEN_TWICE);
}

/** @param names the values of `model` in the body @throws Refusal */
function nameAmong(names: readonly unknown[] | undefined): string {
  if (names === undefined) {
    throw new Refusal('INVALID_REQUEST', 'the body is not JSON: a JSON object must have its end');
  }
  const [name] = names;
  if (names.length > 1) throw new Refusal('INVALID_REQUEST', GIVEN_TWICE);
  if (typeof name === 'string') return name;
  throw new Refusal('INVALID_REQUEST', NOT_GIVEN);
}

export async function answerOpenai(
  plane: Plane,
  request: Request,
  route: Extract<ProxiedRoute, { kind: 'openai' }>,
): Promise<void> {
  const { exchange } = request;
  // Authenticate before reading the body.
  authenticated(plane, exchange);
  const { openaiBytes } = plane.limits;
  const raw = await exchange.body(openaiBytes);
  const encoding = exchange.fields.get('content-encoding');
  const plain = await inflated(raw, encoding, openaiBytes, exchange.held);
  const name = await namedModel(plane, plain);
  const caller = authenticated(plane, exchange, name);
  const model = modelOf(plane.table, name);
  const arm = requestedArm(exchange, model, caller);
  const support = armSupport(model, route, arm);
  const base = callOptions(plane, request, model, { arm, version: undefined });
  const target = targetOf(route, exchange.query);
  const send = SEND[support];
  return send(plane, request, route, base, target, raw);
}
