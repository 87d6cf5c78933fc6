import * as fc from 'fast-check';
import type { ArmStats } from '../../../runtime/core/routing/load';
import type { Outcome, AttemptResult } from '../../../runtime/core/routing/outcome';
import type { TableHolder } from '../../../runtime/core/routing/table';
import { EMPTY_TABLE } from '../../../runtime/core/routing/table';
import { createDispatcher } from '../../../runtime/data/dispatch/dispatcher';
import { CallerSignal } from '../../../runtime/data/http/server/caller-signal';
import type {
  Attempt,
  AttemptCallbacks,
  Job,
  JobCall,
  UnansweredResult,
} from '../../../runtime/data/dispatch/job';
import type { Layout } from '../../core/simulator';
import { routeOf, seeded, Simulation } from '../../core/simulator';
import { VirtualTime } from '../../core/virtual-time';
import { rounds } from '../../support/rounds';

// What holds after every single step, whatever comes. All of it is synchronous: thousands of cases.

const CONCURRENCY = 2;
const POOL = new Simulation().replicas(5, 1);
const OTHERS = new Simulation().replicas(2, 1, 'v');

interface Running {
  readonly replica: string;
  readonly tried: AttemptCallbacks;
  readonly signal: CallerSignal;
}

type Asked = Pick<Job, 'priority' | 'timeoutMs' | 'items' | 'cohortKey'> &
  Pick<JobCall, 'replayable'>;

/** A dispatcher whose replicas answer when a test says so. */
class World {
  readonly time = new VirtualTime();
  readonly table: TableHolder = { current: EMPTY_TABLE };
  readonly outcomes: Outcome[] = [];
  /** Requests that are told that there is no answer. */
  readonly unanswered: UnansweredResult[] = [];
  /** Answers that go to their callers. */
  delivered = 0;
  readonly running: Running[] = [];
  readonly streaming: Running[] = [];
  /** Replicas that once refused. */
  readonly refused = new Set<string>();
  asked = 0;
  private readonly parts;

  constructor(seed: number) {
    this.parts = createDispatcher({
      table: this.table,
      clock: { now: () => this.time.now, setTimeout: this.time.after },
      random: seeded(seed),
      onOutcome: (outcome) => this.outcomes.push(outcome),
    });
  }

  get active(): number {
    return this.parts.load.active();
  }

  arms(): readonly ArmStats[] {
    return this.parts.load.arms();
  }

  swap(layout: Layout): void {
    const models = new Map([['sim', routeOf(layout)]]);
    this.table.current = { generation: this.table.current.generation + 1, models };
    this.parts.onTableSwap();
  }

  ask({ replayable, ...more }: Asked): void {
    const model = this.table.current.models.get('sim');
    if (model === undefined) throw new Error('swap in a layout first');
    this.asked += 1;
    const signal = new CallerSignal();
    const call: JobCall = {
      replayable,
      attempt: ({ replica }: Attempt, tried) => {
        this.running.push({ replica: replica.id, tried, signal });
      },
      receive: () => undefined,
      fingerprint: () => undefined,
      onUnanswered: (result) => this.unanswered.push(result),
    };
    this.parts.dispatcher.start({ ...more, model, signal }, call);
  }

  /** One of those that run ends, or has its first byte. */
  settle(at: number, result: AttemptResult): void {
    const [one] = this.running.splice(at % Math.max(1, this.running.length), 1);
    if (one === undefined) return;
    if (result.kind === 'unreached') this.refused.add(one.replica);
    const verdict = one.tried.settled(result);
    if (result.kind !== 'answered' || verdict === 'retry') return;
    this.delivered += 1;
    this.streaming.push(one);
  }

  finish(at: number, end: AttemptResult): void {
    const [one] = this.streaming.splice(at % Math.max(1, this.streaming.length), 1);
    one?.tried.finished(end);
  }

  abort(at: number): void {
    const one = this.running[at % Math.max(1, this.running.length)];
    if (one === undefined) return;
    one.signal.abort();
    this.settle(this.running.indexOf(one), { kind: 'aborted' });
  }

  /** All that still runs ends well, and every timer fires. */
  end(): void {
    for (let round = 0; round < 1000 && this.active > 0; round += 1) {
      while (this.running.length > 0) this.settle(0, { kind: 'answered', status: 200 });
      while (this.streaming.length > 0) this.finish(0, { kind: 'answered', status: 200 });
      this.time.pass(1000);
    }
  }
}

const FAILURES: readonly AttemptResult[] = [
  { kind: 'reset', message: 'x' },
  { kind: 'unreached', message: 'x' },
  { kind: 'timeout' },
  { kind: 'protocol', message: 'x' },
  { kind: 'answered', status: 503 },
];
const STATUSES = [200, 200, 200, 500, 404, 429] as const;
const ENDS: readonly AttemptResult[] = [
  { kind: 'answered', status: 200 },
  { kind: 'answered', status: 200 },
  { kind: 'aborted' },
  { kind: 'reset', message: 'x' },
];
const PRIORITIES = ['critical', 'high', 'normal', 'low'] as const;

const of = <T>(all: readonly T[], at: number): T => all[at % all.length] as T;

