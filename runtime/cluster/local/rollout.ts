import type { ReplicaPhase } from '../../core/snapshot';

/** A replica as the decision sees it. */
export interface Slot {
  readonly id: string;
  readonly phase: ReplicaPhase;
  /** Runs what is wished now. */
  readonly current: boolean;
}

export type Step =
  | { readonly do: 'start' }
  | { readonly do: 'stop'; readonly id: string }
  | { readonly do: 'nothing' };

/** One more than wished while a change is under way, as a Deployment with maxSurge 1, maxUnavailable 0. */
const SURGE = 1;

const readyIn = (slots: readonly Slot[]): number =>
  slots.filter(({ phase }) => phase === 'ready').length;

/** Those that are of least use first: broken, then starting, then ready. */
function leastUseful(slots: readonly Slot[]): Slot | undefined {
  const order: readonly ReplicaPhase[] = ['failed', 'starting', 'ready'];
  return [...slots].sort((a, b) => order.indexOf(a.phase) - order.indexOf(b.phase))[0];
}

/**
 * The next step from what is to what is wished. Never fewer ready replicas than wished because of a
 * change: an old one goes only when enough others are ready.
 * @example one old ready, one wished → start; then, when the new one is ready → stop the old one
 */
export function nextStep(slots: readonly Slot[], desired: number): Step {
  const live = slots.filter(({ phase }) => phase !== 'terminating');
  const fresh = live.filter(({ current }) => current);
  const old = live.filter(({ current }) => !current);
  const victim = leastUseful(old);
  if (victim !== undefined) {
    const left = readyIn(live) - (victim.phase === 'ready' ? 1 : 0);
    if (left >= desired) return { do: 'stop', id: victim.id };
  }
  if (fresh.length < desired && live.length < desired + SURGE) return { do: 'start' };
  const surplus = fresh.length > desired ? leastUseful(fresh) : undefined;
  return surplus === undefined ? { do: 'nothing' } : { do: 'stop', id: surplus.id };
}
