import type { Environment, ModelSpec } from '../../../lib/spec';
import { armObjectName, slugOf } from '../../../lib/spec';
import type { PolicyRules } from '../../core/policy/policy';
import { createKeyedQueue } from '../../shared/keyed-queue';
import type { Applied, Cluster, ModelRecord, ModelOverrides } from '../port';
import { ClusterError } from '../port';
import { checkScale, findStored, withOverrides, revisionsOf } from '../registry';
import { applyModel } from './apply/apply';
import type { KubeApi } from './client/api';
import { openKubernetes } from './client/client';
import { KubeError } from './client/api-error';
import { kindsOf, readLiveObjects, liveModelOf } from './apply/live-objects';
import { definitionName } from '../../../lib/objects/configmap';
import { clusterErrorOf } from './apply/apply-refusal';
import { rescale } from './scale/rescale';
import { replaced, overridesFor } from './apply/overrides-state';
import type { DeletingModel } from './apply/remove';
import { deleteWorkloads, markDeleting, deleteRemaining } from './apply/remove';
import { RESOURCES } from './client/resources';
import { reconcileOverrides } from './apply/reconcile-overrides';
import type { ApplyContext } from './apply/apply-context';
import { mapApiError } from './apply/apply-context';
import type { OverridesStore } from './apply/overrides-store';
import { createOverridesStore } from './apply/overrides-store';
import { startReconciler } from './apply/reconciler';
import type { Timing } from './client/timing';
import { realTiming } from './client/timing';
import { ClusterCache } from './cache/cluster-cache';

export interface KubernetesOptions {
  /** Where new models go. Absent: the namespace of the kubeconfig's context, or of the pod. */
  readonly namespace?: string | undefined;
  /** Further ones whose models are served. */
  readonly namespaces?: readonly string[];
  /** Namespace of the routers, which models let in. Absent: `namespace`. */
  readonly home?: string | undefined;
  readonly configPath?: string | undefined;
  readonly context?: string | undefined;
  readonly mode: 'rest' | 'gitops';
  /** How definitions become objects; its namespace is set here. */
  readonly environment: Environment;
  /** Called for invalid definitions and failed watches. */
  readonly warn: (message: string) => void;
  readonly rules?: PolicyRules;
  readonly timing?: Timing;
}

const NOTHING_MORE: PolicyRules = {};

/** How long an answer waits until the cache shows the write. */
const SEEN_MS = 5000;

function namespaceOf(given: string | undefined, found: string | undefined): string {
  const namespace = given ?? found;
  if (namespace !== undefined) return namespace;
  throw new ClusterError(
    'CLUSTER_UNAVAILABLE',
    'kubernetes.namespace: the namespace of the models is not configured; set it, or a namespace in the kubeconfig’s context',
  );
}

/** Models as objects of Kubernetes. It holds only a cache; the state is in the cluster. */
class KubernetesCluster implements Cluster {
  readonly kind = 'kubernetes';
  readonly #queue = createKeyedQueue();
  readonly #cache: ClusterCache;
  readonly #overrides: OverridesStore;
  readonly #stopReconciler: () => void;
  readonly #timing: Timing;
  #closing: Promise<void> | undefined;

