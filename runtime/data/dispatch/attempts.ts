import { isEnough } from '../../core/routing/admission';
import { spreadAfter } from '../../core/routing/balance';
import type {
  BrokenAnswer,
  ShedReason,
  SpillReason,
  AttemptResult,
} from '../../core/routing/outcome';
import { isUnavailable, MAX_TRIES } from '../../core/routing/retry';
import type { DispatchContext, JobProgress } from './outcomes';
import {
  describeResult,
  endTrial,
  failedAtFirst,
  recordEnd,
  recordFailure,
  recordRefusal,
} from './outcomes';
import { beginTrial, isSlowFirst } from './rollout-counters';
import { chooseArmFor } from './choose-arm';
import type { AvoidedReplica, EndpointFilter } from './endpoints';
import { recordResult, learnCost } from './endpoints';
import type { ArmState, DispatchState, EndpointState } from './arm-state';
import { dropIdle } from './arm-state';
import type { Death } from './suspects';
import { mayHaveDied } from './suspects';
import { ActiveBatchMember } from './batch-members';
import { planRetry } from './retry-plan';
import { attemptSpan, endAttemptSpan, endQueueSpan } from './attempt-span';
import type { PendingAttempt } from './pending-attempts';
import type { TimerClock, Admission, QueuedRequest } from './queue';
import { drain, onAbort, requestEndpoint } from './queue';
import type { Span } from '../../shared/spans';
import type { AbortSignalLike } from '../http/exchange';
import type { AttemptCallbacks, AttemptVerdict, Job, JobCall } from './job';

type Arm = ArmState<QueuedRequest>;

const NO_DEATHS: readonly Death[] = [];

/** A job in progress: it requests an endpoint, makes an attempt, may retry once, and ends. */
export class ActiveJob implements JobProgress {
  readonly deadline: number;
  arm: Arm | undefined;
  endpoint: Pick<EndpointState, 'replica'> | undefined;
  spilled: SpillReason | undefined;
  avoid: AvoidedReplica | undefined;
  tries = 0;
  queuedMs = 0;
  firstByteMs: number | undefined;
  failure: string | undefined;
  trial: JobProgress['trial'];
  isSlow: boolean | undefined;
  /** A batch call that included it held a slot before: it goes to the front of the queue. */
  isAdmitted = false;
  private hasJoinedBatch = false;
  /** Replicas on which an attempt broke. */
  private deaths: readonly Death[] = NO_DEATHS;
  /** The attempt whose answer the caller gets. */
  private answering: ActiveAttempt | undefined;
  private status = 0;

  constructor(
    readonly context: DispatchContext,
    readonly job: Job,
    readonly call: JobCall,
    readonly startedAt: number,
  ) {
    this.deadline = startedAt + job.timeoutMs;
  }

  refuse(reason: ShedReason): void {
    this.call.onUnanswered(recordRefusal(this.context, this, reason));
  }

  fail(result: Exclude<AttemptResult, { kind: 'answered' }>): void {
    this.call.onUnanswered(recordFailure(this.context, this, result));
  }

  dispatch(model: DispatchState<QueuedRequest>, now = this.context.clock.now()): void {
    const { context, job } = this;
    if (job.signal.aborted) return this.fail({ kind: 'aborted' });
    const { arm } = this;
    const chosen = arm ?? chooseArmFor(context, model, this);
    if (chosen === undefined) return this.refuse('no_replica');
    this.arm = chosen;
    if (arm === undefined && model.route.rollout !== undefined) {
      beginTrial(model, this, chosen, now, context.random);
    }
    chosen.lastRequestAt = now;
    // Its time was over before it came: an item of a batch whose calls before it took it all.
    if (job.timeoutMs === 0) return this.fail({ kind: 'timeout' });
    if (now >= this.deadline) return this.refuse('deadline');
    // While a request of this model is known to crash replicas, it could fail a whole batch.
    const joinBatch = this.hasJoinedBatch || this.isSuspect ? undefined : job.joinBatch;
    if (joinBatch !== undefined) {
      this.hasJoinedBatch = true;
      return new ActiveBatchMember(this, model, chosen).start(joinBatch);
    }
    this.requestEndpoint(model, chosen, now);
  }

  /** Requests of its model have crashed replicas: this may be one of them. */
  get isSuspect(): boolean {
    const { suspects } = this.context;
    const { isBatchCall, model } = this.job;
    return suspects.hasPoisoned && isBatchCall !== true && suspects.concerns(model.id);
  }

