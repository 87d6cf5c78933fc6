import { KubeError } from './api-error';
import type { Timing } from './timing';

/** Three tries ride out an API server's restart behind a balancer; a longer outage is the caller's. */
const TRIES = 3;
const FIRST_PAUSE_MS = 500;
/** A server may ask for more patience than a caller has; then the caller hears of it at once. */
const MAX_PAUSE_MS = 10_000;

/** Overloaded, restarting, or not reached: the same question may be answered later. */
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

/** Asks again a few times; only for questions, which change nothing. */
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
