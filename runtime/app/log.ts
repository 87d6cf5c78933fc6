import { pino } from 'pino';
import type { LevelSwitch, LogLevel } from '../control';
import type { Log, LogFields } from '../shared/log';
import type { Config } from './config';

type Level = keyof Log;

/** All but the line feed. */
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]/g;

/**
 * A message may quote others: they must neither control the terminal nor forge a line, so that
 * further lines are indented.
 */
const escaped = (text: string): string =>
  text
    .replace(CONTROLS, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replaceAll('\n', '\n  ');

/** `12:00:01 warn   models: 2 definitions have faults {"model":"x"}` */
function textLine(level: Level, message: string, fields: LogFields = {}): string {
  const time = new Date().toISOString().slice(11, 19);
  const rest = Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(fields)}`;
  return `${time} ${level.padEnd(5)} ${escaped(message + rest)}\n`;
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

function logOf(write: (level: Level, message: string, fields?: LogFields) => void): Log {
  const at = (level: Level) => (message: string, fields?: LogFields) =>
    write(level, message, fields);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** A log whose level can be changed. */
export interface LeveledLog extends Log {
  readonly level: LevelSwitch;
  /** The same log whatever its level, for lines that no change of the level may hide. */
  readonly always: Log;
}

/** Tells each change, whether it was asked for or ended by itself. */
function toldChanges({ get, set }: LevelSwitch, { warn }: Log): LevelSwitch {
  const change = (level: LogLevel): void => {
    const before = get();
    if (level !== before) warn('the log level was changed', { before, level });
    set(level);
  };
  return { get, set: change };
}

function jsonLog(level: LogLevel): LeveledLog {
  const base = pino({ level, base: null }, pino.destination({ fd: 2, sync: true }));
  const everything = base.child({}, { level: 'debug' });
  const set = (wanted: LogLevel): void => void (base.level = wanted);
  const log = logOf((name, message, fields) => base[name]({ ...fields }, message));
  const always = logOf((name, message, fields) => everything[name]({ ...fields }, message));
  const current = { get: () => base.level as LogLevel, set };
  return { ...log, level: toldChanges(current, always), always };
}

function textLog(level: LogLevel): LeveledLog {
  let current = level;
  const always = logOf((name, message, fields) => {
    process.stderr.write(textLine(name, message, fields));
  });
  const log = logOf((name, message, fields) => {
    const least = current === 'silent' ? LEVELS.length : LEVELS.indexOf(current);
    if (LEVELS.indexOf(name) >= least) always[name](message, fields);
  });
  const set = (wanted: LogLevel): void => void (current = wanted);
  return { ...log, level: toldChanges({ get: () => current, set }, always), always };
}

/** Lines for people on a terminal (`text`), JSON lines for everything else; both to stderr. */
export const createLog = ({ level, format }: Config['logging']): LeveledLog =>
  format === 'json' ? jsonLog(level) : textLog(level);
