import type { Why } from '../../port';

/** The cause that keeps a replica, or a whole arm, from serving. */
export interface Cause {
  readonly cause: string;
  /** The cause, and how to correct it. */
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  /**
   * True when waiting alone does not help. A replica that still loads its model has a cause, too.
   */
  readonly failed: boolean;
}

export function whyOf({ cause, message, since }: Cause, object: string): Why {
  return { cause, message, object, since };
}

/** Longer messages of other components are cut: every list shows them. */
const MAX_QUOTED = 300;

const COLOUR = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*[A-Za-z]`, 'g');

/** Text of another component on one line, without colours and control characters. */
export function quoted(text: string): string {
  const plain = text.replace(COLOUR, '').replace(/\p{Cc}+/gu, ' ');
  const line = plain.trim();
  return line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line;
}

/** The message of a line of a JSON log, else the line itself. */
function messageIn(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    const { msg, message } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const said = msg ?? message;
    return typeof said === 'string' && said !== '' ? said : line;
  } catch {
    return line;
  }
}

/** The last line with text: usually the error that ended the process. */
export function lastLine(log: string | undefined): string | undefined {
  const line = (log ?? '').split(/[\r\n]+/).findLast((one) => one.trim() !== '');
  return line === undefined ? undefined : quoted(messageIn(line.trim()));
}

/** `: words`, or an empty text. */
export const detail = (words: string | undefined): string =>
  words === undefined || words === '' ? '' : `: ${words}`;
