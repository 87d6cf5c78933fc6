import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { ROOT } from '../../support/sources';
import { until, workspace } from '../service';

// Bodies of every shape to every call, at the limits of the image: what the event loop does at a
// time, what is held in memory, and what other callers notice. Prints what it measured.

const MIB = 1024 * 1024;
/** As the image is run: docs/image.md. */
const MEMORY_MIB = 512;
const OLD_SPACE_MIB = MEMORY_MIB / 2;
const BODY_BYTES = 9 * MIB;
const MAX_STEP_MS = 50;
/** A machine that does other things, too, is measured again. */
const ATTEMPTS = 3;
const AT_A_TIME = 4;

/** Runs inside of the service: the longest step since it was asked last. */
const PROBE = `
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { writeFileSync } = require('node:fs');
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();
process.on('SIGUSR2', () => {
  const rssMib = process.memoryUsage().rss / 1024 / 1024;
  writeFileSync('probe.json', JSON.stringify({ stepMs: delay.max / 1e6, rssMib, at: Date.now() }));
  delay.reset();
});
`;

function filled(begin: string, piece: (at: number) => string, end: string): Buffer {
  const parts = [begin];
  let size = begin.length + end.length;
  for (let at = 0; size < BODY_BYTES; at += 1) {
    const own = (at === 0 ? '' : ',') + piece(at);
    parts.push(own);
    size += own.length;
  }
  return Buffer.from(parts.join('') + end);
}

/** A value of nine megabytes; `names` are members of the body itself. */
const VALUES: Readonly<Record<string, Buffer>> = {
  'many names': filled('{', (at) => `"${at.toString(16)}":1`, '}'),
  'many numbers': filled('[', (at) => `${at % 1000}`, ']'),
  'many floats': filled('[', (at) => `${at % 100}.0`, ']'),
  'many lists': filled('[', () => '[]', ']'),
  'many objects': filled('[', (at) => `{"a":${at % 10}}`, ']'),
  'many texts': filled('[', () => String.raw`"\u00e9"`, ']'),
  'one long text': Buffer.from(`"${'a'.repeat(BODY_BYTES)}"`),
  depth: Buffer.from('['.repeat(BODY_BYTES / 2) + ']'.repeat(BODY_BYTES / 2)),
  'open lists': Buffer.from('['.repeat(BODY_BYTES)),
};

const CALLS: Readonly<Record<string, readonly [path: string, begin: string, end: string]>> = {
  native: ['/api/v1/models/echo/inference', '{"input_data":{"x":', '}}'],
  'native, members': ['/api/v1/models/echo/inference', '{"x":', '}'],
  batch: ['/api/v1/models/echo/batch_inference', '{"requests":[{"input_data":{"x":', '}}]}'],
  V1: ['/v1/models/echo:predict', '{"instances":', '}'],
  V2: [
    '/v2/models/echo/infer',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":',
    '}]}',
  ],
  chat: ['/openai/v1/chat/completions', '{"model":"echo","messages":', '}'],
  embeddings: ['/openai/v1/embeddings', '{"model":"echo","input":"a","x":', '}'],
  'V2, passed': [
    '/v2/models/passed/infer',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":',
    '}]}',
  ],
  deploy: ['/api/v1/models/deploy', '{"config":', '}'],
};

interface Probed {
  readonly stepMs: number;
  readonly rssMib: number;
  readonly at: number;
}

interface Scene {
  readonly folder: string;
  readonly service: ChildProcess;
  readonly port: number;
  readonly probe: () => Promise<Probed>;
}

const { folder, remove } = workspace();
let backend: Server;
let scene: Scene;
/** What the model server answers with; small unless a test says otherwise. */
let answer: Buffer = Buffer.from('{"result":1,"confidence":1}');
let pieceBytes = 65_536;

async function startBackend(): Promise<number> {
  backend = createServer((asked, response) => {
    asked.resume().on('end', () => {
      if (asked.url?.startsWith('/health') === true) return void response.end('{}');
      response.setHeader('content-type', 'application/json');
      if (answer.length <= 1024) return void response.end(answer);
      for (let at = 0; at < answer.length; at += pieceBytes) {
        response.write(answer.subarray(at, at + pieceBytes));
      }
      response.end();
    });
  });
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  return (backend.address() as AddressInfo).port;
}

