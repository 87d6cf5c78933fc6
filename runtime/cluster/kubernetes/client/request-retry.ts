import { isWriteConflict, KubeError } from './api-error';
import { orAborted } from './deadline';
import type { Timing } from './timing';

// Repetition of calls to the API server. Only watches and the lease have their own backoff, for as
// long as the service runs (watch-state.ts, core/lifecycle/lease.ts).
//   A read: while the server is overloaded, restarting or unreachable, within the deadline of the
//   request (client.ts, 30 s for all attempts). Callers handle longer outages.
//   A write: never, because its response may have been lost.
//   A write that lost a race (409): its caller reads, decides and writes again, ten times within a
//   minute. control/change.ts repeats a decision on a definition that was replaced meanwhile.

/** Enough for a restart of an API server behind a balancer. */
const TRIES = 3;
const FIRST_PAUSE_MS = 500;
/** A longer `Retry-After` fails the call at once. */
const MAX_PAUSE_MS = 10_000;

/** Overloaded, restarting or unreachable: the same request may succeed later. */
function isTransient({ kind, status }: KubeError): boolean {
  return kind === 'network' || (kind === 'status' && (status === 429 || status >= 500));
}

function pauseMs({ retryAfterSeconds }: KubeError, tries: number, { random }: Timing): number {
  const backoffMs = FIRST_PAUSE_MS * 2 ** (tries - 1);
  const retryAfterMs = (retryAfterSeconds ?? 0) * 1000;
  return Math.max(backoffMs, retryAfterMs) * (1 + random() / 5);
}

function isWorthIt(error: unknown, tries: number): error is KubeError {
  if (!(error instanceof KubeError) || !isTransient(error) || tries === TRIES) return false;
  return (error.retryAfterSeconds ?? 0) * 1000 <= MAX_PAUSE_MS;
}

/** Retries transient errors until the signal is aborted; only for reads. */
export async function withRetries<T>(
  timing: Timing,
  signal: AbortSignal,
  ask: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!isWorthIt(error, tries)) throw error;
      const ms = pauseMs(error, tries, timing);
      await orAborted(new Promise<void>((resolve) => void timing.after(resolve, ms)), signal);
    }
  }
}

/** Each lost race is the success of another writer: this many in a row indicate a defect. */
const RACES = 10;
/** No race begins after this time; milliseconds. */
const RACES_MS = 60_000;

/**
 * Compare and swap: repeats `attempt`, which reads, decides and writes on the condition that the
 * object is unchanged, until no other writer was faster. Nested attempts do not multiply: the final
 * error of the inner one is not a conflict.
 * @throws KubeError `contention`; every other error of `attempt`
 */
export async function retryOnConflict<T>(
  attempt: () => Promise<T>,
  now: () => number = () => performance.now(),
): Promise<T> {
  const end = now() + RACES_MS;
  for (let left = RACES; ; left -= 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isWriteConflict(error)) throw error;
      if (left === 1 || now() >= end) throw new KubeError('contention', error.message);
    }
  }
}
