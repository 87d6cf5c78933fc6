import type { QueueEntry } from '../../core/routing/admission';
import {
  countAhead,
  canMeet,
  expectedWaitMs,
  isEnough,
  offer,
  offerAgain,
  take,
  queuedEntries,
  withdraw,
} from '../../core/routing/admission';
import type { Priority, ShedReason } from '../../core/routing/outcome';
import type { AbortSignalLike } from '../http/exchange';
import type { Seat, ArmState } from './arm-state';
import type { Open, Wish } from './endpoints';
import { capacityOf, hasSeat, nextDue, openSeats, takeSeat, usable } from './endpoints';

/** Time as the data plane sees it; tests give their own. */
export interface Clock {
  /** Milliseconds since the epoch; should not jump. */
  readonly now: () => number;
  /** Calls once after `ms` milliseconds; the answer cancels. */
  readonly setTimeout: (call: () => void, ms: number) => () => void;
}

/** Two looks at waiting requests are at least this far apart, milliseconds. */
const WAKE_FLOOR_MS = 5;

/** How looking for a place ended. `moved`: the arm is gone, choose another one. */
export type Placed =
  | { readonly kind: 'seat'; readonly seat: Seat }
  | { readonly kind: 'refused'; readonly reason: ShedReason }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'moved' };

/** A request that looks for a place. */
export interface Seeker {
  readonly wish: Wish;
  readonly priority: Priority;
  readonly signal: AbortSignalLike;
  /** When it was accepted, and when it must be answered; milliseconds since the epoch. */
  readonly since: number;
  readonly deadline: number;
  /** It was admitted before; its first try failed. */
  readonly again: boolean;
}

export interface Waiter {
  readonly seeker: Seeker;
  /** Ends the wait; the entry has left the queue. */
  readonly settle: (placed: Placed) => void;
}

export interface Waits {
  readonly clock: Clock;
  readonly random: () => number;
  /** Told when requests begin to be held because no replica is up. */
  readonly onHeld?: ((model: string, arm: string) => void) | undefined;
}

type Arm = ArmState<Waiter>;

/** Calls once when the signal aborts, even if it has before; the answer stops listening. */
export function onAbort(signal: AbortSignalLike, call: () => void): () => void {
  if (signal.aborted) {
    call();
    return () => undefined;
  }
  signal.addEventListener('abort', call, { once: true });
  return () => signal.removeEventListener('abort', call);
}

/**
 * An author who names a depth means it; the default doubles the capacity, which is nothing when
 * cold.
 */
function depthOf(arm: Arm): number {
  const { maxQueueDepth } = arm.route;
  const named = arm.model.route.inference.maxQueueDepth !== undefined;
  return arm.holding && !named
    ? Math.max(arm.model.tuning.coldQueueDepth, maxQueueDepth)
    : maxQueueDepth;
}

/** Milliseconds a newcomer of this priority would wait, about. */
export function waitOf(arm: Arm, priority: Priority): number {
  return expectedWaitMs({
    ahead: countAhead(arm.queue, priority),
    capacity: capacityOf(arm),
    service: arm.service,
  });
}

function hold({ onHeld }: Waits, arm: Arm): void {
  if (arm.holding) return;
  arm.holding = true;
  onHeld?.(arm.model.route.id, arm.route.name);
}

function admit(arm: Arm, entry: QueueEntry<Waiter>, now: number): ShedReason | undefined {
  const { seeker } = entry.value;
  if (seeker.again) {
    offerAgain(arm.queue, entry);
    return undefined;
  }
  const capacity = capacityOf(arm);
  const before = countAhead(arm.queue, seeker.priority);
  const outlook = { ahead: before, capacity, service: arm.service };
  if (capacity > 0 && !canMeet(outlook, seeker.deadline - now)) return 'deadline';
  const offered = offer(arm.queue, entry, depthOf(arm), arm.model.tuning.reservedRatio);
  if (offered.kind === 'full') return 'queue_full';
  if (offered.kind === 'displaced') {
    offered.entry.value.settle({ kind: 'refused', reason: 'priority' });
  }
  return undefined;
}

const NOTHING_OPEN: Open = { free: [], due: [] };

/**
 * What is open for a newcomer: nothing while one who waits could take it. But who waits for a
 * version that runs nowhere yet, or for another replica than the one that failed it, keeps no
 * others waiting.
 */
export function openToAll(arm: Arm, now: number): Open {
  const open = openSeats(arm, now);
  const isOpen = open.free.length > 0 || open.due.length > 0;
  if (!isOpen || arm.queue.size === 0) return open;
  const all = queuedEntries(arm.queue);
  return all.some(({ value }) => hasSeat(open, value.seeker.wish, now)) ? NOTHING_OPEN : open;
}

/**
 * A slot at once if one is free that nobody waits for, or a refusal; undefined: it waits, and `tell` is
 * called when that ends.
 */
