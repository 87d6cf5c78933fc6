import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterError } from '../port';

/** A process is known by its number and its start: numbers are used again. */
interface Owner {
  readonly pid: number;
  readonly started: string;
}

/** Field 22 of /proc/<pid>/stat; `''` where there is no /proc, then the number alone has to do. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; count from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

function isAlive({ pid, started }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return started === '' || startOf(pid) === started;
}

function ownerIn(file: string): Owner | undefined {
  try {
    const owner = JSON.parse(readFileSync(file, 'utf8')) as Owner;
    return Number.isInteger(owner.pid) && owner.pid > 0 ? owner : undefined;
  } catch {
    return undefined;
  }
}

function tryCreate(file: string): boolean {
  try {
    const handle = openSync(file, 'wx', 0o600);
    writeSync(handle, JSON.stringify({ pid: process.pid, started: startOf(process.pid) }));
    closeSync(handle);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Takes a state folder for this process; gives back how to let go of it. The lock of a process that
 * died is taken over.
 * @throws ClusterError when another service uses the folder
 */
export function takeLock(folder: string): () => void {
  const file = join(folder, 'lock');
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (tryCreate(file)) return () => rmSync(file, { force: true });
    const owner = ownerIn(file);
    if (owner !== undefined && isAlive(owner)) {
      throw new ClusterError(
        'CLUSTER_UNAVAILABLE',
        `the folder ${folder} is in use by process ${owner.pid}; stop that service, or choose another local.directory`,
      );
    }
    rmSync(file, { force: true });
  }
  throw new ClusterError('CLUSTER_UNAVAILABLE', `the folder ${folder} cannot be locked; try again`);
}
