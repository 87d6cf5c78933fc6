import type { RouterLoad } from '../core/lifecycle/peers';
import type { ActiveRequests, ActiveRequestsByArm } from '../core/release/promotion';
import type { ControlContext } from './context';

/** The reports of all routers; of a silent one, its last. To be made once for all models. */
export function allLoads({
  ownLoad,
  routers,
}: Pick<ControlContext, 'ownLoad' | 'routers'>): readonly RouterLoad[] {
  return [ownLoad(), ...(routers.others() ?? []).flatMap(({ load }) => load ?? [])];
}

/** Active requests per arm over all routers. */
export function activeRequestsOf(loads: readonly RouterLoad[], id: string): ActiveRequestsByArm {
  const holdings = new Map<string, ActiveRequests>();
  const all = loads.flatMap(({ arms }) => [...arms.values()]);
  for (const { arm, inFlight, queued } of all.filter(({ model }) => model === id)) {
    const sum = holdings.get(arm) ?? { inFlight: 0, queued: 0 };
    holdings.set(arm, { inFlight: sum.inFlight + inFlight, queued: sum.queued + queued });
  }
  return holdings;
}
