import type { Rollout } from '../../lib/spec';
import { rolloutSchema } from '../../lib/spec';
import type { ByArm, HarmCounts, RowEvidence } from '../../runtime/core/release/evidence';
import { evidenceOf, harmFactors, logEvidence } from '../../runtime/core/release/evidence';
import { totalOf } from '../../runtime/core/release/rollout-counts';
import type { RolloutCounts } from '../../runtime/core/release/rollout-state';
import type { Trial, Trials } from '../../runtime/core/release/trials';
import { createTrials } from '../../runtime/core/release/trials';
import type { Verdict } from '../../runtime/core/release/verdict';
import { decideRollout } from '../../runtime/core/release/verdict';

/** Rollouts in virtual time: the real trials and verdicts, and callers that a seed makes up. */

type ArmName = keyof ByArm;

export interface Scenario {
  readonly name: string;
  /** New callers per second. */
  readonly perSecond: number;
  readonly unit?: Rollout['unit'];
  /** Requests of one caller; a heavy one has many. Default: one. */
  readonly requestsOf?: (caller: number) => number;
  /** These callers only, again and again, each with a health of its own. */
  readonly fixedCallers?: number;
  /** Probability that a request is harmed. */
  readonly harm: (arm: ArmName, second: number, caller: number) => number;
  /** Seconds until a harmed request ends. */
  readonly lateness?: (arm: ArmName) => number;
  /** The candidate's share in hundredths of a percent. */
  readonly share: (second: number) => number;
  /** Parts of the callers that routers get. Default: one router. */
  readonly routers?: readonly number[];
  /** Every so many seconds a router starts again, and a new leader reads what is stored. */
  readonly killEvery?: number;
  /** The last router is not heard in this time. */
  readonly silent?: readonly [from: number, to: number];
}

/** A caller that fails is the same one at every router. */
const hashOf = (key: string): number => Number(key.slice(1));

/** mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const CLOSE_MS = 30_000;
const START_MS = 1_000_000_000;
const NO_FAILURES = { requests: 0, failures: 0 };

interface Ending {
  readonly at: number;
  readonly trial: Trial;
  readonly failed: boolean;
}

/** One router of the simulation. */
class SimRouter {
  trials: Trials;
  private endings: Ending[] = [];

  constructor(
    private readonly unit: Rollout['unit'],
    private readonly random: () => number,
  ) {
    this.trials = this.fresh();
  }

  private fresh(): Trials {
    return createTrials({ unit: this.unit, closeMs: CLOSE_MS, random: this.random });
  }

  restart(): void {
    this.trials = this.fresh();
    this.endings = [];
  }

  request(key: string, arm: ArmName, hundredths: number, now: number, failedAfter?: number): void {
    const trial = this.trials.begin({ key, by: undefined, arm, hundredths }, now);
    if (trial === undefined) return;
    const failed = failedAfter !== undefined;
    if (failedAfter === undefined || failedAfter === 0) {
      trial.end({ failed, slow: undefined }, now + 20);
    } else this.endings.push({ at: now + failedAfter * 1000, trial, failed });
  }

  close(now: number): void {
    const due = this.endings.filter(({ at }) => at <= now);
    if (due.length > 0) this.endings = this.endings.filter(({ at }) => at > now);
    for (const { at, trial, failed } of due) trial.end({ failed, slow: undefined }, at);
    this.trials.close(now);
  }

  counts(): RolloutCounts {
    const { trials } = this;
    return {
      model: 'simulated',
      rollout: 'simulated',
      rows: trials.rows(),
      failing: trials
        .failing()
        .map(({ key, arm, hundredths }) => ({ hash: hashOf(key), arm, hundredths })),
      isFull: trials.isFull(),
      seenCallers: trials.seenCallers(),
      unnamed: 0,
      recent: {
        stable: NO_FAILURES,
        candidate: NO_FAILURES,
        firstBytes: { requests: 0, slow: 0 },
      },
    };
  }
}

export interface Outcome {
  /** The first abort, and after how many seconds. */
  readonly abort: { readonly second: number; readonly verdict: Verdict } | undefined;
  /** When other rules would have aborted, seconds. */
  readonly threshold: number | undefined;
  readonly pooled: number | undefined;
  readonly last: Verdict;
  readonly rows: readonly RowEvidence[];
}

