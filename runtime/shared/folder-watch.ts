import type { Stats } from 'node:fs';
import { watch } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

/**
 * A save often writes several files, and a copy takes a while: two listings this far apart must
 * agree.
 */
const QUIET_MS = 100;
/**
 * Notices of the kernel get lost on network file systems, in some containers and when `git
 * checkout` replaces a folder: modification times are checked at least this often.
 */
const LOOK_EVERY_MS = 2000;

/** Hidden files belong to the editor, to version control or to this service. */
const IGNORED = /^(?:\.|node_modules$)/;

export interface FolderWatchOptions {
  readonly quietMs?: number;
  readonly lookEveryMs?: number;
}

export interface FolderWatch {
  /** Resolves after the first listing: every later change is noticed. */
  readonly ready: Promise<void>;
  /** No callback follows. */
  readonly stop: () => void;
}

/** Path below the folder → a value that changes whenever the file is written or replaced. */
type Fingerprints = ReadonlyMap<string, string>;

interface Listing {
  readonly files: Fingerprints;
  /** Path of a folder -> its inode. */
  readonly folders: ReadonlyMap<string, number>;
}

/** A file that is replaced by rename has another inode, even with the time and size of the old one. */
const fingerprint = ({ mtimeMs, size, ino }: Stats): string => `${mtimeMs} ${size} ${ino}`;

/**
 * Contents of a folder. Files that are missing, vanish meanwhile or cannot be read are left out.
 */
async function list(root: string): Promise<Listing> {
  const files = new Map<string, string>();
  const folders = new Map<string, number>();
  // A symbolic link may lead back to a folder that was visited already.
  const visited = new Set<string>();
  const visit = async (path: string): Promise<void> => {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() === true) files.set(relative(root, path), fingerprint(found));
    if (found?.isDirectory() !== true || visited.has(`${found.dev} ${found.ino}`)) return;
    visited.add(`${found.dev} ${found.ino}`);
    folders.set(path, found.ino);
    const names = await readdir(path).catch(() => []);
    for (const name of names) if (!IGNORED.test(name)) await visit(join(path, name));
  };
  await visit(root);
  return { files, folders };
}

/** Paths that were added, removed, written or replaced. */
function changedPaths(before: Fingerprints, after: Fingerprints): readonly string[] {
  const all = new Set([...before.keys(), ...after.keys()]);
  return [...all].filter((path) => before.get(path) !== after.get(path));
}

/**
 * Notices of the kernel for every folder. Files are not watched: the watch of a file ends with a
 * rename.
 */
class FolderNotices {
  private readonly watchers = new Map<string, { readonly ino: number; readonly end: () => void }>();

  constructor(private readonly onNotice: () => void) {}

  /** Watches exactly these folders; a replaced folder has another inode. */
  follow(folders: ReadonlyMap<string, number>): void {
    for (const [path, { ino, end }] of this.watchers) {
      if (folders.get(path) === ino) continue;
      end();
      this.watchers.delete(path);
    }
    for (const [path, ino] of folders) if (!this.watchers.has(path)) this.add(path, ino);
  }

  private add(path: string, ino: number): void {
    try {
      const watcher = watch(path, this.onNotice);
      watcher.on('error', () => watcher.close());
      this.watchers.set(path, { ino, end: () => watcher.close() });
    } catch {
      // Gone again, or the system has no notices left (ENOSPC, EMFILE): the slow look is enough.
    }
  }
}

/**
 * Calls back with the changed paths (relative to the folder, sorted) after a short time without
 * further changes. A change is a file that was written, replaced, added or removed at any depth.
 * The folder may be missing at first, vanish and come back.
 */
export function watchFolder(
  folder: string,
  onChange: (paths: readonly string[]) => void,
  { quietMs = QUIET_MS, lookEveryMs = LOOK_EVERY_MS }: FolderWatchOptions = {},
): FolderWatch {
  let known: Fingerprints | undefined;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const pending = new Set<string>();
  const lookIn = (ms: number): void => {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(() => void look(), ms).unref();
  };
  let isLooking = false;
  let isNoticed = false;
  const notices = new FolderNotices(() => {
    if (!isLooking && !isNoticed) lookIn(quietMs);
    isNoticed = true;
  });
  const look = async (): Promise<void> => {
    [isLooking, isNoticed] = [true, false];
    const { files, folders } = await list(folder);
    isLooking = false;
    if (stopped) return;
    notices.follow(folders);
    const changed = changedPaths(known ?? files, files);
    known = files;
    for (const path of changed) pending.add(path);
    const isQuiet = changed.length === 0 && !isNoticed;
    const told = isQuiet ? [...pending].sort() : [];
    if (isQuiet) pending.clear();
    lookIn(isQuiet ? lookEveryMs : quietMs);
    if (told.length > 0) onChange(told);
  };
  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
    notices.follow(new Map());
  };
  return { ready: look(), stop };
}
