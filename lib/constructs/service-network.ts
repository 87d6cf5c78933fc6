import type { k8s } from 'cdk8s-plus-28';
import type { KubeObject, Metadata, Plain } from '../objects/kube';
import { kubeObject } from '../objects/kube';
import { MANAGER } from '../objects';
import type { Environment } from '../spec';
import { METRICS_PORT } from './service-metrics';
import { OPS_PORT, PUBLIC_PORT } from './service-pod';

export interface NetworkOptions {
  readonly metadata: Metadata & { readonly namespace: string };
  readonly environment: Environment;
  readonly modelNamespaces: readonly string[];
  readonly grpcPort?: number | undefined;
  /** Are callers admitted from everywhere? */
  readonly isPublic: boolean;
  readonly externalMetrics: boolean;
}

type Rule = Plain<k8s.NetworkPolicyIngressRule>;
type EgressRule = Plain<k8s.NetworkPolicyEgressRule>;
type Peer = Plain<k8s.NetworkPolicyPeer>;
type Port = Plain<k8s.NetworkPolicyPort>;

const tcp = (port: number): Port => ({ port, protocol: 'TCP' });
const DNS: readonly Port[] = [tcp(53), { port: 53, protocol: 'UDP' }];
/**
 * API servers are in no namespace and have no fixed address; their certificate is verified. A key
 * set or an artifact store at port 443 is reached by the same rule.
 */
const API_SERVER: readonly Port[] = [tcp(443), tcp(6443)];

const namespaces = (names: readonly string[]): Peer => ({
  namespaceSelector: {
    matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: [...names] }],
  },
});

/** Ports that callers use. */
export const callerPorts = (grpcPort: number | undefined): readonly number[] =>
  grpcPort === undefined ? [PUBLIC_PORT] : [PUBLIC_PORT, grpcPort];

function ingress(options: NetworkOptions, self: Peer): readonly Rule[] {
  const { environment, modelNamespaces, grpcPort, isPublic, externalMetrics } = options;
  const { style, namespaceLabels } = environment.monitoring;
  const near = [...new Set([options.metadata.namespace, ...modelNamespaces])];
  const monitoring: Peer = { namespaceSelector: { matchLabels: namespaceLabels } };
  return [
    { ...(!isPublic && { from: [namespaces(near)] }), ports: callerPorts(grpcPort).map(tcp) },
    { from: [self, ...(style === 'none' ? [] : [monitoring])], ports: [tcp(OPS_PORT)] },
    // Callers are API servers, which show their certificate.
    ...(externalMetrics ? [{ ports: [tcp(METRICS_PORT)] }] : []),
  ];
}

function egress({ modelNamespaces }: NetworkOptions, self: Peer): readonly EgressRule[] {
  const models: Peer = {
    ...namespaces(modelNamespaces),
    podSelector: { matchLabels: { 'app.kubernetes.io/component': 'model-server' } },
  };
  return [
    { ports: DNS },
    { ports: API_SERVER },
    { to: [models] },
    { to: [self], ports: [tcp(OPS_PORT)] },
  ];
}

/**
 * Callers in the namespaces of the routers and of the models, monitoring, and the other routers
 * come in; name resolution, the API server, model servers and the other routers are reached.
 * @returns undefined when the environment has no network policies
 */
export function serviceNetworkPolicy(options: NetworkOptions): KubeObject | undefined {
  if (options.environment.networkPolicy === false) return undefined;
  const podSelector = { matchLabels: { app: MANAGER } };
  const self: Peer = { podSelector };
  return kubeObject('NetworkPolicy', options.metadata, {
    spec: {
      podSelector,
      policyTypes: ['Ingress', 'Egress'],
      ingress: ingress(options, self),
      egress: egress(options, self),
    },
  });
}
