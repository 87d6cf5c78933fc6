import { retryAfterSeconds } from '../../core/routing/admission';
import type { AttemptResult } from '../../core/routing/outcome';
import { isUnavailable } from '../../core/routing/retry';
import { explainArm } from '../../core/routing/split';
import type { ArmRoute, ModelRoute, ReplicaRoute } from '../../core/routing/table';
import { attemptHeaders } from '../upstream/attempt-headers';
import type { CallOptions } from '../upstream/call';
import { failureOf } from '../upstream/failure';
import type { ProxiedRoute } from '../upstream/relay';
import { supports } from '../routing/supported-calls';
import type { HttpResponse } from '../http/exchange';
import { withoutHeaders } from '../upstream/headers';
import type { HttpClient } from '../http/client/client';
import { awaitResponse } from '../http/client/client';
import { readAll } from '../upstream/collect';

// Metadata and status of a model, fetched from a replica. These calls are not inference: they take
// no slot, do not queue, and do not count in latency statistics or outcomes.

/** Metadata is small; a larger response is an error. */
const MAX_BYTES = 1024 * 1024;
/** Replicas that are asked at most: all give the same answer. */
const MAX_TRIES = 3;

export interface ArmReplica {
  readonly arm: ArmRoute;
  readonly replica: ReplicaRoute;
}

export interface MetadataReply extends ArmReplica {
  readonly answered: HttpResponse;
  readonly body: Buffer;
}

/** The arm whose inference the caller would get first, then all that take traffic. */
function candidateReplicas(
  { model, arm: named, version, cohortKey }: CallOptions,
  fits: (arm: ArmRoute) => boolean,
): readonly ArmReplica[] {
  const [stable] = model.shares;
  const own = cohortKey === undefined ? stable?.arm : explainArm(model, cohortKey).arm;
  const live = model.shares.filter(({ hundredths }) => hundredths > 0).map(({ arm }) => arm);
  const names = named === undefined ? new Set([own ?? '', ...live]) : [named];
  return [...names]
    .flatMap((name) => model.arms.get(name) ?? [])
    .filter(fits)
    .flatMap((arm) => arm.replicas.map((replica) => ({ arm, replica })))
    .filter(({ replica }) => version === undefined || replica.version === version);
}

function refuse(model: ModelRoute, reason: 'stopped' | 'deleting' | 'no_replica'): never {
  const after = retryAfterSeconds(reason, 0);
  const result = { kind: 'refused', arm: undefined, reason, retryAfterSeconds: after } as const;
  throw failureOf(result, model.id);
}

type Failed = Exclude<AttemptResult, { kind: 'answered' }>;

async function askOne(
  upstream: HttpClient,
  { headers: given, signal }: CallOptions,
  candidate: ArmReplica,
  target: string,
  timeoutMs: number,
): Promise<MetadataReply | Failed> {
  // The router reads the response, so it must not be compressed.
  const plain = withoutHeaders(given, (name) => /^(?:content-|accept-encoding$)/.test(name));
  const { replica } = candidate;
  const [method, body, repeatable] = ['GET', undefined, true];
  const headers = attemptHeaders(replica, { headers: plain, body }, undefined, timeoutMs);
  const request = { method, target, headers, body, timeoutMs, signal, repeatable };
  const answered = await awaitResponse((asker) => upstream.send(replica, request, asker));
  if (answered.kind !== 'answered') return answered;
  const read = await readAll(answered, MAX_BYTES, timeoutMs);
  return Buffer.isBuffer(read) ? { ...candidate, answered, body: read } : read;
}

const hasAnswered = (result: MetadataReply | Failed): result is MetadataReply =>
  'answered' in result;

/** Ready replicas of the arms that fit. @throws Refusal when there are none */
function availableReplicas(
  base: CallOptions,
  fits: (arm: ArmRoute) => boolean,
): readonly ArmReplica[] {
  const { model } = base;
  if (model.deleting) return refuse(model, 'deleting');
  if (model.stopped) return refuse(model, 'stopped');
  const candidates = candidateReplicas(base, fits);
  return candidates.length === 0 ? refuse(model, 'no_replica') : candidates;
}

/** The replica whose arm and version the synthesized answer describes. @throws Refusal */
export function chooseReplica(base: CallOptions, fits: (arm: ArmRoute) => boolean): ArmReplica {
  const [candidate] = availableReplicas(base, fits);
  return candidate ?? refuse(base.model, 'no_replica');
}

/** Asks one replica after another until one answers. @throws Refusal, CallerGone */
export async function fetchMetadata(
  upstream: HttpClient,
  base: CallOptions,
  route: ProxiedRoute,
  target: string,
): Promise<MetadataReply> {
  const { model } = base;
  const candidates = availableReplicas(base, (arm) => supports(arm, route)).slice(0, MAX_TRIES);
  const end = performance.now() + base.timeoutMs;
  let last: MetadataReply | Failed | undefined;
  for (const candidate of candidates) {
    const left = Math.max(1, end - performance.now());
    last = await askOne(upstream, base, candidate, target, left);
    if (hasAnswered(last) ? !isUnavailable(last.answered.status) : last.kind === 'aborted') break;
  }
  if (last === undefined) return refuse(model, 'no_replica');
  if (hasAnswered(last)) return last;
  const tries = candidates.length;
  throw failureOf({ kind: 'failed', arm: undefined, result: last, tries }, model.id);
}
