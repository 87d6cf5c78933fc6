import { isEnough } from '../core/admission';
import { spreadAfter } from '../core/balance';
import { countRequest, spendRetry } from '../core/budget';
import type { Load } from '../core/load';
import type { SpillReason, TryResult } from '../core/outcome';
import { isUnavailable, MAX_TRIES, mayRepeat, retryDelay } from '../core/retry';
import { chooseArm } from '../core/split';
import { DEFAULT_TUNING } from '../core/tuning';
import type { Signal } from './exchange';
import type { Context, DispatcherOptions, Ticket } from './dispatch-account';
import { BROKEN, ended, failed, refused, textOf } from './dispatch-account';
import { hasHope, judge, learnCost, openSeats, usable } from './dispatch-seats';
import type { ArmState, ModelState, Seat } from './dispatch-state';
import { forgetIdle, stateOfModel, syncStates } from './dispatch-state';
import type { Clock, Placed, Waiter } from './dispatch-wait';
import { dismiss, drain, onAbort, seek } from './dispatch-wait';
import type { AttemptStarted, Dispatcher, Job, JobResult } from './job';
import { loadOf } from './load';

export type { DispatcherOptions } from './dispatch-account';
export type { Clock } from './dispatch-wait';

/** How long a second try looks for another replica before it takes the one that failed. */
const AVOID_MS = 1_000;

export interface DispatcherParts {
  readonly dispatcher: Dispatcher;
  readonly load: Load;
  /** To be called after the table was swapped: wakes those who wait for a replica. */
  readonly onTableSwap: () => void;
}

type Arm = ArmState<Waiter>;

/**
 * Chooses arm and replica, admits, retries and keeps the accounts. Nothing here knows bytes or
 * sockets; time, chance and the table come from outside.
 */
export function createDispatcher(options: DispatcherOptions): DispatcherParts {
  const context: Context = {
    ...options,
    lagMs: options.lagMs ?? (() => 0),
    tuning: options.tuning ?? DEFAULT_TUNING,
    states: new Map(),
    known: undefined,
    active: 0,
  };
  return {
    dispatcher: { run: (job) => run(context, job) },
    load: loadOf(context.states, options.table, options.clock.now, () => context.active),
    onTableSwap: () => sync(context),
  };
}

/** Lays the newest table under the states; requests see it even when nobody told us of the swap. */
function sync(context: Context): void {
  const { table, states, clock } = context;
  if (table.current === context.known) return;
  context.known = table.current;
  syncStates(states, table.current, clock.now());
  for (const model of states.values()) {
    for (const arm of model.arms.values()) wakeArm(context, model, arm);
  }
  forgetIdle(states);
}

function wakeArm(context: Context, model: ModelState<Waiter>, arm: Arm): void {
  if (arm.queue.size === 0) return;
  if (!model.listed) dismiss(arm, { kind: 'refused', reason: 'deleting' });
  else if (model.route.stopped) dismiss(arm, { kind: 'refused', reason: 'stopped' });
  else if (!arm.listed) dismiss(arm, { kind: 'moved' });
  else drain(context, arm);
}

async function run(context: Context, job: Job): Promise<JobResult> {
  sync(context);
  const now = context.clock.now();
  context.active += 1;
  const ticket: Ticket = {
    job,
    startedAt: now,
    deadline: now + job.timeoutMs,
    arm: undefined,
    seat: undefined,
    spilled: undefined,
    avoid: undefined,
    tries: 0,
    queuedMs: 0,
    firstByteMs: undefined,
    failure: undefined,
  };
  const route = context.table.current.models.get(job.model.id);
  if (route === undefined) return refused(context, ticket, 'deleting');
  const model = stateOfModel(context.states, route, now, context.tuning);
  ticket.arm = model.arms.get(route.shares[0]?.arm ?? '');
  if (route.deleting) return refused(context, ticket, 'deleting');
  if (route.stopped) return refused(context, ticket, 'stopped');
  countRequest(model.budget, now);
  ticket.arm = undefined;
  return serve(context, ticket, model);
}

