import type { k8s } from 'cdk8s-plus-28';
import type { Environment, ModelSpec, Source } from '../spec';
import { isRemote } from './cache';
import type { Context } from './context';
import { factsOf } from './context';
import type { KubeObject, Plain } from './kube';
import { kubeObject } from './kube';
import { metadataOf, selectorOf, SERVICE_NAMESPACE } from './labels';

type Peer = Plain<k8s.NetworkPolicyPeer>;
type Port = Plain<k8s.NetworkPolicyPort>;
type Ingress = Plain<k8s.NetworkPolicyIngressRule>;
type Egress = Plain<k8s.NetworkPolicyEgressRule>;
type Given = Exclude<Environment['networkPolicy'], false>;

const tcp = (port: number): Port => ({ port, protocol: 'TCP' });
const different = (ports: readonly number[]): readonly number[] =>
  [...new Set(ports)].sort((a, b) => a - b);

/** Any address except the metadata services of clouds, which issue credentials. */
const ANYWHERE: readonly Peer[] = [
  { ipBlock: { cidr: '0.0.0.0/0', except: ['169.254.169.254/32'] } },
  { ipBlock: { cidr: '::/0', except: ['fd00:ec2::254/128'] } },
];

/** With this annotation a cloud gives the pod its own identity, through its metadata server. */
const GKE_IDENTITY = 'iam.gke.io/gcp-service-account';
const GKE_METADATA: readonly Egress[] = [
  { to: [{ ipBlock: { cidr: '169.254.169.252/32' } }], ports: [tcp(988)] },
  { to: [{ ipBlock: { cidr: '169.254.169.254/32' } }], ports: [tcp(80)] },
];

function peer({ podLabels, namespaceLabels, cidr }: Given['from'][number]): Peer {
  if (cidr !== undefined) return { ipBlock: { cidr } };
  return {
    ...(namespaceLabels !== undefined && { namespaceSelector: { matchLabels: namespaceLabels } }),
    ...(podLabels !== undefined && { podSelector: { matchLabels: podLabels } }),
  };
}

const NAMESPACE_NAME = 'kubernetes.io/metadata.name';

/**
 * The routers. Where the environment does not name their namespace, they are beside the models or
 * in one of their own, so that they can move from one to the other.
 */
function runtimePeer({ runtime, namespace }: Environment): Peer {
  const values = [...new Set([namespace, SERVICE_NAMESPACE])];
  return {
    namespaceSelector:
      runtime.namespace === undefined
        ? { matchExpressions: [{ key: NAMESPACE_NAME, operator: 'In', values }] }
        : { matchLabels: { [NAMESPACE_NAME]: runtime.namespace } },
    podSelector: { matchLabels: runtime.labels },
  };
}

/** Ports by which the servers of all arms are called, in order. */
export function servingPorts(spec: ModelSpec): readonly number[] {
  const ports = spec.arms
    .map((arm) => factsOf(spec, arm))
    .flatMap(({ httpPort, grpcPort }) => [httpPort, grpcPort ?? httpPort]);
  return different(ports);
}

function ingress(spec: ModelSpec, environment: Environment, { from }: Given): readonly Ingress[] {
  const facts = spec.arms.map((arm) => factsOf(spec, arm));
  const { style, namespaceLabels } = environment.monitoring;
  const monitoring: Ingress = {
    from: [{ namespaceSelector: { matchLabels: namespaceLabels } }],
    ports: different(facts.map(({ metrics }) => metrics.port)).map(tcp),
  };
  return [
    { from: [runtimePeer(environment), ...from.map(peer)], ports: servingPorts(spec).map(tcp) },
    ...(style === 'none' ? [] : [monitoring]),
  ];
}

const DEFAULT_PORT = 443;

/** The port an artifact is loaded from: that of the endpoint or URI, else 443. */
function sourcePort({ uri, endpoint, scheme }: Source): number {
  const url = endpoint ?? (scheme === 'https' || scheme === 'oci' ? uri : '');
  const [, port] = /^[a-z0-9+]+:\/\/(?:\[[^\]]*\]|[^/:]*):([0-9]+)/i.exec(url) ?? [];
  if (port !== undefined) return Number(port);
  return /^http:/i.test(url) ? 80 : DEFAULT_PORT;
}

function egress(spec: ModelSpec, { artifactCidrs }: Given): readonly Egress[] {
  const remote = spec.arms.flatMap(({ source }) =>
    source !== undefined && isRemote(source) ? [source] : [],
  );
  const dns: Egress = { ports: [{ port: 53, protocol: 'UDP' }, tcp(53)] };
  if (remote.length === 0) return [dns];
  const to = artifactCidrs?.map((cidr) => ({ ipBlock: { cidr } })) ?? ANYWHERE;
  const identity = spec.serviceAccountAnnotations[GKE_IDENTITY] === undefined ? [] : GKE_METADATA;
  return [dns, { to, ports: different(remote.map(sourcePort)).map(tcp) }, ...identity];
}

/**
 * Ingress from the router, monitoring and named callers; egress to DNS and the sources of
 * artifacts.
 */
export function networkPolicy(context: Context): KubeObject | undefined {
  const { spec, environment } = context;
  const given = environment.networkPolicy;
  if (given === false) return undefined;
  return kubeObject('NetworkPolicy', metadataOf(context, spec.slug), {
    spec: {
      podSelector: { matchLabels: selectorOf(spec) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: ingress(spec, environment, given),
      egress: egress(spec, given),
    },
  });
}
