import type { AttemptResult } from './outcome';

/** How long a request that crashed two replicas is rejected. */
export const POISONED_MS = 60_000;
/** Most fingerprints kept; a newer one replaces the oldest. */
export const MAX_POISONED = 1_000;
/** So long after its connection broke a replica may still be in the table, if its process died. */
export const CONFIRM_MS = 10_000;

/**
 * Whether the server's process may have crashed in this attempt: its connection broke before the
 * response was whole, or it broke and the port was closed at the next attempt. The table shows
 * later whether the replica is gone, which decides (`deathOf`).
 */
export function mayHaveCrashed(result: AttemptResult): boolean {
  return result.kind === 'reset' || (result.kind === 'unreached' && result.broke === true);
}

/** Current knowledge of a replica on which an attempt broke. */
export interface BrokenReplica {
  readonly listed: boolean;
  readonly replica: { readonly terminating: boolean };
}

/**
 * `dead`: the replica left the table without a termination request. `alive`: it was terminating
 * anyway, or is still listed after `CONFIRM_MS`.
 */
export function crashVerdict(
  broken: BrokenReplica,
  waitedMs: number,
): 'dead' | 'alive' | 'unknown' {
  if (broken.replica.terminating) return 'alive';
  if (!broken.listed) return 'dead';
  return waitedMs >= CONFIRM_MS ? 'alive' : 'unknown';
}

/** Requests that crashed two replicas, by fingerprint: until when each is rejected. */
export interface Poisoned {
  readonly until: Map<string, number>;
  /** Model → until when any of its requests is rejected. */
  readonly models: Map<string, number>;
}

export function createPoisoned(): Poisoned {
  return { until: new Map(), models: new Map() };
}

export function addPoisoned(
  { until, models }: Poisoned,
  model: string,
  fingerprint: string,
  now: number,
): void {
  until.delete(fingerprint);
  until.set(fingerprint, now + POISONED_MS);
  models.set(model, now + POISONED_MS);
  for (const oldest of until.keys()) {
    if (until.size <= MAX_POISONED) break;
    until.delete(oldest);
  }
}

/** Is any request of this model rejected? If not, its requests need not be hashed. */
export function hasPoisoned({ models }: Poisoned, model: string, now: number): boolean {
  if (models.size === 0) return false;
  const until = models.get(model);
  if (until === undefined) return false;
  if (now < until) return true;
  models.delete(model);
  return false;
}

/** Milliseconds for which the request is still rejected; 0: it is accepted. */
export function poisonedMs({ until }: Poisoned, fingerprint: string, now: number): number {
  for (const [oldest, end] of until) {
    if (end > now) break;
    until.delete(oldest);
  }
  return Math.max(0, (until.get(fingerprint) ?? 0) - now);
}
