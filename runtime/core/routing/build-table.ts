import type { Arm } from '../../../lib/spec';
import { protocolOf } from './capabilities';
import type { ModelRecord, ModelOverrides, ReplicaRecord, Snapshot } from '../lifecycle/snapshot';
import { ALL_TRAFFIC } from './split';
import type {
  ArmRoute,
  ModelRoute,
  ReplicaRoute,
  RolloutRoute,
  RoutingTable,
  ShadowRoute,
  Share,
} from './table';
import { entryOf } from '../../../lib/spec/entry';
import type { RolloutState } from '../release/rollout-state';
import { rolloutArmOf, rolloutPercent, rolloutStateOf } from '../release/rollout';

/**
 * Twice the requests in flight: a short burst waits for one more service time, a long one is
 * refused.
 */
const QUEUE_PER_CAPACITY = 2;

/** The split is monotone for two candidates, not for three (split.ts). */
const MAX_LIVE_CANDIDATES = 2;

/** What is remembered beside the definition, unless it belongs to an earlier one. */
export function overridesOf({ state, hash }: ModelRecord): ModelOverrides | undefined {
  return state?.hash === hash ? state : undefined;
}

const bounded = (percent: number): number =>
  Math.min(ALL_TRAFFIC, Math.max(0, Math.round(percent * 100)));

function wantedBy(
  { name, role }: Arm,
  state: ModelOverrides | undefined,
  rollout: RolloutState | undefined,
): number {
  const override = entryOf(state?.shares, name);
  const promote = state?.promote?.candidate === name ? state.promote : undefined;
  if (promote?.phase === 'rolling') return ALL_TRAFFIC;
  if (override !== undefined) return bounded(override);
  if (promote?.phase === 'returning') return ALL_TRAFFIC;
  if (role.kind === 'rollout') return bounded(rolloutPercent(role.rollout, rollout));
  return role.kind === 'traffic' ? bounded(role.percent) : 0;
}

/** Candidates that can have callers; a shadow becomes one by being promoted. */
function liveCandidates(record: ModelRecord): readonly Arm[] {
  const [, ...candidates] = record.spec.arms;
  const live = candidates.filter(({ role }) => role.kind !== 'shadow');
  const promoted = overridesOf(record)?.promote?.candidate;
  const shadow = candidates.find(({ name, role }) => name === promoted && role.kind === 'shadow');
  return shadow === undefined ? live : [...live.slice(0, MAX_LIVE_CANDIDATES - 1), shadow];
}

/**
 * The shares in force: the definition's, overridden by what is remembered for this very definition,
 * and by the phase of a promotion. Stable first; it gets what is left. They sum to 10,000; a
 * candidate under promotion is served before its siblings when all together want more.
 */
export function sharesOf(record: ModelRecord): readonly Share[] {
  const state = overridesOf(record);
  const rollout = rolloutStateOf(record);
  const candidates = liveCandidates(record);
  const first = candidates.find(({ name }) => name === state?.promote?.candidate);
  let left = ALL_TRAFFIC;
  const claim = (arm: Arm): number => {
    const given = Math.min(left, wantedBy(arm, state, rollout));
    left -= given;
    return given;
  };
  const promoted = first === undefined ? 0 : claim(first);
  const shares = candidates.map((arm) => ({
    arm: arm.name,
    hundredths: arm === first ? promoted : claim(arm),
  }));
  return [{ arm: record.spec.arms[0].name, hundredths: left }, ...shares];
}

function shadowsOf(record: ModelRecord): readonly ShadowRoute[] {
  const state = overridesOf(record);
  return record.spec.arms.flatMap(({ name, role }) => {
    if (role.kind !== 'shadow' || state?.promote?.candidate === name) return [];
    const percent = entryOf(state?.shares, name) ?? role.percent;
    return percent > 0 ? [{ arm: name, percent, compare: role.compare }] : [];
  });
}

/** `10.0.0.1:80`, `[::1]:80`. */
function addressOf({ host, port }: ReplicaRecord): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** One on a node that is dead fails its next request, and is ejected like any other. */
const isServing = ({ phase, isNodeSilent }: ReplicaRecord): boolean =>
  phase === 'ready' || isNodeSilent === true;

function replicasOf(record: ModelRecord, arm: string): readonly ReplicaRoute[] {
  const own = record.replicas.filter((replica) => replica.arm === arm);
  const as = (replica: ReplicaRecord, terminating: boolean): ReplicaRoute => ({
    id: replica.id,
    host: replica.host,
    port: replica.port,
    address: addressOf(replica),
    version: replica.version,
    terminating,
  });
  return [
    ...own.filter(isServing).map((one) => as(one, false)),
    ...own.filter(({ phase }) => phase === 'terminating').map((one) => as(one, true)),
  ];
}

