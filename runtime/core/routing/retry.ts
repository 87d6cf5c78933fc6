import type { AttemptResult } from './outcome';

/** One retry: a request that failed on two replicas is not the replica's fault. */
export const MAX_TRIES = 2;

/** Jitter, so that the callers of a replica that died do not reach its siblings at once. */
export const MIN_JITTER_MS = 25;
export const MAX_JITTER_MS = 250;

/** How long a retry waits for another replica before it takes the one that failed. */
export const AVOID_MS = 1_000;

interface Jitter {
  readonly minJitterMs: number;
  readonly maxJitterMs: number;
}

const JITTER: Jitter = { minJitterMs: MIN_JITTER_MS, maxJitterMs: MAX_JITTER_MS };

/** Statuses of a server, or of a proxy before it, that could not serve. */
export function isUnavailable(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}

export interface Repeatable {
  /** The definition allows sending a request again that may have run. */
  readonly idempotent: boolean;
  /** The body can be sent a second time. */
  readonly replayable: boolean;
}

/** May an attempt be retried? Always if nothing was sent; if it may have run, when idempotent. */
export function mayRepeat(result: AttemptResult, { idempotent, replayable }: Repeatable): boolean {
  if (!replayable) return false;
  switch (result.kind) {
    case 'unreached':
      return true;
    case 'reset':
      return idempotent;
    case 'answered':
      return idempotent && isUnavailable(result.status);
    // A timeout has used up the deadline; an answer that cannot be read would come again.
    case 'timeout':
    case 'protocol':
    case 'aborted':
    case 'rejected':
      return false;
  }
}

/**
 * Milliseconds to wait before the second try. None when nothing was sent (a refused connection
 * tells of one replica only), and none when others wait anyway.
 */
export function retryDelay(
  result: AttemptResult,
  queued: number,
  random: number,
  { minJitterMs, maxJitterMs }: Jitter = JITTER,
): number {
  if (result.kind === 'unreached' || queued > 0) return 0;
  return minJitterMs + Math.max(0, maxJitterMs - minJitterMs) * random;
}
