import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../support/sources';

const START_MS = 60_000;

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
  readonly json: () => any; // oxlint-disable-line typescript/no-explicit-any
}

/** The service as a user starts it: the built command, in a folder of its own. */
export interface Running {
  readonly url: string;
  readonly process: ChildProcess;
  readonly log: () => string;
  readonly call: (method: string, path: string, body?: unknown) => Promise<Answer>;
  /** Ends it with a signal and waits for the end. */
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
}

/** A folder with the product's models that is thrown away afterwards. */
export function workspace(): { readonly folder: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'e2e-'));
  mkdirSync(join(folder, 'models'));
  cpSync(join(ROOT, 'models'), join(folder, 'models'), { recursive: true });
  writeFileSync(join(folder, 'environments.yaml'), 'namespace: clinic\n');
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export function call(
  url: string,
  method: string,
  body?: unknown,
  agent?: Agent,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const all = { ...(payload && { 'content-type': 'application/json' }), ...headers };
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? requestTls : request;
    const sent = send(url, { method, agent, headers: all }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const { statusCode: status = 0, headers: received } = response;
        resolve({ status, headers: received, text, json: () => JSON.parse(text) as unknown });
      });
    });
    sent.on('error', reject);
    sent.end(payload);
  });
}

/** Waits until a condition holds; fails with what was seen last. */
export async function until<T>(
  what: string,
  look: () => Promise<T> | T,
  holds: (seen: T) => boolean,
  limitMs = 30_000,
): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > end) throw new Error(`${what}: still ${JSON.stringify(seen)}`);
    await sleep(50);
  }
}

export async function start(folder: string, args: readonly string[] = []): Promise<Running> {
  const bin = join(ROOT, 'build', 'bin.cjs');
  const child = spawn(process.execPath, [bin, 'dev', 'models', '--port', '0', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const hear = (chunk: Buffer): void => void (said += chunk.toString());
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const address = (): string | undefined => /http:\/\/(?:127\.0\.0\.1|\[::1\]):\d+/.exec(said)?.[0];
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  await until(
    'start',
    () => said,
    () => address() !== undefined || ended(),
    START_MS,
  );
  if (ended()) throw new Error(`the service ended at its start:\n${said}`);
  const url = address() ?? '';
  return {
    url,
    process: child,
    log: () => said,
    call: (method, path, body) => call(url + path, method, body),
    end: async (signal) => {
      if (ended()) return;
      const gone = once(child, 'exit');
      child.kill(signal);
      await gone;
    },
  };
}

export interface LoadReport {
  readonly sent: number;
  readonly failed: readonly string[];
}

/** Sends one request every `everyMs`, until stopped; reports every answer that was not 200. */
export function load(
  url: string,
  body: unknown,
  everyMs: number,
): {
  readonly sent: () => number;
  /** Waits for the answers to all that was sent so far. */
  readonly settle: () => Promise<void>;
  readonly stop: () => Promise<LoadReport>;
} {
  const agent = new Agent({ keepAlive: true });
  const failed: string[] = [];
  const open = new Set<Promise<void>>();
  let sent = 0;
  const one = async (): Promise<void> => {
    try {
      const { status, text } = await call(url, 'POST', body, agent);
      if (status !== 200) failed.push(`${status} ${text}`);
    } catch (error) {
      failed.push(String(error));
    }
  };
  const timer = setInterval(() => {
    sent += 1;
    const running = one().finally(() => open.delete(running));
    open.add(running);
  }, everyMs);
  return {
    sent: () => sent,
    settle: async () => void (await Promise.all(open)),
    stop: async () => {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
      return { sent, failed };
    },
  };
}
