import { readFileSync } from 'node:fs';
import type { Arm, ModelSpec } from '../../../lib/spec';
import { parseModel } from '../../../lib/spec';
import type { ModelRecord, Snapshot } from '../../core/snapshot';
import type { ApplyOptions, Cluster } from '../port';
import { ClusterError } from '../port';
import type { Stored } from '../registry';
import { applyTo, findStored, remembering, removing, revisionsOf } from '../registry';
import type { Watchers } from '../watchers';
import { createWatchers } from '../watchers';
import { sha256 } from './files';
import type { SpawnServer } from './plan';
import { checkRunnable, fileInside, planOf } from './plan';
import type { Endpoints } from './runner';
import { ModelRunner } from './runner';
import type { Store } from './store';
import { openStore } from './store';

export interface LocalOptions {
  /** Folder for definitions, history and artifacts; made when it is not there. */
  readonly directory: string;
  /** Folder that `file` sources of definitions by REST are read from. */
  readonly modelsDirectory: string;
  readonly endpoints: Endpoints;
  readonly preStopMs: number;
  readonly spawnServer: SpawnServer;
  /** What model servers inherit: where programs and libraries are. */
  readonly baseEnv: NodeJS.ProcessEnv;
  /** Told about what was found broken and mended. */
  readonly tell: (message: string) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
}

type Artifacts = Readonly<Record<string, string>>;

/** How often usage is measured, milliseconds. */
const MEASURE_MS = 5000;

/** Models as processes of this machine. Everything acknowledged is on disk. */
class LocalCluster implements Cluster {
  readonly kind = 'local';
  private readonly runners = new Map<string, ModelRunner>();
  private readonly specs = new Map<string, ModelSpec>();
  private readonly removals = new Set<Promise<void>>();
  private readonly watchers: Watchers;
  private readonly timer: NodeJS.Timeout;
  private closed = false;

  constructor(
    private readonly options: LocalOptions,
    private readonly store: Store,
  ) {
    this.watchers = createWatchers(() => this.take());
    for (const stored of store.models.values()) this.restore(stored);
    this.timer = setInterval(() => this.measure(), MEASURE_MS);
    this.timer.unref();
  }

  async apply(spec: ModelSpec, options: ApplyOptions) {
    this.refuseWhenClosed();
    const before = this.store.models.get(spec.id);
    for (const arm of spec.arms) if (!this.isGiven(spec, arm)) checkRunnable(spec, arm);
    const bytes = this.read(spec, before);
    const artifacts = Object.fromEntries([...bytes].map(([uri, { digest }]) => [uri, digest]));
    const proposal = { spec, options, artifacts, now: this.options.now() };
    const { stored, changed } = applyTo(this.store.models, proposal);
    if (!changed && stored === before) return { revision: stored.revision, changed };
    // Artifacts first: a definition on disk always has its bytes.
    for (const { content } of bytes.values()) if (content !== undefined) this.store.keep(content);
    this.store.put(stored);
    this.follow(stored, spec);
    return { revision: stored.revision, changed };
  }

  async remove(id: string, options: Parameters<Cluster['remove']>[1]) {
    this.refuseWhenClosed();
    const stored = findStored(this.store.models, id);
    this.store.put(removing(stored, options));
    this.watchers.tell();
    this.finishRemoval(id, options.force !== true);
  }

  async remember(id: string, state: Parameters<Cluster['remember']>[1]) {
    this.refuseWhenClosed();
    const stored = remembering(findStored(this.store.models, id), state);
    this.store.put(stored);
    this.follow(stored, this.specs.get(id) ?? parseModel(stored.definition));
  }

  async history(id: string) {
    return revisionsOf(findStored(this.store.models, id));
  }

  readonly watch: Cluster['watch'] = (listener) => this.watchers.watch(listener);

  async close() {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    await Promise.all([...this.runners.values()].map((runner) => runner.stop({ drain: true })));
    await Promise.all(this.removals);
    this.watchers.close();
    this.store.close();
  }

  private refuseWhenClosed(): void {
    if (!this.closed) return;
    throw new ClusterError('CLUSTER_UNAVAILABLE', 'the service is shutting down; try again later');
  }

  private isGiven({ id }: ModelSpec, { name }: Arm): boolean {
    return this.options.endpoints[id]?.[name] !== undefined;
  }

