import { isEnough } from '../../core/routing/admission';
import { spreadAfter } from '../../core/routing/balance';
import { spendRetry } from '../../core/routing/retry-budget';
import type { ShedReason, SpillReason, AttemptResult } from '../../core/routing/outcome';
import { isUnavailable, MAX_TRIES, mayRepeat, retryDelay } from '../../core/routing/retry';
import type { Context, Ticket } from './outcomes';
import { closed, failed, refused, textOf } from './outcomes';
import { chooseFor } from './choose-arm';
import type { Avoided, Wish } from './endpoints';
import { hasHope, recordResult, learnCost } from './endpoints';
import type { ArmState, ModelState, Seat } from './arm-state';
import { forgetIdle } from './arm-state';
import type { Death } from './suspects';
import { diesOf } from './suspects';
import { Together } from './batch-members';
import type { Sent } from './unanswered';
import type { Clock, Placed, Waiter } from './queue';
import { drain, onAbort, seek } from './queue';
import type { AbortSignalLike } from '../http/exchange';
import type { Job, Tried } from './job';

type Arm = ArmState<Waiter>;

const NO_DEATHS: readonly Death[] = [];

/** One job on its way: it looks for a seat, tries, perhaps tries again, and ends. */
export class Run implements Ticket {
  readonly deadline: number;
  arm: Arm | undefined;
  seat: Pick<Seat, 'replica'> | undefined;
  spilled: SpillReason | undefined;
  avoid: Avoided | undefined;
  tries = 0;
  queuedMs = 0;
  firstByteMs: number | undefined;
  failure: string | undefined;
  /** It had its part of a slot before it asks for one. */
  isAdmitted = false;
  private hasGathered = false;
  /** Replicas on which a try broke. */
  private deaths: readonly Death[] = NO_DEATHS;
  /** The try whose answer the caller gets. */
  private answering: Try | undefined;
  private status = 0;

  constructor(
    readonly context: Context,
    readonly job: Job,
    readonly startedAt: number,
  ) {
    this.deadline = startedAt + job.timeoutMs;
  }

  refuse(reason: ShedReason): void {
    this.job.over(refused(this.context, this, reason));
  }

  fail(result: Exclude<AttemptResult, { kind: 'answered' }>): void {
    this.job.over(failed(this.context, this, result));
  }

  look(model: ModelState<Waiter>, now = this.context.clock.now()): void {
    const { context, job } = this;
    if (job.signal.aborted) return this.fail({ kind: 'aborted' });
    const { arm } = this;
    const chosen = arm ?? chooseFor(context, model, this);
    if (chosen === undefined) return this.refuse('no_replica');
    this.arm = chosen;
    chosen.lastRequestAt = now;
    if (now >= this.deadline) return this.refuse('deadline');
    // One that ends replicas would end them for all it goes with.
    const isAlone = context.suspects.concerns(model.route.id);
    if (job.gather !== undefined && !this.hasGathered && !isAlone) {
      this.hasGathered = true;
      return new Together(this, model, chosen).start(job.gather);
    }
    this.seek(model, chosen, now);
  }

  private seek(model: ModelState<Waiter>, chosen: Arm, now: number): void {
    const { context, job } = this;
    const { tries, startedAt: since, deadline } = this;
    const mayProbe = tries === 0 && job.replayable && model.route.inference.idempotent;
    const placed = seek(
      context,
      chosen,
      {
        wish: this.wish(mayProbe),
        priority: job.priority,
        signal: job.signal,
        since,
        deadline,
        again: tries > 0 || this.isAdmitted,
      },
      now,
      (later) => {
        const at = context.clock.now();
        this.queuedMs += at - now;
        this.placed(model, chosen, later, at);
      },
    );
    if (placed !== undefined) this.placed(model, chosen, placed, now);
  }

  private wish(mayProbe: boolean): Wish {
    const { items, planned, version } = this.job;
    return { items, mayProbe, avoid: this.avoid, planned: planned?.replica, version };
  }

  private placed(model: ModelState<Waiter>, arm: Arm, placed: Placed, now: number): void {
    const { context, job } = this;
    if (placed.kind === 'refused') return this.refuse(placed.reason);
    if (placed.kind === 'aborted') return this.fail(placed);
    if (placed.kind === 'moved') {
      this.arm = undefined;
      return this.look(model);
    }
    const { seat } = placed;
    this.seat = seat;
    if (job.signal.aborted) {
      giveBack(context, arm, seat, job.items, { kind: 'aborted' });
      return this.fail({ kind: 'aborted' });
    }
    new Try(this, model, arm, seat, now).start();
  }

  /** A try has its result: it is the job's, or another one is made. */
  afterTry(one: Try, model: ModelState<Waiter>, result: AttemptResult): void {
    const { arm, seat } = one;
    if (diesOf(seat, result)) this.died(seat);
    const again = secondTry(this.context, this, arm, seat, result);
    if (again === undefined) {
      if (this.deaths.length === MAX_TRIES) this.context.suspects.add(arm, this.deaths);
      if (result.kind !== 'answered') return this.fail(result);
      this.answering = one;
      this.status = result.status;
      const { status } = result;
      return this.job.over({ kind: 'answered', arm: arm.route, status, tries: this.tries });
    }
    const { clock } = this.context;
    const { id, version } = seat.replica;
    const { delayMs, avoidMs } = again;
    this.avoid = { id, version, until: clock.now() + delayMs + avoidMs };
    if (delayMs === 0) this.look(model);
    else sleep(clock, delayMs, this.job.signal, () => this.look(model));
  }

  private died(seat: Seat): void {
    const fingerprint = this.job.fingerprint?.(seat.replica.version);
    this.deaths = [...this.deaths, { seat, fingerprint }];
  }

