import type { Log } from './log';

/** The clock of this machine. */
export const clock = {
  now: (): number => Date.now(),
  setTimeout: (work: () => void, ms: number): (() => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** Interval of the control loop, milliseconds. */
const TICK_MS = 1000;

/** Ticks until the returned function is called; a tick that outlasts the interval skips the next one. */
export function startTicks(tick: () => Promise<void>, log: Log): () => void {
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    tick()
      .catch((error: unknown) => log.error('a tick failed', { name: (error as Error).name }))
      .finally(() => {
        busy = false;
      });
  }, TICK_MS);
  return () => clearInterval(timer);
}
