import type { Arm, ModelSpec, Source } from '../../../lib/spec';
import { parseModel } from '../../../lib/spec';
import type { Snapshot, Why } from '../../core/lifecycle/snapshot';
import type { ApplyOptions, Applied, Cluster, Rescaling } from '../port';
import { ClusterError } from '../port';
import type { StoredModel } from '../registry';
import {
  applyTo,
  checkScale,
  findStored,
  withOverrides,
  markDeleted,
  revisionsOf,
} from '../registry';
import type { Watchers } from '../watchers';
import { createWatchers } from '../watchers';
import type { Disk, DiskOptions } from './disk';
import { digestOf, diskRefusal, openDisk, sweepArtifacts, withArtifact } from './disk';
import type { FetchSource } from './loads';
import { Loads } from './loads';
import { checkMemory, armReplicasOf } from './replica-limit';
import type { SpawnServer } from './replica-plan';
import { checkRunnable, replicaPlanOf } from './replica-plan';
import { Records } from './records';
import type { EndpointAddresses, PlannedArm } from './runner';
import { ModelRunner, processArms } from './runner';
import { repairArtifacts, withArtifacts } from './sources';
import { createKeyedQueue } from '../../shared/keyed-queue';

export interface LocalOptions extends DiskOptions {
  /** Folder that `file` sources of definitions by REST are read from. */
  readonly modelsDirectory: string;
  readonly endpoints: EndpointAddresses;
  readonly preStopMs: number;
  readonly spawnServer: SpawnServer;
  /** Loads artifacts that are not files; absent: only files are loaded. */
  readonly fetch?: FetchSource | undefined;
  /** Called with the progress of loads. */
  readonly info?: ((message: string) => void) | undefined;
  /** Environment that model servers inherit, such as PATH. */
  readonly baseEnv: NodeJS.ProcessEnv;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
  /** Memory for all processes; default: that of the machine or its container. */
  readonly memoryBytes?: number;
}

const MEASURE_PERIOD_MS = 5000;

interface Removal {
  readonly hurry: () => void;
  readonly done: Promise<void>;
}

