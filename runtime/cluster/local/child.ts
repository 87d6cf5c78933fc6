import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import type { Why } from '../../core/lifecycle/snapshot';

/** Length of the stderr tail that is kept for the status. */
const TAIL_CHARACTERS = 2000;

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Its last lines on stderr. */
  readonly stderr: string;
}

/** A model server process. It exits when its stdin closes, so that it never outlives the service. */
export interface Child {
  readonly pid: number;
  /** Its port; rejects when the process exits first. */
  readonly listening: Promise<number>;
  readonly ended: Promise<ChildExit>;
  readonly kill: (signal: NodeJS.Signals) => void;
}

function portIn(line: string): number | undefined {
  if (!line.includes('"listening"')) return undefined;
  try {
    const entry = JSON.parse(line) as { event?: unknown; port?: unknown } | null;
    const known = entry?.event === 'listening' && typeof entry.port === 'number';
    return known ? (entry.port as number) : undefined;
  } catch {
    return undefined;
  }
}

function listeningOf(child: ChildProcess, ended: Promise<ChildExit>): Promise<number> {
  const heard = new Promise<number>((resolve) => {
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = (lines.pop() ?? '').slice(-TAIL_CHARACTERS);
      for (const line of lines) {
        const port = portIn(line);
        if (port !== undefined) resolve(port);
      }
    });
  });
  const gone = ended.then((end) => {
    throw new Error(exitWhy(end, 0).message);
  });
  const listening = Promise.race([heard, gone]);
  // A rejection without a listener must not end the service.
  listening.catch(() => undefined);
  gone.catch(() => undefined);
  return listening;
}

/** A command that cannot be spawned (a null byte, too long). */
function neverStarted(problem: string): Child {
  const listening = Promise.reject<number>(new Error(problem));
  listening.catch(() => undefined);
  const ended = Promise.resolve({ code: null, signal: null, stderr: problem });
  return { pid: 0, listening, ended, kill: () => undefined };
}

// Without free file descriptors the child has no streams, and `error` follows.
function trySpawn({ command, args, env }: Command): ChildProcess | string {
  try {
    return spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  } catch (error) {
    return (error as Error).message;
  }
}

export function startChild(command: Command): Child {
  const child = trySpawn(command);
  if (typeof child === 'string') return neverStarted(child);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-TAIL_CHARACTERS);
  });
  // The pipe breaks when the child exits; `ended` reports it.
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<ChildExit>((resolve) => {
    child.on('error', (error) => resolve({ code: null, signal: null, stderr: error.message }));
    child.on('close', (code, signal) => resolve({ code, signal, stderr: stderr.trim() }));
  });
  return {
    pid: child.pid ?? 0,
    listening: listeningOf(child, ended),
    ended,
    kill: (signal) => void child.kill(signal),
  };
}

/** The status of a process that exited. */
export function exitWhy({ code, signal, stderr }: ChildExit, since: number, pid?: number): Why {
  const how =
    signal !== null
      ? `was ended by ${signal}`
      : code === null
        ? 'did not start'
        : `ended with ${code}`;
  const words = stderr === '' ? '' : `: ${stderr}`;
  return {
    cause: 'crash',
    message: `the model server ${how}${words}; it is started again`,
    ...(pid !== undefined && { object: `process ${pid}` }),
    since,
  };
}