async function serve(
  context: Context,
  ticket: Ticket,
  model: ModelState<Waiter>,
): Promise<JobResult> {
  for (;;) {
    const before = context.clock.now();
    const found = place(context, ticket, model);
    const placed = found instanceof Promise ? await found : found;
    ticket.queuedMs += context.clock.now() - before;
    if (placed.kind === 'refused') return refused(context, ticket, placed.reason);
    if (placed.kind === 'aborted') return failed(context, ticket, placed);
    if (placed.kind === 'moved') {
      ticket.arm = undefined;
      continue;
    }
    const { arm } = ticket;
    if (arm === undefined) throw new Error('a slot was given without an arm');
    ticket.seat = placed.seat;
    if (ticket.job.signal.aborted) {
      giveBack(context, arm, placed.seat, ticket.job.items, { kind: 'aborted' });
      return failed(context, ticket, { kind: 'aborted' });
    }
    const started = await attempt(context, ticket, arm, placed.seat);
    const delay = secondTry(context, ticket, arm, placed.seat, started.result);
    if (delay === undefined) return ended(context, ticket, arm, started);
    const until = context.clock.now() + delay + AVOID_MS;
    ticket.avoid = { id: placed.seat.replica.id, until };
    if (delay > 0) await sleep(context.clock, delay, ticket.job.signal);
  }
}

/**
 * The arm of a job. A named arm is meant; a candidate that cannot take its share leaves it to
 * stable.
 */
function chooseFor(context: Context, model: ModelState<Waiter>, ticket: Ticket): Arm | undefined {
  const { job } = ticket;
  if (job.arm !== undefined) {
    const named = model.arms.get(job.arm);
    return named?.listed === true ? named : undefined;
  }
  const { choice, credits } = chooseArm(model.route, job.cohortKey, model.credits);
  model.credits = credits;
  const chosen = model.arms.get(choice.arm);
  const [first] = model.route.shares;
  const stable = model.arms.get(first?.arm ?? '');
  if (chosen === undefined || stable === undefined || chosen === stable) return chosen ?? stable;
  const reason = spillReason(chosen, stable, first?.hundredths ?? 0, context.clock.now());
  if (reason === undefined) return chosen;
  ticket.spilled = reason;
  chosen.spilled[reason] = (chosen.spilled[reason] ?? 0) + 1;
  // Whoever wakes sleeping candidates must see that it was wanted.
  chosen.lastRequestAt = context.clock.now();
  return stable;
}

function spillReason(
  chosen: Arm,
  stable: Arm,
  stableShare: number,
  now: number,
): SpillReason | undefined {
  const { free, due } = openSeats(chosen, now);
  if (chosen.queue.size === 0 && (free.length > 0 || due.length > 0)) return undefined;
  const ready = usable(chosen).length > 0;
  // A candidate that owns all traffic is waited for: stable may be rolling. It helps only in need.
  if (stableShare === 0 && (ready || usable(stable).length === 0)) return undefined;
  return ready ? 'arm_full' : 'arm_unready';
}

function place(
  context: Context,
  ticket: Ticket,
  model: ModelState<Waiter>,
): Placed | Promise<Placed> {
  const { job, startedAt, deadline, tries, avoid } = ticket;
  const now = context.clock.now();
  if (job.signal.aborted) return { kind: 'aborted' };
  ticket.arm ??= chooseFor(context, model, ticket);
  if (ticket.arm === undefined) return { kind: 'refused', reason: 'no_replica' };
  ticket.arm.lastRequestAt = now;
  if (now >= deadline) return { kind: 'refused', reason: 'deadline' };
  const mayProbe = tries === 0 && job.replayable && model.route.inference.idempotent;
  return seek(context, ticket.arm, {
    wish: { items: job.items, mayProbe, avoid },
    priority: job.priority,
    signal: job.signal,
    since: startedAt,
    deadline,
    again: tries > 0,
  });
}

