// One of eleven replicas needs 2 s instead of 20 ms for 30 s: `npx tsx bench/balance/bench.ts [SEEDS]`.
// Virtual time, so the figures are the same on every machine.
import type { Latencies, Summary } from '../../test/core/experiment';
import {
  leastOfTwo,
  leastRequest,
  ours,
  plain,
  roundRobin,
  summaryOf,
} from '../../test/core/experiment';

const STRATEGIES: Readonly<Record<string, (seed: number) => Latencies | Promise<Latencies>>> = {
  'this router': ours,
  'least request': (seed) => plain(seed, leastRequest),
  'least request of two': (seed) => plain(seed, leastOfTwo),
  'round robin': (seed) => plain(seed, roundRobin),
};

/** Median, and from the least to the most. */
function spread(values: readonly number[], digits: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  const [least = NaN, median = NaN, most = NaN] = [
    sorted[0],
    sorted[Math.floor(sorted.length / 2)],
    sorted.at(-1),
  ];
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}

function row(name: string, all: readonly Summary[]): string {
  const cells = [
    spread(
      all.map(({ p50 }) => p50),
      0,
    ),
    spread(
      all.map(({ p99 }) => p99),
      0,
    ),
    spread(
      all.map(({ belowSecond }) => 100 * belowSecond),
      3,
    ),
  ];
  return `${name.padEnd(21)} ${cells.map((cell) => cell.padStart(24)).join(' ')}`;
}

async function main(): Promise<void> {
  const count = Number(process.argv[2] ?? 10);
  const heads = ['p50 ms', 'p99 ms', '% below 1 s'].map((cell) => cell.padStart(24));
  console.log(`${`median of ${count} seeds`.padEnd(21)} ${heads.join(' ')}`);
  for (const [name, run] of Object.entries(STRATEGIES)) {
    const all: Summary[] = [];
    for (let seed = 1; seed <= count; seed += 1) all.push(summaryOf(await run(seed)));
    console.log(row(name, all));
  }
}

void main();
