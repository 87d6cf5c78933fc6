import type { Rollout } from '../../lib/spec';
import { rolloutSchema } from '../../lib/spec';
import type { RowEvidence } from '../../runtime/core/release/evidence';
import { totalOf } from '../../runtime/core/release/rollout-counts';
import type { RolloutCounts } from '../../runtime/core/release/rollout-state';
import type { Trials } from '../../runtime/core/release/trials';
import { createTrials } from '../../runtime/core/release/trials';
import type { Verdict } from '../../runtime/core/release/verdict';
import { decideRollout } from '../../runtime/core/release/verdict';
import { failedEvidence, pooledRows, ThresholdRule } from './other-rules';
import type { ArmName, Rule, Scenario } from './scenarios';

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
  readonly end: () => void;
}

type SimRequest = Parameters<Trials['begin']>[0];

interface SimResult {
  readonly failed: boolean;
  readonly slow: boolean | undefined;
  /** Seconds until it ends. */
  readonly after: number;
}

/** One router of the simulation. */
class SimRouter {
  /** One, or without the rule `one set` one for each arm. */
  private stores: readonly Trials[] = [];
  private endings: Ending[] = [];

  constructor(
    private readonly unit: Rollout['unit'],
    private readonly random: () => number,
    private readonly without: Rule | undefined,
  ) {
    this.restart();
  }

  restart(): void {
    const fresh = () =>
      createTrials({
        unit: this.unit,
        closeMs: CLOSE_MS,
        random: this.random,
        // Without the rule `closing` there is nothing that others could wait for.
        ...(this.without === 'closing' && { windowMs: 0 }),
      });
    this.stores = this.without === 'one set' ? [fresh(), fresh()] : [fresh()];
    this.endings = [];
  }

  private storeOf(arm: ArmName): Trials | undefined {
    return this.stores.at(arm === 'candidate' ? -1 : 0);
  }

  request(request: SimRequest, { failed, slow, after }: SimResult, now: number): void {
    const at = now + after * 1000;
    if (this.without === 'closing') {
      const end = (): void =>
        this.storeOf(request.arm)?.begin(request, at)?.end({ failed, slow }, at);
      this.endings.push({ at, end });
      return;
    }
    const trial = this.storeOf(request.arm)?.begin(request, now);
    if (trial === undefined) return;
    if (after === 0) trial.end({ failed, slow }, now + 20);
    else this.endings.push({ at, end: () => trial.end({ failed, slow }, at) });
  }

  close(now: number): void {
    const due = this.endings.filter(({ at }) => at < now);
    if (due.length > 0) this.endings = this.endings.filter(({ at }) => at >= now);
    for (const { end } of due) end();
    for (const store of this.stores) store.close(now);
  }

  counts(): readonly RolloutCounts[] {
    return this.stores.map((trials) => ({
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
    }));
  }
}

export interface Outcome {
  /** The first abort, and after how many seconds. */
  readonly abort: { readonly second: number; readonly verdict: Verdict } | undefined;
  /** The first verdict that raises the share, seconds. */
  readonly advance: number | undefined;
  /** When the gate `failed` alone reached 100, and when other rules would have aborted, seconds. */
  readonly single: number | undefined;
  readonly threshold: number | undefined;
  readonly pooled: number | undefined;
  readonly isFull: boolean;
  readonly last: Verdict | undefined;
  readonly rows: readonly RowEvidence[];
}

const NEVER_ENDING = { steps: [0.01, 100], minSeconds: 604_800 } as const;