const definition = (id: string, protocol: string) => ({
  id,
  version: '1',
  framework: 'custom',
  image: `registry.example.org/${id}:1`,
  server: { kind: 'custom', protocol },
  inference: { maxConcurrency: 64 },
});

async function startService(): Promise<Scene> {
  const address = `127.0.0.1:${await startBackend()}`;
  const models = join(folder, 'models');
  rmSync(models, { recursive: true });
  mkdirSync(models);
  writeFileSync(join(folder, 'probe.cjs'), PROBE);
  const endpoints = { echo: { stable: [address] }, passed: { stable: [address] } };
  for (const [id, protocol] of [
    ['echo', 'native'],
    ['passed', 'v2'],
  ] as const) {
    writeFileSync(join(models, `${id}.json`), JSON.stringify(definition(id, protocol)));
  }
  const server = { port: 0, accept_seconds: 0, max_held_bytes: (MEMORY_MIB / 4) * MIB };
  writeFileSync(join(folder, 'config.yaml'), stringify({ server, local: { endpoints } }));
  const heap = `--max-semi-space-size=8 --max-old-space-size=${OLD_SPACE_MIB}`;
  const service = spawn(
    process.execPath,
    [
      '--require',
      './probe.cjs',
      join(ROOT, 'build', 'bin.cjs'),
      'serve',
      '--config',
      'config.yaml',
    ],
    {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: heap, MALLOC_ARENA_MAX: '2' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let log = '';
  for (const output of [service.stdout, service.stderr]) {
    output.on('data', (bytes: Buffer) => (log += bytes.toString()));
  }
  const found = (): string | undefined => /http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1];
  await until('start', found, (port) => port !== undefined || service.exitCode !== null);
  const probe = async (): Promise<Probed> => {
    const asked = Date.now();
    service.kill('SIGUSR2');
    const read = (): Probed | undefined => {
      try {
        return JSON.parse(readFileSync(join(folder, 'probe.json'), 'utf8')) as Probed;
      } catch {
        return undefined;
      }
    };
    const seen = await until('probe', read, (one) => one !== undefined && one.at >= asked);
    return seen as Probed;
  };
  return { folder, service, port: Number(found()), probe };
}

function post(path: string, body: Buffer, agent?: Agent): Promise<number> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const { port } = scene;
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent });
    sent.on('response', (got) => got.resume().on('end', () => resolve(got.statusCode ?? 0)));
    sent.on('error', () => resolve(0));
    sent.end(body);
  });
}

const SMALL = Buffer.from('{"input_data":{"x":1}}');

/** What another caller sees meanwhile: its address is another one. */
async function others(acting: Promise<unknown>): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true, localAddress: '127.0.0.2' });
  const times: number[] = [];
  const over = new AbortController();
  void acting.then(() => over.abort());
  while (!over.signal.aborted) {
    const began = performance.now();
    const path = '/v2/models/passed/infer';
    const status = await post(path, SMALL, agent);
    if (status !== 200) throw new Error(`another caller got ${status}`);
    times.push(performance.now() - began);
    await sleep(2);
  }
  agent.destroy();
  return times.toSorted((a, b) => a - b);
}

const p99 = (times: readonly number[]): number => times[Math.floor(times.length * 0.99)] ?? 0;

interface Measured {
  readonly stepMs: number;
  readonly rssMib: number;
  readonly p99Ms: number;
  readonly statuses: readonly number[];
}

async function measured(act: () => Promise<readonly number[]>): Promise<Measured> {
  await scene.probe();
  const acting = act();
  const times = await others(acting);
  const { stepMs, rssMib } = await scene.probe();
  return { stepMs, rssMib, p99Ms: p99(times), statuses: await acting };
}

const fits = ({ stepMs, p99Ms }: Measured, quietMs: number): boolean =>
  stepMs <= MAX_STEP_MS && p99Ms <= 3 * quietMs;

