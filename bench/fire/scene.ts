import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryOfImage } from '../proxy/others';

// The shipped service with replicas that can be killed: everything is a process of its own.

const ROOT = join(__dirname, '..', '..');
export const KEY = 'bench';
const KEY_SHA256 = '1b32c28cb38c05480eccc1bd60ff97029b57a05c96718b96dad7e9d84894f549';

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

function pinned(core: number, command: readonly string[], cwd: string): ChildProcess {
  return spawn('taskset', ['-c', String(core), ...command], {
    cwd,
    env: { ...process.env, ...memoryOfImage() },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

async function said(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      const found = pattern.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new Error(`a process ended before it was ready: ${text}`)));
  });
}

/** What a replica tells of the calls it had. */
export interface Seen {
  readonly asked: number;
  /** When a caller went before its answer; milliseconds since the epoch. */
  readonly gone: readonly number[];
}

/** Memory of a process. */
export const megabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** A model server that can be killed and comes back at the same place. */
export class Replica {
  private child: ChildProcess | undefined;

  constructor(
    readonly port: number,
    private readonly serviceMs: number,
  ) {}

  async start(): Promise<void> {
    const script = join(ROOT, 'bench', 'fire', 'replica.ts');
    const command = [process.execPath, '--import', 'tsx', script, String(this.port)];
    this.child = pinned(1, [...command, String(this.serviceMs)], ROOT);
    await said(this.child, /(up)/);
  }

  takes(milliseconds: number): void {
    this.child?.stdin?.write(`takes ${milliseconds}\n`);
  }

  answers(status: number): void {
    this.child?.stdin?.write(`answers ${status}\n`);
  }

  async seen(): Promise<Seen> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/seen`);
    return (await answer.json()) as Seen;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}

export interface SceneOptions {
  /** Replicas of each arm. */
  readonly arms: Readonly<Record<string, number>>;
  readonly serviceMs: number;
  /** Of the definition. */
  readonly inference: object;
  /** Further models that have no requests. */
  readonly others?: number;
}

export class Scene {
  private constructor(
    readonly port: number,
    readonly pid: number,
    readonly replicas: readonly Replica[],
    private readonly service: ChildProcess,
    private readonly work: string,
  ) {}

  static async open({ arms, serviceMs, inference, others = 0 }: SceneOptions): Promise<Scene> {
    const work = mkdtempSync(join(tmpdir(), 'bench-fire-'));
    mkdirSync(join(work, 'models'));
    const placed: [string, Replica][] = [];
    for (const [arm, count] of Object.entries(arms)) {
      for (let made = 0; made < count; made += 1) {
        placed.push([arm, new Replica(await freePort(), serviceMs)]);
      }
    }
    await Promise.all(placed.map(([, one]) => one.start()));
    const candidates = Object.keys(arms).filter((arm) => arm !== 'stable');
    const server = { kind: 'custom', protocol: 'native' };
    const model = (id: string, more: object = {}) => ({
      id,
      version: '1',
      framework: 'custom',
      image: 'registry.example.org/bench:1',
      server,
      ...more,
    });
    const split = candidates.map((name) => ({ name, version: name, traffic: 0 }));
    const own = model('m', { inference, ...(split.length > 0 && { candidates: split }) });
    writeFileSync(join(work, 'models', 'm.json'), JSON.stringify(own));
    const endpoints: Record<string, Record<string, string[]>> = { m: {} };
    for (const [arm, { port }] of placed) (endpoints['m']![arm] ??= []).push(`127.0.0.1:${port}`);
    const all = placed.map(([, { port }]) => `127.0.0.1:${port}`);
    for (let made = 0; made < others; made += 1) {
      const id = `other-${made}`;
      writeFileSync(join(work, 'models', `${id}.json`), JSON.stringify(model(id)));
      endpoints[id] = { stable: all };
    }
    const keys = [{ name: 'bench', sha256: KEY_SHA256, scopes: ['admin'] }];
    const config = {
      server: { port: 0, accept_seconds: 0, max_connections: 20_000 },
      local: { endpoints },
      auth: { mode: 'api_key', keys },
      audit: { file: join(work, 'audit.log') },
      logging: { level: 'error' },
    };
    writeFileSync(join(work, 'config.yaml'), JSON.stringify(config));
    const bin = join(ROOT, 'build', 'bin.cjs');
    const command = [process.execPath, bin, 'serve', '--config', 'config.yaml', '--output', 'json'];
    const service = pinned(0, command, work);
    const url = await said(service, /"url":"([^"]+)"/);
    const replicas = placed.map(([, one]) => one);
    return new Scene(Number(new URL(url).port), service.pid ?? 0, replicas, service, work);
  }

  async call(
    path: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly body: unknown }> {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'x-api-key': KEY, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: await answer.json() };
  }

  async close(): Promise<void> {
    const gone = once(this.service, 'exit');
    this.service.kill('SIGKILL');
    await gone;
    await Promise.all(this.replicas.map((one) => one.end('SIGKILL')));
    rmSync(this.work, { recursive: true, force: true });
  }
}

export function request(path: string, body: object, more = ''): string {
  const text = JSON.stringify(body);
  return (
    `POST ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n` +
    `X-API-Key: ${KEY}\r\n${more}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
  );
}
