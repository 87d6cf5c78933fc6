import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

// Processes of a bench: pinned to a core, measured by what the kernel says, ended by pid.

export const ROUTER_CORE = 0;
export const OTHER_CORE = 1;

const TICKS = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);
const started: ChildProcess[] = [];

export const isInstalled = (command: string, flag = '-v'): boolean =>
  spawnSync(command, [flag]).error === undefined;

export interface Started {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

export function pinned(
  core: number,
  command: readonly string[],
  { env, cwd }: Started = {},
): ChildProcess {
  const child = spawn('taskset', ['-c', String(core), ...command], {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  started.push(child);
  return child;
}

/** What a process says first in this form. Its output is read on, so that it never waits for us. */
export async function lineOf(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      const found = pattern.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new Error(`a process ended before it was ready:\n${said}`)));
  });
}

/** Waits until something listens. */
export async function listening(port: number): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(50)) {
    const socket = connect(port, '127.0.0.1');
    const isUp = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isUp === true) return;
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** A process and all that it started. */
function family(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

/** Seconds of CPU, and megabytes, of a process with its children. */
export function usage(pid: number): { readonly seconds: number; readonly megabytes: number } {
  let [seconds, megabytes] = [0, 0];
  for (const one of family(pid)) {
    const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    const pages = Number(readFileSync(`/proc/${one}/statm`, 'utf8').split(' ')[1]);
    seconds += (Number(fields[11]) + Number(fields[12])) / TICKS;
    megabytes += (pages * 4096) / 2 ** 20;
  }
  return { seconds, megabytes };
}

/** Ends what was started here, and waits for it. */
export async function endAll(): Promise<void> {
  for (const child of started) child.kill();
  const late = setTimeout(() => {
    for (const child of started) child.kill('SIGKILL');
  }, 3000);
  await Promise.all(
    started.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')),
  );
  clearTimeout(late);
}
