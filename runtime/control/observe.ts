import { isKnown } from '../core/lifecycle/peers';
import type { ControlContext } from './context';
import type { ViewAge } from './ports';

/** Every watched view of this service. */
export function viewsOf({ routingView, cluster, routers }: ControlContext): readonly ViewAge[] {
  const { phase, at } = routingView.snapshot();
  const models: ViewAge = { name: cluster.kind, phase, at: at === 0 ? undefined : at };
  const view = routers.view();
  return view === undefined ? [models] : [models, view];
}

/** Updates the metrics from the current state. */
export function observe(context: ControlContext): void {
  const { routingView, table, load, clock, lagMs, metrics, routers, promotionProgress } = context;
  const now = clock.now();
  const snapshot = routingView.snapshot();
  metrics.observe({
    snapshot,
    promotions: promotionProgress.observe(snapshot, now),
    table: table.current,
    load,
    now,
    lagSeconds: lagMs() / 1000,
    isLeader: routers.isLeader(),
    peers: (routers.others() ?? []).filter((heard) => isKnown(heard, now)).length,
    views: viewsOf(context),
  });
}
