import type { INetworkPolicyPeer, ISecret } from 'cdk8s-plus-28';
import type { ConfigInput } from '../config';
import type { EnvironmentInput } from '../spec';
import type { ExternalMetricsOptions } from './service-metrics';
import type { ServiceMode } from './service-rules';

export interface IngressOptions {
  readonly host: string;
  /** @default - the cluster’s default class */
  readonly className?: string;
  /** Secret with the certificate. @default - no TLS at the ingress */
  readonly tls?: ISecret;
}

export interface RouteOptions {
  readonly hostnames: readonly string[];
  /** Name of the Gateway, and its namespace when it is another one. */
  readonly gateway: string;
  readonly gatewayNamespace?: string;
}

export interface ModelServiceProps {
  /**
   * The environment of its models: namespace, registry, pod security, monitoring. Its namespace
   * wins over the chart’s.
   * @default - the default environment in the chart’s namespace, or `ai-models` if it has none
   */
  readonly environment?: EnvironmentInput;

  /** @default - the environment’s image for onnx models, which is the same */
  readonly image?: string;

  /**
   * Writers of models: callers of the REST API, or Git alone.
   * @default 'rest'
   */
  readonly mode?: ServiceMode;

  /**
   * Namespaces with models; each gets a Role and a RoleBinding.
   * @default - the environment’s namespace
   */
  readonly modelNamespaces?: readonly string[];

  /**
   * The configuration of the service, as it is written in TypeScript or in a YAML file. Mistakes
   * are refused at synth, and so are fields that this construct sets: ports, namespaces, mode.
   * @default - none
   */
  readonly config?: ConfigInput;

  /** @default 2 */
  readonly minReplicas?: number;

  /** @default 6 */
  readonly maxReplicas?: number;

  /**
   * Cores each replica asks for. One event loop can use one; more comes by more replicas.
   * @default '1'
   */
  readonly cpu?: string;

  /**
   * Memory each replica asks for and may use.
   * @default '512Mi'
   */
  readonly memory?: string;

  /**
   * Longest deadline of a request in seconds; a terminating pod waits for it.
   * @default 300
   */
  readonly longestTimeoutSeconds?: number;

  /**
   * Secret whose `keys.yaml` lists the keys of the callers, as `ai-model-service keys create --file`
   * writes it. The service reads it again when it changes, without a restart.
   * @default - none; then `config.auth` says who may call: `keys`, or `mode: 'none'` for everyone
   */
  readonly keys?: ISecret;

  /**
   * Secret whose `chain.key` (16 bytes or more) chains the lines of the audit record. Each replica
   * writes its own record to standard output, unless `config.audit.file` names a file.
   * @default - none; the record, if there is one, has no chain
   */
  readonly auditKey?: ISecret;

  /**
   * Secrets whose keys become environment variables, which override the configuration:
   * AI_MODEL_SERVICE__AUTH__KEYS, say.
   * @default - none
   */
  readonly envFrom?: readonly ISecret[];

  /**
   * Secret with tls.crt and tls.key for the public port.
   * @default - plain HTTP
   */
  readonly tls?: ISecret;

  /**
   * Port of the Open Inference Protocol over gRPC, on pods and on the Service.
   * @default - no gRPC
   */
  readonly grpcPort?: number;

  /**
   * Further callers of the public port and of gRPC: pods, namespaces or addresses. An ingress
   * controller is one. `'everyone'` opens the ports to the whole network.
   * @default - the namespaces of the service and of its models
   */
  readonly allowFrom?: readonly INetworkPolicyPeer[] | 'everyone';

  /**
   * Further readers of `/metrics` at port 9090.
   * @default - the monitoring namespace of the environment
   */
  readonly metricsFrom?: readonly INetworkPolicyPeer[];

  /**
   * Where the service connects to beside name resolution, the API server, ports 443 and 6443, and
   * its models: a collector of traces, say.
   * @default - nowhere else
   */
  readonly allowTo?: readonly INetworkPolicyPeer[];

  /** Needs `allowFrom` with the pods of the ingress controller. @default - none */
  readonly ingress?: IngressOptions;

  /**
   * A route of the Gateway API instead of an Ingress. Needs `allowFrom` with the gateway's pods.
   * @default - none
   */
  readonly route?: RouteOptions;

  /**
   * Serve `external.metrics.k8s.io` to autoscalers. A cluster has one server of it, so this is for
   * clusters that have none.
   * @default - none; nothing is cluster-wide then
   */
  readonly externalMetrics?: ExternalMetricsOptions;
}