/** What Flagger and Argo Rollouts are mostly given: more than 1 % failed in an interval. */
class ThresholdRule {
  private requests = 0;
  private failed = 0;
  private bad = 0;

  constructor(
    private readonly interval = 60,
    private readonly limit = 5,
  ) {}

  add(failed: boolean): void {
    this.requests += 1;
    if (failed) this.failed += 1;
  }

  /** Aborts after the fifth bad interval, as Flagger does by default. */
  aborts(second: number): boolean {
    if (second % this.interval !== 0 || this.requests === 0) return false;
    if (this.failed / this.requests > 0.01) this.bad += 1;
    [this.requests, this.failed] = [0, 0];
    return this.bad >= this.limit;
  }
}

/** A sequential test on counts that are added up over the steps, at the mean share. */
function pooledEvidence(rows: readonly RowEvidence[]): number {
  const sum = (pick: (row: RowEvidence) => ByArm): ByArm => ({
    stable: rows.reduce((total, row) => total + pick(row).stable, 0),
    candidate: rows.reduce((total, row) => total + pick(row).candidate, 0),
  });
  const trials = sum((row) => row.trials);
  const all = trials.stable + trials.candidate;
  const pooled: HarmCounts = {
    hundredths: all === 0 ? 0 : (10_000 * trials.candidate) / all,
    trials,
    harmed: sum(({ failed }) => failed),
  };
  return evidenceOf(logEvidence([pooled], 0, harmFactors));
}

const NEVER_ENDING = { steps: [0.01, 100], minSeconds: 604_800 } as const;

/** One rollout of so many seconds; the leader looks every second. */
export function simulate(
  scenario: Scenario,
  seconds: number,
  seed: number,
  lookEvery = 1,
): Outcome {
  const random = seeded(seed);
  const { unit = 'caller', routers: parts = [1], lateness = () => 0 } = scenario;
  const rollout = rolloutSchema.parse({ ...NEVER_ENDING, unit });
  const routers = parts.map(() => new SimRouter(unit, random));
  let stored: readonly RolloutCounts[] = [];
  let heard: RolloutCounts[] = routers.map((router) => router.counts());
  const rule = new ThresholdRule();
  const found: { abort?: Outcome['abort']; threshold?: number; pooled?: number } = {};
  let callers = 0;
  let verdict: Verdict | undefined;
  let rows: readonly RowEvidence[] = [];
  const arms = new Map<number, number>();

  const callerOf = (): number =>
    scenario.fixedCallers === undefined
      ? (callers += 1)
      : Math.floor(random() * scenario.fixedCallers);
  const drawn = (caller: number): number => {
    if (scenario.fixedCallers === undefined || unit === 'request') return random();
    const known = arms.get(caller) ?? random();
    arms.set(caller, known);
    return known;
  };
  const routerOf = (): SimRouter => {
    let left = random();
    const index = parts.findIndex((part) => (left -= part) < 0);
    return routers[index === -1 ? parts.length - 1 : index] as SimRouter;
  };

  for (let second = 1; second <= seconds; second += 1) {
    const now = START_MS + second * 1000;
    const hundredths = scenario.share(second);
    for (let index = 0; index < scenario.perSecond; index += 1) {
      const caller = callerOf();
      const arm: ArmName = drawn(caller) * 10_000 < hundredths ? 'candidate' : 'stable';
      const requests = scenario.requestsOf?.(caller) ?? 1;
      for (let count = 0; count < requests; count += 1) {
        const harmed = random() < scenario.harm(arm, second, caller);
        if (arm === 'candidate') rule.add(harmed);
        routerOf().request(`c${caller}`, arm, hundredths, now, harmed ? lateness(arm) : undefined);
      }
    }
    const end = now + 1000;
    for (const router of routers) router.close(end);
    if (rule.aborts(second)) found.threshold ??= second;
    if (second % lookEvery !== 0) continue;
    if (scenario.killEvery !== undefined && second % scenario.killEvery === 0) {
      stored = [...stored, ...heard.slice(0, 1)];
      routers[0]?.restart();
    }
    const [from, to] = scenario.silent ?? [Infinity, Infinity];
    const isSilent = second >= from && second < to;
    heard = routers.map((router, index) =>
      isSilent && index === routers.length - 1 ? (heard[index] as RolloutCounts) : router.counts(),
    );
    const total = totalOf([...stored, ...heard]);
    rows = total?.rows ?? [];
    verdict = decideRollout({
      rollout,
      step: 0,
      stepMs: second * 1000,
      rows,
      recent: { stable: NO_FAILURES, candidate: NO_FAILURES },
      seenCallers: callers,
      callersPerSecond: scenario.perSecond,
      candidate: { carriesPercent: 100 },
      isComplete: !isSilent,
      isFull: total?.isFull === true,
      held: false,
    });
    if (verdict.do === 'abort') found.abort ??= { second, verdict };
    if (second % 10 === 0 && pooledEvidence(rows) >= 100) found.pooled ??= second;
  }
  const { abort, threshold, pooled } = found;
  return { abort, threshold, pooled, last: verdict as Verdict, rows };
}

