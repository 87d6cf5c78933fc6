import type { ArmStats } from '../routing/load';
import type { RoutingTable } from '../routing/table';
import type { RolloutCounts, RolloutState } from '../release/rollout-state';

/** Another router, as its pod shows it. */
export interface Peer {
  /** Name of its pod. */
  readonly id: string;
  readonly host: string;
  /** Its ops port. */
  readonly port: number;
  /** It takes requests; one that does not may still have some. */
  readonly ready: boolean;
}

/** The load of one arm in one router. */
export interface ArmLoad {
  readonly model: string;
  readonly arm: string;
  readonly inFlight: number;
  readonly queued: number;
  readonly capacity: number;
  /** Replicas that are up, as it sees them. */
  readonly ready: number;
  /** Milliseconds since the epoch, by its own clock. */
  readonly lastRequestAt?: number | undefined;
  /** Requests that ended within its window (`windowSeconds`); routers of earlier versions say none. */
  readonly ended?: number | undefined;
}

/** Load report of a router. Arms without a request since its start are left out. */
export interface RouterLoad {
  readonly router: string;
  /** Time of the report and of the start, milliseconds since the epoch by the router's clock. */
  readonly at: number;
  readonly startedAt: number;
  /** By `armKey`. */
  readonly arms: ReadonlyMap<string, ArmLoad>;
  /** What it counted of rollouts. */
  readonly rollouts: readonly RolloutCounts[];
  /** Decisions of the leader on rollouts that the cluster has not stored yet. */
  readonly decisions: readonly RolloutDecision[];
}

/** The report of a router without rollouts. */
export const NO_ROLLOUTS: Pick<RouterLoad, 'rollouts' | 'decisions'> = {
  rollouts: [],
  decisions: [],
};

export interface RolloutDecision {
  readonly model: string;
  readonly state: Omit<RolloutState, 'counts' | 'verdict' | 'by'>;
}

/** Neither ids of models nor names of arms have a slash. */
export const armKey = (model: string, arm: string): string => `${model}/${arm}`;

export function byKey(arms: readonly ArmLoad[]): RouterLoad['arms'] {
  return new Map(arms.map((one) => [armKey(one.model, one.arm), one]));
}

/** A peer and its last report. */
export interface PeerReport {
  readonly peer: Peer;
  /** By our clock; undefined: it never answered. */
  readonly heardAt?: number | undefined;
  readonly load?: RouterLoad | undefined;
}

/** Peers are polled every second; a report is current for this long, so one may get lost. */
export const FRESH_MS = 2_500;

export function isKnown({ heardAt, load }: PeerReport, now: number): boolean {
  return load !== undefined && heardAt !== undefined && now - heardAt <= FRESH_MS;
}

/** Load report of this router. */
export function loadOf(
  router: string,
  { at, startedAt }: Pick<RouterLoad, 'at' | 'startedAt'>,
  stats: readonly ArmStats[],
  table: RoutingTable,
  more = NO_ROLLOUTS,
): RouterLoad {
  const arms = stats
    .filter(({ lastRequestAt, inFlight, queued }) => lastRequestAt ?? inFlight + queued)
    .map(({ model, arm, inFlight, queued, capacity, lastRequestAt, window }): ArmLoad => {
      const replicas = table.models.get(model)?.arms.get(arm)?.replicas ?? [];
      const ready = replicas.filter(({ terminating }) => !terminating).length;
      const ended = window.requests;
      return { model, arm, inFlight, queued, capacity, lastRequestAt, ready, ended };
    });
  return { router, at, startedAt, arms: byKey(arms), ...more };
}

/** Usage of an arm in one router. */
export interface ArmUsage {
  readonly inFlight: number;
  readonly queued: number;
  /** Since the last request came, or since the router began to look, milliseconds. */
  readonly idleMs: number;
}

/** `ageMs`: how old the answer is. Only times of one clock are compared. */
export function armUsageOf(
  { at, startedAt, arms }: RouterLoad,
  model: string,
  arm: string,
  ageMs = 0,
): ArmUsage {
  const { inFlight = 0, queued = 0, lastRequestAt } = arms.get(armKey(model, arm)) ?? {};
  const idleMs = Math.max(0, at - Math.max(startedAt, lastRequestAt ?? 0)) + ageMs;
  return { inFlight, queued, idleMs };
}

/** Usage per router; undefined for each router without a current report. */
export function armUsagesOf(
  own: RouterLoad,
  others: readonly PeerReport[],
  { model, arm, now }: { readonly model: string; readonly arm: string; readonly now: number },
): readonly (ArmUsage | undefined)[] {
  const theirs = others.map((heard) => {
    const { load, heardAt = now } = heard;
    return load !== undefined && isKnown(heard, now)
      ? armUsageOf(load, model, arm, now - heardAt)
      : undefined;
  });
  return [armUsageOf(own, model, arm), ...theirs];
}
