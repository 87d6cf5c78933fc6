import type { Cluster, ModelRecord, Snapshot, Watch, Why } from '../cluster/port';
import type { TableBuild } from '../core/routing/build-table';
import { buildTable } from '../core/routing/build-table';
import { faultedArms, faultWhy } from '../core/lifecycle/fault';
import type { RoutingTable, TableHolder } from '../core/routing/table';
import type { Routers } from './ports';
import { Problem } from './problem';

/** How long a response waits until our view shows the change, milliseconds. */
export const READ_YOUR_WRITES_MS = 1000;

const NOTHING: Snapshot = { phase: 'empty', at: 0, models: new Map() };

/** The last snapshot of the cluster, and the routing table derived from it. */
export interface RoutingView {
  readonly snapshot: () => Snapshot;
  readonly start: () => void;
  /** Builds the table again, when something was decided. */
  readonly rebuild: () => void;
  readonly stop: () => void;
  /** Resolves when the cluster has been read for the first time. */
  readonly whenSynced: () => Promise<void>;
  /** Resolves with true when the snapshot fulfils the condition, with false after `ms`. */
  readonly until: (condition: (snapshot: Snapshot) => boolean, ms: number) => Promise<boolean>;
  /** @throws Problem MODEL_NOT_FOUND, or CLUSTER_UNAVAILABLE before the cluster was read */
  readonly findModel: (id: string) => ModelRecord;
  /** @throws Problem CLUSTER_UNAVAILABLE before the cluster was read */
  readonly findModels: () => readonly ModelRecord[];
}

export interface RoutingViewOptions {
  readonly cluster: Cluster;
  readonly table: TableHolder;
  /** Routers that share the replicas: the table depends on their number. */
  readonly routers: Pick<Routers, 'count' | 'onCount'>;
  readonly onSwap: (table: RoutingTable) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The snapshot with what was decided and is not stored yet. */
  readonly decided?: (snapshot: Snapshot) => Snapshot;
  /** Called with errors of building the table; `model`: the model that caused it. */
  readonly onFault: (error: unknown, model?: string) => void;
}

/** Models whose route could not be built, until their record changes. */
function createRouteFaults({ now, onFault }: Pick<RoutingViewOptions, 'now' | 'onFault'>) {
  const faults = new Map<string, { readonly record: ModelRecord; readonly why: Why }>();
  return {
    add: (record: ModelRecord | undefined, id: string, error: unknown): void => {
      if (record !== undefined) {
        faults.set(id, { record, why: faultWhy(error, `model ${id}`, now()) });
      }
      onFault(error, id);
    },
    /** The snapshot with each fault as the status of its model. */
    shownIn: (snapshot: Snapshot): Snapshot => {
      const models = new Map(snapshot.models);
      for (const [id, { record, why }] of faults) {
        if (models.get(id) !== record) faults.delete(id);
        else models.set(id, { ...record, arms: faultedArms(record.spec, record.arms, why) });
      }
      return faults.size === 0 ? snapshot : { ...snapshot, models };
    },
  };
}

/** After the first read the last view is used, however old it is. */
export function wasRead({ phase }: Snapshot): boolean {
  return phase === 'synced' || phase === 'stale';
}

/** Requests that wait for a condition on the newest snapshot. */
interface SnapshotWaiters {
  readonly until: (condition: () => boolean, ms: number) => Promise<boolean>;
  /** To be called when there is a new snapshot. */
  readonly wake: () => void;
}

function createSnapshotWaiters(): SnapshotWaiters {
  const checks = new Set<() => void>();
  return {
    wake: () => {
      for (const check of checks) check();
    },
    until: (condition, ms) => {
      if (condition()) return Promise.resolve(true);
      return new Promise((resolve, reject) => {
        const end = (tell: () => void): void => {
          checks.delete(check);
          clearTimeout(timer);
          tell();
        };
        const check = (): void => {
          try {
            if (condition()) end(() => resolve(true));
          } catch (error) {
            end(() => reject(error));
          }
        };
        const timer = setTimeout(() => end(() => resolve(false)), ms);
        timer.unref();
        checks.add(check);
      });
    },
  };
}

/** @throws Problem CLUSTER_UNAVAILABLE */
function requireRead(snapshot: Snapshot): Snapshot {
  if (wasRead(snapshot)) return snapshot;
  throw new Problem('CLUSTER_UNAVAILABLE', 'the cluster has not been read yet; try again soon');
}

function findIn(snapshot: Snapshot, id: string): ModelRecord {
  const record = requireRead(snapshot).models.get(id);
  if (record !== undefined) return record;
  throw new Problem('MODEL_NOT_FOUND', `no model is called ${id}; GET /api/v1/models lists them`);
}

/** Swaps in the table of this snapshot; returns the snapshot with faults as statuses. */
function createBuilder(options: RoutingViewOptions): (seen: Snapshot) => Snapshot {
  const { table, routers, onFault } = options;
  const faults = createRouteFaults(options);
  let built: TableBuild | undefined;
  const swap = (seen: Snapshot): void => {
    const count = routers.count();
    const fault = (id: string, error: unknown): void => faults.add(seen.models.get(id), id, error);
    table.current = buildTable(seen, table.current.generation + 1, count, built, fault);
    built = { snapshot: seen, routers: count, table: table.current };
  };
  return (seen) => {
    if (!wasRead(seen)) return seen;
    const shown = options.decided?.(seen) ?? seen;
    try {
      swap(shown);
    } catch (error) {
      onFault(error);
    }
    return faults.shownIn(shown);
  };
}

export function createRoutingView(options: RoutingViewOptions): RoutingView {
  const { cluster, table, routers, onSwap, onFault } = options;
  let snapshot = NOTHING;
  let seen = NOTHING;
  let watch: Watch | undefined;
  let stopCounting = (): void => undefined;
  const waiting = createSnapshotWaiters();
  const build = createBuilder(options);
  const rebuild = (): void => {
    snapshot = build(seen);
    if (!wasRead(seen)) return;
    try {
      onSwap(table.current);
    } catch (error) {
      onFault(error);
    }
  };
  /** Stores the snapshot and swaps the table; other work waits for a tick. */
  const see = (next: Snapshot): void => {
    seen = next;
    rebuild();
    waiting.wake();
  };
  const until: RoutingView['until'] = (condition, ms) =>
    waiting.until(() => condition(snapshot), ms);
  return {
    snapshot: () => snapshot,
    start: () => {
      if (watch !== undefined) return;
      watch = cluster.watch(see);
      stopCounting = routers.onCount(rebuild);
    },
    rebuild: () => {
      rebuild();
      waiting.wake();
    },
    stop: () => {
      watch?.stop();
      stopCounting();
      watch = undefined;
    },
    whenSynced: async () => {
      while (!(await until(wasRead, 60_000)));
    },
    until,
    findModel: (id) => findIn(snapshot, id),
    findModels: () => [...requireRead(snapshot).models.values()],
  };
}