  /** The last byte of a try's answer is out. */
  afterLast(one: Try, end: AttemptResult, now: number): void {
    if (one === this.answering) closed(this.context, this, this.status, end, now);
  }
}

/** One try at one replica. It holds a slot from its making to its last byte. */
class Try implements Tried, Sent {
  earlier: Sent | undefined;
  later: Sent | undefined;
  private isSettled = false;
  private isOver = false;
  private isGood = false;
  /** The replica has all of the request: it could answer. */
  private isAsked = false;
  /** When it had all of it. */
  begun: number;

  constructor(
    private readonly run: Run,
    private readonly model: ModelState<Waiter>,
    readonly arm: Arm,
    readonly seat: Seat,
    private readonly takenAt: number,
  ) {
    this.begun = takenAt;
  }

  start(): void {
    const { run, seat, arm, begun } = this;
    if (run.job.upload === undefined) this.ask();
    run.tries += 1;
    const { replica } = seat;
    const remainingMs = Math.max(0, run.deadline - begun);
    try {
      run.job.attempt({ replica, arm: arm.route, remainingMs, number: run.tries }, this);
    } catch (error) {
      // A try that throws is a fault of ours; it must not keep the slot.
      const message = error instanceof Error ? error.message : String(error);
      this.settled({ kind: 'protocol', message });
    }
  }

  private ask(): void {
    this.isAsked = true;
    this.seat.unanswered.add(this);
  }

  delivered(): void {
    if (this.isSettled || this.isAsked) return;
    this.begun = this.run.context.clock.now();
    this.ask();
  }

  settled(result: AttemptResult): void {
    if (this.isSettled) return;
    this.isSettled = true;
    const { run, arm, seat, begun } = this;
    const { context } = run;
    const now = context.clock.now();
    const isAnswered = result.kind === 'answered';
    const good = isAnswered && !isUnavailable(result.status);
    this.isGood = good;
    if (this.isAsked) {
      seat.unanswered.remove(this);
      learnCost(arm, seat, (now - begun) / Math.max(1, run.job.items), good, now);
    }
    const hadTime = isEnough(arm.service, now - begun);
    const circumstances = { lagMs: context.lagMs(), hadTime };
    const changed = recordResult(arm, seat, result, circumstances, now, context.random);
    if (changed && arm.queue.size > 0) drain(context, arm);
    run.failure = good ? undefined : textOf(result);
    run.firstByteMs = isAnswered ? now - run.startedAt : undefined;
    if (!isAnswered) this.release(result, now);
    run.afterTry(this, this.model, result);
  }

  finished(end: AttemptResult): void {
    if (this.isOver) return;
    const now = this.run.context.clock.now();
    this.release(end, now);
    this.run.afterLast(this, end, now);
  }

  private release(end: AttemptResult, now: number): void {
    this.isOver = true;
    const { run, arm, seat, isGood, takenAt } = this;
    const { context } = run;
    if (isGood) arm.service = spreadAfter(arm.service, now - takenAt);
    const blame = isGood && end.kind !== 'answered' ? end : undefined;
    giveBack(context, arm, seat, run.job.items, blame);
  }
}

/** The slot is free: for the next one who waits, in this very step. */
function giveBack(
  context: Context,
  arm: Arm,
  seat: Seat,
  items: number,
  end: AttemptResult | undefined,
): void {
  seat.inFlight -= 1;
  seat.items -= items;
  if (end !== undefined) {
    const circumstances = { lagMs: context.lagMs(), hadTime: true };
    recordResult(arm, seat, end, circumstances, context.clock.now(), context.random);
  }
  if (!seat.listed && seat.inFlight === 0) arm.seats.delete(seat.replica.id);
  if (arm.queue.size > 0) drain(context, arm);
  if (!arm.listed) forgetIdle(context.states);
}

/** When a second try is made, and how long it looks for another replica then; milliseconds. */
interface Again {
  readonly delayMs: number;
  readonly avoidMs: number;
}

function againAfter(
  { tuning, random }: Context,
  arm: Arm,
  result: AttemptResult,
  isAlone: boolean,
): Again {
  // The only replica may be well, and a kept connection was not: a new one tells.
  const isAtOnce = result.kind === 'reset' && result.wasKept === true && isAlone;
  if (isAtOnce) return { delayMs: 0, avoidMs: 0 };
  const delayMs = retryDelay(result, arm.queue.size, random(), tuning);
  return { delayMs, avoidMs: tuning.avoidMs };
}

/** The second try, or undefined when there is none. Throws the first answer away. */
function secondTry(
  context: Context,
  { job, tries, deadline }: Ticket,
  arm: Arm,
  seat: Seat,
  result: AttemptResult,
): Again | undefined {
  const { idempotent } = arm.model.route.inference;
  if (tries >= MAX_TRIES || job.signal.aborted) return undefined;
  const replayable = job.replayable || job.upload?.isUntouched === true;
  if (!mayRepeat(result, { idempotent, replayable })) return undefined;
  // Where nobody else can answer, an answer that says so is better than a wait; a broken try is
  // not.
  const isAlone = !hasHope(arm, seat, job.version);
  if (result.kind === 'answered' && isAlone) return undefined;
  const now = context.clock.now();
  const { retryRatio, freeRetriesPerSecond } = context.tuning;
  const again = againAfter(context, arm, result, isAlone);
  if (now + again.delayMs >= deadline) return undefined;
  if (!spendRetry(arm.model.budget, now, retryRatio, freeRetriesPerSecond)) return undefined;
  if (result.kind === 'answered') job.discard();
  arm.retries += 1;
  return again;
}

/** Calls after `ms` milliseconds or when the caller goes away. */
function sleep(clock: Clock, ms: number, signal: AbortSignalLike, call: () => void): void {
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