/** Models as processes of this machine. Every acknowledged change is on disk. */
class LocalCluster implements Cluster {
  readonly kind = 'local';
  private readonly runners = new Map<string, ModelRunner>();
  private readonly specs = new Map<string, ModelSpec>();
  private readonly records: Records;
  private readonly loads: Loads;
  private readonly removals = new Map<string, Removal>();
  private readonly turns = createKeyedQueue();
  private readonly watchers: Watchers;
  private readonly timer: NodeJS.Timeout;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly options: LocalOptions,
    private readonly disk: Disk,
  ) {
    const all = [...disk.store.models.values()];
    const { now, warn, fetch, info = () => undefined } = options;
    const { loading: folder, artifacts } = disk;
    this.loads = new Loads({ fetch, folder, artifacts, warn, info, now });
    const runnerOf = (id: string): ModelRunner | undefined => this.runners.get(id);
    this.records = new Records({ specOf: (stored) => this.specOf(stored), runnerOf, now, warn });
    for (const stored of all) {
      this.records.fenced(stored.id, () => void this.specs.set(stored.id, this.specOf(stored)));
    }
    this.watchers = createWatchers(() => this.take());
    for (const stored of all) this.records.fenced(stored.id, () => this.restore(stored));
    this.sweep();
    this.timer = setInterval(() => this.measure(), MEASURE_PERIOD_MS);
    this.timer.unref();
  }

  apply(spec: ModelSpec, options: ApplyOptions): Promise<Applied> {
    return this.change(spec.id, async () => {
      const before = this.disk.store.models.get(spec.id);
      const arms = processArms(this.options.endpoints, spec);
      for (const arm of arms) checkRunnable(spec, arm, this.loads.isAble);
      this.checkMemory(spec.id, arms);
      const applied = await withArtifacts(this.sources, { spec, arms, before }, (artifacts) => {
        this.refuseWhenClosed();
        // Again: other models may have scaled up while the artifacts were loaded.
        this.checkMemory(spec.id, arms);
        const proposal = { spec, options, artifacts, now: this.options.now() };
        const { stored, changed } = applyTo(this.disk.store.models, proposal);
        if (stored !== before) this.put(stored);
        return { revision: stored.revision, changed };
      });
      this.sweep();
      return applied;
    });
  }

  remove(id: string, options: Parameters<Cluster['remove']>[1]): Promise<void> {
    return this.change(id, async () => {
      const stored = findStored(this.disk.store.models, id);
      const next = markDeleted(stored, options);
      if (!stored.deleting) this.disk.store.put(next);
      this.changed(id);
      this.finishRemoval(id, options.force !== true);
    });
  }

  setOverrides(id: string, state: Parameters<Cluster['setOverrides']>[1]): Promise<void> {
    return this.change(id, async () => {
      this.put(withOverrides(findStored(this.disk.store.models, id), state));
    });
  }

  scale(id: string, arm: string, rescaling: Rescaling): Promise<void> {
    return this.change(id, async () => {
      const stored = findStored(this.disk.store.models, id);
      const runner = this.runners.get(id);
      const found = this.specOf(stored).arms.find(({ name }) => name === arm);
      const record = runner?.arms().find(({ name }) => name === arm);
      checkScale(stored, arm, rescaling, found && record?.desired);
      if (found === undefined || runner?.scale(found, rescaling.to) !== false) {
        return this.changed(id);
      }
      throw new ClusterError(
        'FIELD_CONFLICT',
        `arm ${arm} of model ${id} runs elsewhere (local.endpoints); scale it there`,
      );
    });
  }

  async history(id: string) {
    return revisionsOf(findStored(this.disk.store.models, id));
  }

  readonly watch: Cluster['watch'] = (listener) => this.watchers.watch(listener);

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    clearInterval(this.timer);
    this.loads.close();
    await this.turns.idle();
    await Promise.all([...this.runners.values()].map((runner) => runner.stop({ drain: true })));
    await Promise.all([...this.removals.values()].map(({ done }) => done));
    this.watchers.close();
    this.disk.unlock();
  }

  private get sources() {
    return { folder: this.options.modelsDirectory, artifacts: this.disk.artifacts };
  }

  private refuseWhenClosed(): void {
    if (this.closing === undefined) return;
    throw new ClusterError('CLUSTER_UNAVAILABLE', 'the service is shutting down; try again later');
  }

  /** Serializes the changes of a model and maps errors of the disk. */
  private change<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.turns.run(id, async () => {
      this.refuseWhenClosed();
      try {
        return await work();
      } catch (error) {
        throw diskRefusal(error, id, this.options.warn);
      }
    });
  }

  /** @throws ClusterError when the memory does not suffice for these replicas and all others */
  private checkMemory(id: string, arms: readonly Arm[]): void {
    const own = arms.map((arm) => ({ arm, replicas: arm.scaling.minReplicas }));
    const others = [...this.specs.values()].filter((spec) => spec.id !== id);
    const beside = others.flatMap((spec) =>
      armReplicasOf(
        processArms(this.options.endpoints, spec),
        this.runners.get(spec.id)?.arms() ?? [],
      ),
    );
    checkMemory(id, own, beside, this.options.memoryBytes);
  }

  /** Stores the change, then applies it. */
  private put(stored: StoredModel): void {
    // Parsed again, so that no source bytes stay in memory; an invalid definition is not stored.
    const spec = parseModel(stored.definition);
    this.disk.store.put(stored);
    this.specs.set(stored.id, spec);
    if (!stored.deleting) this.follow(stored);
    else this.changed(stored.id);
  }

  private restore(stored: StoredModel): void {
    const { id, deleting } = stored;
    if (deleting) this.finishRemoval(id, false);
    else {
      const work = this.turns.run(id, async () => {
        await repairArtifacts(this.sources, stored, this.specOf(stored).arms);
        if (this.closing === undefined) this.follow(stored);
      });
      work.catch((error: unknown) => {
        this.records.fault(id, error);
        this.watchers.publish();
      });
    }
  }

  private specOf({ id, definition }: StoredModel): ModelSpec {
    return this.specs.get(id) ?? parseModel(definition);
  }

  private follow(stored: StoredModel): void {
    const { id } = stored;
    this.records.fenced(id, () => {
      const spec = this.specOf(stored);
      const runner = this.runners.get(id) ?? this.newRunner(id);
      this.runners.set(id, runner);
      const stopped = stored.state?.stopped === true;
      runner.follow({ spec, stopped, planOf: (arm) => this.plan(stored, spec, arm) });
    });
    this.changed(id);
  }

  /** A stored definition may no longer run: its bytes or its endpoints are gone. */
  private plan(stored: StoredModel, spec: ModelSpec, arm: Arm): PlannedArm {
    const { artifacts } = this.disk;
    try {
      checkRunnable(spec, arm, this.loads.isAble);
    } catch (error) {
      return this.blocked(spec, arm, 'cannot-run-here', (error as Error).message);
    }
    const digest = digestOf(stored, arm);
    if (digest !== undefined && artifacts.isIntact(digest)) {
      const plan = replicaPlanOf(spec, arm, artifacts.pathOf(digest), this.options.preStopMs);
      return { kind: 'plan', plan };
    }
    if (arm.source !== undefined && arm.source.scheme !== 'file') {
      return { kind: 'blocked', why: this.load(stored, arm, arm.source) };
    }
    const message = `the bytes of ${arm.source?.uri} that were kept are lost or damaged; put the file into the models folder and deploy the model again`;
    return this.blocked(spec, arm, 'artifact-missing', message);
  }

  /** Starts to load an arm's artifact and returns the status of the arm. */
  private load({ id, hash, manager }: StoredModel, arm: Arm, source: Source): Why {
    const current = (): StoredModel | undefined => {
      const now = this.disk.store.models.get(id);
      return this.closing === undefined && now?.hash === hash && !now.deleting ? now : undefined;
    };
    return this.loads.begin(
      arm,
      { source, trusted: manager === 'files' },
      {
        changed: () => {
          const now = current();
          if (now !== undefined) this.follow(now);
        },
        done: (digest) => {
          const now = current();
          if (now !== undefined) this.disk.store.put(withArtifact(now, arm.name, digest));
        },
      },
    );
  }

  private blocked(spec: ModelSpec, arm: Arm, cause: string, message: string): PlannedArm {
    this.options.warn(`${spec.id}, ${arm.name}: ${message}`);
    const why: Why = { cause, message, object: `model ${spec.id}`, since: this.options.now() };
    return { kind: 'blocked', why };
  }

  private newRunner(id: string): ModelRunner {
    const { spawnServer, baseEnv, endpoints, warn, now, random } = this.options;
    const onChange = (): void => this.changed(id);
    return new ModelRunner({ spawnServer, baseEnv, endpoints, warn, now, random, onChange });
  }

  private finishRemoval(id: string, drain: boolean): void {
    const under = this.removals.get(id);
    if (under !== undefined) {
      if (!drain) under.hurry();
      return;
    }
    const runner = this.runners.get(id);
    const work = async (): Promise<void> => {
      await runner?.stop({ drain });
      this.runners.delete(id);
      this.specs.delete(id);
      this.records.forget(id);
      this.removals.delete(id);
      this.disk.store.remove(id);
      this.sweep();
      this.changed(id);
    };
    const done = work().catch((error: unknown) => {
      const { message } = error as Error;
      this.options.warn(`model ${id} could not be removed: ${message}; the next start tries again`);
    });
    this.removals.set(id, { done, hurry: () => void runner?.stop({ drain: false }) });
  }

  private sweep(): void {
    sweepArtifacts(this.disk, this.options.warn);
  }

  private measure(): void {
    for (const [id, runner] of this.runners) if (runner.measure()) this.records.drop(id);
    this.watchers.publish();
  }

  private changed(id: string): void {
    this.records.drop(id);
    this.watchers.publish();
  }

  private take(): Snapshot {
    const models = this.records.of(this.disk.store.models.values());
    return { phase: 'synced', at: this.options.now(), models };
  }
}

/**
 * Opens a local cluster and starts its stored models.
 * @throws ClusterError when another service uses the folder, or it is unusable
 */
export async function createLocalCluster(options: LocalOptions): Promise<Cluster> {
  try {
    return new LocalCluster(options, openDisk(options));
  } catch (error) {
    if (error instanceof ClusterError) throw error;
    throw new ClusterError(
      'CLUSTER_UNAVAILABLE',
      `local.directory: ${options.directory} cannot be used (${(error as Error).message}); correct that, or choose another folder`,
    );
  }
}
