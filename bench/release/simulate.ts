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
import type { ArmName, Scenario } from './scenarios';

/** Rollouts in virtual time: the real trials and verdicts, and callers that a seed makes up. */

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
  readonly last: Verdict | undefined;
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

class Simulation {
  private readonly random: () => number;
  private readonly unit: Rollout['unit'];
  private readonly parts: readonly number[];
  private readonly rollout: Rollout;
  private readonly routers: readonly SimRouter[];
  private readonly rule = new ThresholdRule();
  private readonly draws = new Map<number, number>();
  /** What routers had counted before they started again. */
  private stored: readonly RolloutCounts[] = [];
  private heard: readonly RolloutCounts[];
  private callers = 0;
  private outcome: { -readonly [Key in keyof Outcome]?: Outcome[Key] } = {};

  constructor(
    private readonly scenario: Scenario,
    seed: number,
  ) {
    this.random = seeded(seed);
    this.unit = scenario.unit ?? 'caller';
    this.parts = scenario.routers ?? [1];
    this.rollout = rolloutSchema.parse({ ...NEVER_ENDING, unit: this.unit });
    this.routers = this.parts.map(() => new SimRouter(this.unit, this.random));
    this.heard = this.routers.map((router) => router.counts());
  }

  private newCaller(): number {
    const { fixedCallers } = this.scenario;
    if (fixedCallers !== undefined) return Math.floor(this.random() * fixedCallers);
    return (this.callers += 1);
  }

  /** Where a caller stands between the arms; one that comes again stays there. */
  private drawOf(caller: number): number {
    if (this.scenario.fixedCallers === undefined || this.unit === 'request') return this.random();
    const known = this.draws.get(caller) ?? this.random();
    this.draws.set(caller, known);
    return known;
  }

  private anyRouter(): SimRouter | undefined {
    let left = this.random();
    const index = this.parts.findIndex((part) => (left -= part) < 0);
    return this.routers.at(index);
  }

  private requests(second: number, now: number): void {
    const { perSecond, share, harm, requestsOf, lateness } = this.scenario;
    const hundredths = share(second);
    for (let index = 0; index < perSecond; index += 1) {
      const caller = this.newCaller();
      const arm: ArmName = this.drawOf(caller) * 10_000 < hundredths ? 'candidate' : 'stable';
      for (let left = requestsOf?.(caller) ?? 1; left > 0; left -= 1) {
        const isHarmed = this.random() < harm(arm, second, caller);
        if (arm === 'candidate') this.rule.add(isHarmed);
        const failedAfter = isHarmed ? (lateness?.(arm) ?? 0) : undefined;
        this.anyRouter()?.request(`c${caller}`, arm, hundredths, now, failedAfter);
      }
    }
  }

  private isSilent(second: number): boolean {
    const [from, to] = this.scenario.silent ?? [Infinity, Infinity];
    return second >= from && second < to;
  }

  private hear(second: number): void {
    const { killEvery } = this.scenario;
    if (killEvery !== undefined && second % killEvery === 0) {
      this.stored = [...this.stored, ...this.heard.slice(0, 1)];
      this.routers[0]?.restart();
    }
    const silent = this.isSilent(second) ? this.routers.length - 1 : -1;
    this.heard = this.routers.map((router, index) =>
      index === silent ? (this.heard[index] ?? router.counts()) : router.counts(),
    );
  }

  private look(second: number): void {
    const { perSecond } = this.scenario;
    const total = totalOf([...this.stored, ...this.heard]);
    const rows = total?.rows ?? [];
    const verdict = decideRollout({
      rollout: this.rollout,
      step: 0,
      stepMs: second * 1000,
      rows,
      recent: { stable: NO_FAILURES, candidate: NO_FAILURES },
      seenCallers: this.callers,
      callersPerSecond: perSecond,
      candidate: { carriesPercent: 100 },
      isComplete: !this.isSilent(second),
      isFull: total?.isFull === true,
      held: false,
    });
    Object.assign(this.outcome, { last: verdict, rows });
    if (verdict.do === 'abort') this.outcome.abort ??= { second, verdict };
    if (second % 10 === 0 && pooledEvidence(rows) >= 100) this.outcome.pooled ??= second;
  }

  run(seconds: number, lookEvery: number): Outcome {
    for (let second = 1; second <= seconds; second += 1) {
      const now = START_MS + second * 1000;
      this.requests(second, now);
      for (const router of this.routers) router.close(now + 1000);
      if (this.rule.aborts(second)) this.outcome.threshold ??= second;
      if (second % lookEvery !== 0) continue;
      this.hear(second);
      this.look(second);
    }
    const { abort, threshold, pooled, last, rows = [] } = this.outcome;
    return { abort, threshold, pooled, last, rows };
  }
}

/** One rollout of so many seconds; the leader looks every second. */
export const simulate = (
  scenario: Scenario,
  seconds: number,
  seed: number,
  lookEvery = 1,
): Outcome => new Simulation(scenario, seed).run(seconds, lookEvery);
