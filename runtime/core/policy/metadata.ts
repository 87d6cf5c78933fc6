import { armPath, canonical, fault, gpuOf } from '../../../lib/spec';
import { pathText } from '../../../lib/spec/path';
import type { PolicyRule, Subject, Violation } from './context';
import { fieldOf, isListedKey } from './context';
import type { Wrong } from './grants';
import { granted } from './grants';

// Keys with effects in a cluster: webhooks inject sidecars and credentials by labels and
// annotations, Services and NetworkPolicies select by labels, schedulers by keys of nodes. Other
// keys belong in Git, or in the configuration.

/** Labels for people and billing. */
const LABELS: readonly string[] = [
  'team',
  'owner',
  'project',
  'product',
  'department',
  'cost-center',
  'stage',
  'tier',
  'contact',
  'purpose',
];

const METADATA_FIX = 'put it in Git, or have kubernetes.allowed_metadata extended';

const labels: PolicyRule = ({ spec, rules, environment }) => {
  const ours = new Set(['app', ...Object.keys(environment.runtime.labels)]);
  const known = [...LABELS, ...(rules.metadata ?? [])];
  return Object.entries(spec.labels).flatMap(([key, value]) => {
    if (isListedKey(known, key) && !ours.has(key)) return [];
    const allowed = ours.has(key)
      ? 'absent: the service’s own pods are found by it'
      : `one of ${known.join(', ')}`;
    return granted(spec.arms, [pathText(['labels', key]), value, allowed, METADATA_FIX]);
  });
};

/**
 * Keys without a prefix are private to the user (Kubernetes, "Labels and Selectors"). Container
 * runtimes use dots: `io.kubernetes.cri-o.Devices`.
 */
const isPrivate = (key: string): boolean => !/[./]/.test(key);

const annotations: PolicyRule = ({ spec, rules }) =>
  Object.entries(spec.annotations).flatMap(([key, value]) => {
    if (isPrivate(key) || isListedKey(rules.metadata ?? [], key)) return [];
    const allowed = 'a plain name: something in the cluster may act on a prefix';
    return granted(spec.arms, [pathText(['annotations', key]), value, allowed, METADATA_FIX]);
  });

function violation([path, got, allowed, fix]: Wrong): Violation {
  const id = JSON.stringify(canonical([fieldOf(path), got]));
  return { id, fault: fault(path, got, allowed, fix) };
}

/** Keys that distinguish nodes and do not open reserved ones. */
const NODE_KEYS: readonly string[] = [
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'cloud.google.com/gke-accelerator',
];

const NODE_FIX = 'put it in Git, or have kubernetes.allowed_nodes extended';

function selectableKeys({ environment, rules }: Subject): readonly string[] {
  const { productLabel, nodeSelector } = environment.gpu;
  return [...NODE_KEYS, productLabel, ...Object.keys(nodeSelector), ...(rules.nodes ?? [])];
}

const nodeSelectors: PolicyRule = (subject) => {
  const known = selectableKeys(subject);
  const allowed = `one of ${known.join(', ')}`;
  return Object.entries(subject.spec.scheduling.nodeSelector).flatMap(([key, value]) => {
    if (isListedKey(known, key)) return [];
    return [violation([pathText(['scheduling', 'nodeSelector', key]), value, allowed, NODE_FIX])];
  });
};

const GPU_RESOURCES =
  /^(?:nvidia\.com\/(?:gpu|mig-[a-z0-9.-]+)|amd\.com\/gpu|gpu\.intel\.com\/(?:i915|xe)|google\.com\/tpu|aws\.amazon\.com\/neuron(?:core|device)?|habana\.ai\/gaudi|huawei\.com\/Ascend[A-Za-z0-9]*)$/;

/** A toleration without a key tolerates everything, the control plane included. */
const tolerations: PolicyRule = ({ spec, environment, rules }) => {
  const known = [
    ...environment.gpu.tolerations.flatMap(({ key }) => key ?? []),
    ...(rules.nodes ?? []),
  ];
  const allowed = `with the key of a GPU’s taint, or one of ${known.join(', ')}`;
  return spec.scheduling.tolerations.flatMap((one, index) => {
    const { key } = one;
    if (key !== undefined && (isListedKey(known, key) || GPU_RESOURCES.test(key))) return [];
    const path = pathText(['scheduling', 'tolerations', index]);
    // Identified without its index: other tolerations may precede it now.
    const id = JSON.stringify(canonical(['toleration', one]));
    return [{ id, fault: fault(path, one, allowed, NODE_FIX) }];
  });
};

const CLASS_FIX = 'put it in Git, or have kubernetes.allowed_classes extended';

const classes: PolicyRule = ({ spec, rules }) => {
  const asked = [
    ['scheduling.priorityClass', spec.scheduling.priorityClass],
    ['scheduling.runtimeClass', spec.scheduling.runtimeClass],
    ['cache.storageClass', spec.cache?.storageClass],
  ] as const;
  const known = rules.classes ?? [];
  const allowed = known.length === 0 ? 'absent' : `one of ${known.join(', ')}`;
  return asked.flatMap(([path, name]) =>
    name === undefined || known.includes(name) ? [] : [violation([path, name, allowed, CLASS_FIX])],
  );
};

/** Extended resources are devices: REST may request those of the kind of a GPU only. */
const devices: PolicyRule = ({ spec, environment }) =>
  spec.arms.flatMap((arm) => {
    const resource = gpuOf(arm.resources)?.resource;
    if (resource === undefined || resource === environment.gpu.resource) return [];
    if (GPU_RESOURCES.test(resource)) return [];
    const path = armPath(spec, arm, 'resources.gpu.resource');
    return [violation([path, resource, 'a resource of GPUs', 'put it in Git'])];
  });

export const METADATA_RULES: readonly PolicyRule[] = [
  labels,
  annotations,
  nodeSelectors,
  tolerations,
  classes,
  devices,
];
