import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How a process ended after a signal. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly afterMs: number;
}

export interface Process {
  readonly log: () => string;
  readonly isGone: () => boolean;
  /** Sends a signal and waits for the end; after `killMs` it is killed. */
  readonly end: (signal: NodeJS.Signals, killMs?: number) => Promise<Ended>;
}

/** Ports that were free a moment ago; servers of others cannot be given port 0. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

const running = new Set<ChildProcess>();

export function begin(
  command: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
): Process {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: servers have worker processes, and none may stay behind.
    detached: true,
  });
  running.add(child);
  let said = '';
  const hear = (chunk: Buffer): void => void (said += chunk.toString());
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.on('error', (error) => hear(Buffer.from(String(error))));
  const isGone = (): boolean =>
    child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  return {
    log: () => said,
    isGone,
    end: async (signal, killMs = 40_000) => {
      const from = performance.now();
      const gone = isGone() ? Promise.resolve() : once(child, 'exit');
      // As a container runtime does it: the signal to the first process, then the end of all.
      child.kill(signal);
      const late = new AbortController();
      void sleep(killMs, undefined, { signal: late.signal }).then(
        () => killGroup(child),
        () => undefined,
      );
      await gone;
      late.abort();
      killGroup(child);
      running.delete(child);
      const afterMs = performance.now() - from;
      return { code: child.exitCode, signal: child.signalCode, afterMs };
    },
  };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it is gone.
  }
}

/** For the end of a suite, whatever became of its tests. */
export function killAll(): void {
  for (const child of running) killGroup(child);
  running.clear();
}
