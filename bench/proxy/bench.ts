// What a request costs in the router: `npx tsx bench/proxy/bench.ts [RUNS] [BIN…]`.
// The router has one core, generator and backend have the other. Closed loop, 32 connections, 310 B
// answers, everything on (authentication, metrics, cohorts, admission, ejection). nginx stands beside
// it when it is installed; further BINs (another build's bin.cjs) are measured in the same rounds.
import type { ChildProcess } from 'node:child_process';
import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Load, Measured } from '../onnx/load';

const ROOT = join(__dirname, '..', '..');
const RUNS = Number(process.argv[2] ?? 5);
const BINS = [join(ROOT, 'build', 'bin.cjs'), ...process.argv.slice(3).map((bin) => resolve(bin))];
const MILLISECONDS = 3000;
const CONNECTIONS = 32;
const ROUTER_CORE = 0;
const OTHER_CORE = 1;
const KEY = 'bench';
const TICKS = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);

interface Target {
  readonly name: string;
  readonly port: number;
  readonly request: string;
  /** Whose CPU time counts. */
  readonly pid: number | undefined;
}

interface Result extends Measured {
  /** Microseconds of CPU for a request, in the router. */
  readonly cpu: number;
  readonly megabytes: number;
}

const started: ChildProcess[] = [];

function pinned(core: number, command: readonly string[], cwd?: string): ChildProcess {
  const child = spawn('taskset', ['-c', String(core), ...command], {
    ...(cwd !== undefined && { cwd }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  return child;
}

async function lineOf(child: ChildProcess, pattern: RegExp): Promise<string> {
  let said = '';
  for await (const bytes of child.stdout ?? []) {
    said += String(bytes);
    const found = pattern.exec(said)?.[1];
    if (found !== undefined) return found;
  }
  throw new Error(`a process ended before it was ready:\n${said}`);
}

/** Seconds of CPU, and megabytes, of one process. */
function usage(pid: number): { readonly seconds: number; readonly megabytes: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  const seconds = (Number(fields[11]) + Number(fields[12])) / TICKS;
  return { seconds, megabytes: (pages * 4096) / 2 ** 20 };
}

function requestOf(path: string, body: object): string {
  const text = JSON.stringify(body);
  return [
    `POST ${path} HTTP/1.1`,
    'Host: bench',
    'Content-Type: application/json',
    `X-API-Key: ${KEY}`,
    'X-User-Id: patient-17',
    `Content-Length: ${Buffer.byteLength(text)}`,
    '',
    text,
  ].join('\r\n');
}

const DATA = Array.from({ length: 24 }, (_, index) => index / 8);
const V2 = requestOf('/v2/models/echo/infer', {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [1, DATA.length], data: DATA }],
});
const NATIVE = requestOf('/api/v1/models/echo/inference', { input_data: { x: DATA } });

async function openRouter(
  bin: string,
  backend: number,
  work: string,
): Promise<ChildProcess & { port: number }> {
  const folder = mkdtempSync(join(work, 'router-'));
  mkdirSync(join(folder, 'models'));
  const model = {
    id: 'echo',
    version: '1',
    framework: 'tensorrt',
    source: 's3://bench/echo',
    inference: { maxConcurrency: 256 },
  };
  writeFileSync(join(folder, 'models', 'echo.json'), JSON.stringify(model));
  const digest = spawnSync('sha256sum', { input: KEY, encoding: 'utf8' }).stdout.slice(0, 64);
  const config = {
    server: { port: 0, accept_seconds: 0 },
    local: { endpoints: { echo: { stable: [`127.0.0.1:${backend}`] } } },
    auth: { mode: 'api_key', keys: [{ name: 'bench', sha256: digest, scopes: ['admin'] }] },
    logging: { level: 'error' },
  };
  writeFileSync(join(folder, 'config.yaml'), JSON.stringify(config));
  const child = pinned(
    ROUTER_CORE,
    [process.execPath, bin, 'serve', '--config', 'config.yaml', '--output', 'json'],
    folder,
  );
  const url = await lineOf(child, /"url":"([^"]+)"/);
  return Object.assign(child, { port: Number(new URL(url).port) });
}