  constructor(
    private readonly options: KubernetesOptions,
    private readonly api: KubeApi,
    private readonly namespace: string,
  ) {
    const { namespaces = [], warn, timing = realTiming } = options;
    this.#timing = timing;
    this.#overrides = createOverridesStore(api, namespace);
    const further = new Set(namespaces.filter((one) => one !== namespace));
    const all = [namespace, ...further] as const;
    this.#cache = new ClusterCache({ api, namespaces: all, timing, warn });
    this.#stopReconciler = startReconciler({
      cache: this.#cache,
      timing,
      warn,
      gitops: options.mode === 'gitops',
      turns: this.#queue,
      overrides: this.#overrides,
      contextOf: (slug) => this.#contextOf(slug),
    });
  }

  apply(spec: ModelSpec, options: Parameters<Cluster['apply']>[1]): Promise<Applied> {
    return this.#change(spec.slug, async () => {
      const applied = await applyModel(this.#contextOf(spec.slug), spec, options);
      await this.#waitForView(spec.id, (record) => (record?.revision ?? 0) >= applied.revision);
      if (options.force === true || options.state !== undefined)
        await this.#waitForOverrides(spec.slug);
      return applied;
    });
  }

  async remove(id: string, options: Parameters<Cluster['remove']>[1]): Promise<void> {
    const slug = slugOf(id);
    const context = this.#contextOf(slug);
    const removal = await this.#change(slug, async () => {
      const marked = await markDeleting(context, { slug, id }, options);
      await this.#waitForView(id, (record) => record?.deleting !== false);
      return marked;
    });
    await deleteWorkloads(context, removal, options.manager);
    if (options.force !== true) await this.#waitForDrain(removal);
    if (this.#closing !== undefined) return;
    await deleteRemaining(context, removal, options.manager);
    await this.#waitForView(id, (record) => record?.deleting !== true);
  }

  setOverrides(id: string, state: ModelOverrides | undefined): Promise<void> {
    const slug = slugOf(id);
    return this.#change(slug, async () => {
      const context = this.#contextOf(slug);
      const { spec, hash } = await this.#definitionOf(context, id, state);
      const shown = this.#record(id);
      await mapApiError(
        'state',
        this.#overrides.update(slug, (now) => {
          // The caller decided on older overrides.
          const isStale = shown?.hash === hash && !isSame(shown.state, overridesFor(now, hash));
          if (isStale) throw overtaken(id);
          return replaced(now, hash, state);
        }),
      );
      await reconcileOverrides(context, spec, hash);
      await this.#waitForOverrides(slug);
    });
  }

  /** Not queued behind changes of the definition, so that a model wakes at once. */
  scale: Cluster['scale'] = async (id, arm, rescaling) => {
    const record = this.#record(id);
    const { deleting, state } = findStored(new Map(record && [[id, record]]), id);
    const desired = (): number | undefined => this.#record(id)?.arms.find(isNamed(arm))?.desired;
    checkScale({ id, deleting, state }, arm, rescaling, desired());
    const { namespace } = this.#contextOf(slugOf(id));
    await mapApiError(id, rescale(this.api, namespace, armObjectName(id, arm), rescaling));
    await this.#cache.waitFor(() => desired() === rescaling.to, SEEN_MS);
  };

  history: Cluster['history'] = async (id) => {
    const slug = slugOf(id);
    const context = this.#contextOf(slug);
    const objects = await mapApiError(id, readLiveObjects(context, slug));
    const { stored } = liveModelOf(slug, objects, { states: [] });
    return revisionsOf(findStored(new Map(stored && [[stored.id, stored]]), id));
  };

  readonly watch: Cluster['watch'] = (listener) => this.#cache.watchers.watch(listener);

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#stopReconciler();
    await this.#queue.idle();
    this.#cache.stop();
    this.api.close();
  }

  /** Serializes the changes of a model. */
  #change<T>(slug: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(slug, async () => {
      if (this.#closing === undefined) return work();
      throw new ClusterError(
        'CLUSTER_UNAVAILABLE',
        'the service is shutting down; try again later',
      );
    });
  }

  #contextOf(slug: string): ApplyContext {
    const { environment, mode, rules = NOTHING_MORE, home = this.namespace } = this.options;
    const runtime = environment.runtime.namespace ?? home;
    const namespace = this.#cache.find(slug)?.namespace ?? this.namespace;
    const gitops = mode === 'gitops';
    return {
      api: this.api,
      namespace,
      environment: {
        ...environment,
        namespace,
        runtime: { ...environment.runtime, namespace: runtime },
      },
      kinds: kindsOf(environment),
      history: !gitops,
      overrides: this.#overrides,
      gitops,
      now: this.#timing.now,
      rules,
    };
  }

  /** @throws ClusterError MODEL_NOT_FOUND, or REVISION_CONFLICT when the state is for another one */
  async #definitionOf(context: ApplyContext, id: string, state: ModelOverrides | undefined) {
    const slug = slugOf(id);
    const { namespace } = context;
    const name = definitionName(slug);
    const holder = await mapApiError(id, this.api.get(RESOURCES.ConfigMap, namespace, name));
    const objects = { holder, found: new Map(), revisions: [] };
    const { stored, definition } = liveModelOf(slug, objects, { states: [] });
    withOverrides(findStored(new Map(stored && [[stored.id, stored]]), id), state);
    if (definition === undefined) throw new Error('what is stored was read');
    return definition;
  }

  #record(id: string): ModelRecord | undefined {
    const record = this.#cache.find(slugOf(id))?.record;
    return record?.spec.id === id ? record : undefined;
  }

  async #waitForView(
    id: string,
    holds: (record: ModelRecord | undefined) => boolean,
  ): Promise<void> {
    await this.#cache.waitFor(() => holds(this.#record(id)), SEEN_MS);
  }

  /** Waits until the cache shows the current overrides and owner. */
  async #waitForOverrides(slug: string): Promise<void> {
    const { namespace } = this.#contextOf(slug);
    const [now, holder] = await Promise.all([
      mapApiError('state', this.#overrides.read(slug)),
      mapApiError(slug, this.api.get(RESOURCES.ConfigMap, namespace, definitionName(slug))),
    ]);
    const isThere = (): boolean =>
      isSame(this.#cache.overrides(slug), now) &&
      this.#cache.find(slug)?.definition.object.metadata.resourceVersion ===
        holder?.metadata.resourceVersion;
    await this.#cache.waitFor(isThere, SEEN_MS);
  }

  async #waitForDrain({ slug, uid, graceMs }: DeletingModel): Promise<void> {
    const isOver = (): boolean => {
      const found = this.#cache.find(slug);
      if (found === undefined || found.definition.object.metadata.uid !== uid) return true;
      return found.deployments.length === 0 && found.record.replicas.length === 0;
    };
    await this.#cache.waitFor(isOver, graceMs);
  }
}

const isNamed =
  (wanted: string) =>
  ({ name }: { readonly name: string }): boolean =>
    name === wanted;

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

function overtaken(id: string): ClusterError {
  return new ClusterError(
    'REVISION_CONFLICT',
    `model ${id}: its stored state changed at the same moment; read it again, then decide`,
  );
}

/**
 * Opens a cluster on Kubernetes. The API server may be down: the watches start and retry in the
 * background.
 * @throws ClusterError when no API server or no namespace is configured
 */
export async function createKubernetesCluster(options: KubernetesOptions): Promise<Cluster> {
  try {
    const { api, namespace } = await openKubernetes(options, options.timing);
    return new KubernetesCluster(options, api, namespaceOf(options.namespace, namespace));
  } catch (error) {
    throw error instanceof KubeError ? clusterErrorOf('kubernetes', error) : error;
  }
}
