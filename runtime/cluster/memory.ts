import type { Arm, ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import type { ArmRecord, ModelRecord, ReplicaRecord, Snapshot } from '../core/snapshot';
import type { Cluster } from './port';
import type { Stored } from './registry';
import { applyTo, findStored, remembering, removing, revisionsOf } from './registry';
import { createWatchers } from './watchers';

export interface MemoryOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /**
   * The replicas of an arm, as they are now; asked at every change. Default: as many as the
   * definition's minimum, all ready at once, at addresses nobody answers.
   */
  readonly replicasOf?: (spec: ModelSpec, arm: Arm, revision: number) => readonly ReplicaRecord[];
}

export interface MemoryCluster extends Cluster {
  /** Asks for the replicas again and tells the watchers. */
  readonly refresh: () => void;
}

function allReady(spec: ModelSpec, arm: Arm, revision: number, now: number) {
  return Array.from({ length: arm.scaling.minReplicas }, (_, index): ReplicaRecord => ({
    id: `${spec.slug}-${arm.name}-${revision}-${index}`,
    arm: arm.name,
    version: arm.version,
    host: '127.0.0.1',
    // The discard port: nothing listens there.
    port: 9,
    phase: 'ready',
    restarts: 0,
    since: now,
  }));
}

function armRecord(arm: Arm, stopped: boolean, replicas: readonly ReplicaRecord[]): ArmRecord {
  const own = replicas.filter((replica) => replica.arm === arm.name);
  return {
    name: arm.name,
    version: arm.version,
    desired: stopped ? 0 : arm.scaling.minReplicas,
    current: own.length,
    ready: own.filter(({ phase }) => phase === 'ready').length,
    updated: own.filter(({ version }) => version === arm.version).length,
  };
}

/** A cluster that exists only in this process: for tests, and for embedding with replicas of one's own. */
export function createMemoryCluster(options: MemoryOptions): MemoryCluster {
  const { now } = options;
  const models = new Map<string, Stored>();
  const replicasOf =
    options.replicasOf ?? ((spec, arm, revision) => allReady(spec, arm, revision, now()));
  const recordOf = (stored: Stored): ModelRecord => {
    const spec = parseModel(stored.definition);
    const stopped = stored.state?.stopped === true;
    const replicas = stopped
      ? []
      : spec.arms.flatMap((arm) => replicasOf(spec, arm, stored.revision));
    const { history: _, id: __, definition: ___, ...rest } = stored;
    const arms = spec.arms.map((arm) => armRecord(arm, stopped, replicas));
    return { ...rest, spec, arms, replicas } as ModelRecord;
  };
  const snapshot = (): Snapshot => ({
    phase: 'synced',
    at: now(),
    models: new Map([...models].map(([id, stored]) => [id, recordOf(stored)])),
  });
  const watchers = createWatchers(snapshot);
  const put = (stored: Stored): void => {
    models.set(stored.id, stored);
    watchers.tell();
  };
  return {
    kind: 'memory',
    refresh: watchers.tell,
    apply: async (spec, applyOptions) => {
      const proposal = { spec, options: applyOptions, now: now(), artifacts: artifactsOf(spec) };
      const { stored, changed } = applyTo(models, proposal);
      if (changed || stored !== models.get(spec.id)) put(stored);
      return { revision: stored.revision, changed };
    },
    remove: async (id, removeOptions) => {
      removing(findStored(models, id), removeOptions);
      models.delete(id);
      watchers.tell();
    },
    remember: async (id, state) => put(remembering(findStored(models, id), state)),
    history: async (id) => revisionsOf(findStored(models, id)),
    watch: watchers.watch,
    close: async () => watchers.close(),
  };
}

/** URI → SHA-256 of what `discover` read. */
export function artifactsOf(spec: ModelSpec): Readonly<Record<string, string>> | undefined {
  const known = spec.arms.flatMap(({ source }) =>
    source?.content === undefined ? [] : [[source.uri, source.content.sha256] as const],
  );
  return known.length === 0 ? undefined : Object.fromEntries(known);
}
