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
import type { EndpointState, ArmState } from './arm-state';
import type { AvailableEndpoints, EndpointFilter } from './endpoints';
import {
  capacityOf,
  hasEndpoint,
  nextDue,
  availableEndpoints,
  takeEndpoint,
  usableEndpoints,
} from './endpoints';

/** Time as the data plane sees it; tests give their own. */
export interface TimerClock {
  /** Milliseconds since the epoch; should not jump. */
  readonly now: () => number;
  /** Calls once after `ms` milliseconds; the answer cancels. */
  readonly setTimeout: (call: () => void, ms: number) => () => void;
}

/** Two looks at waiting requests are at least this far apart, milliseconds. */
const WAKE_FLOOR_MS = 5;

/** How looking for a place ended. `moved`: the arm is gone, choose another one. */
export type Admission =
  | { readonly kind: 'endpoint'; readonly endpoint: EndpointState }
  | { readonly kind: 'refused'; readonly reason: ShedReason }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'moved' };

/** A request that looks for a place. */
export interface PendingRequest {
  readonly filter: EndpointFilter;
  readonly priority: Priority;
  readonly signal: AbortSignalLike;
  /** When it was accepted, and when it must be answered; milliseconds since the epoch. */
  readonly since: number;
  readonly deadline: number;
  /** It was admitted before; its first try failed. */
  readonly isReadmitted: boolean;
}

export interface QueuedRequest {
  readonly request: PendingRequest;
  /** Ends the wait; the entry has left the queue. */
  readonly settle: (admission: Admission) => void;
}

export interface QueueContext {
  readonly clock: TimerClock;
  readonly random: () => number;
  /** Told when requests begin to be held because no replica is up. */
  readonly onHeld?: ((model: string, arm: string) => void) | undefined;
}

type Arm = ArmState<QueuedRequest>;

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
  return arm.isHolding && !named
    ? Math.max(arm.model.tuning.coldQueueDepth, maxQueueDepth)
    : maxQueueDepth;
}

/** Milliseconds a newcomer of this priority would wait, about. */
export function waitOf(arm: Arm, priority: Priority): number {
  return expectedWaitMs({
    ahead: countAhead(arm.queue, priority),
    capacity: capacityOf(arm),
    service: arm.serviceMs,
  });
}

function startHolding({ onHeld }: QueueContext, arm: Arm): void {
  if (arm.isHolding) return;
  arm.isHolding = true;
  onHeld?.(arm.model.route.id, arm.route.name);
}

function enqueue(arm: Arm, entry: QueueEntry<QueuedRequest>, now: number): ShedReason | undefined {
  const { request } = entry.value;
  if (request.isReadmitted) {
    offerAgain(arm.queue, entry);
    return undefined;
  }
  const capacity = capacityOf(arm);
  const before = countAhead(arm.queue, request.priority);
  const outlook = { ahead: before, capacity, service: arm.serviceMs };
  if (capacity > 0 && !canMeet(outlook, request.deadline - now)) return 'deadline';
  const offered = offer(arm.queue, entry, depthOf(arm), arm.model.tuning.reservedRatio);
  if (offered.kind === 'full') return 'queue_full';
  if (offered.kind === 'displaced') {
    offered.entry.value.settle({ kind: 'refused', reason: 'priority' });
  }
  return undefined;
}

const NOTHING_OPEN: AvailableEndpoints = { free: [], due: [] };

/**
 * What is open for a newcomer: nothing while one who waits could take it. But who waits for a
 * version that runs nowhere yet, or for another replica than the one that failed it, keeps no
 * others waiting.
 */
export function availableToNewcomers(arm: Arm, now: number): AvailableEndpoints {
  const open = availableEndpoints(arm, now);
  const isOpen = open.free.length > 0 || open.due.length > 0;
  if (!isOpen || arm.queue.size === 0) return open;
  const all = queuedEntries(arm.queue);
  return all.some(({ value }) => hasEndpoint(open, value.request.filter, now))
    ? NOTHING_OPEN
    : open;
}

/**
 * A slot at once if one is free that nobody waits for, or a refusal; undefined: it waits, and `tell` is
 * called when that ends.
 */
export function requestEndpoint(
  context: QueueContext,
  arm: Arm,
  request: PendingRequest,
  now: number,
  tell: (admission: Admission) => void,
): Admission | undefined {
  const free = takeEndpoint(
    arm,
    availableToNewcomers(arm, now),
    request.filter,
    now,
    context.random,
  );
  if (free !== undefined) return { kind: 'endpoint', endpoint: free };
  if (usableEndpoints(arm).length === 0) startHolding(context, arm);
  const ends: (() => void)[] = [];
  const settle = (admission: Admission): void => {
    for (const end of ends.splice(0)) end();
    tell(admission);
  };
  const { priority, since } = request;
  const entry: QueueEntry<QueuedRequest> = { value: { request, settle }, priority, since };
  const reason = enqueue(arm, entry, now);
  if (reason !== undefined) return { kind: 'refused', reason };
  watchEntry(context, arm, entry, ends);
  drain(context, arm);
  return undefined;
}

