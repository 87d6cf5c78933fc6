import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import type { Why } from '../../core/snapshot';

/** What a model server says last, for "why". */
const STDERR_CHARACTERS = 2000;

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Its last lines on stderr. */
  readonly said: string;
}

/** A model server process. It ends when its standard input does, so that it never outlives us. */
export interface Child {
  readonly pid: number;
  /** The port it listens on; rejects when it ends before. */
  readonly listening: Promise<number>;
  readonly ended: Promise<Ended>;
  readonly kill: (signal: NodeJS.Signals) => void;
}

function portIn(text: string): number | undefined {
  const line = /^\{"event":"listening".*\}$/m.exec(text)?.[0];
  if (line === undefined) return undefined;
  const { port } = JSON.parse(line) as { port?: unknown };
  return typeof port === 'number' ? port : undefined;
}

function listeningOf(child: ChildProcess, ended: Promise<Ended>): Promise<number> {
  const heard = new Promise<number>((resolve) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-STDERR_CHARACTERS);
      const port = portIn(text);
      if (port !== undefined) resolve(port);
    });
  });
  const gone = ended.then((end) => {
    throw new Error(whyEnded(end, 0).message);
  });
  const listening = Promise.race([heard, gone]);
  // Whoever waits hears of it; nobody has to.
  listening.catch(() => undefined);
  gone.catch(() => undefined);
  return listening;
}

export function startChild({ command, args, env }: Command): Child {
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-STDERR_CHARACTERS);
  });
  // The pipe breaks when the child dies; `ended` tells.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<Ended>((resolve) => {
    child.on('error', (error) => resolve({ code: null, signal: null, said: error.message }));
    child.on('close', (code, signal) => resolve({ code, signal, said: said.trim() }));
  });
  return {
    pid: child.pid ?? 0,
    listening: listeningOf(child, ended),
    ended,
    kill: (signal) => void child.kill(signal),
  };
}

/** The end of a process in words. */
export function whyEnded({ code, signal, said }: Ended, since: number, pid?: number): Why {
  const how =
    signal !== null
      ? `was ended by ${signal}`
      : code === null
        ? 'did not start'
        : `ended with ${code}`;
  const words = said === '' ? '' : `: ${said}`;
  return {
    cause: 'crash',
    message: `the model server ${how}${words}; it is started again`,
    ...(pid !== undefined && { object: `process ${pid}` }),
    since,
  };
}
