import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError, reasonOf, SourceError } from './entry';

/** A model of 100 GB may need several retries; a source that is away for minutes is given up. */
const TRIES = 6;
const FIRST_PAUSE_MS = 500;
/** Longest pause that a source may request. Milliseconds. */
const MAX_PAUSE_MS = 60_000;

export interface RetryOptions {
  readonly log: (line: string) => void;
  /** First pause between attempts, milliseconds; doubles. */
  readonly pauseMs?: number | undefined;
}

/**
 * The pause after the n-th failure in a row: doubled, with jitter, because many pods start at once.
 */
function pauseAfter(failures: number, error: unknown, first: number): number {
  const asked = error instanceof BusyError ? error.afterMs : 0;
  const doubled = first * 2 ** (failures - 1) * (0.5 + Math.random());
  return Math.min(MAX_PAUSE_MS, Math.max(asked, doubled));
}

/**
 * Repeats `work` until it succeeds, or has failed too often in a row. An attempt that got further
 * than before (`progress` grew) resets the count: long downloads break often.
 * @throws SourceError at once; any other error after the last attempt
 */
export async function persist<T>(
  what: string,
  work: () => Promise<T>,
  { log, pauseMs = FIRST_PAUSE_MS }: RetryOptions,
  progress: () => Promise<number> = async () => 0,
): Promise<T> {
  let best = await progress();
  for (let failures = 1; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SourceError) throw error;
      const reached = await progress();
      if (reached > best) failures = 1;
      best = Math.max(best, reached);
      if (failures === TRIES) throw error;
      log(`${what}: ${reasonOf(error)}; going on (try ${failures + 1} of ${TRIES})`);
      await sleep(pauseAfter(failures, error, pauseMs));
    }
  }
}