/** Failures, by which the evidence of an abort changes; good trials do not move it. */
const harmedIn = (rows: readonly RowEvidence[]): number =>
  rows.reduce((sum, { failed, early, slow }) => {
    const all = [failed, early.failed, slow.harmed];
    return sum + all.reduce((total, one) => total + one.stable + one.candidate, 0);
  }, 0);

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
  private heard: readonly (readonly RolloutCounts[])[];
  private callers = 0;
  private lastHarmed = -1;
  private outcome: { -readonly [Key in keyof Outcome]?: Outcome[Key] } = {};

  constructor(
    private readonly scenario: Scenario,
    seed: number,
    private readonly without: Rule | undefined,
  ) {
    this.random = seeded(seed);
    this.unit = without === 'callers' ? 'request' : (scenario.unit ?? 'caller');
    this.parts = scenario.routers ?? [1];
    this.rollout = rolloutSchema.parse({ ...NEVER_ENDING, ...scenario.rules, unit: this.unit });
    this.routers = this.parts.map(() => new SimRouter(this.unit, this.random, without));
    this.heard = this.routers.map((router) => router.counts());
  }

  private newCaller(): number {
    const { fixedCallers } = this.scenario;
    if (fixedCallers !== undefined) return Math.floor(this.random() * fixedCallers);
    return (this.callers += 1);
  }

  /** Where a caller stands between the arms; one that comes again stays there. */
  private drawOf(caller: number): number {
    const { fixedCallers, unit } = this.scenario;
    if (fixedCallers === undefined || unit === 'request') return this.random();
    const known = this.draws.get(caller) ?? this.random();
    this.draws.set(caller, known);
    return known;
  }

  private anyRouter(): SimRouter | undefined {
    if (this.routers.length === 1) return this.routers[0];
    let left = this.random();
    const index = this.parts.findIndex((part) => (left -= part) < 0);
    return this.routers.at(index);
  }

  private requests(second: number, now: number): void {
    const { perSecond, share, requestsOf, isUnnamed } = this.scenario;
    const used = share(second);
    const hundredths = this.without === 'used share' ? share(0) : used;
    for (let index = 0; index < perSecond; index += 1) {
      const caller = this.newCaller();
      const arm: ArmName = this.drawOf(caller) * 10_000 < used ? 'candidate' : 'stable';
      const key = isUnnamed === true ? undefined : `c${caller}`;
      const request = { key, by: undefined, arm, hundredths };
      for (let left = requestsOf?.(caller) ?? 1; left > 0; left -= 1) {
        this.anyRouter()?.request(request, this.resultOf(arm, second, caller), now);
      }
    }
  }

  private resultOf(arm: ArmName, second: number, caller: number): SimResult {
    const { harm, lateness, slow } = this.scenario;
    const failed = this.random() < harm(arm, second, caller);
    if (arm === 'candidate') this.rule.add(failed);
    return {
      failed,
      slow: slow === undefined ? undefined : this.random() < slow(caller),
      after: failed ? (lateness?.(arm) ?? 0) : 0,
    };
  }

  private isSilent(second: number): boolean {
    const [from, to] = this.scenario.silent ?? [Infinity, Infinity];
    return second >= from && second < to;
  }

  private hear(second: number): void {
    const { killEvery } = this.scenario;
    if (killEvery !== undefined && second % killEvery === 0) {
      this.stored = [...this.stored, ...(this.heard[0] ?? [])];
      this.routers[0]?.restart();
    }
    const silent = this.isSilent(second) ? this.routers.length - 1 : -1;
    this.heard = this.routers.map((router, index) =>
      index === silent ? (this.heard[index] ?? router.counts()) : router.counts(),
    );
  }

  /**
   * A look without a new failure finds the evidence of the one before, so that only these are
   * computed (and one per minute, for what depends on numbers of trials).
   */
  private look(second: number): void {
    const total = totalOf([...this.stored, ...this.heard.flat()]);
    const rows = total?.rows ?? [];
    const harmed = harmedIn(rows);
    const isStill = harmed === this.lastHarmed && (this.outcome.last?.e ?? 0) < 100;
    if (isStill && second % 60 !== 0 && this.scenario.rules === undefined) return;
    this.lastHarmed = harmed;
    const isFull = total?.isFull === true;
    const verdict = this.decide(second, this.without === 'rows' ? pooledRows(rows) : rows, isFull);
    Object.assign(this.outcome, { last: verdict, rows, isFull });
    if (verdict.do === 'abort') this.outcome.abort ??= { second, verdict };
    if (verdict.do === 'advance' || verdict.do === 'done') this.outcome.advance ??= second;
    if (failedEvidence(rows) >= 100) this.outcome.single ??= second;
    if (failedEvidence(pooledRows(rows)) >= 100) this.outcome.pooled ??= second;
  }

  private decide(second: number, rows: readonly RowEvidence[], isFull: boolean): Verdict {
    return decideRollout({
      rollout: this.rollout,
      step: 0,
      stepMs: second * 1000,
      rows,
      recent: { stable: NO_FAILURES, candidate: NO_FAILURES },
      seenCallers: this.callers,
      callersPerSecond: this.scenario.perSecond,
      candidate: { carriesPercent: 100 },
      isComplete: !this.isSilent(second),
      isFull,
      held: false,
    });
  }

  run(seconds: number): Outcome {
    for (let second = 1; second <= seconds; second += 1) {
      const now = START_MS + second * 1000;
      this.requests(second, now);
      for (const router of this.routers) router.close(now + 1000);
      if (this.rule.aborts(second)) this.outcome.threshold ??= second;
      this.hear(second);
      this.look(second);
    }
    const { abort, advance, single, threshold, pooled, isFull = false, rows = [] } = this.outcome;
    return { abort, advance, single, threshold, pooled, isFull, last: this.outcome.last, rows };
  }
}

/** One rollout of so many seconds; the leader looks every second. `without`: a rule to leave out. */
export const simulate = (
  scenario: Scenario,
  seconds: number,
  seed: number,
  without?: Rule,
): Outcome => new Simulation(scenario, seed, without).run(seconds);
