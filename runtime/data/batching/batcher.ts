import type { Fruitless } from '../../core/routing/batching';
import {
  afterDifferent,
  afterJoined,
  afterRefused,
  afterUnsplit,
  isCompared,
  mayJoin,
  timeClass,
  waitMs,
} from '../../core/routing/batching';
import type { Compared } from '../../core/routing/batching';
import type { CallOptions, UpstreamContext } from '../upstream/call';
import type { TimerClock } from '../dispatch/queue';
import { haveSameRows } from './splice';
import type { BatchEnd, BatchEntry, BatchableRequest } from './batched-call';
import { sendBatch } from './batched-call';
import type { BatchMember } from '../dispatch/job';

/** Report of one batch call. */
export interface BatchReport {
  readonly model: string;
  readonly arm: string;
  readonly requests: number;
  /** The batch failed, and its requests were sent one by one. */
  readonly isUndone: boolean;
  /** Result of the comparison with single calls, if there was one. */
  readonly compared?: 'same' | 'different' | undefined;
}

/** Collects requests with the same key and sends them in one call. */
export interface CallBatcher {
  /** Takes a request whose arm is known; `requestOf` encodes it, or returns undefined. */
  readonly enqueue: (
    base: CallOptions,
    member: BatchMember,
    requestOf: () => BatchableRequest | undefined,
  ) => void;
}

interface OpenBatch {
  readonly entries: Set<BatchEntry>;
  rows: number;
  bytes: number;
  cancel: () => void;
}

/** Limits of one batch, and how long its first request waits for others. */
interface BatchLimits {
  readonly maxSize: number;
  readonly maxBytes: number;
  readonly maxDelayMs: number;
}

interface BatcherOptions {
  readonly calling: UpstreamContext;
  readonly clock: TimerClock;
  readonly onBatch: (report: BatchReport) => void;
  /** Chooses the batch calls that are compared: [0, 1). */
  readonly random: () => number;
  readonly mayCompare: () => boolean;
}

/** Runs after all requests that arrived in this turn of the event loop. */
function soon(call: () => void): () => void {
  const handle = setImmediate(call);
  return () => clearImmediate(handle);
}

/** An invalid request is sent alone and gets its error there. */
function orUndefined(requestOf: () => BatchableRequest | undefined): BatchableRequest | undefined {
  try {
    return requestOf();
  } catch {
    return undefined;
  }
}

class RequestBatcher implements CallBatcher {
  private readonly open = new Map<string, OpenBatch>();
  /** By arm: failed batches of its last version. */
  private readonly fruitless = new Map<string, Fruitless>();

  private readonly compared = new Map<string, Compared>();

  constructor(private readonly options: BatcherOptions) {}

  enqueue(
    base: CallOptions,
    member: BatchMember,
    requestOf: () => BatchableRequest | undefined,
  ): void {
    const { batching, maxBodyBytes } = base.model.inference;
    const known = this.fruitless.get(nameOf(base, member));
    const isTried = mayJoin(known, member.arm.version, this.options.clock.now());
    const request = isTried ? orUndefined(requestOf) : undefined;
    if (
      batching === undefined ||
      request === undefined ||
      request.splice.rows >= batching.maxSize
    ) {
      return member.sendAlone(false);
    }
    this.add({ base, member, request }, { ...batching, maxBytes: maxBodyBytes });
  }

  private add(entry: BatchEntry, { maxSize, maxBytes, maxDelayMs }: BatchLimits): void {
    const { base, member, request } = entry;
    const time = timeClass(member.deadline - this.options.clock.now());
    const key = [nameOf(base, member), base.priority, time, request.key].join('\0');
    const { rows } = request.splice;
    let batch = this.open.get(key);
    const isFull = (one: OpenBatch): boolean =>
      one.rows + rows > maxSize || one.bytes + request.bytes > maxBytes;
    if (batch !== undefined && isFull(batch)) {
      this.flush(key, batch);
      batch = undefined;
    }
    const own = batch ?? this.begin(key, waitMs(maxDelayMs, time));
    own.entries.add(entry);
    own.rows += rows;
    own.bytes += request.bytes;
    member.onCallerGone(() => this.leave(key, own, entry));
    if (own.rows >= maxSize) this.flush(key, own);
  }

  private begin(key: string, delayMs: number): OpenBatch {
    const batch: OpenBatch = { entries: new Set(), rows: 0, bytes: 0, cancel: () => undefined };
    const flush = (): void => this.flush(key, batch);
    batch.cancel = delayMs === 0 ? soon(flush) : this.options.clock.setTimeout(flush, delayMs);
    this.open.set(key, batch);
    return batch;
  }

  private leave(key: string, batch: OpenBatch, entry: BatchEntry): void {
    batch.entries.delete(entry);
    batch.rows -= entry.request.splice.rows;
    batch.bytes -= entry.request.bytes;
    if (batch.entries.size > 0) return;
    batch.cancel();
    this.open.delete(key);
  }

  private flush(key: string, { entries, cancel }: OpenBatch): void {
    cancel();
    this.open.delete(key);
    const all = [...entries];
    const [first] = all;
    if (first === undefined) return;
    if (all.length === 1) {
      this.report(first, 1);
      return first.member.sendAlone(false);
    }
    const { calling, clock } = this.options;
    const name = nameOf(first.base, first.member);
    const isProof = all.some(({ request }) => !haveSameRows(request.splice, first.request.splice));
    const known = this.compared.get(name);
    const { version: own } = first.member.arm;
    const isChecked =
      this.options.mayCompare() && isCompared(known, own, isProof, this.options.random());
    this.compared.set(name, afterJoined(known, own, isChecked && isProof));
    sendBatch(calling, all, clock.now, isChecked, (end, version) => {
      this.report(first, all.length, end, isChecked);
      this.learn(name, end, version ?? own);
    });
  }

  private report(
    { base, member }: BatchEntry,
    requests: number,
    end?: BatchEnd,
    isChecked = false,
  ) {
    const isUndone = end === 'refused' || end === 'unsplit' || end === 'different';
    const result = end === 'split' ? 'same' : end === 'different' ? 'different' : undefined;
    const compared = isChecked ? result : undefined;
    const [model, arm] = [base.model.id, member.arm.name];
    this.options.onBatch({ model, arm, requests, isUndone, compared });
  }

  private learn(name: string, end: BatchEnd, version: string): void {
    if (end === 'split') this.fruitless.delete(name);
    if (end === 'unsplit') this.fruitless.set(name, afterUnsplit(version));
    if (end === 'different') this.fruitless.set(name, afterDifferent(version));
    if (end !== 'refused') return;
    const now = this.options.clock.now();
    this.fruitless.set(name, afterRefused(this.fruitless.get(name), version, now));
  }
}

const nameOf = ({ model }: CallOptions, { arm }: BatchMember): string => `${model.id}\0${arm.name}`;

export function createBatcher(options: BatcherOptions): CallBatcher {
  return new RequestBatcher(options);
}
