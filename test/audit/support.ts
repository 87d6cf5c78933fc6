import type { Audit, AuditClock, AuditEntry, AuditOptions } from '../../runtime/audit';
import { createAudit } from '../../runtime/audit';
import { clock } from '../../runtime/shared/clock';

export const ENTRY: AuditEntry = {
  at: Date.UTC(2026, 0, 2, 3, 4, 5),
  caller: 'clinic',
  action: 'deploy',
  model: 'iris',
  revision: 3,
  requestId: 'r-1',
  status: 202,
};

/** A log that is looked at afterwards. */
export interface Heard {
  readonly told: string[];
  readonly warned: string[];
  readonly failed: string[];
  readonly info: (message: string, fields?: object) => void;
  readonly warn: (message: string) => void;
  readonly error: (message: string) => void;
}

export function heard(): Heard {
  const [told, warned, failed]: [string[], string[], string[]] = [[], [], []];
  return {
    told,
    warned,
    failed,
    info: (message, fields = {}) => void told.push(`${message} ${JSON.stringify(fields)}`),
    warn: (message) => void warned.push(message),
    error: (message) => void failed.push(message),
  };
}

/** Nothing is to be said. */
const SILENT = {
  info: () => undefined,
  warn: (message: string) => {
    throw new Error(message);
  },
  error: (message: string) => {
    throw new Error(message);
  },
};

/** An audit on the clock of this machine whose log may say nothing. */
export const openAudit = (options: Pick<AuditOptions, 'file'> & Partial<AuditOptions>): Audit =>
  createAudit({ clock, log: SILENT, ...options });

/** A clock that only the test moves. */
export interface TickingClock extends AuditClock {
  /** Calls what is due, one after the other. */
  readonly pass: (ms: number) => void;
}

export function ticking(start = ENTRY.at): TickingClock {
  let now = start;
  let timers: { readonly at: number; readonly work: () => void }[] = [];
  return {
    now: () => now,
    setTimeout: (work, ms) => {
      const timer = { at: now + ms, work };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
    pass: (ms) => {
      const end = now + ms;
      for (;;) {
        const [next] = timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
        if (next === undefined) break;
        timers = timers.filter((one) => one !== next);
        now = Math.max(now, next.at);
        next.work();
      }
      now = end;
    },
  };
}
