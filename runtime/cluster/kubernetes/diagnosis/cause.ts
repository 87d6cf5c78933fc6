import type { Why } from '../../port';

/** What keeps a replica, or a whole arm, from serving. */
export interface Cause {
  readonly cause: string;
  /** What is the matter; what to do about it. */
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** Waiting alone will not mend it. A replica that still loads its model has a cause, too. */
  readonly failed: boolean;
}

export function whyOf({ cause, message, since }: Cause, object: string): Why {
  return { cause, message, object, since };
}

/** Longer messages of other components are cut: every list shows them. */
const MAX_QUOTED = 300;

const COLOUR = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*[A-Za-z]`, 'g');

/** Text of others on one line, without colours and control characters. */
export function quoted(text: string): string {
  const plain = text.replace(COLOUR, '').replace(/\p{Cc}+/gu, ' ');
  const line = plain.trim();
  return line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line;
}

/** What a line of a JSON log says, else the line itself. */
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

/** The last line that says something: what a process cries out before it dies. */
export function lastLine(log: string | undefined): string | undefined {
  const line = (log ?? '').split(/[\r\n]+/).findLast((one) => one.trim() !== '');
  return line === undefined ? undefined : quoted(messageIn(line.trim()));
}

/** `: words`, or nothing. */
export const detail = (words: string | undefined): string =>
  words === undefined || words === '' ? '' : `: ${words}`;
