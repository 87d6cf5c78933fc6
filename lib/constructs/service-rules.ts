import type { RolePolicyRule } from 'cdk8s-plus-28';

/** `rest`: the service applies definitions. `gitops`: it reads them, and only scales and stops. */
export type ServiceMode = 'rest' | 'gitops';

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'patch', 'delete'];

/** Kinds that `objectsOf` makes, by API group. */
const KINDS: readonly (readonly [string, readonly string[]])[] = [
  ['', ['configmaps', 'services', 'serviceaccounts', 'persistentvolumeclaims']],
  ['apps', ['deployments']],
  ['autoscaling', ['horizontalpodautoscalers']],
  ['batch', ['jobs']],
  ['networking.k8s.io', ['networkpolicies']],
  ['policy', ['poddisruptionbudgets']],
];
const OPERATOR_KINDS: (typeof KINDS)[number] = [
  'monitoring.coreos.com',
  ['podmonitors', 'prometheusrules'],
];

/** A rule for a resource: for the one object `name`, or for all. */
const rule = (
  apiGroup: string,
  resourceTypes: readonly string[],
  verbs: readonly string[],
  name?: string,
): RolePolicyRule => ({
  verbs: [...verbs],
  resources: resourceTypes.map((resourceType) => ({
    apiGroup,
    resourceType,
    ...(name !== undefined && { resourceName: name }),
  })),
});

/** Rights in a namespace with models. A Role cannot name objects that do not exist yet. */
export function modelRules(mode: ServiceMode, operator: boolean): RolePolicyRule[] {
  const kinds = operator ? [...KINDS, OPERATOR_KINDS] : KINDS;
  const verbs = mode === 'rest' ? [...READ, ...WRITE] : READ;
  return [
    rule('', ['pods', 'events'], READ),
    ...kinds.map(([group, resources]) => rule(group, resources, verbs)),
    // History of applied definitions; in gitops mode Git holds it.
    ...(mode === 'rest' ? [rule('apps', ['controllerrevisions'], verbs)] : []),
    // Stopping, and scaling to zero and back.
    rule('apps', ['deployments/scale'], ['get', 'patch', 'update']),
    rule('metrics.k8s.io', ['pods'], ['get', 'list']),
    rule('', ['events'], ['create']),
  ];
}

/** Rights in the namespace of the routers: find peers. */
export const routerRules = (): RolePolicyRule[] => [rule('', ['pods'], READ)];

/** Rights in the namespace of new models: elect a leader, store overrides. */
export function stateRules(lease: string, state: string): RolePolicyRule[] {
  return [
    rule('coordination.k8s.io', ['leases'], ['get', 'update', 'patch'], lease),
    rule('', ['configmaps'], [...READ, 'patch'], state),
  ];
}