const HOUR = 3600;
const RAMP = [100, 500, 2500, 5000] as const;
const ramp = (second: number): number =>
  RAMP[Math.min(3, Math.floor((second / HOUR) * RAMP.length))] as number;
/** Twenty minutes of 4 %, twenty minutes of 0.2 %. */
const swing = (second: number): number => (Math.floor(second / 1200) % 2 === 0 ? 0.04 : 0.002);
const five = (): number => 500;

/** Candidates that equal stable: whatever aborts them is wrong. */
export const HARMLESS: readonly Scenario[] = [
  { name: 'constant 0.5 %', perSecond: 20, harm: () => 0.005, share: five },
  { name: 'constant 2 %, ramp', perSecond: 20, harm: () => 0.02, share: ramp },
  { name: 'swinging base rate, ramp', perSecond: 20, harm: (_, t) => swing(t), share: ramp },
  { name: 'drift of both arms', perSecond: 20, harm: (_, t) => 0.05 * (t / HOUR), share: ramp },
  {
    name: 'drift of both arms, by request',
    perSecond: 20,
    unit: 'request',
    harm: (_, t) => 0.05 * (t / HOUR),
    share: ramp,
  },
  {
    name: 'heavy callers',
    perSecond: 5,
    requestsOf: (caller) => (caller % 20 === 0 ? 60 : 1),
    harm: (_arm, _t, caller) => (caller % 20 === 0 && caller % 3 === 0 ? 0.5 : 0.005),
    share: five,
  },
  {
    name: '200 callers of unequal health',
    perSecond: 10,
    fixedCallers: 200,
    harm: (_arm, _t, caller) => (caller % 10 === 0 ? 0.4 : 0.005),
    share: ramp,
  },
  {
    name: 'stable fails 10 s later',
    perSecond: 20,
    harm: () => 0.02,
    lateness: (arm) => (arm === 'stable' ? 10 : 0),
    share: ramp,
  },
  {
    name: 'candidate fails 10 s later',
    perSecond: 20,
    harm: () => 0.02,
    lateness: (arm) => (arm === 'stable' ? 0 : 10),
    share: ramp,
  },
  {
    name: 'caps change the share',
    perSecond: 20,
    harm: (_, t) => swing(t),
    share: (t) => 300 + 100 * (Math.floor(t / 30) % 9),
  },
  { name: 'by request', perSecond: 20, unit: 'request', harm: () => 0.01, share: ramp },
  {
    name: 'three routers, uneven',
    perSecond: 20,
    harm: (_, t) => swing(t),
    share: ramp,
    routers: [0.7, 0.2, 0.1],
  },
  {
    name: 'leader killed every 5 min',
    perSecond: 20,
    harm: () => 0.02,
    share: ramp,
    routers: [0.6, 0.4],
    killEvery: 300,
  },
  { name: 'a full set', perSecond: 40, harm: () => 0.1, share: five },
  {
    name: 'a router silent for a minute',
    perSecond: 20,
    harm: () => 0.02,
    share: ramp,
    routers: [0.5, 0.5],
    silent: [1800, 1860],
  },
];

/** A candidate that fails; stable fails 0.5 %. One trial per request, as in the table of the docs. */
export const harmful = (perSecond: number, hundredths: number, rate: number): Scenario => ({
  name: `${perSecond} per second at ${hundredths / 100} %, ${rate * 100} % fail`,
  perSecond,
  unit: 'request',
  harm: (arm) => (arm === 'candidate' ? rate : 0.005),
  share: () => hundredths,
});