/** Until a replica could be up. This service starts none that another system runs. */
function holdMsOf({ spec, arms }: ModelRecord, { name }: Arm): number {
  const isUnreached = arms.find((arm) => arm.name === name)?.isUnreached === true;
  return isUnreached ? 0 : spec.health.startupSeconds * 1000;
}

function armRoute(record: ModelRecord, arm: Arm, routers: number): ArmRoute {
  const { maxConcurrency, maxQueueDepth } = record.spec.inference;
  const replicas = replicasOf(record, arm.name);
  const concurrencyPerReplica = Math.max(1, Math.ceil(maxConcurrency / routers));
  // An arm without replicas is about to get its fewest.
  const ready = replicas.filter(({ terminating }) => !terminating).length;
  const count = Math.max(1, ready, arm.scaling.minReplicas);
  const depth =
    maxQueueDepth === undefined
      ? QUEUE_PER_CAPACITY * count * concurrencyPerReplica
      : Math.ceil(maxQueueDepth / routers);
  return {
    name: arm.name,
    version: arm.version,
    protocol: protocolOf(arm.server),
    server: arm.server,
    replicas,
    concurrencyPerReplica,
    maxQueueDepth: depth,
    holdMs: holdMsOf(record, arm),
  };
}

function modelRoute(record: ModelRecord, routers: number): ModelRoute {
  const { spec } = record;
  const shares = sharesOf(record);
  const rollout = rolloutStateOf(record);
  return {
    id: spec.id,
    slug: spec.slug,
    inference: spec.inference,
    cohort: spec.inference.cohort,
    salt: rollout?.salt ?? spec.inference.cohort.salt ?? spec.id,
    stopped: overridesOf(record)?.stopped === true,
    deleting: record.deleting,
    shares,
    shadows: shadowsOf(record),
    rollout: rolloutRouteOf(record, shares, rollout),
    arms: new Map(spec.arms.map((arm) => [arm.name, armRoute(record, arm, routers)])),
  };
}

/** Most milliseconds that a trial waits for the end of its requests. */
const MAX_CLOSE_MS = 30_000;

/** The rollout to count. One without a share still closes the trials that began before. */
function rolloutRouteOf(
  { spec }: ModelRecord,
  shares: readonly Share[],
  state: RolloutState | undefined,
): RolloutRoute | undefined {
  const arm = rolloutArmOf(spec);
  if (arm?.role.kind !== 'rollout' || state === undefined) return undefined;
  const stable = shares[0]?.hundredths ?? 0;
  const candidate = shares.find((share) => share.arm === arm.name)?.hundredths ?? 0;
  return {
    id: state.id,
    candidate: arm.name,
    hundredths: Math.round((ALL_TRAFFIC * candidate) / Math.max(1, stable + candidate)),
    unit: arm.role.rollout.unit,
    closeMs: Math.min(MAX_CLOSE_MS, spec.inference.timeoutSeconds * 1000),
    thresholdMs: state.thresholdMs,
  };
}

/** A table, and what it was built from. */
export interface TableBuild {
  readonly snapshot: Snapshot;
  readonly routers: number;
  readonly table: RoutingTable;
}

/**
 * The routes of everything the cluster holds. `routers`: how many of us share the replicas; each
 * takes max(1, ceil(maxConcurrency / routers)) requests in flight per replica. Snapshots share the
 * records of models that did not change, and tables their routes: of a thousand one is built.
 * `onFault`: no route can be made of a model; the one it had stays, and the others are built.
 */
export function buildTable(
  snapshot: Snapshot,
  generation: number,
  routers = 1,
  before?: TableBuild,
  onFault: (id: string, error: unknown) => void = () => undefined,
): RoutingTable {
  const sharers = Math.max(1, routers);
  const known =
    before !== undefined && Math.max(1, before.routers) === sharers ? before : undefined;
  const models = new Map<string, ModelRoute>();
  for (const [id, record] of snapshot.models) {
    const isSame = known?.snapshot.models.get(id) === record;
    const route = isSame ? known?.table.models.get(id) : undefined;
    const made = route ?? tryRoute(record, sharers, (error) => onFault(id, error));
    const kept = made ?? before?.table.models.get(id);
    if (kept !== undefined) models.set(id, kept);
  }
  return { generation, models };
}

function tryRoute(
  record: ModelRecord,
  routers: number,
  onFault: (error: unknown) => void,
): ModelRoute | undefined {
  try {
    return modelRoute(record, routers);
  } catch (error) {
    onFault(error);
    return undefined;
  }
}
