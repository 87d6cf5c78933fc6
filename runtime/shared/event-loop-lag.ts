/** Interval of the check whether the event loop runs, milliseconds. */
const TICK_MS = 50;
/** A stall counts as recent for this long, milliseconds. */
const RECENT_MS = 1000;

export interface LagMeter {
  /** Longest recent or current stall of our own event loop, milliseconds. */
  readonly lagMs: () => number;
  readonly stop: () => void;
}

/**
 * Detects stalls of this process, so that they do not count against a replica, and for the metric.
 * A percentile (`nodejs_eventloop_lag_p99_seconds`) tells of a stall only when it is over.
 */
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