  private requestEndpoint(model: DispatchState<QueuedRequest>, chosen: Arm, now: number): void {
    const { context, job, call } = this;
    const { tries, startedAt: since, deadline } = this;
    const mayProbe = tries === 0 && call.replayable && model.route.inference.idempotent;
    let queued: Span | undefined;
    const admission = requestEndpoint(
      context,
      chosen,
      {
        filter: this.filter(mayProbe),
        priority: job.priority,
        signal: job.signal,
        since,
        deadline,
        isReadmitted: tries > 0 || this.isAdmitted,
      },
      now,
      (later) => {
        const at = context.clock.now();
        this.queuedMs += at - now;
        endQueueSpan(queued, later);
        this.onAdmission(model, chosen, later, at);
      },
    );
    if (admission !== undefined) this.onAdmission(model, chosen, admission, now);
    else queued = job.span?.child('queue', 'internal');
  }

  private filter(mayProbe: boolean): EndpointFilter {
    const { items, planned, version } = this.job;
    return { items, mayProbe, avoid: this.avoid, planned: planned?.replica, version };
  }

  private onAdmission(
    model: DispatchState<QueuedRequest>,
    arm: Arm,
    admission: Admission,
    now: number,
  ): void {
    const { context, job } = this;
    if (admission.kind === 'refused') return this.refuse(admission.reason);
    if (admission.kind === 'aborted') return this.fail(admission);
    if (admission.kind === 'moved') {
      this.arm = undefined;
      return this.dispatch(model);
    }
    const { endpoint } = admission;
    this.endpoint = endpoint;
    if (job.signal.aborted) {
      releaseSlot(context, arm, endpoint, job.items, { kind: 'aborted' });
      return this.fail({ kind: 'aborted' });
    }
    new ActiveAttempt(this, model, arm, endpoint, now).start();
  }

  /** Handles the result of an attempt: retries or ends the job. */
  afterAttempt(
    attempt: ActiveAttempt,
    model: DispatchState<QueuedRequest>,
    result: AttemptResult,
    now: number,
  ): AttemptVerdict {
    const { arm, endpoint } = attempt;
    if (mayHaveDied(endpoint, result)) this.recordDeath(endpoint);
    const retry = planRetry(this.context, this, arm, endpoint, result);
    if (retry === undefined) {
      if (this.deaths.length === MAX_TRIES) this.context.suspects.add(arm, this.deaths);
      if (result.kind === 'answered') {
        this.answering = attempt;
        this.status = result.status;
      } else this.fail(result);
      return 'deliver';
    }
    if (result.kind === 'answered') attempt.release(result, now);
    arm.retries += 1;
    const { clock } = this.context;
    const { id, version } = endpoint.replica;
    const { delayMs, avoidMs } = retry;
    this.avoid = { id, version, until: clock.now() + delayMs + avoidMs };
    if (delayMs === 0) this.dispatch(model);
    else sleep(clock, delayMs, this.job.signal, () => this.dispatch(model));
    return 'retry';
  }

  private recordDeath(endpoint: EndpointState): void {
    const fingerprint = this.call.fingerprint(endpoint.replica.version);
    this.deaths = [...this.deaths, { endpoint, fingerprint }];
  }

  /** Called when the last byte of the answer has been sent. */
  afterLastByte(
    attempt: ActiveAttempt,
    end: AttemptResult,
    now: number,
    broken: BrokenAnswer | undefined,
  ): void {
    if (attempt === this.answering) recordEnd(this.context, this, this.status, end, now, broken);
  }
}

/** One attempt at one replica. It holds a slot until its last byte. */
class ActiveAttempt implements AttemptCallbacks, PendingAttempt {
  earlier: PendingAttempt | undefined;
  later: PendingAttempt | undefined;
  private isSettled = false;
  private isOver = false;
  private isGood = false;
  /** The replica has received the whole request. */
  private isSent = false;
  private span: Span | undefined;
  /** When the whole request was sent; milliseconds since the epoch. */
  sentAt: number;

  constructor(
    private readonly owner: ActiveJob,
    private readonly model: DispatchState<QueuedRequest>,
    readonly arm: Arm,
    readonly endpoint: EndpointState,
    private readonly takenAt: number,
  ) {
    this.sentAt = takenAt;
  }

