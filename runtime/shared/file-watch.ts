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
  /** Resolves after the first check: every later change is noticed. */
  readonly ready: Promise<void>;
  /** No callback follows. */
  readonly stop: () => void;
}

/**
 * A value that changes whenever the file is written or replaced; undefined when it cannot be read.
 */
async function fingerprint(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  return found && `${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
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
  let told: string | undefined;
  let seen: string | undefined;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const now = (await Promise.all(files.map(fingerprint))).join('|');
    if (isStopped) return;
    told ??= now;
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
  return { ready: look(), stop };
}
