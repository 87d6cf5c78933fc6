import { ARM_LABEL, HASH_ANNOTATION } from '../../../../lib/objects';
import type { Arm, ModelSpec } from '../../../../lib/spec';
import { armObjectName } from '../../../../lib/spec';
import type { ArmRecord, ModelRecord, ReplicaRecord, Why } from '../../port';
import { whyOf } from '../diagnosis/cause';
import type { Noticed, NoticedByName } from './object-events';
import { aboutObject, byName, noticedOf } from './object-events';
import type { Plain } from '../client/object-fields';
import { createdAt, labelOf, nameOf, numberAt, textAt } from '../client/object-fields';
import { isFinished, isReady, isTerminating, replicaOf } from './replica-record';
import { podCause } from '../diagnosis/pod-cause';
import { autoscalerCause, deploymentCause, missedDeadline } from '../diagnosis/arm-cause';

/** The objects of one model that tell what became of it, as the watches hold them. */
export interface Observed {
  readonly deployments: readonly Plain[];
  /** By the model's label: replicas, and what loads its cache. */
  readonly pods: readonly Plain[];
  readonly autoscalers: readonly Plain[];
  /** Of the namespace, or of these objects; others are passed over. */
  readonly events: readonly Plain[];
  /** PodMetrics, when the cluster measures. */
  readonly metrics?: readonly Plain[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What a record holds of the definition itself; how its arms are is told by `Observed`. */
export type Held = Omit<ModelRecord, 'arms' | 'replicas'>;

interface Scene {
  readonly held: Held;
  readonly seen: Observed;
  readonly noticed: readonly Noticed[];
  readonly about: NoticedByName;
  /** PodMetrics by the pod's name: they have no uid of it. */
  readonly measured: ReadonlyMap<string, Plain>;
}

const COMPONENT_LABEL = 'app.kubernetes.io/component';
const LOADER = 'model-cache';

const armOf = (pod: Plain): string | undefined =>
  labelOf(pod, COMPONENT_LABEL) === LOADER ? undefined : labelOf(pod, ARM_LABEL);

const find = (objects: readonly Plain[], { id }: ModelSpec, arm: string): Plain | undefined =>
  objects.find((object) => nameOf(object) === armObjectName(id, arm));

/**
 * Pods of an arm that count. One that is over (evicted, refused by its node) lies about until it is
 * collected: the last of them tells something only while the arm lacks a replica.
 */
function podsOf({ seen, held }: Scene, arm: string): readonly Plain[] {
  const own = seen.pods.filter((pod) => armOf(pod) === arm);
  const living = own.filter((pod) => !isFinished(pod));
  const deployment = find(seen.deployments, held.spec, arm);
  const wanted = numberAt(deployment, 'spec', 'replicas') ?? 1;
  if (deployment === undefined || living.filter(isReady).length >= wanted) return living;
  const over = own.filter((pod) => isFinished(pod) && !isTerminating(pod));
  const last = over.toSorted((a, b) => createdAt(b) - createdAt(a))[0];
  return last === undefined ? living : [...living, last];
}

function replicasOf(scene: Scene, name: string): readonly ReplicaRecord[] {
  const { held, seen, about, measured } = scene;
  const deployment = find(seen.deployments, held.spec, name);
  const late = deployment !== undefined && missedDeadline(deployment) !== undefined;
  const arm = held.spec.arms.find((one) => one.name === name);
  return podsOf(scene, name).map((pod) => {
    const cause = podCause(pod, aboutObject(about, pod));
    return replicaOf(pod, { arm, cause, late, metrics: measured.get(nameOf(pod)) });
  });
}

/** The Job that fills the cache: replicas only wait for it, so it knows more than they. */
function loaderWhy({ seen, about }: Scene): Why | undefined {
  for (const pod of seen.pods.filter((one) => labelOf(one, COMPONENT_LABEL) === LOADER)) {
    if (textAt(pod, 'status', 'phase') === 'Succeeded' || isTerminating(pod)) continue;
    const cause = podCause(pod, aboutObject(about, pod));
    if (cause?.failed === true) return whyOf(cause, `Pod/${nameOf(pod)}`);
  }
  return undefined;
}

interface Counts {
  readonly desired: number;
  readonly current: number;
  readonly updated: number;
}

/**
 * A status that is older than what was asked for says nothing of the newest revision: neither when
 * the controller has not seen the Deployment yet, nor when the Deployment is not yet that of the
 * definition.
 */
function isBehind(deployment: Plain, { hash }: Held): boolean {
  const asked = numberAt(deployment, 'metadata', 'generation') ?? 0;
  const applied = textAt(deployment, 'metadata', 'annotations', HASH_ANNOTATION);
  const seen = numberAt(deployment, 'status', 'observedGeneration') ?? 0;
  return seen < asked || (applied !== undefined && applied !== hash);
}

function countsOf(deployment: Plain | undefined, arm: Arm, held: Held): Counts {
  if (deployment === undefined) {
    const desired = held.deleting ? 0 : Math.max(1, arm.scaling.minReplicas);
    return { desired, current: 0, updated: 0 };
  }
  const count = (field: string): number => numberAt(deployment, 'status', field) ?? 0;
  return {
    desired: numberAt(deployment, 'spec', 'replicas') ?? 1,
    current: count('replicas'),
    updated: isBehind(deployment, held) ? 0 : count('updatedReplicas'),
  };
}

type Replicas = readonly ReplicaRecord[];

/** Only of an arm that is complete: before, its autoscaler has nothing to measure. */
function blindWhy({ seen, held }: Scene, arm: Arm, replicas: Replicas): Why | undefined {
  const autoscaler = find(seen.autoscalers, held.spec, arm.name);
  if (autoscaler === undefined) return undefined;
  const settledAt = Math.max(...replicas.map(({ since }) => since));
  const cause = autoscalerCause(autoscaler, settledAt, seen.now);
  return cause && whyOf(cause, `HorizontalPodAutoscaler/${nameOf(autoscaler)}`);
}

function armWhy(scene: Scene, arm: Arm, counts: Counts, replicas: Replicas): Why | undefined {
  const { desired, current, updated } = counts;
  const deployment = find(scene.seen.deployments, scene.held.spec, arm.name);
  if (deployment === undefined || desired === 0) return undefined;
  const cause = deploymentCause(deployment, scene.noticed);
  if (cause !== undefined) return whyOf(cause, `Deployment/${nameOf(deployment)}`);
  const ready = replicas.filter(({ phase }) => phase === 'ready');
  if (ready.length < desired) return scene.held.spec.cache && loaderWhy(scene);
  return current === desired && updated === desired ? blindWhy(scene, arm, ready) : undefined;
}

function armRecord(scene: Scene, arm: Arm, all: Replicas): ArmRecord {
  const replicas = all.filter((replica) => replica.arm === arm.name);
  const counts = countsOf(find(scene.seen.deployments, scene.held.spec, arm.name), arm, scene.held);
  const why = armWhy(scene, arm, counts, replicas);
  const ready = replicas.filter(({ phase }) => phase === 'ready').length;
  return { name: arm.name, version: arm.version, ...counts, ready, ...(why && { why }) };
}

/**
 * What became of a definition on Kubernetes. Pure, and never throws: odd objects tell less. `ready`
 * is what can be routed to now, from the pods; the other counts are the Deployment's.
 */
export function recordOf(held: Held, seen: Observed): ModelRecord {
  const noticed = noticedOf(seen.events);
  const measured = new Map(seen.metrics?.map((one) => [nameOf(one), one]));
  const scene: Scene = { held, seen, noticed, about: byName(noticed), measured };
  const names = new Set([
    ...held.spec.arms.map(({ name }) => name),
    // Arms that the definition has no more, on their way out.
    ...seen.pods.map(armOf).filter((name) => name !== undefined),
  ]);
  const replicas = [...names].flatMap((name) => replicasOf(scene, name));
  const arms = held.spec.arms.map((arm) => armRecord(scene, arm, replicas));
  return { ...held, arms, replicas };
}
