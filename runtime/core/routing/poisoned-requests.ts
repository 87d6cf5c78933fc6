import type { AttemptResult } from './outcome';

/** How long a request that ended two replicas is refused. */
export const POISONED_MS = 60_000;
/** Requests that are remembered; the oldest goes for a newer one. */
export const MAX_POISONED = 1_000;
/** So long after its connection broke a replica may still be in the table, if its process died. */
export const CONFIRM_MS = 10_000;

/**
 * May the server's process have died of this try? Its connection broke before the answer was whole,
 * or it broke and nobody listened any more when the request came again. The table says later
 * whether the replica is gone, which is what counts (`deathOf`).
 */
export function mayHaveCrashed(result: AttemptResult): boolean {
  return result.kind === 'reset' || (result.kind === 'unreached' && result.broke === true);
}

/** A replica on which a try broke, as it is known now. */
export interface BrokenReplica {
  readonly listed: boolean;
  readonly replica: { readonly terminating: boolean };
}

/**
 * What became of a replica after a try broke. `dead`: it left the table without having been asked
 * to end. `alive`: it was ending anyway, or is still there when there has been time to notice.
 */
export function crashVerdict(
  broken: BrokenReplica,
  waitedMs: number,
): 'dead' | 'alive' | 'unknown' {
  if (broken.replica.terminating) return 'alive';
  if (!broken.listed) return 'dead';
  return waitedMs >= CONFIRM_MS ? 'alive' : 'unknown';
}

/** Requests that ended two replicas, by fingerprint: until when each is refused. */
export interface Poisoned {
  readonly until: Map<string, number>;
  /** Model → until when any of its requests is. */
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

/** Is any request of this model refused? Before that no request is hashed. */
export function hasPoisoned({ models }: Poisoned, model: string, now: number): boolean {
  if (models.size === 0) return false;
  const until = models.get(model);
  if (until === undefined) return false;
  if (now < until) return true;
  models.delete(model);
  return false;
}

/** Milliseconds a request is still refused; 0: it is not. */
export function poisonedMs({ until }: Poisoned, fingerprint: string, now: number): number {
  for (const [oldest, end] of until) {
    if (end > now) break;
    until.delete(oldest);
  }
  return Math.max(0, (until.get(fingerprint) ?? 0) - now);
}
