import { isoOf } from '../shared/iso';
import { quoted } from '../shared/quoted';

/** One change or inference, or an attempt at it. It has no fields for headers or keys. */
export interface AuditEntry {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Name of the caller; undefined when none was recognized. */
  readonly caller: string | undefined;
  /** A change such as `deploy`; `read` for a management read that was refused; `infer`. */
  readonly action: string;
  readonly model: string | undefined;
  /** The resulting revision. */
  readonly revision?: number | undefined;
  /** The log level that was asked for. */
  readonly level?: string | undefined;
  /** The arm that answered an inference. */
  readonly arm?: string | undefined;
  readonly version?: string | undefined;
  /** How long it took, milliseconds. */
  readonly ms?: number | undefined;
  /** Where the caller is, as far as proxies are trusted to say. */
  readonly address?: string | undefined;
  /** Why the service made a change that no caller asked for. */
  readonly reason?: string | undefined;
  /** Absent: no request caused it. */
  readonly requestId?: string | undefined;
  /** HTTP status of the answer, or that a caller would have got. */
  readonly status: number;
  /** Bodies of a sampled inference, redacted: JSON on one line. */
  readonly payload?: string | undefined;
}

function field(name: string, value: string | number | undefined): string {
  if (value === undefined) return '';
  return `,"${name}":${typeof value === 'number' ? value : quoted(value)}`;
}

/** Written by hand: with an inference in each line this is a tenth of what a request costs. */
export function lineOf(entry: AuditEntry): string {
  const { at, caller, action, model, revision, arm, version, status, ms } = entry;
  return (
    `{"time":"${isoOf(at)}"${field('caller', caller)}${field('action', action)}` +
    `${field('model', model)}${field('revision', revision)}${field('level', entry.level)}${field('arm', arm)}` +
    `${field('version', version)}${field('status', status)}${field('ms', ms)}` +
    `${field('address', entry.address)}${field('reason', entry.reason)}${field('request_id', entry.requestId)}` +
    `${entry.payload === undefined ? '' : `,"payload":${entry.payload}`}}\n`
  );
}

/** What each line of ours begins with, which tells a torn one from other text. */
export const LINE_START = '{"time":"';

/** Stands for lines that are not in the record, so that the record itself says how many. */
const countLine = (at: number, action: string, lines: number): string =>
  `${LINE_START}${isoOf(at)}","action":"${action}","lines":${lines}}\n`;

/** Lines that were lost. */
export const droppedLine = (at: number, lines: number): string => countLine(at, 'dropped', lines);

/** Lines about callers that were not recognized, beyond their limit. */
export const refusedLine = (at: number, lines: number): string => countLine(at, 'refused', lines);
