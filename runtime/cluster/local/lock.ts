import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterError } from '../port';

/** A process is identified by pid and start time, because pids are reused. */
interface Owner {
  readonly pid: number;
  /** Boot id and start in ticks; `''` without /proc: only the pid is compared. */
  readonly started: string;
}

/** Errors of file systems without hard links (FAT, some shares). */
const WITHOUT_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK']);

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/<pid>/stat, counted from behind the name: that may hold spaces. */
function startOf(pid: number): string {
  const stat = read(`/proc/${pid}/stat`);
  const boot = read('/proc/sys/kernel/random/boot_id')?.trim();
  if (stat === undefined || boot === undefined) return '';
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? '' : `${boot} ${fields[19] ?? ''}`;
}

function isAlive({ pid, started }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return started === '' || startOf(pid) === started;
}

function ownerIn(text: string): Owner | undefined {
  try {
    const { pid, started } = JSON.parse(text) as Partial<Owner>;
    const known = Number.isInteger(pid) && (pid ?? 0) > 0 && typeof started === 'string';
    return known ? { pid: pid as number, started } : undefined;
  } catch {
    return undefined;
  }
}

/** A link appears with its content or not at all, so that a lock always names its owner. */
function tryLink(mine: string, lock: string): boolean {
  try {
    linkSync(mine, lock);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!WITHOUT_LINKS.has(code)) throw error;
    return tryCreate(readFileSync(mine, 'utf8'), lock);
  }
}

function tryCreate(content: string, lock: string): boolean {
  try {
    writeFileSync(lock, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes a dead owner's lock; restores it when another process replaced it meanwhile. */
function removeStale(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  if (read(aside) !== stale) tryLink(aside, lock);
  rmSync(aside, { force: true });
}

/**
 * Locks a state folder for this process and returns the release. The lock of a dead process is
 * taken over.
 * @throws ClusterError when another service uses the folder
 */
export function acquireLock(folder: string): () => void {
  const lock = join(folder, 'lock');
  const own = JSON.stringify({ pid: process.pid, started: startOf(process.pid) });
  const mine = `${lock}.${process.pid}-${process.hrtime.bigint()}`;
  writeFileSync(mine, own, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      if (tryLink(mine, lock)) return () => rmSync(lock, { force: true });
      const text = read(lock);
      const owner = text === undefined ? undefined : ownerIn(text);
      if (owner !== undefined && isAlive(owner)) throw inUse(folder, owner.pid);
      if (text !== undefined) removeStale(lock, text, `${mine}.stale`);
    }
    throw new ClusterError('CLUSTER_UNAVAILABLE', `${folder} cannot be locked; try again`);
  } finally {
    rmSync(mine, { force: true });
  }
}

function inUse(folder: string, pid: number): ClusterError {
  return new ClusterError(
    'CLUSTER_UNAVAILABLE',
    `the state in ${folder} is used by another service of this machine, process ${pid}; stop it (kill ${pid}), or give this one a folder of its own: local.directory of the configuration, or AI_MODEL_SERVICE__LOCAL__DIRECTORY`,
  );
}
