import type { Cluster, ModelRecord, Snapshot, Watch } from '../cluster/port';
import type { Built } from '../core/build';
import { buildTable } from '../core/build';
import type { RoutingTable, TableHolder } from '../core/table';
import type { Routers } from './ports';
import { Problem } from './problem';

/** How long an answer waits until a GET shows what it promised. */
export const READ_YOUR_WRITES_MS = 1000;

const NOTHING: Snapshot = { phase: 'empty', at: 0, models: new Map() };

/** The cluster as last seen, and the routing table that follows from it. */
export interface World {
  readonly snapshot: () => Snapshot;
  readonly start: () => void;
  readonly stop: () => void;
  /** Resolves when the cluster has been read for the first time. */
  readonly whenSynced: () => Promise<void>;
  /** Resolves when the snapshot fulfils the condition: true; or when the time is over: false. */
  readonly until: (condition: (snapshot: Snapshot) => boolean, ms: number) => Promise<boolean>;
  /** @throws Problem MODEL_NOT_FOUND, or CLUSTER_UNAVAILABLE before the cluster was read */
  readonly findModel: (id: string) => ModelRecord;
  /** @throws Problem CLUSTER_UNAVAILABLE before the cluster was read */
  readonly findModels: () => readonly ModelRecord[];
}

export interface WorldOptions {
  readonly cluster: Cluster;
  readonly table: TableHolder;
  /** Who share the replicas: with each more or less the table is another one. */
  readonly routers: Pick<Routers, 'count' | 'onCount'>;
  readonly onSwap: (table: RoutingTable) => void;
}

/** Once read, the last view serves on, however old; before that nothing can be said about any model. */
export function wasRead({ phase }: Snapshot): boolean {
  return phase === 'synced' || phase === 'stale';
}

/** Waits for a condition on the newest snapshot. */
interface Waiting {
  readonly until: (condition: () => boolean, ms: number) => Promise<boolean>;
  /** To be called when there is a new snapshot. */
  readonly wake: () => void;
}

function createWaiting(): Waiting {
  const checks = new Set<() => void>();
  return {
    wake: () => {
      for (const check of checks) check();
    },
    until: (condition, ms) => {
      if (condition()) return Promise.resolve(true);
      return new Promise((resolve) => {
        const finish = (result: boolean): void => {
          checks.delete(check);
          clearTimeout(timer);
          resolve(result);
        };
        const check = (): void => {
          if (condition()) finish(true);
        };
        const timer = setTimeout(() => finish(false), ms);
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

export function createWorld({ cluster, table, routers, onSwap }: WorldOptions): World {
  let snapshot = NOTHING;
  let watch: Watch | undefined;
  let stopCounting = (): void => undefined;
  const waiting = createWaiting();
  let built: Built | undefined;
  const rebuild = (): void => {
    if (!wasRead(snapshot)) return;
    const count = routers.count();
    table.current = buildTable(snapshot, table.current.generation + 1, count, built);
    built = { snapshot, routers: count, table: table.current };
    onSwap(table.current);
  };
  /** Stores the event and swaps the table; everything else waits for a tick. */
  const see = (next: Snapshot): void => {
    snapshot = next;
    rebuild();
    waiting.wake();
  };
  const until: World['until'] = (condition, ms) => waiting.until(() => condition(snapshot), ms);
  return {
    snapshot: () => snapshot,
    start: () => {
      if (watch !== undefined) return;
      watch = cluster.watch(see);
      stopCounting = routers.onCount(rebuild);
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
