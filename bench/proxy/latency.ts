// What a request waits in the router: `npx tsx bench/proxy/latency.ts [RUNS] [PER_SECOND]`. An open
// loop: requests come at an even rate whether others were answered or not, and each is timed from the
// moment it should have been sent.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLoop, quantile } from '../fire/openloop';
import { openBackend } from './backend';
import { modelOf } from './bodies';
import type { Asking } from './load';
import { KEY, native, passing } from './measure';
import { envoy, haproxy, nginx, router } from './others';
import { endAll } from './process';
import { median } from './table';

const RUNS = Number(process.argv[2] ?? 5);
const PER_SECOND = Number(process.argv[3] ?? 1000);
const SECONDS = 4;
const SIZE = 300;

interface Target extends Asking {
  readonly name: string;
}

function textOf({ path, body, headers }: Asking): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = Buffer.byteLength(body);
  return `POST ${path} HTTP/1.1\r\nhost: bench\r\n${lines.join('')}content-length: ${length}\r\n\r\n${body}`;
}

async function targetsOf(work: string): Promise<readonly Target[]> {
  const port = await openBackend(work, false);
  const direct = { name: 'direct', port, ...passing(SIZE) };
  const targets: Target[] = [direct];
  for (const [name, opener] of Object.entries({ nginx, HAProxy: haproxy, Envoy: envoy })) {
    const opened = await opener(port, work);
    if (opened !== undefined) targets.push({ ...direct, name, port: opened.port });
  }
  const bin = join(__dirname, '..', '..', 'build', 'bin.cjs');
  const all = { bin, models: [modelOf(SIZE)], key: KEY, split: true, audit: true };
  const ours = await router(all, port, join(work, 'router'));
  targets.push({ name: 'ours, V2', ...ours, ...passing(SIZE) });
  targets.push({ name: 'ours, native', ...ours, ...native(SIZE) });
  return targets;
}

interface Waited {
  readonly p50: number;
  readonly p99: number;
  readonly failed: number;
}

async function measure(target: Target, seconds: number): Promise<Waited> {
  const text = textOf(target);
  const load = { port: target.port, perSecond: PER_SECOND, seconds, request: () => text };
  const shots = await openLoop(load);
  const ms = shots.map((shot) => shot.ms);
  const failed = shots.filter(({ status }) => status !== 200).length;
  return { p50: quantile(ms, 0.5), p99: quantile(ms, 0.99), failed };
}

function print(results: readonly (readonly [Target, readonly Waited[]])[]): void {
  const direct = results[0]?.[1] ?? [];
  const title = `${PER_SECOND} requests/s, median of ${RUNS}`;
  const columns = ['p50 ms', 'p99 ms', '+ p50', '+ p99', 'spread', 'failed'];
  console.log(`${title.padEnd(30)} ${columns.map((one) => one.padStart(8)).join(' ')}`);
  for (const [{ name }, all] of results) {
    const added = (of: (one: Waited) => number): readonly number[] =>
      all.map((one, run) => of(one) - of(direct[run] ?? one));
    const late = added(({ p99 }) => p99);
    const cells = [
      median(all.map(({ p50 }) => p50)),
      median(all.map(({ p99 }) => p99)),
      median(added(({ p50 }) => p50)),
      median(late),
      Math.max(...late) - Math.min(...late),
    ];
    const failed = all.reduce((sum, one) => sum + one.failed, 0);
    const text = cells.map((one) => one.toFixed(2).padStart(8)).join(' ');
    console.log(`${name.padEnd(30)} ${text} ${String(failed).padStart(8)}`);
  }
}

async function main(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'bench-latency-'));
  try {
    const targets = await targetsOf(work);
    await sleep(1500);
    const results = targets.map((target) => [target, [] as Waited[]] as const);
    for (const target of targets) await measure(target, 1);
    for (let run = 0; run < RUNS; run += 1) {
      for (const [target, found] of results) found.push(await measure(target, SECONDS));
    }
    print(results);
  } finally {
    await endAll();
    rmSync(work, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exitCode = 1;
});
