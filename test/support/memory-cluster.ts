import type { Arm, ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import type {
  ArmRecord,
  ModelRecord,
  ReplicaRecord,
  Snapshot,
} from '../../runtime/core/lifecycle/snapshot';
import type { Cluster, Rescaling } from '../../runtime/cluster/port';
import type { Artifacts, StoredModel } from '../../runtime/cluster/registry';
import {
  applyTo,
  checkScale,
  desiredOf,
  findStored,
  registryFields,
  pinOf,
  withOverrides,
  markDeleted,
  revisionsOf,
} from '../../runtime/cluster/registry';
import { createWatchers } from '../../runtime/cluster/watchers';

export interface MemoryOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /**
   * The replicas of an arm, as they are now; asked at every change, unless it should have none.
   * Default: as many as wanted (at first the definition's minimum), all ready at once, at addresses
   * nobody answers.
   */
  readonly replicasOf?: (
    spec: ModelSpec,
    arm: Arm,
    revision: number,
    desired: number,
  ) => readonly ReplicaRecord[];
}

export interface MemoryCluster extends Cluster {
  /** Asks for the replicas again and tells the watchers. */
  readonly refresh: () => void;
}

/** A model with its definition as it was given, so that nothing is parsed again and again. */
interface Entry {
  readonly stored: StoredModel;
  readonly spec: ModelSpec;
  /** Arm → replicas that were asked for. */
  readonly scaled: ReadonlyMap<string, number>;
}

type ReplicasOf = NonNullable<MemoryOptions['replicasOf']>;

const allReady =
  (now: () => number): ReplicasOf =>
  (spec, arm, revision, desired) =>
    Array.from({ length: desired }, (_, index) => ({
      id: `${spec.slug}-${arm.name}-${revision}-${index}`,
      arm: arm.name,
      version: arm.version,
      host: '127.0.0.1',
      // The discard port: nothing listens there.
      port: 9,
      phase: 'ready',
      restarts: 0,
      since: now(),
    }));

function wantedOf({ stored, scaled }: Entry, arm: Arm): number {
  if (stored.state?.stopped === true) return 0;
  return desiredOf(arm, scaled.get(arm.name) ?? 0);
}

function armRecord(arm: Arm, desired: number, replicas: readonly ReplicaRecord[]): ArmRecord {
  const own = replicas.filter((replica) => replica.arm === arm.name);
  return {
    name: arm.name,
    version: arm.version,
    desired,
    current: own.length,
    ready: own.filter(({ phase }) => phase === 'ready').length,
    updated: own.filter(({ version }) => version === arm.version).length,
  };
}

/** Arm → SHA-256 of what `discover` read, else of what the revision before had. */
function artifactsOf(spec: ModelSpec, before: StoredModel | undefined): Artifacts {
  return Object.fromEntries(
    spec.arms.flatMap((arm) => {
      const digest = arm.source?.content?.sha256 ?? pinOf(spec, arm, before)?.digest;
      return digest === undefined ? [] : [[arm.name, digest] as const];
    }),
  );
}

/** @throws ClusterError */
function rescaledIn(entry: Entry, arm: string, rescaling: Rescaling): Entry['scaled'] {
  const found = entry.spec.arms.find(({ name }) => name === arm);
  checkScale(entry.stored, arm, rescaling, found && wantedOf(entry, found));
  return new Map(entry.scaled).set(arm, rescaling.to);
}

function recordOf(entry: Entry, replicasOf: ReplicasOf): ModelRecord {
  const { stored, spec, scaled } = entry;
  const isStopped = stored.state?.stopped === true;
  const isOff = (arm: Arm): boolean =>
    wantedOf(entry, arm) === 0 && (isStopped || scaled.has(arm.name));
  const replicas = spec.arms
    .filter((arm) => !isOff(arm))
    .flatMap((arm) => replicasOf(spec, arm, stored.revision, wantedOf(entry, arm)));
  const arms = spec.arms.map((arm) => armRecord(arm, wantedOf(entry, arm), replicas));
  return { ...registryFields(stored), spec, arms, replicas };
}

/** A cluster that exists only in this process: for tests. */
export function createMemoryCluster(options: MemoryOptions): MemoryCluster {
  const { now } = options;
  const models = new Map<string, StoredModel>();
  const specs = new Map<string, ModelSpec>();
  const scaled = new Map<string, ReadonlyMap<string, number>>();
  const replicasOf = options.replicasOf ?? allReady(now);
  const entryOf = (stored: StoredModel): Entry => {
    const spec = specs.get(stored.id) ?? parseModel(stored.definition);
    return { stored, spec, scaled: scaled.get(stored.id) ?? new Map() };
  };
  const snapshot = (): Snapshot => {
    const records = [...models].map(
      ([id, one]) => [id, recordOf(entryOf(one), replicasOf)] as const,
    );
    return { phase: 'synced', at: now(), models: new Map(records) };
  };
  const watchers = createWatchers(snapshot);
  const put = (stored: StoredModel, spec?: ModelSpec): void => {
    models.set(stored.id, stored);
    if (spec !== undefined) specs.set(stored.id, spec);
    watchers.publish();
  };
  return {
    kind: 'memory',
    refresh: watchers.publish,
    apply: async (spec, asked) => {
      const before = models.get(spec.id);
      const artifacts = artifactsOf(spec, before);
      const { stored, changed } = applyTo(models, { spec, options: asked, now: now(), artifacts });
      if (stored !== before) put(stored, spec);
      return { revision: stored.revision, changed };
    },
    remove: async (id, asked) => {
      markDeleted(findStored(models, id), asked);
      models.delete(id);
      specs.delete(id);
      scaled.delete(id);
      watchers.publish();
    },
    setOverrides: async (id, state) => put(withOverrides(findStored(models, id), state)),
    scale: async (id, arm, rescaling) => {
      scaled.set(id, rescaledIn(entryOf(findStored(models, id)), arm, rescaling));
      watchers.publish();
    },
    history: async (id) => revisionsOf(findStored(models, id)),
    watch: watchers.watch,
    close: async () => watchers.close(),
  };
}
