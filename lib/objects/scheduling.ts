import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Environment, ModelSpec, Scheduling, Toleration } from '../spec';
import { gpuOf } from '../spec';
import type { Plain } from './kube';
import { selectorOf } from './labels';

type Pod = Plain<k8s.PodSpec>;

const TOPOLOGY_KEYS: Readonly<Record<Scheduling['topologySpread'], readonly string[]>> = {
  zone: ['topology.kubernetes.io/zone'],
  host: ['kubernetes.io/hostname'],
  both: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'],
  none: [],
};

function spread(spec: ModelSpec, arm: Arm): Pick<Pod, 'topologySpreadConstraints'> {
  const keys = TOPOLOGY_KEYS[spec.scheduling.topologySpread];
  if (keys.length === 0) return {};
  return {
    topologySpreadConstraints: keys.map((topologyKey) => ({
      maxSkew: 1,
      topologyKey,
      // A preference: a replica on a crowded node serves more than a pending one.
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: selectorOf(spec, arm) },
    })),
  };
}

/** Marks of preemptible nodes in the usual clouds: labels to prefer, taints to tolerate. */
const SPOT_LABELS: readonly (readonly [string, string])[] = [
  ['karpenter.sh/capacity-type', 'spot'],
  ['eks.amazonaws.com/capacityType', 'SPOT'],
  ['cloud.google.com/gke-spot', 'true'],
  ['kubernetes.azure.com/scalesetpriority', 'spot'],
];
const SPOT_TAINTS: readonly Toleration[] = [
  { key: 'cloud.google.com/gke-spot', operator: 'Equal', value: 'true', effect: 'NoSchedule' },
  {
    key: 'kubernetes.azure.com/scalesetpriority',
    operator: 'Equal',
    value: 'spot',
    effect: 'NoSchedule',
  },
];

function spotAffinity({ spot }: Scheduling): Pick<Pod, 'affinity'> {
  if (!spot) return {};
  return {
    affinity: {
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: SPOT_LABELS.map(([key, value]) => ({
          weight: 100,
          preference: { matchExpressions: [{ key, operator: 'In', values: [value] }] },
        })),
      },
    },
  };
}

function nodeSelector(spec: ModelSpec, arm: Arm, { gpu: nodes }: Environment) {
  const gpu = gpuOf(arm.resources);
  return {
    ...(gpu !== undefined && nodes.nodeSelector),
    ...(gpu?.product !== undefined && { [nodes.productLabel]: gpu.product }),
    ...spec.scheduling.nodeSelector,
  };
}

function tolerations(spec: ModelSpec, arm: Arm, { gpu }: Environment): readonly Toleration[] {
  const all = [
    ...(gpuOf(arm.resources) === undefined ? [] : gpu.tolerations),
    ...(spec.scheduling.spot ? SPOT_TAINTS : []),
    ...spec.scheduling.tolerations,
  ];
  const different = new Map(all.map((one) => [JSON.stringify(one), one]));
  return [...different.values()];
}

/** Where the pods of an arm may run, and how they are spread. */
export function schedulingOf(spec: ModelSpec, arm: Arm, environment: Environment): Partial<Pod> {
  const { priorityClass, runtimeClass } = spec.scheduling;
  const selector = nodeSelector(spec, arm, environment);
  const tolerated = tolerations(spec, arm, environment);
  return {
    ...(Object.keys(selector).length > 0 && { nodeSelector: selector }),
    ...(tolerated.length > 0 && { tolerations: tolerated }),
    ...spotAffinity(spec.scheduling),
    ...spread(spec, arm),
    ...(priorityClass !== undefined && { priorityClassName: priorityClass }),
    ...(runtimeClass !== undefined && { runtimeClassName: runtimeClass }),
  };
}
