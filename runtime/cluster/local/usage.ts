import { readFileSync } from 'node:fs';

export interface ProcessUsage {
  readonly cpuCores: number;
  readonly memoryBytes: number;
}

/** Clock ticks per second of /proc; 100 on every Linux that Node runs on. */
const TICKS = 100;

/** Seconds of all cores, user and system: the 12th and 13th field behind the name. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Resident memory, which this file states in kB; pages differ in size between machines. */
function memoryBytes(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (found === null) throw new Error('it has ended');
  return Number(found[1]) * 1024;
}

/**
 * Measures a process between two calls (the first: since its start). Undefined after its exit and
 * without /proc.
 */
export function createUsageMeter(pid: number, now: () => number): () => ProcessUsage | undefined {
  let before = { seconds: 0, at: now() };
  return () => {
    try {
      const next = { seconds: cpuSeconds(pid), at: now() };
      const passed = (next.at - before.at) / 1000;
      const cores = passed > 0 ? (next.seconds - before.seconds) / passed : 0;
      const memory = memoryBytes(pid);
      before = next;
      return { cpuCores: Math.round(cores * 1000) / 1000, memoryBytes: memory };
    } catch {
      return undefined;
    }
  };
}