/** What ends a wait beside a slot: its deadline, and its caller going away. */
function watchEntry(
  context: QueueContext,
  arm: Arm,
  entry: QueueEntry<QueuedRequest>,
  ends: (() => void)[],
): void {
  const { request, settle } = entry.value;
  const leave = (admission: Admission): void => {
    if (!withdraw(arm.queue, entry)) return;
    settle(admission);
    afterLeaving(arm);
  };
  watchDeadline(context, arm, request, ends, leave);
  ends.push(onAbort(request.signal, () => leave({ kind: 'aborted' })));
}

function watchDeadline(
  { clock }: QueueContext,
  arm: Arm,
  { since, deadline }: PendingRequest,
  ends: (() => void)[],
  leave: (admission: Admission) => void,
): void {
  const cold = Math.min(deadline, since + arm.route.holdMs);
  const look = (): void => {
    const up = usableEndpoints(arm).length > 0;
    if (clock.now() >= deadline || !up) {
      leave({ kind: 'refused', reason: up ? 'deadline' : 'no_replica' });
    } else {
      ends.push(clock.setTimeout(look, deadline - clock.now()));
    }
  };
  const first = usableEndpoints(arm).length > 0 ? deadline : cold;
  ends.push(clock.setTimeout(look, Math.max(0, first - clock.now())));
}

function afterLeaving(arm: Arm): void {
  if (arm.queue.size > 0) return;
  arm.isHolding = false;
  arm.cancelWake?.();
  arm.cancelWake = undefined;
}

/** Hands every free slot to whoever is next, in this very step. */
export function drain(context: QueueContext, arm: Arm): void {
  const { clock, random } = context;
  const now = clock.now();
  while (arm.queue.size > 0) {
    const open = availableEndpoints(arm, now);
    if (open.free.length === 0 && open.due.length === 0) break;
    const next = takeNext(arm, open, now);
    if (next === undefined) break;
    const { request, settle } = next.value;
    // What cannot be done in time would only take the slot from one that can.
    if (!isEnough(arm.serviceMs, request.deadline - now)) {
      settle({ kind: 'refused', reason: 'deadline' });
      continue;
    }
    const endpoint = takeEndpoint(arm, open, request.filter, now, random);
    settle(endpoint === undefined ? { kind: 'moved' } : { kind: 'endpoint', endpoint });
  }
  afterLeaving(arm);
  if (arm.queue.size > 0) wakeLater(context, arm, now);
}

/** When only a probe is open, one that can still be repeated goes first. */
function takeNext(
  arm: Arm,
  open: ReturnType<typeof availableEndpoints>,
  now: number,
): QueueEntry<QueuedRequest> | undefined {
  const fits = ({ request }: QueuedRequest): boolean => hasEndpoint(open, request.filter, now);
  const { queue, model } = arm;
  if (open.free.length > 0) return take(queue, fits, model.tuning);
  const probing = take(queue, (one) => one.request.filter.mayProbe && fits(one), model.tuning);
  return probing ?? take(queue, fits, model.tuning);
}

/** A slot that gets free wakes those who wait; only the end of an ejection has no such event. */
function wakeLater(context: QueueContext, arm: Arm, now: number): void {
  if (arm.cancelWake !== undefined) return;
  const at = Math.min(nextDue(arm, now), nextAvoidanceEnd(arm, now));
  if (at === Infinity) return;
  const wake = (): void => {
    arm.cancelWake = undefined;
    drain(context, arm);
  };
  arm.cancelWake = context.clock.setTimeout(wake, Math.max(WAKE_FLOOR_MS, at - now));
}

/** When the first of those who avoid a replica may take it after all. */
function nextAvoidanceEnd({ queue }: Arm, now: number): number {
  const lines = Object.values(queue.lines);
  // Those who try retry stand in front of their line.
  return lines.reduce((earliest, [first]) => {
    const until = first?.value.request.filter.avoid?.until ?? Infinity;
    return until > now ? Math.min(earliest, until) : earliest;
  }, Infinity);
}

/** Ends the wait of all. */
export function dismiss(arm: Arm, admission: Admission): void {
  for (;;) {
    const next = take(arm.queue, () => true);
    if (next === undefined) break;
    next.value.settle(admission);
  }
  afterLeaving(arm);
}
