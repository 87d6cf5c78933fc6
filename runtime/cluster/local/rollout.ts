import type { ReplicaPhase } from '../../core/lifecycle/snapshot';

/** A replica, as the decision sees it. */
export interface Slot {
  readonly id: string;
  readonly phase: ReplicaPhase;
  /** Runs the current plan. */
  readonly current: boolean;
}

export type RolloutStep =
  | { readonly do: 'start' }
  | { readonly do: 'stop'; readonly id: string }
  | { readonly do: 'nothing' };

/** Like a Deployment with maxSurge 1 and maxUnavailable 0. */
const SURGE = 1;

const readyIn = (slots: readonly Slot[]): number =>
  slots.filter(({ phase }) => phase === 'ready').length;

/** Failed ones first, then starting, then ready. */
function leastUseful(slots: readonly Slot[]): Slot | undefined {
  const order: readonly ReplicaPhase[] = ['failed', 'starting', 'ready'];
  return [...slots].sort((a, b) => order.indexOf(a.phase) - order.indexOf(b.phase))[0];
}

/** True when this outdated replica may be stopped. */
function isDispensable(victim: Slot, live: readonly Slot[], desired: number): boolean {
  if (victim.phase === 'ready') return readyIn(live) > desired;
  // It serves no requests, but it may become ready: it ends when it is not needed, when a new
  // replica has shown to be ready, or when it blocks the first new one.
  const fresh = live.filter(({ current }) => current);
  const isInTheWay = fresh.length === 0 && live.length >= desired + SURGE;
  return readyIn(live) >= desired || readyIn(fresh) > 0 || isInTheWay;
}

/**
 * The next step towards the desired replicas. A ready outdated replica is stopped only when enough
 * others are ready.
 * @example one outdated ready, one desired → start; when the new one is ready → stop the old one
 */
export function nextStep(slots: readonly Slot[], desired: number): RolloutStep {
  const live = slots.filter(({ phase }) => phase !== 'terminating');
  const fresh = live.filter(({ current }) => current);
  const victim = leastUseful(live.filter(({ current }) => !current));
  if (victim !== undefined && isDispensable(victim, live, desired)) {
    return { do: 'stop', id: victim.id };
  }
  if (fresh.length < desired && live.length < desired + SURGE) return { do: 'start' };
  const surplus = fresh.length > desired ? leastUseful(fresh) : undefined;
  return surplus === undefined ? { do: 'nothing' } : { do: 'stop', id: surplus.id };
}
