import type { ArmStats } from '../routing/load';
import type { RoutingTable } from '../routing/table';

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

/** What one router has to do for one arm. */
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
}

/** What a router says of itself. Arms that had no request since it started are left out. */
export interface RouterLoad {
  readonly router: string;
  /** When it said so and when it started, milliseconds since the epoch by its own clock. */
  readonly at: number;
  readonly startedAt: number;
  /** By `armKey`. */
  readonly arms: ReadonlyMap<string, ArmLoad>;
}

/** Neither ids of models nor names of arms have a slash. */
export const armKey = (model: string, arm: string): string => `${model}/${arm}`;

export function byKey(arms: readonly ArmLoad[]): RouterLoad['arms'] {
  return new Map(arms.map((one) => [armKey(one.model, one.arm), one]));
}

/** A peer and what it said last. */
export interface PeerReport {
  readonly peer: Peer;
  /** By our clock; undefined: it never answered. */
  readonly heardAt?: number | undefined;
  readonly load?: RouterLoad | undefined;
}

/**
 * Peers are asked every second. One answer that gets lost says nothing yet; after this time what a
 * peer said is no longer what it does.
 */
export const FRESH_MS = 2_500;

export function isKnown({ heardAt, load }: PeerReport, now: number): boolean {
  return load !== undefined && heardAt !== undefined && now - heardAt <= FRESH_MS;
}

/** What this router says of itself. */
export function loadOf(
  router: string,
  { at, startedAt }: Pick<RouterLoad, 'at' | 'startedAt'>,
  stats: readonly ArmStats[],
  table: RoutingTable,
): RouterLoad {
  const arms = stats
    .filter(({ lastRequestAt, inFlight, queued }) => lastRequestAt ?? inFlight + queued)
    .map(({ model, arm, inFlight, queued, capacity, lastRequestAt }): ArmLoad => {
      const replicas = table.models.get(model)?.arms.get(arm)?.replicas ?? [];
      const ready = replicas.filter(({ terminating }) => !terminating).length;
      return { model, arm, inFlight, queued, capacity, lastRequestAt, ready };
    });
  return { router, at, startedAt, arms: byKey(arms) };
}

/** How an arm is used in one router. */
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

/** The use in every router; undefined for each that is not known. */
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
