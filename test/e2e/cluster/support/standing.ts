import type { KubeApi, KubeObject } from '../../../../runtime/cluster/kubernetes/client/api';
import { KubeError } from '../../../../runtime/cluster/kubernetes/client/api-error';
import type { Resource } from '../../../../runtime/cluster/kubernetes/client/resources';
import { API_SERVICE, RESOURCES } from '../../../../runtime/cluster/kubernetes/client/resources';

// What stands in a cluster, so that a test can say that nothing appeared and nothing changed.

const of = (group: string, version: string, plural: string): Resource => ({
  group,
  version,
  plural,
  kind: plural,
});

const RBAC = 'rbac.authorization.k8s.io';
const HOOKS = 'admissionregistration.k8s.io';

/** What is written all the time, or measured. */
const RESTLESS: ReadonlySet<string> = new Set(['Event', 'Lease', 'PodMetrics']);

const NAMESPACED: readonly Resource[] = [
  ...Object.values(RESOURCES).filter(({ kind }) => !RESTLESS.has(kind)),
  of('', 'v1', 'secrets'),
  of('', 'v1', 'resourcequotas'),
  of('apps', 'v1', 'daemonsets'),
  of('apps', 'v1', 'replicasets'),
  of('apps', 'v1', 'statefulsets'),
  of('batch', 'v1', 'cronjobs'),
  of('networking.k8s.io', 'v1', 'ingresses'),
  of(RBAC, 'v1', 'roles'),
  of(RBAC, 'v1', 'rolebindings'),
];

const CLUSTER_WIDE: readonly Resource[] = [
  of('', 'v1', 'namespaces'),
  of('', 'v1', 'persistentvolumes'),
  of(RBAC, 'v1', 'clusterroles'),
  of(RBAC, 'v1', 'clusterrolebindings'),
  of(HOOKS, 'v1', 'mutatingwebhookconfigurations'),
  of(HOOKS, 'v1', 'validatingwebhookconfigurations'),
  of('scheduling.k8s.io', 'v1', 'priorityclasses'),
  API_SERVICE,
];

export type Standing = Readonly<Record<string, string>>;

/** Without what controllers write about it; pods come and go by their controllers alone. */
function printOf({ plural }: Resource, object: KubeObject): string {
  const { managedFields: _, resourceVersion: __, ...metadata } = object.metadata;
  if (plural === 'pods') return metadata.uid ?? '';
  return JSON.stringify({ ...object, metadata, status: undefined });
}

/** None of a kind that the cluster does not have. */
async function itemsOf(
  api: KubeApi,
  resource: Resource,
  namespace: string,
): Promise<readonly KubeObject[]> {
  try {
    return (await api.list(resource, namespace)).items;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return [];
    throw error;
  }
}

async function listed(
  api: KubeApi,
  resources: readonly Resource[],
  namespace: string,
): Promise<readonly (readonly [string, string])[]> {
  const lists = resources.map(async (resource) => {
    const items = await itemsOf(api, resource, namespace);
    return items.map((object) => {
      const { namespace: where = '', name } = object.metadata;
      return [`${resource.plural}/${where}/${name}`, printOf(resource, object)] as const;
    });
  });
  return (await Promise.all(lists)).flat();
}

/** Everything in a namespace. */
export async function standingIn(api: KubeApi, namespace: string): Promise<Standing> {
  return Object.fromEntries(await listed(api, NAMESPACED, namespace));
}

/** Everything outside it that speaks of it or of one of these words; other suites are at work, too. */
export async function standingBeside(
  api: KubeApi,
  namespace: string,
  words: RegExp,
): Promise<Standing> {
  const all = await listed(api, [...NAMESPACED, ...CLUSTER_WIDE], '');
  const speaks = ([name, print]: readonly [string, string]): boolean =>
    !name.includes(`/${namespace}/`) && (words.test(name) || print.includes(namespace));
  return Object.fromEntries(all.filter(speaks));
}