/** A try that throws is a fault of ours; it must not keep the slot. */
async function begin({ job, tries, deadline }: Ticket, arm: Arm, seat: Seat, now: number) {
  try {
    const { replica } = seat;
    const remainingMs = Math.max(0, deadline - now);
    return await job.attempt({ replica, arm: arm.route, remainingMs, number: tries });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const result: TryResult = { kind: 'protocol', message };
    return { result, finished: Promise.resolve(result) };
  }
}

async function attempt(
  context: Context,
  ticket: Ticket,
  arm: Arm,
  seat: Seat,
): Promise<AttemptStarted> {
  const { clock } = context;
  const { items } = ticket.job;
  const begun = clock.now();
  const mark = {};
  seat.unanswered.set(mark, begun);
  ticket.tries += 1;
  const started = await begin(ticket, arm, seat, begun);
  const { result } = started;
  const now = clock.now();
  seat.unanswered.delete(mark);
  const good = result.kind === 'answered' && !isUnavailable(result.status);
  learnCost(arm, seat, (now - begun) / Math.max(1, items), good, now);
  const hadTime = isEnough(arm.service, now - begun);
  const circumstances = { lagMs: context.lagMs(), hadTime };
  const changed = judge(arm, seat, result, circumstances, now, context.random);
  if (changed && arm.queue.size > 0) drain(context, arm);
  ticket.failure = good ? undefined : textOf(result);
  ticket.firstByteMs = result.kind === 'answered' ? now - ticket.startedAt : undefined;
  const release = (end: TryResult): void => {
    if (good) arm.service = spreadAfter(arm.service, clock.now() - begun);
    giveBack(context, arm, seat, items, good && end.kind !== 'answered' ? end : undefined);
  };
  void started.finished.then(release, () => release(BROKEN));
  return started;
}

/** The slot is free: for the next one who waits, in this very step. */
function giveBack(
  context: Context,
  arm: Arm,
  seat: Seat,
  items: number,
  end: TryResult | undefined,
): void {
  seat.inFlight -= 1;
  seat.items -= items;
  if (end !== undefined) {
    const circumstances = { lagMs: context.lagMs(), hadTime: true };
    judge(arm, seat, end, circumstances, context.clock.now(), context.random);
  }
  if (!seat.listed && seat.inFlight === 0) arm.seats.delete(seat.replica.id);
  if (arm.queue.size > 0) drain(context, arm);
  if (!arm.listed) forgetIdle(context.states);
}

/**
 * Milliseconds until a second try, or undefined when there is none. Throws the first answer away.
 */
function secondTry(
  context: Context,
  { job, tries, deadline }: Ticket,
  arm: Arm,
  seat: Seat,
  result: TryResult,
): number | undefined {
  const { idempotent } = arm.model.route.inference;
  if (tries >= MAX_TRIES || job.signal.aborted) return undefined;
  if (!mayRepeat(result, { idempotent, replayable: job.replayable })) return undefined;
  // Where nobody else can answer, an answer that says so is better than a wait; a broken try is
  // not.
  if (result.kind === 'answered' && !hasHope(arm, seat)) return undefined;
  const now = context.clock.now();
  const { retryRatio, freeRetriesPerSecond } = context.tuning;
  const delay = retryDelay(result, arm.queue.size, context.random(), context.tuning);
  if (now + delay >= deadline) return undefined;
  if (!spendRetry(arm.model.budget, now, retryRatio, freeRetriesPerSecond)) return undefined;
  if (result.kind === 'answered') job.discard();
  arm.retries += 1;
  return delay;
}

/** Resolves after `ms` milliseconds or when the caller goes away. */
function sleep(clock: Clock, ms: number, signal: Signal): Promise<void> {
  return new Promise((resolve) => {
    let stop: () => void = () => undefined;
    const cancel = clock.setTimeout(() => {
      stop();
      resolve();
    }, ms);
    stop = onAbort(signal, () => {
      cancel();
      resolve();
    });
  });
}
