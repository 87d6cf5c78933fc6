import { KubeError } from './api-error';
import type { Timing } from './timing';

/** Enough for a restart of an API server behind a balancer; callers handle longer outages. */
const TRIES = 3;
const FIRST_PAUSE_MS = 500;
/** A longer `Retry-After` fails the call at once. */
const MAX_PAUSE_MS = 10_000;

/** Overloaded, restarting or unreachable: the same request may succeed later. */
export function isTransient({ kind, status }: KubeError): boolean {
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

/** Retries transient errors; only for reads. */
export async function withRetries<T>(timing: Timing, ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!isWorthIt(error, tries)) throw error;
      await new Promise<void>((resolve) => {
        timing.after(resolve, pauseMs(error, tries, timing));
      });
    }
  }
}
