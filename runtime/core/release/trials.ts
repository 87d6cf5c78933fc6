import { cohortHash } from '../routing/split';
import type { ByArm, RowEvidence } from './evidence';

/** A caller enters once, with what happened to it for this long from its first request. */
const WINDOW_MS = 60_000;
/** The fast lane: did the first request fail within this time? */
const EARLY_MS = 2_000;
/** Open callers of one rollout in one router: about 10 MB at most. */
const MAX_OPEN = 50_000;
/** Failing callers that are remembered, both arms together. */
const MAX_FAILING = 512;
/** 64 KB; at 50,000 callers 1 of 900 is taken for one that has been counted. */
const SEEN_BITS = 2 ** 19;
const SEEN_HASHES = 4;
/** Shares that one rollout can have had; callers of further ones do not count. */
const MAX_ROWS = 256;
/** Values of a 32-bit seed. */
const SEEDS = 2 ** 32;

export interface TrialsOptions {
  /** `caller`: the requests of one caller are one trial; they are not independent. */
  readonly unit: 'caller' | 'request';
  /** What has not ended this long after its window has failed, milliseconds. */
  readonly closeMs: number;
  /** Milliseconds. */
  readonly windowMs?: number;
  readonly maxOpen?: number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface TrialRequest {
  /** The caller; undefined: the request names none. */
  readonly key: string | undefined;
  /** Name of the API key, if there is one. */
  readonly by: string | undefined;
  /** The arm that was drawn, and the candidate's share at that moment. */
  readonly arm: keyof ByArm;
  readonly hundredths: number;
}

export interface TrialResult {
  readonly failed: boolean;
  /** Undefined: not judged. */
  readonly slow: boolean | undefined;
}

/** A request that is counted. */
export interface Trial {
  /** To be called once, when the first attempt on the drawn arm has ended. */
  readonly end: (result: TrialResult, now: number) => void;
}

export interface FailingCaller {
  readonly key: string;
  readonly arm: keyof ByArm;
  readonly hundredths: number;
  readonly by: string | undefined;
}

/**
 * Counts the trials of one rollout in one router. A trial is closed before it counts, and all
 * trials that began in one second enter together: an arm that fails late would otherwise look
 * better than one that fails early.
 */
export interface Trials {
  /** Undefined: the request does not count. */
  readonly begin: (request: TrialRequest, now: number) => Trial | undefined;
  /** Counts what is closed by now; to be called about every second. */
  readonly close: (now: number) => void;
  readonly rows: () => readonly RowEvidence[];
  /** Only with unit `caller`. */
  readonly failing: () => readonly FailingCaller[];
  /** Too many failing callers: both arms count no more. */
  readonly isFull: () => boolean;
  readonly seenCallers: () => number;
}

type Counts = { -readonly [K in keyof ByArm]: number };

interface Row {
  readonly hundredths: number;
  readonly trials: Counts;
  readonly failed: Counts;
  readonly early: { readonly trials: Counts; readonly failed: Counts };
  readonly slow: { readonly trials: Counts; readonly harmed: Counts };
  readonly assigned: Counts;
}

const none = (): Counts => ({ stable: 0, candidate: 0 });

const newRow = (hundredths: number): Row => ({
  hundredths,
  trials: none(),
  failed: none(),
  early: { trials: none(), failed: none() },
  slow: { trials: none(), harmed: none() },
  assigned: none(),
});

/** One trial: the requests of a caller within its window, or a single request. */
class OpenTrial {
  requests = 0;
  open = 0;
  failed = 0;
  judged = 0;
  slow = 0;
  /** Of the first request: failed within two seconds, or for stable by now; not ended yet. */
  failedEarly = false;
  isFirstOpen = true;

  constructor(
    readonly key: string,
    readonly by: string | undefined,
    readonly arm: keyof ByArm,
    readonly hundredths: number,
    readonly startedAt: number,
  ) {}
}

class CountedRequest implements Trial {
  private isOver = false;

