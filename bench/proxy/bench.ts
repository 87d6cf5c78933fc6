// What a request costs in the router, beside others: `npx tsx bench/proxy/bench.ts [RUNS] [BIN…]`.
// The one that is measured has one core, generator and backend have the other. Closed loop (wrk), 32
// connections. All of the router's features are on: API key, metrics, a split by cohort, admission,
// ejection, retries, a line in the record for every request. What is not installed is left out and
// named; further BINs (another build's bin.cjs) are measured in the same rounds. Packages from npm
// are looked for in the folder BENCH_MODULES.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBackend } from './backend';
import type { Size } from './bodies';
import { modelOf, sizeName, SIZES } from './bodies';
import type { Target } from './measure';
import { KEY, measureAll, native, passing, toPortkey } from './measure';
import type { Opened, Opener } from './others';
import { envoy, haproxy, httpProxy3, nginx, portkey, router } from './others';
import { endAll, isInstalled } from './process';
import { printTable } from './table';

const ROOT = join(__dirname, '..', '..');
const RUNS = Number(process.argv[2] ?? 5);
const BINS = [join(ROOT, 'build', 'bin.cjs'), ...process.argv.slice(3).map((bin) => resolve(bin))];
/** Bytes; above it the backend reads every body to its end. */
const LARGE = 16_384;

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

function targetFor(name: string, opened: Opened, size: Size, backend: number): Target {
  if (name === 'Portkey gateway') return toPortkey(opened, size, backend);
  return { name, ...opened, ...passing(size) };
}

async function targetsOf(sizes: readonly Size[], work: string): Promise<readonly Target[]> {
  const backend = await openBackend(
    work,
    sizes.some((size) => size > LARGE),
  );
  const others = await openOthers(backend, work);
  const models = sizes.map(modelOf);
  const routers = await Promise.all(
    BINS.map((bin, index) => {
      const options = { bin, models, key: KEY, split: true, audit: true };
      return router(options, backend, join(work, `router-${index}`));
    }),
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

/** Everything that is opened for a group of sizes is ended with it. */
async function bench(sizes: readonly Size[]): Promise<void> {
  if (sizes.length === 0) return;
  const work = mkdtempSync(join(tmpdir(), 'bench-proxy-'));
  try {
    const targets = await targetsOf(sizes, work);
    await sleep(1500);
    const results = await measureAll(targets, RUNS, work);
    for (const size of sizes) {
      const own = results.filter(([target]) => target.size === size);
      printTable(`${sizeName(size)}, median of ${RUNS}`, own, 'nginx');
    }
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