  start(): void {
    const { owner, endpoint, sentAt } = this;
    const arm = this.arm.route;
    if (owner.call.upload === undefined) this.markSent();
    owner.tries += 1;
    const { replica } = endpoint;
    const remainingMs = Math.max(0, owner.deadline - sentAt);
    const { tries: number, isSuspect } = owner;
    const span = attemptSpan(owner.job.span, { replica, arm, number });
    this.span = span;
    try {
      owner.call.attempt({ replica, arm, remainingMs, number, isSuspect, span }, this);
    } catch (error) {
      // A throwing attempt is a programming error; it must release the slot.
      const message = error instanceof Error ? error.message : String(error);
      this.settled({ kind: 'protocol', message });
    }
  }

  private markSent(): void {
    this.isSent = true;
    this.endpoint.pending.add(this);
  }

  delivered(): void {
    if (this.isSettled || this.isSent) return;
    this.sentAt = this.owner.context.clock.now();
    this.markSent();
  }

  settled(result: AttemptResult): AttemptVerdict {
    if (this.isSettled) return 'retry';
    this.isSettled = true;
    const { owner, arm, endpoint, sentAt } = this;
    const { context } = owner;
    const now = context.clock.now();
    const isAnswered = result.kind === 'answered';
    if (isAnswered) this.span?.set('http.response.status_code', result.status);
    const good = isAnswered && !isUnavailable(result.status);
    this.isGood = good;
    if (this.isSent) {
      endpoint.pending.remove(this);
      learnCost(arm, endpoint, (now - sentAt) / Math.max(1, owner.job.items), good, now);
    }
    if (owner.trial !== undefined) this.judge(result, now);
    const hadTime = isEnough(arm.serviceMs, now - sentAt);
    const conditions = { lagMs: context.lagMs(), hadTime };
    const changed = recordResult(arm, endpoint, result, conditions, now, context.random);
    if (changed && arm.queue.size > 0) drain(context, arm);
    owner.failure = good ? undefined : describeResult(result);
    owner.firstByteMs = isAnswered ? now - owner.startedAt : undefined;
    if (!isAnswered) this.release(result, now);
    return owner.afterAttempt(this, this.model, result, now);
  }

  /** For a rollout: a failure counts at once, everything else when the answer has ended. */
  private judge(result: AttemptResult, now: number): void {
    const { owner, endpoint, arm } = this;
    owner.isSlow = isSlowFirst(arm, endpoint, result, now - owner.startedAt, now);
    if (failedAtFirst(owner, result)) endTrial(owner, true, now);
  }

  finished(end: AttemptResult, broken?: BrokenAnswer): void {
    if (this.isOver) return;
    const now = this.owner.context.clock.now();
    this.release(end, now);
    this.owner.afterLastByte(this, end, now, broken);
  }

  /** Gives the slot back. */
  release(end: AttemptResult, now: number): void {
    this.isOver = true;
    const { owner, arm, endpoint, isGood, takenAt } = this;
    endAttemptSpan(this.span, end);
    const { context } = owner;
    if (isGood) arm.serviceMs = spreadAfter(arm.serviceMs, now - takenAt);
    const blame = isGood && end.kind !== 'answered' ? end : undefined;
    releaseSlot(context, arm, endpoint, owner.job.items, blame);
  }
}

/** Releases the slot and gives it to the next queued request synchronously. */
function releaseSlot(
  context: DispatchContext,
  arm: Arm,
  endpoint: EndpointState,
  items: number,
  end: AttemptResult | undefined,
): void {
  endpoint.inFlight -= 1;
  endpoint.items -= items;
  if (end !== undefined) {
    const conditions = { lagMs: context.lagMs(), hadTime: true };
    recordResult(arm, endpoint, end, conditions, context.clock.now(), context.random);
  }
  if (!endpoint.listed && endpoint.inFlight === 0) arm.endpoints.delete(endpoint.replica.id);
  if (arm.queue.size > 0) drain(context, arm);
  if (!arm.listed) dropIdle(context.states);
}

/** Calls after `ms` milliseconds or when the caller goes away. */
function sleep(clock: TimerClock, ms: number, signal: AbortSignalLike, call: () => void): void {
  let stop: () => void = () => undefined;
  const cancel = clock.setTimeout(() => {
    stop();
    call();
  }, ms);
  stop = onAbort(signal, () => {
    cancel();
    call();
  });
}
