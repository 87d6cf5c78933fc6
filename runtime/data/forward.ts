import type { ArmRoute, ModelRoute } from '../core/table';
import type { Protocol } from '../../lib/spec';
import type { CallBase, Calling } from './calling';
import { callStreaming } from './calling';
import { Refusal } from './errors';
import type { Exchange } from './exchange';
import type { Tracing } from './headers';
import { callerHeaders } from './headers';
import type { Route } from './paths';

/** Routes whose bytes pass untouched. */
export type Passing = Extract<Route, { kind: 'v2' | 'v1' | 'openai' }>;

/** Which servers understand a route; the built-in one speaks V1 beside V2. */
function speaks({ protocol, server }: ArmRoute, kind: Passing['kind']): boolean {
  const wanted: Readonly<Record<Passing['kind'], readonly Protocol[]>> = {
    v2: ['v2'],
    v1: ['v1', 'tfs'],
    openai: ['openai'],
  };
  return wanted[kind].includes(protocol) || (kind === 'v1' && server.kind === 'onnx');
}

const CALL_OF: Readonly<Record<Protocol, string>> = {
  native: 'POST /api/v1/models/{id}/inference',
  v2: 'POST /v2/models/{id}/infer',
  v1: 'POST /v1/models/{id}:predict',
  tfs: 'POST /v1/models/{id}:predict',
  openai: 'POST /openai/v1/chat/completions',
};

/** @throws Refusal when no arm of the model understands the route */
export function checkSpoken(model: ModelRoute, kind: Passing['kind']): void {
  const arms = [...model.arms.values()];
  if (arms.some((arm) => speaks(arm, kind))) return;
  const protocol = arms[0]?.protocol ?? 'native';
  throw new Refusal(
    'INVALID_REQUEST',
    `model ${model.id} does not speak ${kind}, it speaks ${protocol}; call ${CALL_OF[protocol].replace('{id}', model.id)}`,
  );
}

/** The path on the server; the version has chosen the arm and is not the server's business. */
export function targetOf(route: Passing, query: string): string {
  if (route.kind === 'openai') return `/v1/${route.call}${query}`;
  const id = encodeURIComponent(route.model);
  if (route.kind === 'v1') {
    if (route.call === 'status') return `/v1/models/${id}${query}`;
    if (route.call === 'metadata') return `/v1/models/${id}/metadata${query}`;
    return `/v1/models/${id}:${route.call}${query}`;
  }
  const call = route.call === 'metadata' ? '' : `/${route.call}`;
  return `/v2/models/${id}${call}${query}`;
}

/** Passes a request on and its answer back, byte by byte. @throws Refusal, CallerGone */
export async function forward(
  calling: Calling,
  base: CallBase,
  exchange: Exchange,
  target: string,
  body: Buffer | undefined,
  tracing: Tracing,
): Promise<void> {
  const replayable = (body?.length ?? 0) <= base.model.inference.replayBytes;
  const asked = { method: exchange.method, target, body };
  const reply = await callStreaming(calling, { ...base, replayable }, asked);
  const { answered, arm, replica, done } = reply;
  const { status, rawHeaders, body: source } = answered;
  const headers = callerHeaders(rawHeaders, tracing, { arm: arm.name, version: replica.version });
  const sent = await exchange.stream(status, headers, source);
  if (sent === 'complete') done({ kind: 'answered', status });
  else if (sent === 'caller_gone') done({ kind: 'aborted' });
  else done({ kind: 'reset', message: 'the answer was cut off' });
}
