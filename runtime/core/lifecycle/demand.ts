import type { PeerReport, RouterLoad } from './peers';
import { armUsageOf } from './peers';

/** The demand for an arm, over all routers, for autoscalers. */
export interface Demand {
  /** Requests at replicas and requests that wait: all that want a place at the same time. */
  readonly concurrency: number;
  readonly queued: number;
}

/**
 * A router that is silent may be so because it has too much to do: for so long it counts with what
 * it said last. Longer than an autoscaler's period (15 s), shorter than its window for scaling down
 * (300 s), so that one that is really gone holds nothing up.
 */
export const DEMAND_KEPT_MS = 60_000;

/**
 * The sum over this router and every other that was heard within a minute, so that silence never
 * lowers it at once. Three routers have 4, 3 and 5; the third falls silent: 12 for a minute, or 22
 * when the others rise to 9 and 8; after that 7.
 */
export function demandOf(
  own: RouterLoad,
  others: readonly PeerReport[],
  { model, arm, now }: { readonly model: string; readonly arm: string; readonly now: number },
): Demand {
  const recent = others.flatMap(({ load, heardAt }) => {
    const isRecent = heardAt !== undefined && now - heardAt <= DEMAND_KEPT_MS;
    return isRecent && load !== undefined ? [load] : [];
  });
  const uses = [own, ...recent].map((load) => armUsageOf(load, model, arm));
  const queued = uses.reduce((sum, use) => sum + use.queued, 0);
  const inFlight = uses.reduce((sum, use) => sum + use.inFlight, 0);
  return { concurrency: inFlight + queued, queued };
}
