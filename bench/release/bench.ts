// Rollouts in virtual time: false aborts of harmless candidates, beside a threshold rule and a
// pooled test, and how long it takes to abort a harmful one and to show a harmless one.
//   npx tsx bench/release/bench.ts [hours per scenario, default 50]
import { BETS, inferiorFactors } from '../../runtime/core/release/evidence';
import { HARMLESS, harmful, NEEDED } from './scenarios';
import { seeded, simulate } from './simulate';

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

function withoutRules(): void {
  const runs = Math.min(hours, 50);
  console.log(`\nHarmless candidates, ${runs} runs each: aborted`);
  console.log('| rule left out | with it | without it |\n| --- | ---: | ---: |');
  for (const [rule, seconds, scenario] of NEEDED) {
    const aborted = (without?: typeof rule): string => {
      const all = Array.from({ length: runs }, (_, run) =>
        simulate(scenario, seconds, run, without),
      );
      return percent(all.filter(({ abort }) => abort !== undefined).length / runs);
    };
    console.log(`| ${rule} | ${aborted()} | ${aborted(rule)} |`);
  }
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Infinity;
}

const timeOf = (values: readonly number[], part: number): string => {
  const value = quantile(values, part);
  return value === Infinity ? 'longer' : `${value} s`;
};

const RATES = [
  [200, 1, 60],
  [20, 1, 60],
  [1, 1, 600],
  [200, 0.1, 120],
  [20, 0.1, 600],
  [1, 0.1, HOUR],
  [200, 0.025, 300],
  [20, 0.025, 3000],
  [1, 0.025, HOUR],
] as const;

function abortTimes(): void {
  const runs = Math.max(11, Math.min(hours, 201));
  console.log(`\nHarmful candidates, ${runs} runs each; stable fails 0.5 %: aborted after`);
  console.log('| candidate | gate alone: median | p95 | all gates: median | p95 | aborted |');
  console.log('| --- | ---: | ---: | ---: | ---: | ---: |');
  for (const [perSecond, rate, seconds] of RATES) {
    const scenario = harmful(perSecond, 500, rate);
    const all = Array.from({ length: runs }, (_, run) => simulate(scenario, seconds, run + 1));
    const alone = all.map(({ single }) => single ?? Infinity);
    const times = all.map(({ abort }) => abort?.second ?? Infinity);
    const cells = [alone, times].flatMap((one) => [timeOf(one, 0.5), timeOf(one, 0.95)]);
    const part = times.filter((one) => one < Infinity).length / runs;
    console.log(`| ${scenario.name} | ${cells.join(' | ')} | ${percent(part)} |`);
  }
}

/** Trials of both arms until the candidate, which equals stable, is shown to be within a point. */
function trialsToShow(rate: number, share: number, random: () => number): number {
  const factors = BETS.map((bet) => inferiorFactors(share, 0.01, bet));
  const logs = BETS.map(() => 0);
  for (let trials = 1; ; trials += 1) {
    const isHarmed = random() < rate;
    const arm = random() < share ? 'candidate' : 'stable';
    const kind = isHarmed ? arm : 'clean';
    factors.forEach((one, bet) => (logs[bet] = (logs[bet] ?? 0) + one[kind]));
    if (trials % 10 !== 0) continue;
    if (logs.reduce((sum, log) => sum + Math.exp(log), 0) / BETS.length >= 100) return trials;
  }
}

function trialsToPromote(): void {
  const runs = Math.max(51, Math.min(hours, 201));
  console.log(`\nShown to be within 1 point, ${runs} runs each: trials of both arms`);
  console.log('| base rate, share | median | p95 |\n| --- | ---: | ---: |');
  for (const [rate, share] of [
    [0, 0.05],
    [0, 0.5],
    [0.005, 0.05],
    [0.005, 0.25],
    [0.005, 0.5],
    [0.02, 0.5],
  ] as const) {
    const random = seeded(17);
    const all = Array.from({ length: runs }, () => trialsToShow(rate, share, random));
    const name = `${percent(rate)} at ${percent(share)}`;
    console.log(`| ${name} | ${quantile(all, 0.5)} | ${quantile(all, 0.95)} |`);
  }
}

abortTimes();
trialsToPromote();
withoutRules();
falseAborts();
