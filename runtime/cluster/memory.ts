import type { Arm, ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import type { ArmRecord, ModelRecord, ReplicaRecord, Snapshot } from '../core/snapshot';
import type { Cluster } from './port';
import type { Artifacts, Stored } from './registry';
import { applyTo, findStored, kept, pinOf, remembering, removing, revisionsOf } from './registry';
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

/** A model with its definition as it was given, so that nothing is parsed again and again. */
interface Entry {
  readonly stored: Stored;
  readonly spec: ModelSpec;
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

/** Arm → SHA-256 of what `discover` read, else of what the revision before had. */
function artifactsOf(spec: ModelSpec, before: Stored | undefined): Artifacts {
  return Object.fromEntries(
    spec.arms.flatMap((arm) => {
      const digest = arm.source?.content?.sha256 ?? pinOf(spec, arm, before)?.digest;
      return digest === undefined ? [] : [[arm.name, digest] as const];
    }),
  );
}

type ReplicasOf = NonNullable<MemoryOptions['replicasOf']>;

function recordOf({ stored, spec }: Entry, replicasOf: ReplicasOf): ModelRecord {
  const stopped = stored.state?.stopped === true;
  const replicas = stopped
    ? []
    : spec.arms.flatMap((arm) => replicasOf(spec, arm, stored.revision));
  const arms = spec.arms.map((arm) => armRecord(arm, stopped, replicas));
  return { ...kept(stored), spec, arms, replicas };
}

/** A cluster that exists only in this process: for tests, and to embed with replicas of one's own. */
export function createMemoryCluster(options: MemoryOptions): MemoryCluster {
  const { now } = options;
  const models = new Map<string, Stored>();
  const specs = new Map<string, ModelSpec>();
  const replicasOf: ReplicasOf =
    options.replicasOf ?? ((spec, arm, revision) => allReady(spec, arm, revision, now()));
  const entryOf = (stored: Stored): Entry => {
    const spec = specs.get(stored.id);
    return { stored, spec: spec ?? parseModel(stored.definition) };
  };
  const snapshot = (): Snapshot => {
    const records = [...models].map(
      ([id, one]) => [id, recordOf(entryOf(one), replicasOf)] as const,
    );
    return { phase: 'synced', at: now(), models: new Map(records) };
  };
  const watchers = createWatchers(snapshot);
  const put = (stored: Stored, spec?: ModelSpec): void => {
    models.set(stored.id, stored);
    if (spec !== undefined) specs.set(stored.id, spec);
    watchers.tell();
  };
  return {
    kind: 'memory',
    refresh: watchers.tell,
    apply: async (spec, asked) => {
      const before = models.get(spec.id);
      const artifacts = artifactsOf(spec, before);
      const { stored, changed } = applyTo(models, { spec, options: asked, now: now(), artifacts });
      if (stored !== before) put(stored, spec);
      return { revision: stored.revision, changed };
    },
    remove: async (id, asked) => {
      removing(findStored(models, id), asked);
      models.delete(id);
      specs.delete(id);
      watchers.tell();
    },
    remember: async (id, state) => put(remembering(findStored(models, id), state)),
    history: async (id) => revisionsOf(findStored(models, id)),
    watch: watchers.watch,
    close: async () => watchers.close(),
  };
}
