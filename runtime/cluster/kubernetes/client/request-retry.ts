import { isWriteConflict, KubeError } from './api-error';
import { orAborted } from './deadline';
import type { Timing } from './timing';

// How calls to the API server are repeated. Nothing else repeats one, but for watches and the lease,
// which go on for as long as the service runs and have a backoff of their own (watch-state.ts,
// core/lifecycle/lease.ts).
//   A read: while the server is overloaded, restarting or unreachable, within the deadline of the
//   request (client.ts, 30 s for all tries). Callers handle longer outages.
//   A write: never, because its answer may have been lost.
//   A write that lost a race (409): its caller reads again, decides again and writes again, ten
//   times within a minute. What control/change.ts repeats is another thing: a decision on a
//   definition that has been replaced meanwhile.

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

/** Each lost race means that another writer has won one: so many in a row indicate a defect. */
const RACES = 10;
/** No race is begun after this time; milliseconds. */
const RACES_MS = 60_000;

/**
 * Compare and swap: repeats `attempt`, which reads, decides and writes on the condition that the
 * object is unchanged, until no other writer was faster. Attempts do not multiply where one
 * contains another: what the inner one ends with is not a conflict.
 * @throws KubeError `contention`; whatever else `attempt` throws
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
