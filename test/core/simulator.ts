import type { ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import { EMPTY_TABLE } from '../../runtime/core/routing/table';
import type {
  ArmRoute,
  ModelRoute,
  ReplicaRoute,
  Share,
  TableHolder,
} from '../../runtime/core/routing/table';
import type { Tuning } from '../../runtime/core/routing/tuning';
import { DEFAULT_TUNING } from '../../runtime/core/routing/tuning';
import type { Outcome, Priority, AttemptResult } from '../../runtime/core/routing/outcome';
import type { DispatcherParts } from '../../runtime/data/dispatch/dispatcher';
import { createDispatcher } from '../../runtime/data/dispatch/dispatcher';
import { VirtualTime } from './virtual-time';
import type {
  Attempt,
  AttemptCallbacks,
  JobCall,
  UnansweredResult,
} from '../../runtime/data/dispatch/job';

/** Mulberry32: a small generator whose whole state is its seed. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A model server: `up` answers after its service time, `dead` refuses, `sick` answers 503. */
export interface SimReplica {
  readonly id: string;
  mode: 'up' | 'dead' | 'sick';
  serviceMs: (random: () => number) => number;
  /** Milliseconds from the first byte of an answer to its last. */
  streamMs: number;
  /** Requests it has in hand: each can be broken off. */
  readonly running: Set<(result: AttemptResult) => void>;
  /** Most it ever had in hand. */
  most: number;
  tries: number;
}

/** How a request ended; the answer that its caller got is of `arm`. */
export type JobResult =
  | UnansweredResult
  | {
      readonly kind: 'answered';
      readonly arm: ArmRoute;
      readonly status: number;
      readonly tries: number;
    };

/** Breaks what runs, refuses what comes. */
export function kill(replica: SimReplica): void {
  replica.mode = 'dead';
  for (const end of replica.running) end({ kind: 'reset', message: 'connection reset' });
}

export interface Requested {
  readonly priority?: Priority;
  readonly timeoutMs?: number;
  readonly key?: string;
  readonly arm?: string;
  readonly version?: string;
  readonly signal?: AbortSignal;
  readonly items?: number;
  readonly replayable?: boolean;
}

export interface Layout {
  /** Arm → its replicas. */
  readonly arms: Readonly<Record<string, readonly SimReplica[]>>;
  readonly shares?: readonly Share[];
  readonly inference?: Partial<ModelSpec['inference']>;
  readonly maxQueueDepth?: number;
  readonly terminating?: readonly string[];
  /** What replicas run that are not of v1, by id. */
  readonly versions?: Readonly<Record<string, string>>;
  readonly holdMs?: number;
  readonly stopped?: boolean;
  readonly deleting?: boolean;
}

const SPEC = parseModel({ id: 'sim', version: 'v1', framework: 'onnx', source: './m.onnx' });

export function routeOf(layout: Layout): ModelRoute {
  const inference = { ...SPEC.inference, ...layout.inference };
  const replicaOf = ({ id }: SimReplica): ReplicaRoute => ({
    id,
    host: '10.0.0.1',
    port: 80,
    address: `${id}:80`,
    version: layout.versions?.[id] ?? 'v1',
    terminating: layout.terminating?.includes(id) === true,
  });
  const arms = Object.entries(layout.arms).map(([name, replicas]): [string, ArmRoute] => [
    name,
    {
      name,
      version: name === 'stable' ? 'v1' : 'v2',
      protocol: 'v2',
      server: SPEC.server,
      replicas: replicas.map(replicaOf),
      concurrencyPerReplica: inference.maxConcurrency,
      maxQueueDepth:
        layout.maxQueueDepth ?? 2 * inference.maxConcurrency * Math.max(1, replicas.length),
      holdMs: layout.holdMs ?? 60_000,
    },
  ]);
  return {
    id: 'sim',
    slug: 'sim',
    inference,
    cohort: { header: 'x-user-id' },
    salt: 'sim',
    stopped: layout.stopped === true,
    deleting: layout.deleting === true,
    shares: layout.shares ?? [{ arm: 'stable', hundredths: 10_000 }],
    shadows: [],
    arms: new Map(arms),
  };
}

/** Of a caller that stays: a signal of its own for each of a hundred thousand costs more than its request. */
const STAYS = {
  aborted: false,
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
} as unknown as AbortSignal;

/** A dispatcher in virtual time with simulated model servers behind it. */
export class Simulation {
  readonly time = new VirtualTime();
  readonly random: () => number;
  readonly outcomes: Outcome[] = [];
  readonly results: JobResult[] = [];
  readonly table: TableHolder = { current: EMPTY_TABLE };
  readonly parts: DispatcherParts;
  /** Milliseconds our own event loop pretends to have stood still. */
  lagMs = 0;
  asked = 0;
  /** Called with every outcome. */
  onOutcome = (): void => undefined;
  readonly #replicas = new Map<string, SimReplica>();

  constructor(seed = 1, tuning: Partial<Tuning> = {}) {
    this.random = seeded(seed);
    this.parts = createDispatcher({
      table: this.table,
      clock: { now: () => this.time.now, setTimeout: this.time.after },
      random: this.random,
      onOutcome: (outcome) => {
        this.outcomes.push(outcome);
        this.onOutcome();
      },
      lagMs: () => this.lagMs,
      tuning: { ...DEFAULT_TUNING, ...tuning },
    });
  }

  replica(id: string, serviceMs: number): SimReplica {
    // Service times vary by half around their mean.
    const drawn = (random: () => number): number => serviceMs * (0.5 + random());
    const made: SimReplica = {
      id,
      mode: 'up',
      serviceMs: drawn,
      streamMs: 0,
      running: new Set(),
      most: 0,
      tries: 0,
    };
    this.#replicas.set(id, made);
    return made;
  }

  replicas(count: number, serviceMs: number, name = 'r'): readonly SimReplica[] {
    return Array.from({ length: count }, (_, index) => this.replica(`${name}${index}`, serviceMs));
  }

  /** Swaps the table, as control does. Without a layout the model is gone. */
  swap(layout?: Layout): void {
    const models = new Map(layout === undefined ? [] : [['sim', routeOf(layout)] as const]);
    this.table.current = { generation: this.table.current.generation + 1, models };
    this.parts.onTableSwap();
  }

  request(requested: Requested = {}): Promise<JobResult> {
    const model = this.table.current.models.get('sim');
    if (model === undefined) throw new Error('swap in a layout first');
    this.asked += 1;
    const signal = requested.signal ?? STAYS;
    return new Promise((resolve) => {
      const end = (result: JobResult): void => {
        this.results.push(result);
        resolve(result);
      };
      const job = {
        model,
        arm: requested.arm,
        version: requested.version,
        cohortKey: requested.key,
        priority: requested.priority ?? 'normal',
        timeoutMs: requested.timeoutMs ?? 30_000,
        items: requested.items ?? 1,
        signal,
      };
      const call: JobCall = {
        replayable: requested.replayable ?? true,
        attempt: (attempt, report) => this.#attempt(attempt, report, signal, end),
        receive: () => undefined,
        fingerprint: () => undefined,
        onUnanswered: end,
      };
      this.parts.dispatcher.start(job, call);
    });
  }

  /** Requests at an even rate for `ms` milliseconds of virtual time, beginning now; to be `run`. */
  load(perSecond: number, ms: number, make: (index: number) => Requested = () => ({})): void {
    const start = this.time.now;
    const count = Math.round((perSecond * ms) / 1000);
    const next = (index: number): void => {
      if (index >= count) return;
      const at = start + (index * 1000) / perSecond;
      this.time.after(() => {
        void this.request(make(index));
        next(index + 1);
      }, at - this.time.now);
    };
    next(0);
  }

  #attempt(
    { arm, replica, remainingMs, number: tries }: Attempt,
    report: AttemptCallbacks,
    signal: AbortSignal,
    delivered: (result: JobResult) => void,
  ): void {
    const server = this.#replicas.get(replica.id);
    if (server === undefined) throw new Error(`no replica ${replica.id}`);
    server.tries += 1;
    const end = (result: AttemptResult): void => {
      if (!server.running.delete(end)) return;
      cancel();
      signal.removeEventListener('abort', abort);
      const verdict = report.settled(result);
      if (result.kind !== 'answered' || verdict === 'retry') return;
      delivered({ kind: 'answered', arm, status: result.status, tries });
      if (server.streamMs === 0) report.finished(result);
      else this.time.after(() => report.finished(result), server.streamMs);
    };
    const abort = (): void => end({ kind: 'aborted' });
    const [ms, result] = this.#becomes(server, remainingMs);
    const cancel = this.time.after(() => end(result), ms);
    server.running.add(end);
    server.most = Math.max(server.most, server.running.size);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
  }

  #becomes(server: SimReplica, remainingMs: number): readonly [number, AttemptResult] {
    if (server.mode === 'dead') return [0.2, { kind: 'unreached', message: 'refused' }];
    if (server.mode === 'sick') return [1, { kind: 'answered', status: 503 }];
    const ms = server.serviceMs(this.random);
    if (ms > remainingMs) return [remainingMs, { kind: 'timeout' }];
    return [ms, { kind: 'answered', status: 200 }];
  }

  /** Requests in flight by the accounts of the dispatcher, over all replicas. */
  inFlight(): number {
    return this.parts.load.arms().reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  good(): number {
    return this.outcomes.filter(({ status }) => status === 200).length;
  }
}
