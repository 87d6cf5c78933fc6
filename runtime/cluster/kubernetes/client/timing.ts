/** Time and chance, so that tests own both. */
export interface Timing {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Calls once after `ms`; what it returns takes the call back. */
  readonly after: (call: () => void, ms: number) => () => void;
  /** From 0 up to, not including, 1. */
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
