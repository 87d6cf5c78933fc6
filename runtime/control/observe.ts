import { isKnown } from '../core/lifecycle/peers';
import type { Context } from './context';
import type { ViewAge } from './ports';

/** Every view this service keeps of something that changes elsewhere. */
export function viewsOf({ world, cluster, routers }: Context): readonly ViewAge[] {
  const { phase, at } = world.snapshot();
  const models: ViewAge = { name: cluster.kind, phase, at: at === 0 ? undefined : at };
  const view = routers.view();
  return view === undefined ? [models] : [models, view];
}

/** Gives the metrics the world as it is now. */
export function observe(context: Context): void {
  const { world, table, load, clock, lag, metrics, routers } = context;
  const now = clock.now();
  metrics.observe({
    snapshot: world.snapshot(),
    table: table.current,
    load,
    now,
    lagSeconds: lag.lastMs() / 1000,
    isLeader: routers.isLeader(),
    peers: (routers.others() ?? []).filter((heard) => isKnown(heard, now)).length,
    views: viewsOf(context),
  });
}
