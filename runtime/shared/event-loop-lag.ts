/** How often the event loop is asked whether it still turns; milliseconds. */
const TICK_MS = 50;
/** A standstill excuses what it delayed for this long; milliseconds. */
const RECENT_MS = 1000;

export interface LagMeter {
  /** Longest standstill of our own event loop that was just now, or still is; milliseconds. */
  readonly lagMs: () => number;
  readonly stop: () => void;
}

/** Notices when this process itself stood still, so that no replica is blamed for it. */
export function createLagMeter(now: () => number = () => performance.now()): LagMeter {
  let last = now();
  let worst = { at: -Infinity, ms: 0 };
  const timer = setInterval(() => {
    const at = now();
    const ms = at - last - TICK_MS;
    if (ms >= worst.ms || at - worst.at > RECENT_MS) worst = { at, ms };
    last = at;
  }, TICK_MS);
  timer.unref();
  return {
    lagMs: () => {
      const at = now();
      const recent = at - worst.at <= RECENT_MS ? worst.ms : 0;
      return Math.max(0, at - last - TICK_MS, recent);
    },
    stop: () => clearInterval(timer),
  };
}
