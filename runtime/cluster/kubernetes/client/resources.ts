/** A resource of the API. The core group is ''. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

function resource(apiVersion: string, plural: string, kind: string): Resource {
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  return { group, version, plural, kind };
}

const MONITORING = 'monitoring.coreos.com/v1';

/** Every kind that the service reads or writes. */
export const RESOURCES = {
  ConfigMap: resource('v1', 'configmaps', 'ConfigMap'),
  ControllerRevision: resource('apps/v1', 'controllerrevisions', 'ControllerRevision'),
  Deployment: resource('apps/v1', 'deployments', 'Deployment'),
  Event: resource('v1', 'events', 'Event'),
  HorizontalPodAutoscaler: resource(
    'autoscaling/v2',
    'horizontalpodautoscalers',
    'HorizontalPodAutoscaler',
  ),
  Job: resource('batch/v1', 'jobs', 'Job'),
  Lease: resource('coordination.k8s.io/v1', 'leases', 'Lease'),
  NetworkPolicy: resource('networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy'),
  PersistentVolumeClaim: resource('v1', 'persistentvolumeclaims', 'PersistentVolumeClaim'),
  Pod: resource('v1', 'pods', 'Pod'),
  PodDisruptionBudget: resource('policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget'),
  PodMetrics: resource('metrics.k8s.io/v1beta1', 'pods', 'PodMetrics'),
  PodMonitor: resource(MONITORING, 'podmonitors', 'PodMonitor'),
  PrometheusRule: resource(MONITORING, 'prometheusrules', 'PrometheusRule'),
  Service: resource('v1', 'services', 'Service'),
  ServiceAccount: resource('v1', 'serviceaccounts', 'ServiceAccount'),
} as const satisfies Readonly<Record<string, Resource>>;

/** Cluster-scoped, so its namespace is ''; only read. */
export const API_SERVICE = resource('apiregistration.k8s.io/v1', 'apiservices', 'APIService');

export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`;
}

/**
 * The resource of an object.
 * @throws Error when its kind is not one of `RESOURCES`
 */
export function resourceOf({
  apiVersion,
  kind,
}: {
  readonly apiVersion: string;
  readonly kind: string;
}): Resource {
  const known: readonly Resource[] = Object.values(RESOURCES);
  const found = known.find((one) => one.kind === kind && apiVersionOf(one) === apiVersion);
  if (found !== undefined) return found;
  const allowed = known.map((one) => `${apiVersionOf(one)} ${one.kind}`).join(', ');
  throw new Error(
    `no object of kind ${apiVersion} ${kind} may be written here; allowed: ${allowed}`,
  );
}
