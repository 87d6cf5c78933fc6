import type { KubeObject } from '../objects/kube';
import { finished, kubeObject } from '../objects/kube';
import { dashboardFiles, serviceRuleGroup } from '../monitoring';
import { kubernetesMinor } from '../spec';
import { metricsObjects } from './service-metrics';
import type { NetworkOptions } from './service-network';
import { serviceNetworkPolicy } from './service-network';
import type { PodOptions } from './service-pod';
import { PUBLIC_PORT, servicePod } from './service-pod';
import type { RouteOptions } from './service-props';

export interface ServiceOptions
  extends PodOptions, Pick<NetworkOptions, 'modelNamespaces' | 'isPublic'> {
  readonly namespace: string;
  /** Namespace of the Lease: that of new models. */
  readonly stateNamespace: string;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly route?: RouteOptions | undefined;
}

function metadata({ name, namespace, labels }: ServiceOptions): NetworkOptions['metadata'] {
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

/** Beside the models: routers of the same models elect one leader, wherever they run. */
function lease(options: ServiceOptions): KubeObject {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...metadata(options), namespace: options.stateNamespace },
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

/** Dashboards for Grafana’s sidecar, one key for each. */
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
    serviceNetworkPolicy({
      ...options,
      metadata: metadata(options),
      externalMetrics: metrics !== undefined,
    }),
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
