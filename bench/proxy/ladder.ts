// What each feature costs: `npx tsx bench/proxy/ladder.ts [RUNS]`. The same request through routers
// that have one thing more on each; all in the same rounds, nginx beside them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBackend } from './backend';
import { modelOf } from './bodies';
import type { Target } from './measure';
import { KEY, measureAll, native, passing } from './measure';
import type { RouterOptions } from './others';
import { nginx, router } from './others';
import { endAll } from './process';
import { printTable } from './table';

const RUNS = Number(process.argv[2] ?? 5);
const SIZE = 300;

type Rung = readonly [name: string, on: Omit<RouterOptions, 'bin' | 'models'>];

/** Admission, ejection, retries and metrics cannot be turned off: they are in the first rung. */
const RUNGS: readonly Rung[] = [
  ['routing, admission, metrics', {}],
  ['+ API key', { key: KEY }],
  ['+ split by cohort', { key: KEY, split: true }],
  ['+ a line in the record', { key: KEY, split: true, audit: true }],
  ['+ its chain', { key: KEY, split: true, audit: true, chain: true }],
  ['+ trace context', { key: KEY, split: true, audit: true, chain: true, traces: true }],
];

/** Every request is recorded: what a sampled one costs, without its export. */
const SAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

async function targetsOf(work: string): Promise<readonly Target[]> {
  const backend = await openBackend(work, false);
  const beside = await nginx(backend, work);
  const bin = join(__dirname, '..', '..', 'build', 'bin.cjs');
  const targets: Target[] = [];
  if (beside !== undefined) targets.push({ name: 'nginx', ...beside, ...passing(SIZE) });
  for (const [index, [name, on]] of RUNGS.entries()) {
    const folder = join(work, `router-${index}`);
    const opened = await router({ bin, models: [modelOf(SIZE)], ...on }, backend, folder);
    const asking = passing(SIZE);
    const headers =
      on.traces === true ? { ...asking.headers, traceparent: SAMPLED } : asking.headers;
    targets.push({ name, ...opened, ...asking, headers });
    if (index === RUNGS.length - 1) {
      targets.push({ name: '+ native both ways', ...opened, ...native(SIZE) });
    }
  }
  return targets;
}

async function main(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'bench-ladder-'));
  try {
    const targets = await targetsOf(work);
    await sleep(1500);
    printTable(`median of ${RUNS}`, await measureAll(targets, RUNS, work), 'nginx');
  } finally {
    await endAll();
    rmSync(work, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exitCode = 1;
});
