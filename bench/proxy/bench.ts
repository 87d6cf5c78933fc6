// What a request costs in the router, beside others: `npx tsx bench/proxy/bench.ts [RUNS] [BIN…]`.
// The one that is measured has one core, generator and backend have the other. Closed loop (wrk), 32
// connections. All of the router's features are on: API key, metrics, cohorts, admission, ejection,
// retries. What is not installed is left out and named; further BINs (another build's bin.cjs) are
// measured in the same rounds. Packages from npm are looked for in the folder BENCH_MODULES.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBackend } from './backend';
import type { Size } from './bodies';
import { asked, askedNatively, modelOf, sizeName, SIZES } from './bodies';
import type { Asking, Measured } from './load';
import { closedLoop } from './load';
import type { Opened, Opener } from './others';
import { envoy, haproxy, httpProxy3, nginx, portkey, router } from './others';
import { endAll, isInstalled, usage } from './process';

const ROOT = join(__dirname, '..', '..');
const RUNS = Number(process.argv[2] ?? 5);
const BINS = [join(ROOT, 'build', 'bin.cjs'), ...process.argv.slice(3).map((bin) => resolve(bin))];
const SECONDS = 2;
const CONNECTIONS = 32;
const KEY = 'bench';
/** Bytes; above it the backend reads every body to its end. */
const LARGE = 16_384;

interface Target extends Asking {
  readonly name: string;
  readonly size: Size;
  /** Whose CPU time counts; undefined: nobody is between. */
  readonly pid: number | undefined;
}

interface Result extends Measured {
  /** Microseconds of CPU for a request. */
  readonly cpu: number;
  readonly megabytes: number;
}

const HEADERS = { 'content-type': 'application/json', 'x-api-key': KEY, 'x-user-id': 'patient-17' };

const passing = (size: Size) => ({
  size,
  path: `/v2/models/${modelOf(size)}/infer`,
  body: asked(size),
  headers: HEADERS,
});

const native = (size: Size) => ({
  size,
  path: `/api/v1/models/${modelOf(size)}/inference`,
  body: askedNatively(size),
  headers: HEADERS,
});