  constructor(
    private readonly trial: OpenTrial,
    private readonly isFirst: boolean,
  ) {}

  end({ failed, slow }: TrialResult, now: number): void {
    if (this.isOver) return;
    this.isOver = true;
    const { trial } = this;
    trial.open -= 1;
    if (failed) trial.failed += 1;
    if (slow !== undefined) trial.judged += 1;
    if (slow === true) trial.slow += 1;
    if (!this.isFirst) return;
    trial.isFirstOpen = false;
    // The lane is read up to a second late: what stable fails until then must count as well.
    const isEarly = trial.arm === 'stable' || now - trial.startedAt <= EARLY_MS;
    trial.failedEarly = failed && isEarly;
  }
}

/** Callers that have entered, as a Bloom filter: a false one keeps a caller out, of either arm. */
class SeenCallers {
  private readonly bits = new Uint8Array(SEEN_BITS / 8);
  private readonly salt: string;
  count = 0;

  constructor(random: () => number) {
    this.salt = String(Math.floor(random() * SEEDS));
  }

  /** @returns false: it was there before */
  add(key: string): boolean {
    const first = cohortHash(this.salt, key);
    // Of 32 mixed bits a second hash is as good as a hash of the key, and cheaper.
    const step = Math.imul(first ^ (first >>> 15), 0x2c1b3c6d) | 1;
    let isNew = false;
    for (let index = 0; index < SEEN_HASHES; index += 1) {
      const bit = ((first + Math.imul(index, step)) >>> 0) % SEEN_BITS;
      const mask = 1 << (bit & 7);
      const byte = this.bits[bit >>> 3] ?? 0;
      if ((byte & mask) === 0) isNew = true;
      this.bits[bit >>> 3] = byte | mask;
    }
    if (isNew) this.count += 1;
    return isNew;
  }
}

/** The trials that began in one second. */
interface Second {
  readonly second: number;
  readonly trials: OpenTrial[];
  isEarlyCounted: boolean;
}

const SECOND_MS = 1000;

class RolloutTrials implements Trials {
  private readonly windowMs: number;
  private readonly callers = new Map<string, OpenTrial>();
  private readonly seen: SeenCallers;
  /** In the order of time. */
  private seconds: Second[] = [];
  private readonly table = new Map<number, Row>();
  private readonly failingCallers: FailingCaller[] = [];
  private open = 0;

  constructor(private readonly options: TrialsOptions) {
    this.windowMs = options.unit === 'caller' ? (options.windowMs ?? WINDOW_MS) : 0;
    this.seen = new SeenCallers(options.random);
  }

  begin(request: TrialRequest, now: number): Trial | undefined {
    const { unit } = this.options;
    const { key, arm } = request;
    if (unit === 'request') return this.enter(request, key ?? '', now);
    if (key === undefined) return undefined;
    const known = this.callers.get(key);
    if (known === undefined) {
      return this.isFull() || !this.hasRoom(request.hundredths) || !this.seen.add(key)
        ? undefined
        : this.enter(request, key, now);
    }
    // A caller whose window is over, or whom a change of shares moved to the other arm.
    if (known.arm !== arm || now - known.startedAt > this.windowMs) return undefined;
    return this.count(known, false);
  }

  private hasRoom(hundredths: number): boolean {
    const isKnown = this.table.has(hundredths) || this.table.size < MAX_ROWS;
    return isKnown && this.open < (this.options.maxOpen ?? MAX_OPEN);
  }

  private enter(
    { by, arm, hundredths }: TrialRequest,
    key: string,
    now: number,
  ): Trial | undefined {
    if (!this.hasRoom(hundredths)) return undefined;
    const trial = new OpenTrial(key, by, arm, hundredths, now);
    this.secondAt(now).trials.push(trial);
    this.open += 1;
    this.rowOf(hundredths).assigned[arm] += 1;
    if (this.options.unit === 'caller') this.callers.set(key, trial);
    return this.count(trial, true);
  }

