import type { Caller } from '../../auth/port';
import { holds } from '../../auth/port';
import type { ArmRoute, ModelRoute } from '../../core/routing/table';
import type { CallOptions } from '../upstream/call';
import type { ArmSelector } from '../routing/target';
import type { ProxiedRoute } from '../upstream/relay';
import { targetOf } from '../upstream/relay';
import { JSON_TYPE, ownHeaders } from '../upstream/headers';
import { parsedAnswer } from '../upstream/infer';
import { isServing } from './model-list';
import type { ArmReplica } from './metadata-proxied';
import { chooseReplica, fetchMetadata } from './metadata-proxied';
import { canTranscode } from '../routing/supported-calls';
import type { Signature } from '../transcode/tfs-metadata';
import { readSignature, UNKNOWN_SIGNATURE } from '../transcode/tfs-metadata';
import type { Plane, Request } from './request';
import { sendJson } from './request';

// Metadata of a model whose server does not support the caller's protocol.

/** Answered from the routing table: a probe must not wait in a queue or count as inference. */
export function answerReady(
  { exchange, tracing }: Request,
  model: ModelRoute,
  { arm, version }: Partial<ArmSelector> = {},
): void {
  const ready = isServing(model, arm, version);
  const headers = JSON_TYPE + ownHeaders(tracing);
  exchange.answer(ready ? 200 : 503, headers, JSON.stringify({ name: model.id, ready }));
}

/**
 * The versions that answer the caller's requests; with the scope `arms` also those it may select.
 * A single replica only knows its own version.
 */
export function versionsOf({ arms, shares }: ModelRoute, caller: Caller): readonly string[] {
  const taking = new Set(shares.filter(({ hundredths }) => hundredths > 0).map(({ arm }) => arm));
  const seen = [...arms.values()].filter(
    ({ name, replicas }) => replicas.length > 0 && (taking.has(name) || holds(caller, 'arms')),
  );
  return [...new Set(seen.map(({ version }) => version))];
}

/** Triton's platform name where there is one; else the kind of the server. */
const platformOf = ({ server, protocol }: ArmRoute): string =>
  protocol === 'tfs' ? 'tensorflow_savedmodel' : server.kind;

/** Only TensorFlow Serving reports inputs and outputs. */
async function signatureOf(
  { upstream }: Plane,
  base: CallOptions,
  { arm }: ArmReplica,
): Promise<Signature> {
  if (arm.protocol !== 'tfs') return UNKNOWN_SIGNATURE;
  const route = { kind: 'v1', model: base.model.id, call: 'metadata' } as const;
  const named = { ...base, arm: arm.name };
  const { answered, body } = await fetchMetadata(upstream, named, route, targetOf(route, ''));
  if (answered.status !== 200) return UNKNOWN_SIGNATURE;
  const name = arm.server.kind === 'tensorflow-serving' ? arm.server.signatureName : undefined;
  return readSignature(parsedAnswer({ body }), name);
}

/** V2 metadata of a model whose server has none. */
export async function synthesizedMetadata(
  plane: Plane,
  route: ProxiedRoute,
  base: CallOptions,
  caller: Caller,
) {
  const { model } = base;
  const candidate = chooseReplica(base, (arm) => canTranscode(arm, route));
  const { arm, replica } = candidate;
  const signature = await signatureOf(plane, base, candidate);
  const versions = versionsOf(model, caller);
  const metadata = { name: model.id, versions, platform: platformOf(arm), ...signature };
  return { metadata, origin: { arm: arm.name, version: replica.version } };
}

/** V1 status or V2 metadata. */
export async function answerSynthesized(
  plane: Plane,
  request: Request,
  route: ProxiedRoute,
  base: CallOptions,
  caller: Caller,
): Promise<void> {
  if (route.kind === 'v1') return answerReady(request, base.model, base);
  const { metadata, origin } = await synthesizedMetadata(plane, route, base, caller);
  sendJson(request, metadata, origin);
}