async function measure(target: Target, work: string): Promise<Result> {
  const { pid } = target;
  const before = pid === undefined ? undefined : usage(pid);
  const measured = await closedLoop(target, CONNECTIONS, SECONDS, work);
  const after = pid === undefined ? undefined : usage(pid);
  const spent = (after?.seconds ?? 0) - (before?.seconds ?? 0);
  return { ...measured, cpu: (spent * 1e6) / measured.requests, megabytes: after?.megabytes ?? 0 };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

interface Yardstick {
  readonly cpu: number;
  readonly rate: number;
}

const rateOf = ({ requests, seconds }: Result): number => requests / seconds;

/** A figure with failures in it is none. */
function failedText(results: readonly Result[]): string {
  const failures = results.reduce((sum, one) => sum + one.failures, 0);
  const requests = results.reduce((sum, one) => sum + one.requests, failures);
  return failures === 0 ? '' : `   ${((100 * failures) / requests).toFixed(1)} % failed`;
}

function row(name: string, results: readonly Result[], yardstick: Yardstick | undefined): string {
  const cpus = results.map(({ cpu }) => cpu);
  const cell = (value: number, digits: number): string => value.toFixed(digits).padStart(9);
  const [rate, cpu] = [median(results.map(rateOf)), median(cpus)];
  return [
    name.padEnd(30),
    cell(rate, 0),
    cell(cpu, 1),
    cell(Math.max(...cpus) - Math.min(...cpus), 1),
    cell(yardstick === undefined ? NaN : cpu / yardstick.cpu, 2),
    cell(yardstick === undefined ? NaN : rate / yardstick.rate, 2),
    cell(median(results.map(({ p50 }) => p50)), 2),
    cell(median(results.map(({ p99 }) => p99)), 2),
    cell(median(results.map(({ megabytes }) => megabytes)), 0),
    failedText(results),
  ].join(' ');
}

const OTHERS: readonly (readonly [string, Opener])[] = [
  ['nginx', nginx],
  ['HAProxy', haproxy],
  ['Envoy', envoy],
  ['express + http-proxy-3', httpProxy3],
  ['Portkey gateway', portkey],
];

async function openOthers(backend: number, work: string): Promise<Map<string, Opened>> {
  const opened = new Map<string, Opened>();
  for (const [name, opener] of OTHERS) {
    const one = await opener(backend, work);
    if (one === undefined) console.log(`${name}: not installed`);
    else opened.set(name, one);
  }
  return opened;
}

/** Portkey routes by headers, to an OpenAI-shaped path of the host it is told. */
function targetFor(name: string, { pid, port }: Opened, size: Size, backend: number): Target {
  const base = { name, pid, port, ...passing(size) };
  if (name !== 'Portkey gateway') return base;
  const host = `http://127.0.0.1:${backend}`;
  const headers = {
    ...HEADERS,
    authorization: 'Bearer bench',
    'x-portkey-provider': 'openai',
    'x-portkey-custom-host': host,
  };
  return { ...base, path: `/v1/proxy${base.path}`, headers };
}

async function targetsOf(sizes: readonly Size[], work: string): Promise<readonly Target[]> {
  const backend = await openBackend(
    work,
    sizes.some((size) => size > LARGE),
  );
  const others = await openOthers(backend, work);
  const models = sizes.map(modelOf);
  const routers = await Promise.all(
    BINS.map((bin, index) =>
      router({ bin, models, key: KEY }, backend, join(work, `router-${index}`)),
    ),
  );
  const named = (index: number): string => (index === 0 ? '' : ` (${BINS[index]})`);
  return sizes.flatMap((size) => [
    { name: 'direct', port: backend, pid: undefined, ...passing(size) },
    ...[...others].map(([name, opened]) => targetFor(name, opened, size, backend)),
    ...routers.flatMap((opened, index) => [
      { name: `ours, V2${named(index)}`, ...opened, ...passing(size) },
      { name: `ours, native${named(index)}`, ...opened, ...native(size) },
    ]),
  ]);
}

function print(size: Size, results: readonly (readonly [Target, readonly Result[]])[]): void {
  const columns = ['req/s', 'CPU µs', 'spread', '× CPU', '× rate', 'p50 ms', 'p99 ms', 'MB'];
  const [, measured = []] = results.find(([{ name }]) => name === 'nginx') ?? [];
  const yardstick =
    measured.length === 0
      ? undefined
      : { cpu: median(measured.map(({ cpu }) => cpu)), rate: median(measured.map(rateOf)) };
  const title = `${sizeName(size)}, median of ${RUNS}`;
  console.log(`\n${title.padEnd(30)} ${columns.map((one) => one.padStart(9)).join(' ')}`);
  for (const [{ name }, all] of results) console.log(row(name, all, yardstick));
}

/** Everything that is opened for a group of sizes is ended with it. */
async function bench(sizes: readonly Size[]): Promise<void> {
  if (sizes.length === 0) return;
  const work = mkdtempSync(join(tmpdir(), 'bench-proxy-'));
  try {
    const targets = await targetsOf(sizes, work);
    await sleep(1500);
    const results = targets.map((target) => [target, [] as Result[]] as const);
    for (const target of targets) await measure(target, work);
    for (let run = 0; run < RUNS; run += 1) {
      for (const [target, found] of results) found.push(await measure(target, work));
    }
    for (const size of sizes)
      print(
        size,
        results.filter(([target]) => target.size === size),
      );
  } finally {
    await endAll();
    rmSync(work, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  if (!isInstalled('wrk')) throw new Error('wrk is not installed: it is who asks');
  const only = process.env['BENCH_SIZES']?.split(',').map(Number);
  const sizes = SIZES.filter((size) => only?.includes(size) ?? true);
  await bench(sizes.filter((size) => size <= LARGE));
  await bench(sizes.filter((size) => size > LARGE));
}

main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exitCode = 1;
});