  private count(trial: OpenTrial, isFirst: boolean): Trial {
    trial.requests += 1;
    trial.open += 1;
    return new CountedRequest(trial, isFirst);
  }

  private secondAt(now: number): Second {
    const second = Math.floor(now / SECOND_MS);
    const last = this.seconds.at(-1);
    // A clock that was set back: what begins now closes with the newest second.
    if (last !== undefined && last.second >= second) return last;
    const made = { second, trials: [], isEarlyCounted: false };
    this.seconds.push(made);
    return made;
  }

  private rowOf(hundredths: number): Row {
    const known = this.table.get(hundredths);
    if (known !== undefined) return known;
    const row = newRow(hundredths);
    this.table.set(hundredths, row);
    return row;
  }

  /**
   * In the order of seconds: one that has ended waits for those before it. Those without a late
   * failure would otherwise enter earlier than those with one, which is to the disadvantage of the
   * arm that fails early.
   */
  close(now: number): void {
    let isBlocked = false;
    this.seconds = this.seconds.filter((second) => {
      const endedAt = (second.second + 1) * SECOND_MS;
      if (!second.isEarlyCounted && now >= endedAt + EARLY_MS) this.countEarly(second);
      isBlocked ||= !this.isClosed(second, now - endedAt - this.windowMs);
      if (isBlocked) return true;
      if (!second.isEarlyCounted) this.countEarly(second);
      for (const trial of second.trials) this.closeTrial(trial);
      return false;
    });
  }

  /** `sinceMs`: since the windows of the second were over. */
  private isClosed({ trials }: Second, sinceMs: number): boolean {
    if (sinceMs < 0) return false;
    return sinceMs >= this.options.closeMs || trials.every(({ open }) => open === 0);
  }

  private countEarly(second: Second): void {
    second.isEarlyCounted = true;
    if (this.isFull()) return;
    for (const { arm, hundredths, failedEarly, isFirstOpen } of second.trials) {
      const { early } = this.rowOf(hundredths);
      early.trials[arm] += 1;
      // What stable has not ended yet may fail: an arm that fails late must not look better here.
      if (failedEarly || (arm === 'stable' && isFirstOpen)) early.failed[arm] += 1;
    }
  }

  private closeTrial(trial: OpenTrial): void {
    const { key, arm, hundredths, requests, by } = trial;
    this.open -= 1;
    if (this.options.unit === 'caller') this.callers.delete(key);
    if (this.isFull()) return;
    const row = this.rowOf(hundredths);
    row.trials[arm] += 1;
    if (this.isHarmed(trial.failed + trial.open, requests)) {
      row.failed[arm] += 1;
      if (this.options.unit === 'caller') {
        this.failingCallers.push({ key, arm, hundredths, by });
      }
    }
    if (trial.judged === 0) return;
    row.slow.trials[arm] += 1;
    if (this.isHarmed(trial.slow, trial.judged)) row.slow.harmed[arm] += 1;
  }

  /**
   * A fraction, rounded to 0 or 1 by chance: rows stay integers, and the expectation is the
   * fraction.
   */
  private isHarmed(harmed: number, of: number): boolean {
    return harmed >= of || (harmed > 0 && this.options.random() < harmed / of);
  }

  rows(): readonly RowEvidence[] {
    return [...this.table.values()].map((row) => structuredCopy(row));
  }

  failing(): readonly FailingCaller[] {
    return this.failingCallers;
  }

  isFull(): boolean {
    return this.failingCallers.length >= MAX_FAILING;
  }

  seenCallers(): number {
    return this.seen.count;
  }
}

const structuredCopy = (row: Row): RowEvidence => ({
  hundredths: row.hundredths,
  trials: { ...row.trials },
  failed: { ...row.failed },
  early: { trials: { ...row.early.trials }, failed: { ...row.early.failed } },
  slow: { trials: { ...row.slow.trials }, harmed: { ...row.slow.harmed } },
  assigned: { ...row.assigned },
});

export const createTrials = (options: TrialsOptions): Trials => new RolloutTrials(options);
