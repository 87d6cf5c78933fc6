import type { KubeObject } from '../../objects';
import { canonical } from '../../spec';
import { isObject } from '../../spec/entry';
import type { ModelChange, ModelState } from '../change';
import { containersOf, listAt, podOf, valueAt } from '../change';
import type { FoundRisk, PlanRule } from './rule';
import { listed, quoted } from './rule';

function policiesOf(state: ModelState | undefined): readonly KubeObject[] {
  return (state?.objects ?? []).filter(({ kind }) => kind === 'NetworkPolicy');
}

type Way = 'egress' | 'ingress';

/**
 * What policies of one side let through, as text: a peer and a port; of callers only the peer,
 * since the ports are those of the server.
 */
function allowed(state: ModelState | undefined, way: Way): ReadonlySet<string> {
  const text = (value: unknown): string => JSON.stringify(canonical(value));
  const rules = policiesOf(state).flatMap((policy) => listAt(policy, 'spec', way));
  const pairs = rules.flatMap((rule) => {
    const peers = listAt(rule, way === 'egress' ? 'to' : 'from');
    const places = peers.length === 0 ? ['anywhere'] : peers.map(text);
    if (way === 'ingress') return places;
    const ports = listAt(rule, 'ports');
    const doors = ports.length === 0 ? ['every port'] : ports.map(portText);
    return places.flatMap((place) => doors.map((door) => `${place} ${door}`));
  });
  return new Set(pairs);
}

function portText(port: unknown): string {
  const number = valueAt(port, 'port');
  return `${String(valueAt(port, 'protocol') ?? 'TCP')} ${String(number ?? 'every port')}`;
}

function widened(change: ModelChange, way: Way): readonly FoundRisk[] {
  const { before, after } = change;
  if (before === undefined || after === undefined || policiesOf(before).length === 0) return [];
  const path = `environment.networkPolicy`;
  if (policiesOf(after).length === 0) {
    const reason =
      'its network policy goes: every pod of the cluster may call it, and it may call every host';
    return [{ path, reason, fix: 'keep the policy, and name the peers that are missing' }];
  }
  const old = allowed(before, way);
  const fresh = [...allowed(after, way)].filter((pair) => !old.has(pair));
  if (fresh.length === 0) return [];
  const who = way === 'egress' ? 'its pods may connect to' : 'its pods may be called by';
  const reason = `${who} ${listed(fresh.slice(0, 4))}${fresh.length > 4 ? ` and ${fresh.length - 4} more` : ''}, which was refused before`;
  const fix =
    way === 'egress' ? 'narrow it by `networkPolicy.artifactCidrs`' : 'name pods by labels';
  return [{ path, reason, fix }];
}

export const egressWidened: PlanRule = {
  id: 'egress-widened',
  severity: 'high',
  when: 'pods may connect to more places or ports, or the network policy goes',
  check: (change) => widened(change, 'egress'),
};

export const ingressWidened: PlanRule = {
  id: 'ingress-widened',
  severity: 'medium',
  when: 'more callers may reach the pods, past the router',
  check: (change) => {
    const { before, after } = change;
    // Without a policy the rule of egress speaks; in another namespace all peers are others.
    const isMoved = before?.environment.namespace !== after?.environment.namespace;
    return policiesOf(after).length === 0 || isMoved ? [] : widened(change, 'ingress');
  },
};

const REFERENCES = new Set(['secretName', 'secretRef', 'secretKeyRef']);

/** Names of Secrets anywhere in an object. */
function secretsIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(secretsIn);
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    if (key === 'imagePullSecrets' && Array.isArray(inner)) {
      return inner.map((one) => String(valueAt(one, 'name')));
    }
    if (!REFERENCES.has(key)) return secretsIn(inner);
    const name = isObject(inner) ? valueAt(inner, 'name') : inner;
    return typeof name === 'string' ? [name] : [];
  });
}

function secretsOf(state: ModelState | undefined): ReadonlySet<string> {
  const objects = (state?.objects ?? []).filter(
    ({ kind }) => kind === 'Deployment' || kind === 'Job',
  );
  return new Set(objects.flatMap(secretsIn));
}

export const newSecret: PlanRule = {
  id: 'new-secret',
  severity: 'medium',
  when: 'pods read a Secret that they did not read before',
  check: ({ before, after }) => {
    const old = secretsOf(before);
    const fresh = [...secretsOf(after)].filter((name) => !old.has(name));
    if (fresh.length === 0) return [];
    return [
      {
        path: 'env',
        reason: `its pods read the Secret ${listed(fresh)}; without it in the namespace they do not start`,
        fix: 'create it first, with the keys of this model alone',
      },
    ];
  },
};

interface Guard {
  readonly what: string;
  readonly holds: (pod: unknown, container: unknown) => boolean;
}

const security = (value: unknown, key: string): unknown => valueAt(value, 'securityContext', key);

/** What the security context of a pod promises. */
const GUARDS: readonly Guard[] = [
  {
    what: 'may run as root',
    holds: (pod, one) => (security(one, 'runAsNonRoot') ?? security(pod, 'runAsNonRoot')) === true,
  },
  {
    what: 'may write to its root',
    holds: (_, one) => security(one, 'readOnlyRootFilesystem') === true,
  },
  {
    what: 'may gain privileges',
    holds: (_, one) => security(one, 'allowPrivilegeEscalation') === false,
  },
  { what: 'keeps capabilities', holds: (_, one) => dropsAll(one) },
  {
    what: 'has no seccomp profile',
    holds: (pod, one) =>
      (security(one, 'seccompProfile') ?? security(pod, 'seccompProfile')) !== undefined,
  },
  { what: 'is privileged', holds: (_, one) => security(one, 'privileged') !== true },
  { what: 'uses the network of its node', holds: (pod) => valueAt(pod, 'hostNetwork') !== true },
  {
    what: 'mounts folders of its node',
    holds: (pod) => listAt(pod, 'volumes').every((one) => valueAt(one, 'hostPath') === undefined),
  },
];

function dropsAll(container: unknown): boolean {
  const capabilities = security(container, 'capabilities');
  return listAt(capabilities, 'drop').includes('ALL') && listAt(capabilities, 'add').length === 0;
}

/** Guards that every container of a side has. */
function guardsOf(state: ModelState): readonly Guard[] {
  const deployments = state.objects.filter(({ kind }) => kind === 'Deployment');
  return GUARDS.filter(({ holds }) =>
    deployments.every((deployment) =>
      containersOf(deployment).every((container) => holds(podOf(deployment), container)),
    ),
  );
}

export const securityWeakened: PlanRule = {
  id: 'security-weakened',
  severity: 'high',
  when: 'containers lose a restriction: root, a writable root, privileges, capabilities, the node',
  check: ({ before, after }) => {
    if (before === undefined || after === undefined) return [];
    const kept = new Set(guardsOf(after));
    const lost = guardsOf(before).filter((guard) => !kept.has(guard));
    if (lost.length === 0) return [];
    const what = lost.map((guard) => guard.what).join(', ');
    return [
      {
        path: 'overrides.Deployment',
        reason: `a container ${what}, which none did before`,
        fix: `keep ${quoted('podSecurity: restricted')}, and change the image`,
      },
    ];
  },
};