const shown = (one: Measured): string =>
  `step ${one.stepMs.toFixed(0)} ms, rss ${one.rssMib.toFixed(0)} MiB, p99 ${one.p99Ms.toFixed(1)} ms, ` +
  `${[...new Set(one.statuses)].join(' ')}`;

let quietMs = 0;
const report: string[] = [];

/** The best of some attempts is ours; what is worse is the machine's. */
async function best(name: string, act: () => Promise<readonly number[]>): Promise<Measured> {
  let last = await measured(act);
  for (let again = 1; again < ATTEMPTS && !fits(last, quietMs); again += 1) {
    last = await measured(act);
  }
  report.push(`${name.padEnd(32)} ${shown(last)}`);
  return last;
}

beforeAll(async () => {
  scene = await startService();
  await until(
    'ready',
    () => post('/v2/models/passed/infer', SMALL),
    (status) => status === 200,
  );
  const pause = async (): Promise<readonly number[]> => {
    await sleep(3000);
    return [];
  };
  await measured(pause);
  quietMs = Math.max(...[await measured(pause), await measured(pause)].map((one) => one.p99Ms));
  report.push(`quiet: p99 ${quietMs.toFixed(1)} ms`);
});

afterAll(async () => {
  process.stdout.write(`${report.join('\n')}\n`);
  scene.service.kill('SIGKILL');
  await new Promise((resolve) => backend.close(resolve));
  remove();
});

function expectWithin(one: Measured): void {
  expect(scene.service.exitCode).toBeNull();
  expect(one.rssMib).toBeLessThan(MEMORY_MIB);
  expect(one.stepMs).toBeLessThanOrEqual(MAX_STEP_MS);
  expect(one.p99Ms).toBeLessThanOrEqual(3 * quietMs);
}

const cases = Object.keys(CALLS).flatMap((call) =>
  Object.keys(VALUES).map((value) => [call, value] as const),
);

test.each(cases)('%s with %s', async (call, value) => {
  const [path, begin, end] = CALLS[call] as (typeof CALLS)[string];
  const body = Buffer.concat([Buffer.from(begin), VALUES[value] as Buffer, Buffer.from(end)]);
  const one = await best(`${call}, ${value}`, () =>
    Promise.all(Array.from({ length: AT_A_TIME }, () => post(path, body))),
  );
  expectWithin(one);
  expect(one.statuses.filter((status) => status >= 500 && status !== 503)).toEqual([]);
});

test.each(Object.keys(VALUES))('an answer with %s', async (value) => {
  const small = answer;
  const wrap = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from('{"confidence":1,"result":'), bytes, Buffer.from('}')]);
  const large = wrap(VALUES[value] as Buffer);
  const path = '/api/v1/models/echo/inference';
  const one = await best(`answer, ${value}`, async () => {
    answer = large;
    // Another caller's answers are small again once these have begun.
    const asked = Array.from({ length: AT_A_TIME }, () => post(path, SMALL));
    await sleep(200);
    answer = small;
    return Promise.all(asked);
  });
  answer = small;
  expectWithin(one);
});

test('an answer in pieces of one byte', async () => {
  const small = answer;
  const one = await best('answer, pieces of one byte', async () => {
    answer = Buffer.from(`{"confidence":1,"result":"${'a'.repeat(200_000)}"}`);
    pieceBytes = 1;
    const asked = post('/api/v1/models/echo/inference', SMALL);
    await sleep(300);
    answer = small;
    pieceBytes = 65_536;
    return [await asked];
  });
  expectWithin(one);
});

test('uploads that stop', async () => {
  const one = await best('uploads that stop', async () => {
    const sockets = Array.from({ length: 60 }, () => connect(scene.port, '127.0.0.1'));
    const head = `POST /api/v1/models/echo/inference HTTP/1.1\r\nHost: x\r\nContent-Length: ${10 * MIB}\r\n\r\n`;
    for (const socket of sockets) {
      socket.on('error', () => undefined);
      socket.write(head);
      socket.write(Buffer.alloc(9 * MIB, 32));
    }
    await sleep(3000);
    for (const socket of sockets) socket.destroy();
    return [];
  });
  expectWithin(one);
});
