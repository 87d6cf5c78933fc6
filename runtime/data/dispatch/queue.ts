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

/** Clock and timers of the data plane; tests inject their own. */
export interface TimerClock {
  /** Milliseconds since the epoch; should not jump. */
  readonly now: () => number;
  /** Calls once after `ms` milliseconds; the returned function cancels. */
  readonly setTimeout: (call: () => void, ms: number) => () => void;
}

/** Minimum milliseconds between two timed checks of the queue. */
const WAKE_FLOOR_MS = 5;

/** Result of a request for an endpoint. `moved`: the arm is gone, choose another one. */
export type Admission =
  | { readonly kind: 'endpoint'; readonly endpoint: EndpointState }
  | { readonly kind: 'refused'; readonly reason: ShedReason }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'moved' };

/** A request that needs an endpoint. */
export interface PendingRequest {
  readonly filter: EndpointFilter;
  readonly priority: Priority;
  readonly signal: AbortSignalLike;
  /** When it was accepted, and when it must be answered; milliseconds since the epoch. */
  readonly since: number;
  readonly deadline: number;
  /** It was admitted before, so it goes to the front of the queue and is not refused. */
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
  /** Called when requests start to be held because no replica is up. */
  readonly onHeld?: ((model: string, arm: string) => void) | undefined;
}

type Arm = ArmState<QueuedRequest>;

/** Calls once when the signal aborts or already has; the returned function stops listening. */
export function onAbort(signal: AbortSignalLike, call: () => void): () => void {
  if (signal.aborted) {
    call();
    return () => undefined;
  }
  signal.addEventListener('abort', call, { once: true });
  return () => signal.removeEventListener('abort', call);
}

/**
 * A depth in the definition always applies. The default is a multiple of the capacity, which is 0
 * while no replica is up.
 */
function depthOf(arm: Arm): number {
  const { maxQueueDepth } = arm.route;
  const named = arm.model.route.inference.maxQueueDepth !== undefined;
  return arm.isHolding && !named
    ? Math.max(arm.model.tuning.coldQueueDepth, maxQueueDepth)
    : maxQueueDepth;
}

/** Expected wait of a new request of this priority, milliseconds. */
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
 * Endpoints available to a new request: none while a queued request could take one. A queued
 * request that only accepts another version or another replica does not block new requests.
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
 * Takes a free slot that no queued request could use, or refuses; undefined: the request is queued,
 * and `onAdmission` is called when its wait ends.
 */
export function requestEndpoint(
  context: QueueContext,
  arm: Arm,
  request: PendingRequest,
  now: number,
  onAdmission: (admission: Admission) => void,
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
    onAdmission(admission);
  };
  const { priority, since } = request;
  const entry: QueueEntry<QueuedRequest> = { value: { request, settle }, priority, since };
  const reason = enqueue(arm, entry, now);
  if (reason !== undefined) return { kind: 'refused', reason };
  watchEntry(context, arm, entry, ends);
  drain(context, arm);
  return undefined;
}

/** Ends the wait at the deadline or when the caller goes away. */
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
  const check = (): void => {
    const up = usableEndpoints(arm).length > 0;
    if (clock.now() >= deadline || !up) {
      leave({ kind: 'refused', reason: up ? 'deadline' : 'no_replica' });
    } else {
      ends.push(clock.setTimeout(check, deadline - clock.now()));
    }
  };
  const first = usableEndpoints(arm).length > 0 ? deadline : cold;
  ends.push(clock.setTimeout(check, Math.max(0, first - clock.now())));
}

function afterLeaving(arm: Arm): void {
  if (arm.queue.size > 0) return;
  arm.isHolding = false;
  arm.cancelWake?.();
  arm.cancelWake = undefined;
}

/** Assigns every free slot to the next queued requests, synchronously. */
export function drain(context: QueueContext, arm: Arm): void {
  const { clock, random } = context;
  const now = clock.now();
  while (arm.queue.size > 0) {
    const open = availableEndpoints(arm, now);
    if (open.free.length === 0 && open.due.length === 0) break;
    const next = takeNext(arm, open, now);
    if (next === undefined) break;
    const { request, settle } = next.value;
    // A request that cannot finish in time would take the slot from one that can.
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

/** When only probes are possible, requests that can be retried go first. */
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

/** Released slots drain the queue; the end of an ejection or avoidance needs a timer. */
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

/** When the first queued retry may use the replica it avoids; milliseconds since the epoch. */
function nextAvoidanceEnd({ queue }: Arm, now: number): number {
  const lines = Object.values(queue.lines);
  // Retries stand at the front of their line.
  return lines.reduce((earliest, [first]) => {
    const until = first?.value.request.filter.avoid?.until ?? Infinity;
    return until > now ? Math.min(earliest, until) : earliest;
  }, Infinity);
}

/** Ends the wait of every queued request. */
export function dismiss(arm: Arm, admission: Admission): void {
  for (;;) {
    const next = take(arm.queue, () => true);
    if (next === undefined) break;
    next.value.settle(admission);
  }
  afterLeaving(arm);
}
