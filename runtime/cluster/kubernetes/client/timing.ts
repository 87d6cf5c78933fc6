/** Clock, timers and random numbers, which tests replace. */
export interface Timing {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Calls once after `ms`; the returned function cancels it. */
  readonly after: (call: () => void, ms: number) => () => void;
  /** 0 ≤ value < 1. */
  readonly random: () => number;
}

export const realTiming: Timing = {
  now: () => Date.now(),
  after: (call, ms) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
