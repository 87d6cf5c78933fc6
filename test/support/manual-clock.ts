/** A clock that only a test moves. */
export interface ManualClock {
  readonly now: () => number;
  readonly setTimeout: (work: () => void, ms: number) => () => void;
  /** Moves on, and runs what is due in its order. */
  readonly advance: (ms: number) => void;
  /** Milliseconds until each timer that waits. */
  readonly waiting: () => readonly number[];
}

export function manualClock(at = Date.UTC(2027, 0, 1)): ManualClock {
  let now = at;
  const timers = new Set<{ readonly at: number; readonly work: () => void }>();
  return {
    now: () => now,
    setTimeout: (work, ms) => {
      const timer = { at: now + ms, work };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance: (ms) => {
      const until = now + ms;
      for (;;) {
        const [next] = [...timers].filter((one) => one.at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.work();
      }
      now = until;
    },
    waiting: () => [...timers].map((one) => one.at - now),
  };
}