export function seek(
  context: Waits,
  arm: Arm,
  seeker: Seeker,
  now: number,
  tell: (placed: Placed) => void,
): Placed | undefined {
  const free = takeSeat(arm, openToAll(arm, now), seeker.wish, now, context.random);
  if (free !== undefined) return { kind: 'seat', seat: free };
  if (usable(arm).length === 0) hold(context, arm);
  const ends: (() => void)[] = [];
  const settle = (placed: Placed): void => {
    for (const end of ends.splice(0)) end();
    tell(placed);
  };
  const { priority, since } = seeker;
  const entry: QueueEntry<Waiter> = { value: { seeker, settle }, priority, since };
  const reason = admit(arm, entry, now);
  if (reason !== undefined) return { kind: 'refused', reason };
  watch(context, arm, entry, ends);
  drain(context, arm);
  return undefined;
}

/** What ends a wait beside a slot: its deadline, and its caller going away. */
function watch(context: Waits, arm: Arm, entry: QueueEntry<Waiter>, ends: (() => void)[]): void {
  const { seeker, settle } = entry.value;
  const leave = (placed: Placed): void => {
    if (!withdraw(arm.queue, entry)) return;
    settle(placed);
    afterLeaving(arm);
  };
  watchTime(context, arm, seeker, ends, leave);
  ends.push(onAbort(seeker.signal, () => leave({ kind: 'aborted' })));
}

function watchTime(
  { clock }: Waits,
  arm: Arm,
  { since, deadline }: Seeker,
  ends: (() => void)[],
  leave: (placed: Placed) => void,
): void {
  const cold = Math.min(deadline, since + arm.route.holdMs);
  const look = (): void => {
    const up = usable(arm).length > 0;
    if (clock.now() >= deadline || !up) {
      leave({ kind: 'refused', reason: up ? 'deadline' : 'no_replica' });
    } else {
      ends.push(clock.setTimeout(look, deadline - clock.now()));
    }
  };
  const first = usable(arm).length > 0 ? deadline : cold;
  ends.push(clock.setTimeout(look, Math.max(0, first - clock.now())));
}

function afterLeaving(arm: Arm): void {
  if (arm.queue.size > 0) return;
  arm.holding = false;
  arm.cancelWake?.();
  arm.cancelWake = undefined;
}

/** Hands every free slot to whoever is next, in this very step. */
export function drain(context: Waits, arm: Arm): void {
  const { clock, random } = context;
  const now = clock.now();
  while (arm.queue.size > 0) {
    const open = openSeats(arm, now);
    if (open.free.length === 0 && open.due.length === 0) break;
    const next = nextOf(arm, open, now);
    if (next === undefined) break;
    const { seeker, settle } = next.value;
    // What cannot be done in time would only take the slot from one that can.
    if (!isEnough(arm.service, seeker.deadline - now)) {
      settle({ kind: 'refused', reason: 'deadline' });
      continue;
    }
    const seat = takeSeat(arm, open, seeker.wish, now, random);
    settle(seat === undefined ? { kind: 'moved' } : { kind: 'seat', seat });
  }
  afterLeaving(arm);
  if (arm.queue.size > 0) wakeLater(context, arm, now);
}

/** When only a probe is open, one that can still be repeated goes first. */
function nextOf(
  arm: Arm,
  open: ReturnType<typeof openSeats>,
  now: number,
): QueueEntry<Waiter> | undefined {
  const fits = ({ seeker }: Waiter): boolean => hasSeat(open, seeker.wish, now);
  const { queue, model } = arm;
  if (open.free.length > 0) return take(queue, fits, model.tuning);
  const probing = take(queue, (one) => one.seeker.wish.mayProbe && fits(one), model.tuning);
  return probing ?? take(queue, fits, model.tuning);
}

/** A slot that gets free wakes those who wait; only the end of an ejection has no such event. */
function wakeLater(context: Waits, arm: Arm, now: number): void {
  if (arm.cancelWake !== undefined) return;
  const at = Math.min(nextDue(arm, now), nextChoice(arm, now));
  if (at === Infinity) return;
  const wake = (): void => {
    arm.cancelWake = undefined;
    drain(context, arm);
  };
  arm.cancelWake = context.clock.setTimeout(wake, Math.max(WAKE_FLOOR_MS, at - now));
}

/** When the first of those who avoid a replica may take it after all. */
function nextChoice({ queue }: Arm, now: number): number {
  const lines = Object.values(queue.lines);
  // Those who try again stand in front of their line.
  return lines.reduce((earliest, [first]) => {
    const until = first?.value.seeker.wish.avoid?.until ?? Infinity;
    return until > now ? Math.min(earliest, until) : earliest;
  }, Infinity);
}

/** Ends the wait of all. */
export function dismiss(arm: Arm, placed: Placed): void {
  for (;;) {
    const next = take(arm.queue, () => true);
    if (next === undefined) break;
    next.value.settle(placed);
  }
  afterLeaving(arm);
}
