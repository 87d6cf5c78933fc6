import { readFileSync } from 'node:fs';

export interface Usage {
  readonly cpuCores: number;
  readonly memoryBytes: number;
}

/** Clock ticks per second of /proc; 100 on every Linux that Node runs on. */
const TICKS = 100;
const PAGE_BYTES = 4096;

interface Sample {
  readonly cpuSeconds: number;
  readonly at: number;
}

function read(pid: number): { readonly cpuSeconds: number; readonly memoryBytes: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  // Behind the name: utime is the 12th field, stime the 13th, resident pages the 22nd.
  const [user = 0, system = 0, pages = 0] = [fields[11], fields[12], fields[21]];
  return { cpuSeconds: (user + system) / TICKS, memoryBytes: pages * PAGE_BYTES };
}

/** Measures a process between two calls; undefined where there is no /proc, and at the first call. */
export function createUsage(pid: number, now: () => number): () => Usage | undefined {
  let before: Sample | undefined;
  return () => {
    try {
      const { cpuSeconds, memoryBytes } = read(pid);
      const at = now();
      const last = before;
      before = { cpuSeconds, at };
      if (last === undefined || at <= last.at) return undefined;
      const cores = (cpuSeconds - last.cpuSeconds) / ((at - last.at) / 1000);
      return { cpuCores: Math.round(cores * 1000) / 1000, memoryBytes };
    } catch {
      return undefined;
    }
  };
}
