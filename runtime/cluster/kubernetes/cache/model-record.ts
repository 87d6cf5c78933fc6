import { ARM_LABEL, HASH_ANNOTATION } from '../../../../lib/objects';
import type { Arm, ModelSpec } from '../../../../lib/spec';
import { armObjectName } from '../../../../lib/spec';
import type { ArmRecord, ModelRecord, ReplicaRecord, Why } from '../../port';
import { whyOf } from '../diagnosis/cause';
import type { ObjectEvent, EventsByName } from './object-events';
import { eventsAbout, eventsByName, eventsOf } from './object-events';
import type { RawObject } from '../client/object-fields';
import { createdAt, labelOf, nameOf, numberAt, textAt } from '../client/object-fields';
import { isFinished, isReady, isTerminating, replicaOf } from './replica-record';
import { podCause } from '../diagnosis/pod-cause';
import { autoscalerCause, deploymentCause, missedDeadline } from '../diagnosis/arm-cause';

/** The objects of one model, as the watches hold them. */
export interface ObservedObjects {
  readonly deployments: readonly RawObject[];
  /** Selected by the model's label: replicas and the pods that load its cache. */
  readonly pods: readonly RawObject[];
  readonly autoscalers: readonly RawObject[];
  /** Events of other objects are ignored. */
  readonly events: readonly RawObject[];
  /** PodMetrics, where the cluster has metrics-server. */
  readonly metrics?: readonly RawObject[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The part of a record that comes from the definition. */
export type DefinitionRecord = Omit<ModelRecord, 'arms' | 'replicas'>;

interface RecordInput {
  readonly held: DefinitionRecord;
  readonly observed: ObservedObjects;
  readonly events: readonly ObjectEvent[];
  readonly eventsByObject: EventsByName;
  /** PodMetrics by the pod's name, because they do not contain its uid. */
  readonly metricsByPod: ReadonlyMap<string, RawObject>;
}

const COMPONENT_LABEL = 'app.kubernetes.io/component';
const LOADER = 'model-cache';

const armOf = (pod: RawObject): string | undefined =>
  labelOf(pod, COMPONENT_LABEL) === LOADER ? undefined : labelOf(pod, ARM_LABEL);

const find = (
  objects: readonly RawObject[],
  { id }: ModelSpec,
  arm: string,
): RawObject | undefined => objects.find((object) => nameOf(object) === armObjectName(id, arm));

/**
 * The pods of an arm. Finished pods (evicted, refused by their node) stay until they are collected:
 * only the newest is shown, and only while the arm lacks a replica.
 */
function podsOf({ observed, held }: RecordInput, arm: string): readonly RawObject[] {
  const own = observed.pods.filter((pod) => armOf(pod) === arm);
  const living = own.filter((pod) => !isFinished(pod));
  const deployment = find(observed.deployments, held.spec, arm);
  const wanted = numberAt(deployment, 'spec', 'replicas') ?? 1;
  if (deployment === undefined || living.filter(isReady).length >= wanted) return living;
  const over = own.filter((pod) => isFinished(pod) && !isTerminating(pod));
  const last = over.toSorted((a, b) => createdAt(b) - createdAt(a))[0];
  return last === undefined ? living : [...living, last];
}

function replicasOf(input: RecordInput, name: string): readonly ReplicaRecord[] {
  const { held, observed, eventsByObject, metricsByPod } = input;
  const deployment = find(observed.deployments, held.spec, name);
  const late = deployment !== undefined && missedDeadline(deployment) !== undefined;
  const arm = held.spec.arms.find((one) => one.name === name);
  return podsOf(input, name).map((pod) => {
    const cause = podCause(pod, eventsAbout(eventsByObject, pod));
    return replicaOf(pod, { arm, cause, late, metrics: metricsByPod.get(nameOf(pod)) });
  });
}

/** The cause of a failed Job that fills the cache, for which the replicas wait. */
function loaderWhy({ observed, eventsByObject }: RecordInput): Why | undefined {
  for (const pod of observed.pods.filter((one) => labelOf(one, COMPONENT_LABEL) === LOADER)) {
    if (textAt(pod, 'status', 'phase') === 'Succeeded' || isTerminating(pod)) continue;
    const cause = podCause(pod, eventsAbout(eventsByObject, pod));
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
 * The status does not describe the newest revision: the controller has not observed the Deployment
 * yet, or the Deployment was rendered from an older definition.
 */
function isBehind(deployment: RawObject, { hash }: DefinitionRecord): boolean {
  const asked = numberAt(deployment, 'metadata', 'generation') ?? 0;
  const applied = textAt(deployment, 'metadata', 'annotations', HASH_ANNOTATION);
  const observed = numberAt(deployment, 'status', 'observedGeneration') ?? 0;
  return observed < asked || (applied !== undefined && applied !== hash);
}

function countsOf(deployment: RawObject | undefined, arm: Arm, held: DefinitionRecord): Counts {
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

/** Only for a complete arm: before that its autoscaler has no metrics. */
function blindWhy({ observed, held }: RecordInput, arm: Arm, replicas: Replicas): Why | undefined {
  const autoscaler = find(observed.autoscalers, held.spec, arm.name);
  if (autoscaler === undefined) return undefined;
  const settledAt = Math.max(...replicas.map(({ since }) => since));
  const cause = autoscalerCause(autoscaler, settledAt, observed.now);
  return cause && whyOf(cause, `HorizontalPodAutoscaler/${nameOf(autoscaler)}`);
}

function armWhy(input: RecordInput, arm: Arm, counts: Counts, replicas: Replicas): Why | undefined {
  const { desired, current, updated } = counts;
  const deployment = find(input.observed.deployments, input.held.spec, arm.name);
  if (deployment === undefined || desired === 0) return undefined;
  const cause = deploymentCause(deployment, input.events);
  if (cause !== undefined) return whyOf(cause, `Deployment/${nameOf(deployment)}`);
  const ready = replicas.filter(({ phase }) => phase === 'ready');
  if (ready.length < desired) return input.held.spec.cache && loaderWhy(input);
  return current === desired && updated === desired ? blindWhy(input, arm, ready) : undefined;
}

function armRecord(input: RecordInput, arm: Arm, all: Replicas): ArmRecord {
  const replicas = all.filter((replica) => replica.arm === arm.name);
  const counts = countsOf(
    find(input.observed.deployments, input.held.spec, arm.name),
    arm,
    input.held,
  );
  const why = armWhy(input, arm, counts, replicas);
  const ready = replicas.filter(({ phase }) => phase === 'ready').length;
  return { name: arm.name, version: arm.version, ...counts, ready, ...(why && { why }) };
}

/**
 * The record of a model from its objects. Pure; unexpected objects give less detail and never
 * throw. `ready` counts pods that can be routed to; the other counts are the Deployment's.
 */
export function recordOf(held: DefinitionRecord, observed: ObservedObjects): ModelRecord {
  const events = eventsOf(observed.events);
  const metricsByPod = new Map(observed.metrics?.map((one) => [nameOf(one), one]));
  const input: RecordInput = {
    held,
    observed,
    events,
    eventsByObject: eventsByName(events),
    metricsByPod,
  };
  const names = new Set([
    ...held.spec.arms.map(({ name }) => name),
    // Arms that the definition no longer has and that still have pods.
    ...observed.pods.map(armOf).filter((name) => name !== undefined),
  ]);
  const replicas = [...names].flatMap((name) => replicasOf(input, name));
  const arms = held.spec.arms.map((arm) => armRecord(input, arm, replicas));
  return { ...held, arms, replicas };
}
