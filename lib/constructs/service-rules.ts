import type { RolePolicyRule } from 'cdk8s-plus-28';

/** `rest`: the service applies what it is asked to. `gitops`: it only reads, and acts in emergencies. */
export type ServiceMode = 'rest' | 'gitops';

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'patch', 'delete'];

/** The kinds `objectsOf` makes, by API group. */
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

/** `name` is that of the one object that is meant; without it all of the kind are. */
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

/** What the service may do in a namespace with models. Roles cannot name what does not exist yet. */
export function modelRules(mode: ServiceMode, operator: boolean): RolePolicyRule[] {
  const kinds = operator ? [...KINDS, OPERATOR_KINDS] : KINDS;
  const verbs = mode === 'rest' ? [...READ, ...WRITE] : READ;
  return [
    rule('', ['pods', 'events'], READ),
    ...kinds.map(([group, resources]) => rule(group, resources, verbs)),
    // History of what was applied; in gitops mode Git has it.
    ...(mode === 'rest' ? [rule('apps', ['controllerrevisions'], verbs)] : []),
    // Stopping, and scaling to zero and back.
    rule('apps', ['deployments/scale'], ['get', 'patch', 'update']),
    rule('metrics.k8s.io', ['pods'], ['get', 'list']),
    rule('', ['events'], ['create']),
  ];
}

/** What it may do in its own namespace: find its peers, elect a leader, remember. */
export function ownRules(lease: string, state: string): RolePolicyRule[] {
  return [
    rule('', ['pods'], READ),
    rule('coordination.k8s.io', ['leases'], ['get', 'update', 'patch'], lease),
    rule('', ['configmaps'], [...READ, 'patch'], state),
  ];
}
