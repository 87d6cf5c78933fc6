import type { ActiveRequests, ActiveRequestsByArm } from '../core/release/promotion';
import type { ControlContext } from './context';

/** Active requests per arm over all routers; of a silent router, its last report. */
export function activeRequestsOf(
  { ownLoad, routers }: ControlContext,
  id: string,
): ActiveRequestsByArm {
  const heard = (routers.others() ?? []).flatMap(({ load }) => load ?? []);
  const holdings = new Map<string, ActiveRequests>();
  const all = [ownLoad(), ...heard].flatMap(({ arms }) => [...arms.values()]);
  for (const { arm, inFlight, queued } of all.filter(({ model }) => model === id)) {
    const sum = holdings.get(arm) ?? { inFlight: 0, queued: 0 };
    holdings.set(arm, { inFlight: sum.inFlight + inFlight, queued: sum.queued + queued });
  }
  return holdings;
}
