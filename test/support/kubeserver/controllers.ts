import { createHash } from 'node:crypto';
import type { KubeObject } from '../../../runtime/cluster/kubernetes/client/api';
import { RESOURCES } from '../../../runtime/cluster/kubernetes/client/resources';
import type { Store } from './store';

const { Deployment, HorizontalPodAutoscaler, Pod } = RESOURCES;
const WRITING = { manager: 'kube-controller-manager' };

interface DeploymentSpec {
  readonly replicas: number;
  readonly template: {
    readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
    readonly spec: { readonly containers: readonly { readonly name: string }[] };
  };
}

interface AutoscalerSpec {
  readonly scaleTargetRef: { readonly kind: string; readonly name: string };
  readonly minReplicas?: number;
  readonly maxReplicas: number;
}

export interface ControllerOptions {
  /** The status of a pod that was just made; absent: it is ready at once. */
  readonly statusOf?: (pod: KubeObject) => object;
}

const HASH_LABEL = 'pod-template-hash';

/** A pod that runs and is ready. */
export function readyStatus({ spec }: KubeObject): object {
  const { containers } = spec as DeploymentSpec['template']['spec'];
  return {
    phase: 'Running',
    podIP: '127.0.0.1',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: containers.map(({ name }) => ({ name, ready: true, restartCount: 0 })),
  };
}

interface PodStatus {
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

function isReady({ status }: KubeObject): boolean {
  const { conditions = [] } = (status ?? {}) as PodStatus;
  return conditions.some((one) => one.type === 'Ready' && one.status === 'True');
}

/** Replicas between minimum and maximum; a Deployment at 0 is left alone, as Kubernetes does. */
function autoscale(store: Store, autoscaler: KubeObject): void {
  const { namespace = '' } = autoscaler.metadata;
  const spec = autoscaler.spec as AutoscalerSpec;
  const { name } = spec.scaleTargetRef;
  const { minReplicas = 1, maxReplicas } = spec;
  const target = store.find(Deployment, namespace, name);
  const { replicas = 0 } = (target?.spec ?? {}) as Partial<DeploymentSpec>;
  const wished = Math.min(maxReplicas, Math.max(minReplicas, replicas));
  if (target === undefined || replicas === 0 || wished === replicas) return;
  const patch = { spec: { replicas: wished } };
  store.patch(Deployment, namespace, name, patch, { ...WRITING, subresource: 'scale' });
}

/**
 * Pods of a Deployment, and its status: new pods first, old ones go when the new are ready. Real
 * pods belong to a ReplicaSet between them, which nothing here looks at.
 */
class Rollout {
  #made = 0;
  constructor(
    private readonly store: Store,
    private readonly statusOf: (pod: KubeObject) => object,
  ) {}

  reconcile(deployment: KubeObject): void {
    const { replicas, template } = deployment.spec as DeploymentSpec;
    const hash = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 8);
    const isNew = (pod: KubeObject): boolean => pod.metadata.labels?.[HASH_LABEL] === hash;
    const current = this.#podsOf(deployment).filter(isNew);
    for (let count = current.length; count < replicas; count += 1) this.#make(deployment, hash);
    const surplus = current.toSorted((a, b) => Number(isReady(b)) - Number(isReady(a)));
    surplus.slice(replicas).forEach((pod) => this.#remove(pod));
    const all = this.#podsOf(deployment);
    if (all.filter(isNew).filter(isReady).length >= replicas)
      all.filter((pod) => !isNew(pod)).forEach((pod) => this.#remove(pod));
    this.#report(deployment, isNew);
  }

  #podsOf({ metadata: { uid, namespace = '' } }: KubeObject): readonly KubeObject[] {
    const pods = this.store.list(Pod, namespace);
    return pods.filter(({ metadata }) => metadata.ownerReferences?.some((one) => one.uid === uid));
  }

  #remove({ metadata: { name, namespace = '' } }: KubeObject): void {
    this.store.remove(Pod, namespace, name);
  }

  #make({ apiVersion, kind, metadata, spec }: KubeObject, hash: string): void {
    const { template } = spec as DeploymentSpec;
    const { name, namespace = '', uid = '' } = metadata;
    this.#made += 1;
    const pod: KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...template.metadata,
        name: `${name}-${hash}-${this.#made}`,
        namespace,
        labels: { ...template.metadata?.labels, [HASH_LABEL]: hash },
        ownerReferences: [{ apiVersion, kind, name, uid, controller: true }],
      },
      spec: template.spec,
    };
    this.store.create(Pod, namespace, { ...pod, status: this.statusOf(pod) }, WRITING);
  }

  #report(deployment: KubeObject, isNew: (pod: KubeObject) => boolean): void {
    const pods = this.#podsOf(deployment);
    const ready = pods.filter(isReady).length;
    const { name, namespace = '', generation } = deployment.metadata;
    const { replicas } = deployment.spec as DeploymentSpec;
    const status = {
      observedGeneration: generation,
      replicas: pods.length,
      updatedReplicas: pods.filter(isNew).length,
      readyReplicas: ready,
      availableReplicas: ready,
      conditions: [{ type: 'Available', status: ready >= replicas ? 'True' : 'False' }],
    };
    const writing = { ...WRITING, subresource: 'status' };
    this.store.patch(Deployment, namespace, name, { status }, writing);
  }
}

/**
 * What Kubernetes does with Deployments and their autoscalers, as far as it can be seen through the
 * API, one step of the event loop after each change. The answer ends it.
 */
export function startControllers(store: Store, options: ControllerOptions = {}): () => void {
  const rollout = new Rollout(store, options.statusOf ?? readyStatus);
  const namespaces = new Set<string>();
  const reconcile = (): void => {
    const due = [...namespaces];
    namespaces.clear();
    for (const namespace of due) {
      store.list(HorizontalPodAutoscaler, namespace).forEach((one) => autoscale(store, one));
      store.list(Deployment, namespace).forEach((one) => rollout.reconcile(one));
    }
  };
  return store.subscribe(({ namespace }) => {
    if (namespaces.size === 0) setImmediate(reconcile);
    namespaces.add(namespace);
  });
}
