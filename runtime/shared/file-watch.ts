import type { Stats } from 'node:fs';
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';

/**
 * Interval of checks. Notices of the kernel get lost on network file systems and in some
 * containers, and the mount of a Secret replaces a symbolic link two folders away; a check takes
 * microseconds and sees all of these.
 */
const LOOK_EVERY_MS = 500;
/** A file is often written in several steps: two checks this far apart must agree. */
const QUIET_MS = 50;

export interface FileWatchOptions {
  readonly lookEveryMs?: number;
  readonly quietMs?: number;
}

export interface FileWatch {
  /** No callback follows. */
  readonly stop: () => void;
}

/** A value that changes whenever the file is written or replaced. */
const textOf = ({ ino, size, mtimeMs, ctimeMs }: Stats): string =>
  `${ino} ${size} ${mtimeMs} ${ctimeMs}`;

/** Undefined when the file cannot be read. */
const fingerprint = (file: string): Promise<string | undefined> =>
  stat(file).then(textOf, () => undefined);

/** The first one: a change after it is noticed, however soon it comes. */
function fingerprintNow(file: string): string | undefined {
  try {
    return textOf(statSync(file));
  } catch {
    return undefined;
  }
}

/**
 * Calls back after one of the files was written, replaced, added or removed, once nothing has
 * changed for a moment. Symbolic links are followed.
 */
export function watchFiles(
  files: readonly string[],
  onChange: () => void,
  { lookEveryMs = LOOK_EVERY_MS, quietMs = QUIET_MS }: FileWatchOptions = {},
): FileWatch {
  let told = files.map(fingerprintNow).join('|');
  let seen = told;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const now = (await Promise.all(files.map(fingerprint))).join('|');
    if (isStopped) return;
    const isChanged = now !== told;
    const isQuiet = now === seen;
    seen = now;
    if (isQuiet) told = now;
    timer = setTimeout(() => void look(), isChanged && !isQuiet ? quietMs : lookEveryMs).unref();
    if (isChanged && isQuiet) onChange();
  };
  const stop = (): void => {
    isStopped = true;
    clearTimeout(timer);
  };
  void look();
  return { stop };
}