function layoutOf(a: number, b: number): Layout {
  const stable = POOL.slice(0, 1 + (a % POOL.length));
  const hundredths = (b * 1250) % 10_001;
  return {
    arms: { stable: a === 0 ? [] : stable, v2: OTHERS },
    shares: [
      { arm: 'stable', hundredths: 10_000 - hundredths },
      { arm: 'v2', hundredths },
    ],
    inference: { maxConcurrency: CONCURRENCY },
    maxQueueDepth: 1 + b,
    holdMs: 300,
    terminating: b % 3 === 0 ? POOL.slice(0, b % POOL.length).map(({ id }) => id) : [],
    stopped: a === 9,
  };
}

interface Step {
  readonly kind: 'ask' | 'answer' | 'fail' | 'last' | 'abort' | 'wait' | 'swap';
  readonly a: number;
  readonly b: number;
}

function take(world: World, { kind, a, b }: Step): void {
  if (kind === 'answer') return world.settle(a, { kind: 'answered', status: of(STATUSES, b) });
  if (kind === 'fail') return world.settle(a, of(FAILURES, b));
  if (kind === 'last') return world.finish(a, of(ENDS, b));
  if (kind === 'abort') return world.abort(a);
  if (kind === 'wait') return world.time.pass(a * b * 50);
  if (kind === 'swap') return world.swap(layoutOf(a, b));
  world.ask({
    priority: of(PRIORITIES, a),
    timeoutMs: 50 + b * 100,
    items: 1 + (a % 3),
    replayable: b % 4 !== 0,
    cohortKey: b % 2 === 0 ? undefined : `u${a}`,
  });
}

/** As `expect`, which takes most of the time of thousands of cases. */
function hold(holds: boolean, what: () => string): void {
  if (!holds) throw new Error(what());
}

function holdSane(world: World, arms: readonly ArmStats[]): void {
  let inFlight = 0;
  for (const { arm, queued, replicas, ...rest } of arms) {
    hold(queued >= 0, () => `${arm} has ${queued} waiting`);
    for (const { id, inFlight: own } of replicas) {
      hold(own >= 0 && own <= CONCURRENCY, () => `${id} has ${own} in flight`);
    }
    // Also of replicas that have left the table.
    inFlight += rest.inFlight;
  }
  const running = world.running.length + world.streaming.length;
  hold(inFlight === running, () => `${inFlight} in flight, ${running} run`);
  const { active, asked, outcomes } = world;
  hold(active === asked - outcomes.length, () => `${active} of ${asked} active`);
}

/** Somebody is asked as long as one is left that can be reached. */
function holdSomebody(world: World, arms: readonly ArmStats[]): void {
  for (const { arm, capacity } of arms) {
    const route = world.table.current.models.get('sim')?.arms.get(arm);
    const staying = route?.replicas.filter(({ terminating }) => !terminating) ?? [];
    const serving = staying.length > 0 ? staying : (route?.replicas ?? []);
    const isLost = serving.every(({ id }) => world.refused.has(id));
    hold(isLost || capacity > 0, () => `${arm} asks none of ${serving.length}`);
  }
}

function holdEnded(world: World): void {
  world.end();
  holdSane(world, world.arms());
  const { asked, outcomes, unanswered, delivered, active } = world;
  const results = unanswered.length + delivered;
  hold(outcomes.length === asked, () => `${asked} jobs, ${outcomes.length} outcomes`);
  hold(results === asked, () => `${asked} jobs, ${results} results`);
  hold(active === 0, () => `${active} are left`);
  hold(
    outcomes.every(({ tries }) => tries <= 2),
    () => 'a third try',
  );
}

const stepsOf = (...kinds: readonly Step['kind'][]): fc.Arbitrary<Step[]> => {
  const small = fc.nat({ max: 9 });
  return fc.array(fc.record({ kind: fc.constantFrom(...kinds), a: small, b: small }), {
    minLength: 5,
    maxLength: 80,
  });
};

test('after every step no replica exceeds its concurrency, no count is negative, and each job ends once', () => {
  const steps = stepsOf(
    'ask',
    'ask',
    'ask',
    'answer',
    'answer',
    'fail',
    'last',
    'abort',
    'wait',
    'swap',
  );
  fc.assert(
    fc.property(fc.integer(), steps, (seed, all) => {
      const world = new World(seed);
      world.swap(layoutOf(4, 2));
      for (const step of all) {
        take(world, step);
        const arms = world.arms();
        holdSane(world, arms);
        holdSomebody(world, arms);
      }
      holdEnded(world);
    }),
    { numRuns: rounds(500) },
  );
}, 60_000);

test('at most half of the failing replicas are ejected, and never the last one', () => {
  const steps = stepsOf('ask', 'ask', 'ask', 'fail', 'fail', 'answer', 'last', 'wait');
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 5 }), steps, (seed, count, all) => {
      const world = new World(seed);
      const inference = { maxConcurrency: CONCURRENCY, idempotent: seed % 2 === 0 };
      world.swap({ arms: { stable: POOL.slice(0, count) }, inference, maxQueueDepth: 20 });
      for (const step of all) {
        // Who refuses is another matter: nothing is lost without it.
        take(world, step.kind === 'fail' && step.b % 5 === 1 ? { ...step, b: 0 } : step);
        const [arm] = world.arms();
        const out = arm?.replicas.filter(({ ejectedUntil }) => ejectedUntil !== undefined) ?? [];
        hold(out.length <= Math.floor(count / 2), () => `${out.length} of ${count} are out`);
        const capacity = arm?.capacity ?? NaN;
        hold(capacity >= Math.ceil(count / 2) * CONCURRENCY, () => `capacity ${capacity}`);
      }
      holdEnded(world);
    }),
    { numRuns: rounds(400) },
  );
}, 60_000);