  /**
   * The bytes of each `file` source: what was read with the definition; else those that a revision
   * with this URI pinned (the same definition first, then the present one), else the file in the
   * models folder.
   */
  private read(spec: ModelSpec, before: Stored | undefined) {
    const found = new Map<string, { readonly digest: string; readonly content?: Uint8Array }>();
    for (const arm of spec.arms) {
      if (arm.source?.scheme !== 'file' || this.isGiven(spec, arm)) continue;
      const { uri, content, sha256: wanted } = arm.source;
      const pinned = pinnedDigest(spec, uri, before);
      const bytes = content?.bytes ?? (pinned === undefined ? this.fromFolder(uri) : undefined);
      const digest = bytes === undefined ? (pinned ?? '') : sha256(bytes);
      if (wanted !== undefined && wanted !== digest) {
        throw new ClusterError(
          'INVALID_MODEL_CONFIG',
          `repository_url: ${uri} has sha256 ${digest}, must be ${wanted}; the artifact changed: check it, then the definition`,
        );
      }
      found.set(uri, bytes === undefined ? { digest } : { digest, content: bytes });
    }
    return found;
  }

  private fromFolder(uri: string): Uint8Array {
    return readFileSync(fileInside(this.options.modelsDirectory, uri));
  }

  private restore(stored: Stored): void {
    const { id } = stored;
    this.specs.set(id, parseModel(stored.definition));
    if (stored.deleting) this.finishRemoval(id, false);
    else this.follow(stored, this.specs.get(id) as ModelSpec);
  }

  private follow(stored: Stored, spec: ModelSpec): void {
    this.specs.set(spec.id, spec);
    const artifacts: Artifacts = stored.history[0]?.artifacts ?? {};
    const runner = this.runners.get(spec.id) ?? this.newRunner();
    this.runners.set(spec.id, runner);
    try {
      runner.follow(spec, stored.state?.stopped === true, (arm) => {
        checkRunnable(spec, arm);
        const file = this.store.artifact(artifacts[arm.source?.uri ?? ''] ?? '');
        return planOf(spec, arm, file, this.options.preStopMs);
      });
    } catch (error) {
      // A definition that ran before and cannot now (its artifact was damaged, its endpoints are
      // gone).
      this.options.tell(`model ${spec.id} does not run: ${(error as Error).message}`);
    }
    this.watchers.tell();
  }

  private newRunner(): ModelRunner {
    const { spawnServer, baseEnv, endpoints, now, random } = this.options;
    const onChange = (): void => this.watchers.tell();
    return new ModelRunner({ spawnServer, baseEnv, endpoints, now, random, onChange });
  }

  private finishRemoval(id: string, drain: boolean): void {
    const work = async (): Promise<void> => {
      await this.runners.get(id)?.stop({ drain });
      this.runners.delete(id);
      this.specs.delete(id);
      this.store.remove(id);
      this.watchers.tell();
    };
    const removal = work().finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }

  private measure(): void {
    for (const runner of this.runners.values()) runner.measure();
    this.watchers.tell();
  }

  private take(): Snapshot {
    const records = [...this.store.models.values()].map((stored) => this.recordOf(stored));
    return {
      phase: 'synced',
      at: this.options.now(),
      models: new Map(records.map((record) => [record.spec.id, record])),
    };
  }

  private recordOf(stored: Stored): ModelRecord {
    const { id, revision, hash, manager, createdAt, updatedAt, deleting, state } = stored;
    const spec = this.specs.get(id) ?? parseModel(stored.definition);
    const runner = this.runners.get(id);
    const fixed = { spec, revision, hash, manager, createdAt, updatedAt, deleting };
    const live = { arms: runner?.arms() ?? [], replicas: runner?.replicas() ?? [] };
    return { ...fixed, ...live, ...(state && { state }) };
  }
}

function pinnedDigest({ definition }: ModelSpec, uri: string, before: Stored | undefined) {
  const text = JSON.stringify(definition);
  const history = before?.history ?? [];
  const same = history.find((one) => JSON.stringify(one.definition) === text);
  return same?.artifacts?.[uri] ?? history[0]?.artifacts?.[uri];
}

/**
 * Opens a local cluster and starts what was there when it was last used.
 * @throws ClusterError when another service uses the folder
 */
export async function createLocalCluster(options: LocalOptions): Promise<Cluster> {
  return new LocalCluster(options, openStore(options.directory, options.tell));
}