async function openNginx(
  backend: number,
  work: string,
): Promise<{ readonly pid: number; readonly port: number } | undefined> {
  if (spawnSync('nginx', ['-v']).status !== 0) return undefined;
  const port = 18_480;
  const file = join(work, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; worker_processes 1; master_process off; pid ${work}/nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000;
  upstream b { server 127.0.0.1:${backend}; keepalive 64; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
  );
  const child = pinned(ROUTER_CORE, ['nginx', '-c', file]);
  await sleep(500);
  return { pid: child.pid ?? 0, port };
}

/** The generator as a process of its own, on the other core. */
function generate(load: Load): Promise<Measured> {
  const child = fork(join(__dirname, '..', 'onnx', 'load.ts'), {
    cwd: ROOT,
    execPath: 'taskset',
    execArgv: ['-c', String(OTHER_CORE), process.execPath, '--import', 'tsx'],
  });
  child.send(load);
  return new Promise((done, fail) => {
    child.once('message', (measured) => {
      child.kill();
      done(measured as Measured);
    });
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`the generator ended with ${code}`)));
  });
}

async function measure({ port, request, pid }: Target): Promise<Result> {
  const load: Load = {
    port,
    request: Buffer.from(request).toString('base64'),
    connections: CONNECTIONS,
    milliseconds: MILLISECONDS,
  };
  const before = pid === undefined ? undefined : usage(pid);
  const measured = await generate(load);
  const after = pid === undefined ? undefined : usage(pid);
  if (measured.failures > 0) throw new Error(`${measured.failures} requests failed`);
  const spent = (after?.seconds ?? 0) - (before?.seconds ?? 0);
  return { ...measured, cpu: (spent * 1e6) / measured.requests, megabytes: after?.megabytes ?? 0 };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

function row(name: string, results: readonly Result[]): string {
  const rates = results.map(({ requests, seconds }) => requests / seconds);
  const cpus = results.map(({ cpu }) => cpu);
  const cell = (value: number, digits: number): string => value.toFixed(digits).padStart(9);
  return [
    name.padEnd(30),
    cell(median(rates), 0),
    cell(median(cpus), 1),
    cell(Math.max(...cpus) - Math.min(...cpus), 1),
    cell(median(results.map(({ p50 }) => p50)), 2),
    cell(median(results.map(({ p99 }) => p99)), 2),
    cell(median(results.map(({ megabytes }) => megabytes)), 0),
  ].join(' ');
}

async function targetsOf(work: string): Promise<readonly Target[]> {
  const backend = Number(
    await lineOf(
      pinned(
        OTHER_CORE,
        [process.execPath, '--import', 'tsx', join(__dirname, 'backend.ts')],
        ROOT,
      ),
      /"port":(\d+)/,
    ),
  );
  const nginx = await openNginx(backend, work);
  const routers = await Promise.all(BINS.map((bin) => openRouter(bin, backend, work)));
  const named = (index: number): string => (index === 0 ? '' : ` (${BINS[index]})`);
  return [
    { name: 'direct', port: backend, request: V2, pid: undefined },
    ...(nginx === undefined ? [] : [{ name: 'nginx', request: V2, ...nginx }]),
    ...routers.flatMap(({ pid, port }, index) => [
      { name: `V2 passthrough${named(index)}`, port, request: V2, pid },
      { name: `native${named(index)}`, port, request: NATIVE, pid },
    ]),
  ];
}

async function main(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'bench-proxy-'));
  try {
    const targets = await targetsOf(work);
    await sleep(1000);
    const results = new Map<Target, Result[]>(targets.map((target) => [target, []]));
    for (const target of targets) await measure(target);
    for (let run = 0; run < RUNS; run += 1) {
      for (const target of targets) results.get(target)?.push(await measure(target));
    }
    const columns = ['requests/s', 'CPU µs', 'spread', 'p50 ms', 'p99 ms', 'MB'];
    console.log(
      `${`median of ${RUNS}, Node ${process.version}`.padEnd(30)} ${columns.map((one) => one.padStart(9)).join(' ')}`,
    );
    for (const [{ name }, found] of results) console.log(row(name, found));
    if (!targets.some(({ name }) => name === 'nginx')) console.log('nginx: not installed');
  } finally {
    for (const child of started) child.kill();
    await Promise.all(
      started.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')),
    );
    rmSync(work, { recursive: true, force: true });
  }
}

void main();
