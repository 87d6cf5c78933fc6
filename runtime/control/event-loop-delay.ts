import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Delay of the event loop for the metric: a percentile between two samples. The dispatcher needs
 * the latest stall at any moment instead (shared/event-loop-lag.ts).
 */
export interface EventLoopDelay {
  /** Closes the current measuring interval and starts the next. */
  readonly sample: () => void;
  /** Milliseconds, 99th percentile, of the last sample. */
  readonly lastMs: () => number;
  readonly stop: () => void;
}

/** The monitor samples with a timer of this many milliseconds and counts the timer as delay. */
const RESOLUTION_MS = 10;

export function createEventLoopDelay(): EventLoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let last = 0;
  histogram.enable();
  return {
    sample: () => {
      last = Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS);
      histogram.reset();
    },
    lastMs: () => last,
    stop: () => void histogram.disable(),
  };
}
