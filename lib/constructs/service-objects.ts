import type { k8s } from 'cdk8s-plus-28';
import type { KubeObject, Metadata, Plain } from '../objects/kube';
import { finished, kubeObject } from '../objects/kube';
import { dashboardFiles, serviceRuleGroup } from '../monitoring';
import { kubernetesMinor } from '../spec';
import { METRICS_PORT, metricsObjects } from './service-metrics';
import type { PodOptions } from './service-pod';
import { OPS_PORT, PUBLIC_PORT, servicePod } from './service-pod';
import type { RouteOptions } from './service-props';

export interface ServiceOptions extends PodOptions {
  readonly namespace: string;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly route?: RouteOptions | undefined;
}

function metadata({ name, namespace, labels }: ServiceOptions): Metadata {
  return { name, namespace, labels };
}

function deployment(options: ServiceOptions): KubeObject {
  return kubeObject('Deployment', metadata(options), {
    spec: {
      selector: { matchLabels: { app: options.name } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      minReadySeconds: 5,
      revisionHistoryLimit: 5,
      template: servicePod(options),
    },
  });
}

function scaling(options: ServiceOptions): readonly KubeObject[] {
  const { name, minReplicas, maxReplicas, environment } = options;
  return [
    kubeObject('HorizontalPodAutoscaler', metadata(options), {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
        minReplicas,
        maxReplicas,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } },
          },
        ],
      },
    }),
    kubeObject('PodDisruptionBudget', metadata(options), {
      spec: {
        maxUnavailable: 1,
        selector: { matchLabels: { app: name } },
        ...(kubernetesMinor(environment) >= 31 && { unhealthyPodEvictionPolicy: 'AlwaysAllow' }),
      },
    }),
  ];
}

/**
 * Ingress: the public port is open to everyone, the ops port to monitoring and the other replicas.
 * Egress is open.
 */
function networkPolicy(options: ServiceOptions): KubeObject | undefined {
  const { name, environment, grpcPort, externalMetrics } = options;
  if (environment.networkPolicy === false) return undefined;
  const port = (number: number): Plain<k8s.NetworkPolicyPort> => ({
    port: number,
    protocol: 'TCP',
  });
  return kubeObject('NetworkPolicy', metadata(options), {
    spec: {
      podSelector: { matchLabels: { app: name } },
      policyTypes: ['Ingress'],
      ingress: [
        { ports: [port(PUBLIC_PORT), ...(grpcPort === undefined ? [] : [port(grpcPort)])] },
        {
          from: [
            { podSelector: { matchLabels: { app: name } } },
            { namespaceSelector: { matchLabels: environment.monitoring.namespaceLabels } },
          ],
          ports: [port(OPS_PORT)],
        },
        // API servers run outside any namespace; they authenticate by certificate.
        ...(externalMetrics === undefined ? [] : [{ ports: [port(METRICS_PORT)] }]),
      ],
    },
  });
}

function lease(options: ServiceOptions): KubeObject {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: metadata(options),
    spec: {},
  };
}

function httpRoute(options: ServiceOptions, route: RouteOptions): KubeObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: metadata(options),
    spec: {
      parentRefs: [
        {
          name: route.gateway,
          ...(route.gatewayNamespace !== undefined && { namespace: route.gatewayNamespace }),
        },
      ],
      hostnames: [...route.hostnames],
      rules: [{ backendRefs: [{ name: options.name, port: PUBLIC_PORT }] }],
    },
  };
}

function podMonitor(options: ServiceOptions): KubeObject {
  const { name, labels, environment } = options;
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PodMonitor',
    metadata: Object.assign(metadata(options), {
      labels: { ...labels, ...environment.monitoring.selector },
    }),
    spec: {
      selector: { matchLabels: { app: name } },
      podMetricsEndpoints: [{ port: 'ops', path: '/metrics' }],
    },
  };
}

function prometheusRule(options: ServiceOptions): KubeObject {
  const { labels, environment, minReplicas } = options;
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: Object.assign(metadata(options), {
      labels: { ...labels, ...environment.monitoring.selector },
    }),
    spec: { groups: [serviceRuleGroup(environment, minReplicas)] },
  };
}

/** Dashboards for the sidecar of Grafana, one file each. */
function dashboards(options: ServiceOptions): KubeObject {
  const { name, namespace, labels, environment } = options;
  const own = { ...labels, ...environment.monitoring.dashboardLabels };
  return kubeObject(
    'ConfigMap',
    { name: `${name}-dashboards`, namespace, labels: own },
    { data: Object.fromEntries(dashboardFiles()) },
  );
}

/** The objects of the service that are plain JSON, in the order of application. */
export function serviceObjects(options: ServiceOptions): readonly KubeObject[] {
  const { route, environment, externalMetrics: metrics } = options;
  const all = [
    lease(options),
    networkPolicy(options),
    deployment(options),
    ...scaling(options),
    route === undefined ? undefined : httpRoute(options, route),
    ...(environment.monitoring.style === 'operator'
      ? [podMonitor(options), prometheusRule(options), dashboards(options)]
      : []),
    ...(metrics === undefined ? [] : metricsObjects({ ...options, metrics })),
  ];
  return all.filter((object) => object !== undefined).map(finished);
}
