import type { ISecret } from 'cdk8s-plus-28';
import { CONCURRENCY_METRIC, QUEUE_METRIC } from '../objects/autoscaler';
import { base64 } from '../objects/base64';
import type { KubeObject, Metadata } from '../objects/kube';
import {
  METRICS_API_SERVICE,
  METRICS_GROUP,
  METRICS_SERVICE,
  METRICS_VERSION,
} from '../objects/metricsapi';
import type { Fault } from '../spec';
import { fault } from '../spec';

/** Port of the pods; the Service uses 443, the default port of the API server's calls. */
export const METRICS_PORT = 9443;
export const METRICS_TLS_FOLDER = '/etc/ai-model-service-metrics-tls';

/** How the API server trusts the port for metrics: by `ca`, or by `injectCaFrom`. */
export interface ExternalMetricsOptions {
  /**
   * Secret with tls.crt and tls.key for `ai-model-service-metrics.<namespace>.svc`. It is read
   * again when it changes.
   */
  readonly tls: ISecret;
  /**
   * Certificate of the authority that signed that certificate, as PEM.
   * @default - the authority that `injectCaFrom` gives
   */
  readonly ca?: string;
  /**
   * A cert-manager Certificate as `namespace/name`: cert-manager keeps its authority in the
   * APIService.
   * @default - none
   */
  readonly injectCaFrom?: string;
}

export interface MetricsOptions {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly metrics: ExternalMetricsOptions;
}

const RBAC = 'rbac.authorization.k8s.io';
const SYSTEM = 'kube-system';

export function metricsFaults({ ca, injectCaFrom }: ExternalMetricsOptions): readonly Fault[] {
  if (ca !== undefined && injectCaFrom !== undefined)
    return [
      fault('externalMetrics.injectCaFrom', injectCaFrom, 'left out beside ca', 'choose one'),
    ];
  if (injectCaFrom !== undefined) {
    if (/^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(injectCaFrom)) return [];
    const allowed = 'namespace/name of a cert-manager Certificate';
    return [fault('externalMetrics.injectCaFrom', injectCaFrom, allowed, 'name both')];
  }
  if (ca?.includes('-----BEGIN CERTIFICATE-----') === true) return [];
  const got = ca?.slice(0, 40);
  const mend = 'give it, or injectCaFrom when cert-manager issues the certificate';
  return [fault('externalMetrics.ca', got, 'the authority’s certificate as PEM', mend)];
}

/** `kubernetes.external_metrics` of the configuration; values of the user take precedence. */
export function withMetricsConfig(
  given: Readonly<Record<string, unknown>>,
  metrics: ExternalMetricsOptions | undefined,
): Readonly<Record<string, unknown>> {
  if (metrics === undefined) return given;
  const [cert, key] = ['tls.crt', 'tls.key'].map((file) => `${METRICS_TLS_FOLDER}/${file}`);
  const own = { external_metrics: { port: METRICS_PORT, cert, key } };
  const kubernetes = given['kubernetes'] as Readonly<Record<string, unknown>> | undefined;
  return { ...given, kubernetes: { ...own, ...kubernetes } };
}

function apiService({ namespace, labels, metrics }: MetricsOptions): KubeObject {
  const { ca, injectCaFrom } = metrics;
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: {
      name: METRICS_API_SERVICE,
      labels,
      ...(injectCaFrom !== undefined && {
        annotations: { 'cert-manager.io/inject-ca-from': injectCaFrom },
      }),
    },
    spec: {
      group: METRICS_GROUP,
      version: METRICS_VERSION,
      groupPriorityMinimum: 100,
      versionPriority: 100,
      service: { name: METRICS_SERVICE, namespace, port: 443 },
      ...(ca !== undefined && { caBundle: base64(new TextEncoder().encode(ca)) }),
    },
  };
}

function service({ name, namespace, labels }: MetricsOptions): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: METRICS_SERVICE, namespace, labels },
    spec: {
      selector: { app: name },
      ports: [{ name: 'metrics', port: 443, targetPort: METRICS_PORT }],
    },
  };
}

interface Binding {
  readonly metadata: Metadata;
  readonly role: { readonly kind: 'ClusterRole' | 'Role'; readonly name: string };
  readonly account: { readonly name: string; readonly namespace: string };
}

function binding({ metadata, role, account }: Binding): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: metadata.namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata,
    roleRef: { apiGroup: RBAC, ...role },
    subjects: [{ kind: 'ServiceAccount', ...account }],
  };
}

/** A ClusterRole of one rule, and the subject it is bound to. */
function clusterRight(
  name: string,
  { labels }: MetricsOptions,
  rule: object,
  account: Binding['account'],
): readonly KubeObject[] {
  const metadata = { name, labels };
  return [
    { apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata, rules: [rule] },
    binding({ metadata, role: { kind: 'ClusterRole', name }, account }),
  ];
}

/**
 * Objects that make the service the cluster’s external.metrics.k8s.io: the APIService, the right of
 * autoscalers to read it, and the rights of the service to read the client certificate of the
 * aggregation layer and the owner of the APIService. The service needs no right to review access
 * (system:auth-delegator): the API server has authorized the call already.
 */
export function metricsObjects(options: MetricsOptions): readonly KubeObject[] {
  const { name, namespace, labels } = options;
  const own = { name, namespace };
  const autoscaler = { name: 'horizontal-pod-autoscaler', namespace: SYSTEM };
  const values = {
    apiGroups: [METRICS_GROUP],
    resources: [CONCURRENCY_METRIC, QUEUE_METRIC],
    verbs: ['get', 'list'],
  };
  const apiServices = {
    apiGroups: ['apiregistration.k8s.io'],
    resources: ['apiservices'],
    resourceNames: [METRICS_API_SERVICE],
    verbs: ['get'],
  };
  return [
    ...clusterRight(`${METRICS_SERVICE}-reader`, options, values, autoscaler),
    ...clusterRight(METRICS_SERVICE, options, apiServices, own),
    binding({
      metadata: { name: METRICS_SERVICE, namespace: SYSTEM, labels },
      role: { kind: 'Role', name: 'extension-apiserver-authentication-reader' },
      account: own,
    }),
    service(options),
    apiService(options),
  ];
}
