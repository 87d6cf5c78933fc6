import { admitted } from '../kubectl';
import { kubectl, listOf } from './support/kubectl';
import type { Place } from './support/place';
import { install } from './support/place';

// What somebody can do who has stolen the token of the service.

let place: Place;
let kubeconfig: string;
beforeAll(async () => {
  place = await install('rights', { props: { minReplicas: 1, maxReplicas: 1 } });
  kubeconfig = admitted(place.namespace);
});
afterAll(() => place.end());

/** `apps/deployments/scale`: group, resource and subresource. */
function attributesOf(namespace: string, verb: string, what: string): object {
  const [group = '', resource = '', subresource = ''] = what.split('/');
  return { namespace, verb, group, resource, subresource };
}

/** Which of these the API server would let it do. */
async function allowed(wanted: readonly object[]): Promise<readonly object[]> {
  const reviews = wanted.map((resourceAttributes) => ({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  }));
  const answer = 'jsonpath={.status.allowed}{"\\n"}';
  const args = ['create', '--kubeconfig', kubeconfig, '-f', '-', '-o', answer];
  const said = (await kubectl(args, listOf(reviews))).trim().split('\n');
  expect(said).toHaveLength(wanted.length);
  return wanted.filter((_, index) => said[index] === 'true');
}

const RBAC = 'rbac.authorization.k8s.io';
const WRITES = ['create', 'update', 'patch', 'delete', 'deletecollection'];
const ALL = ['get', 'list', 'watch', ...WRITES];

const each = (verbs: readonly string[], ...resources: readonly string[]): readonly string[][] =>
  resources.flatMap((resource) => verbs.map((verb) => [verb, resource]));

const REFUSED: readonly (readonly string[])[] = [
  ...each(ALL, '/secrets', '/replicationcontrollers', `${RBAC}/roles`, `${RBAC}/rolebindings`),
  ...each(ALL, 'apps/daemonsets', 'apps/statefulsets', 'batch/cronjobs'),
  ...each(ALL, 'networking.k8s.io/ingresses', '/resourcequotas', '/limitranges', '/endpoints'),
  ...each(WRITES, '/pods'),
  ...each(['get', 'create'], '/pods/exec', '/pods/attach', '/pods/portforward', '/pods/proxy'),
  ...each(['get', 'create'], '/services/proxy'),
  ...each(['get'], '/pods/log'),
  ...each(['update', 'patch'], '/pods/ephemeralcontainers', '/pods/status'),
  ...each(['create'], '/serviceaccounts/token', '/pods/eviction', '/pods/binding'),
  ...each(['bind', 'escalate'], `${RBAC}/roles`, `${RBAC}/clusterroles`),
  ...each(['impersonate'], '/users', '/groups', '/serviceaccounts'),
  ...each(['update', 'deletecollection'], '/configmaps', 'apps/deployments', '/services'),
  ...each(['create', 'delete', 'list'], 'coordination.k8s.io/leases'),
];

const CLUSTER_WIDE: readonly (readonly string[])[] = [
  ...each(ALL, '/nodes', '/namespaces', '/persistentvolumes', '/secrets', '/pods', '/configmaps'),
  ...each(ALL, `${RBAC}/clusterroles`, `${RBAC}/clusterrolebindings`, 'apps/deployments'),
  ...each(ALL, 'apiregistration.k8s.io/apiservices'),
  ...each(ALL, 'apiextensions.k8s.io/customresourcedefinitions'),
  ...each(ALL, 'admissionregistration.k8s.io/mutatingwebhookconfigurations'),
  ...each(ALL, 'admissionregistration.k8s.io/validatingwebhookconfigurations'),
  ...each(ALL, 'certificates.k8s.io/certificatesigningrequests'),
  ...each(ALL, 'scheduling.k8s.io/priorityclasses', 'storage.k8s.io/storageclasses'),
  ...each(['get', 'create'], '/nodes/proxy'),
];

/** What it may at home, and nowhere else. */
const AT_HOME: readonly (readonly string[])[] = [
  ...each(['get', 'list', 'watch'], '/pods', '/events', '/configmaps', 'apps/deployments'),
  ...each(['create', 'patch', 'delete'], '/configmaps', '/services', '/serviceaccounts'),
  ...each(['create', 'patch', 'delete'], 'apps/deployments', 'batch/jobs'),
  ...each(['patch'], 'apps/deployments/scale'),
];

const within = (namespace: string, all: readonly (readonly string[])[]): readonly object[] =>
  all.map(([verb = '', what = '']) => attributesOf(namespace, verb, what));

test('the token of the service has the rights of its Role, and none that lead further', async () => {
  const { namespace } = place;
  expect(await allowed(within(namespace, AT_HOME))).toHaveLength(AT_HOME.length);
  expect(await allowed(within(namespace, REFUSED))).toEqual([]);
});

test.each(['default', 'kube-system', ''])(
  'it has no rights in the namespace "%s"',
  async (namespace) => {
    const all = [...AT_HOME, ...REFUSED, ...CLUSTER_WIDE];
    expect(await allowed(within(namespace, all))).toEqual([]);
  },
);

test.each([
  ['its own Secret', 'get secret ai-model-service-keys'],
  ['all Secrets', 'get secrets'],
  ['more rights', 'create rolebinding more --clusterrole=admin --serviceaccount=default:default'],
  ['another Role', 'patch role ai-model-service-models -p {"rules":[]}'],
  ['a token of another account', 'create token default'],
  ['a command in a pod', 'exec deployment/ai-model-service -- /nothing'],
  ['a pod of its own', 'run mine --image=example.com/x:1'],
  ['the end of a pod', 'delete pod -l app=ai-model-service'],
  ['pods of others', 'get pods -n kube-system'],
  ['a Deployment elsewhere', 'create deployment mine --image=example.com/x:1 -n default'],
  ['nodes', 'get nodes'],
  ['impersonation', 'get pods --as=system:admin'],
])('the API server refuses: %s', async (_, line) => {
  const args = ['--kubeconfig', kubeconfig, ...line.split(' ')];
  const before = args.indexOf('--');
  const flags = line.includes(' -n ') ? [] : ['--namespace', place.namespace];
  const whole = before < 0 ? [...args, ...flags] : args.toSpliced(before, 0, ...flags);
  await expect(kubectl(whole)).rejects.toThrow(/forbidden/i);
});
