/** Least severity that is logged, from all to nothing. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Does a level log less than another one? */
export const isLessVerbose = (level: LogLevel, than: LogLevel): boolean =>
  LOG_LEVELS.indexOf(level) > LOG_LEVELS.indexOf(than);

/** The level of the log as it is now. */
export interface LevelSwitch {
  readonly get: () => LogLevel;
  readonly set: (level: LogLevel) => void;
}

export interface LevelState {
  readonly level: LogLevel;
  /** Of the configuration. */
  readonly configured: LogLevel;
  /** When the configured one is in force again, milliseconds since the epoch; undefined: never. */
  readonly endsAt: number | undefined;
}

/** A level that may end by itself. */
export interface TimedLevel {
  readonly state: () => LevelState;
  /** @param seconds absent: until the service ends */
  readonly set: (level: LogLevel, seconds: number | undefined) => void;
  /** To be called every second. */
  readonly tick: () => void;
}

/** A log without levels, as tests have it. */
function fixedLevel(): LevelSwitch {
  let current: LogLevel = 'info';
  return { get: () => current, set: (level) => void (current = level) };
}

export function createTimedLevel(
  now: () => number,
  { get, set }: LevelSwitch = fixedLevel(),
): TimedLevel {
  const configured = get();
  let endsAt: number | undefined;
  return {
    state: () => ({ level: get(), configured, endsAt }),
    set: (level, seconds) => {
      set(level);
      endsAt = seconds === undefined ? undefined : now() + seconds * 1000;
    },
    tick: () => {
      if (endsAt === undefined || now() < endsAt) return;
      endsAt = undefined;
      set(configured);
    },
  };
}
