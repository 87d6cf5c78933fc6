// Rollouts in virtual time: false aborts of harmless candidates, beside a threshold rule and a
// pooled test, and how long it takes to abort a harmful one.
//   npx tsx bench/release/bench.ts [hours per scenario, default 50]
import { HARMLESS, harmful } from './scenarios';
import { simulate } from './simulate';

const HOUR = 3600;
const hours = Number(process.argv[2] ?? 50);
const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

function falseAborts(): void {
  console.log(`\nHarmless candidates, ${hours} hours each: aborted by`);
  console.log('| scenario | evidence | threshold | pooled |\n| --- | ---: | ---: | ---: |');
  for (const scenario of HARMLESS) {
    const counts = { evidence: 0, threshold: 0, pooled: 0 };
    for (let hour = 0; hour < hours; hour += 1) {
      const { abort, threshold, pooled } = simulate(scenario, HOUR, 7919 * hour + 11);
      if (abort !== undefined) counts.evidence += 1;
      if (threshold !== undefined) counts.threshold += 1;
      if (pooled !== undefined) counts.pooled += 1;
    }
    const [evidence, threshold, pooled] = Object.values(counts).map((one) => percent(one / hours));
    console.log(`| ${scenario.name} | ${evidence} | ${threshold} | ${pooled} |`);
  }
}

const quantile = (sorted: readonly number[], part: number): string => {
  const at = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Infinity;
  return at === Infinity ? 'longer' : `${at} s`;
};

function abortTimes(): void {
  const runs = Math.max(11, Math.min(hours, 101));
  console.log(`\nHarmful candidates, ${runs} runs each; stable fails 0.5 %: aborted after`);
  console.log('| candidate | median | p95 |\n| --- | ---: | ---: |');
  for (const [perSecond, rate, seconds] of [
    [200, 1, 60],
    [20, 1, 60],
    [1, 1, 600],
    [200, 0.1, 120],
    [20, 0.1, 600],
    [1, 0.1, 3600],
    [200, 0.025, 300],
    [20, 0.025, 3000],
  ] as const) {
    const scenario = harmful(perSecond, 500, rate);
    const times = Array.from({ length: runs }, (_, run) => simulate(scenario, seconds, run + 1))
      .map(({ abort }) => abort?.second ?? Infinity)
      .sort((one, other) => one - other);
    console.log(`| ${scenario.name} | ${quantile(times, 0.5)} | ${quantile(times, 0.95)} |`);
  }
}

falseAborts();
abortTimes();
