// Written by scripts/modelinput.ts from the schema; do not edit.
import type { GpuInput } from '../spec/modelinput';
import type { EnvironmentInput } from '../spec/environmentinput';

interface TlsInput {
  /** File with the certificate chain. */
  cert: string;
  /** File with its private key. */
  key: string;
  /** File with the authorities of client certificates (auth.client_certs). */
  clientCa?: string | undefined;
}

interface ServerInput {
  /** Address to listen on. */
  host?: string | undefined;
  /** Public port: inference, models, health. 0 lets the kernel choose. */
  port?: number | undefined;
  /** Second port for /live, /ready, /metrics and peers. Off when absent. */
  opsPort?: number | undefined;
  /** Address that the ops port listens on. Absent: `host`. */
  opsHost?: string | undefined;
  /** Port for the Open Inference Protocol over gRPC. Off when absent; 0: any. */
  grpcPort?: number | undefined;
  /** Largest message over gRPC, inflated; a model’s own limit holds below it. */
  grpcMaxMessageBytes?: number | undefined;
  /**
   * PEM files, read again when they change; the public port then speaks https, and the one for gRPC
   * TLS.
   */
  tls?: TlsInput | undefined;
  /** Addresses whose X-Forwarded-*, Forwarded, X-Real-IP and the like are believed. */
  trustedProxies?: string[] | undefined;
  /** Origins of web pages beside our own that may change something and call models. */
  allowedOrigins?: string[] | undefined;
  /** Names by which the ops port is called, beside addresses and names of the cluster. */
  allowedHosts?: string[] | undefined;
  /** Connections at a time; further ones are refused. */
  maxConnections?: number | undefined;
  /**
   * Connections of one address; those of trusted proxies are not counted. Default: half of
   * maxConnections.
   */
  maxConnectionsPerAddress?: number | undefined;
  /**
   * Bodies and answers that are in memory, of all requests; one caller may hold half of it.
   * Default: 256 MiB, or a quarter of the memory if that is less.
   */
  maxHeldBytes?: number | undefined;
  /**
   * Time for the TLS handshake and the first request of a connection, and for the headers of each
   * request.
   */
  headersSeconds?: number | undefined;
  /** Idle connections stay open for this time; clients and load balancers should close first. */
  keepAliveSeconds?: number | undefined;
  /**
   * Longest pause between two pieces of a body, and time for each 64 KiB of it; then the request is
   * refused (408).
   */
  bodySeconds?: number | undefined;
  /** A caller that takes nothing of its answer for this time is disconnected. */
  stallSeconds?: number | undefined;
  /** Request line and headers of one request. */
  maxHeaderBytes?: number | undefined;
  /** After SIGTERM: how long new requests are still taken, so that load balancers notice. */
  acceptSeconds?: number | undefined;
}

interface LocalInput {
  /** Folder of the definitions, their history and the artifacts. */
  directory?: string | undefined;
  /** Model → arm → servers that already run; they are routed to instead of started. */
  endpoints?: Record<string, Record<string, string[]>> | undefined;
  /** Time between the last new request of a replica and its SIGTERM. */
  preStopSeconds?: number | undefined;
}

interface DefaultResourcesInput {
  /** CPU cores as a Kubernetes quantity: "2", "0.5", "500m". */
  cpu?: number | string | undefined;
  /** Bytes as a Kubernetes quantity with its unit: "512Mi", "8Gi". */
  memory?: string | undefined;
  /** For server kinds that use a GPU (triton, vllm); others get none. */
  gpu?: number | GpuInput | string | undefined;
}

interface ModelsInput {
  /** Definitions to serve; REST may add more. */
  directory?: string | undefined;
  /** Apply a definition again when its file changes. */
  watch?: boolean | undefined;
  /** Environment of environments.ts whose objects a dry run gives; absent: its first. */
  environment?: string | undefined;
  /** Prefix for images that name no registry host; an environment that has one wins. */
  registry?: string | undefined;
  /** For models that name none; each value of an environment takes precedence. */
  defaultResources?: DefaultResourcesInput | undefined;
  /** Registries that images of definitions by REST may come from; absent: anywhere. */
  allowedRegistries?: string[] | undefined;
  /**
   * Hosts that artifacts of definitions by REST may come from (https, oci, endpoints), private ones
   * included; absent: any public one.
   */
  allowedHosts?: string[] | undefined;
}

interface ExternalMetricsInput {
  /** Port that the API server calls. */
  port: number;
  /** File with the certificate chain; read again when it changes. */
  cert: string;
  /** File with its private key. */
  key: string;
}

interface KubernetesInput {
  /**
   * Namespace of the models; KUBERNETES_NAMESPACE overrides it; absent: that of the pod or
   * kubeconfig.
   */
  namespace?: string | undefined;
  /** Further namespaces whose models are served; new ones go into `namespace`. */
  namespaces?: string[] | undefined;
  /** Namespace of the service and of its state; absent: that of the pod. */
  runtimeNamespace?: string | undefined;
  /** A kubeconfig; absent: KUBECONFIG, ~/.kube/config, or the pod’s own account. */
  configPath?: string | undefined;
  /** Context of the kubeconfig; absent: its current one. */
  context?: string | undefined;
  /** gitops: definitions come from Git alone, changes by REST are refused. */
  mode?: 'rest' | 'gitops' | undefined;
  /** How definitions become objects; absent: environments.ts, as for synth. */
  environment?: EnvironmentInput | undefined;
  /** Port of external.metrics.k8s.io for autoscalers, with its PEM files; off if absent. */
  externalMetrics?: ExternalMetricsInput | undefined;
  /** Secrets that definitions by REST may name beside the model’s own, <slug>--…. */
  allowedSecrets?: string[] | undefined;
  /** Claims that pvc:// sources by REST may name beside the model’s own, <slug>--…. */
  allowedClaims?: string[] | undefined;
  /** Further keys of labels and annotations by REST: a key, or prefix/*. */
  allowedMetadata?: string[] | undefined;
  /** Further keys of node selectors and tolerations by REST: a key, or prefix/*. */
  allowedNodes?: string[] | undefined;
  /** Priority, runtime and storage classes that definitions by REST may name. */
  allowedClasses?: string[] | undefined;
}

interface InferenceInput {
  /** Largest answer of native calls and batches, which are read whole; others stream. */
  maxAnswerBytes?: number | undefined;
  /** Largest body of OpenAI calls, which are read before their model is known. */
  maxOpenaiBodyBytes?: number | undefined;
  /** Larger bodies of V1 and V2 calls go to the server while they come. */
  streamAboveBytes?: number | undefined;
  /** Headers of callers that model servers get, beside the documented list. */
  passedHeaders?: string[] | undefined;
  /** Headers of model servers that callers get, beside the documented list. */
  answerHeaders?: string[] | undefined;
  /** Larger requests and answers are not copied for a shadow. */
  maxShadowBytes?: number | undefined;
  /** Share of a shadow’s capacity that copies may use; at least one request. */
  shadowPercent?: number | undefined;
  /** Time between two log lines about disagreements of a shadow; 0: a line for each. */
  shadowLogSeconds?: number | undefined;
}

interface RoutingInput {
  /** Time to connect to a replica; then the next one is tried. */
  connectMs?: number | undefined;
  /** Idle connections to a model server are closed; shorter than its own keep-alive. */
  idleMs?: number | undefined;
  /** Idle connections that are kept to one replica. */
  maxIdleConnections?: number | undefined;
  /** Decay of the latency average of a replica. */
  decaySeconds?: number | undefined;
  /** A new or returning replica gets its full part after this time. */
  rampSeconds?: number | undefined;
  /** Share of its part that a new or returning replica begins with. */
  rampFromPercent?: number | undefined;
  /** Failures in a row that eject a replica. */
  consecutiveFailures?: number | undefined;
  /** Length of the first ejection; each further one is twice as long. */
  ejectionSeconds?: number | undefined;
  /** Longest ejection. */
  maxEjectionSeconds?: number | undefined;
  /** Longest ejection of a replica that refuses connections: a restart is short. */
  maxUnreachableSeconds?: number | undefined;
  /** Random part of an ejection, so that not all routers probe the replica at once. */
  ejectionJitterPercent?: number | undefined;
  /** After this time without an ejection the next one counts as the first. */
  ejectionMemorySeconds?: number | undefined;
  /** The time over which the failures of a replica are compared with its siblings’. */
  comparisonSeconds?: number | undefined;
  /** When the event loop of the router stood still for longer, timeouts blame no replica. */
  excusedLagMs?: number | undefined;
  /** Largest share of the reachable replicas that may be ejected; never the last one. */
  maxEjectedPercent?: number | undefined;
  /** Panic threshold: with a smaller share of healthy replicas all are used. */
  panicPercent?: number | undefined;
  /** Retry budget: retries per requests of the last retryWindowSeconds. */
  retryPercent?: number | undefined;
  /** Retries beside the budget, for models with few requests. */
  freeRetriesPerSecond?: number | undefined;
  /** Time that the retry budget looks back on. */
  retryWindowSeconds?: number | undefined;
  /** Shortest pause before a retry. */
  minRetryDelayMs?: number | undefined;
  /** Longest pause before a retry. */
  maxRetryDelayMs?: number | undefined;
  /** Time that a retry waits for a replica other than the one that failed. */
  retryAvoidMs?: number | undefined;
  /** Waiting time that counts as much as one priority. */
  priorityAgeMs?: number | undefined;
  /** One slot in this many goes to the request that waits longest, whatever its priority. */
  oldestEvery?: number | undefined;
  /** Share of a full queue that is reserved for each of the four priorities. */
  priorityPercent?: number | undefined;
  /** Requests that wait while no replica is up, where the model names no depth. */
  coldQueueDepth?: number | undefined;
}

interface KeysInput {
  /** Name of the caller, as the audit record shows it. */
  name: string;
  /** SHA-256 of the key, in hex. */
  sha256: string;
  /** Rights of the caller. */
  scopes: ('infer' | 'read' | 'write' | 'admin' | 'arms')[];
  /** Only these models; absent: all. */
  models?: string[] | undefined;
  /** From this time on the key is refused; absent: never. */
  expires?: string | undefined;
  /** Calls of each model in a minute, at each router; absent: without a limit. */
  requestsPerMinute?: number | undefined;
  /** Calls of models at a time, at each router; absent: without a limit. */
  concurrency?: number | undefined;
}

interface JwtInput {
  /** The claim iss of a token, character by character. */
  issuer: string;
  /** The claim aud of a token has one of these. */
  audience: string[];
  /** Where the keys of the issuer are, https; absent: by OIDC discovery. */
  jwksUrl?: string | undefined;
  /** Algorithms of signatures that are accepted. */
  algorithms?:
    | (
        | 'RS256'
        | 'RS384'
        | 'RS512'
        | 'PS256'
        | 'PS384'
        | 'PS512'
        | 'ES256'
        | 'ES384'
        | 'ES512'
        | 'EdDSA'
      )[]
    | undefined;
  /** Claim with the scopes: a list, or a text with blanks between. */
  scopesClaim?: string | undefined;
  /** Claim with the models (`*`: all), in the same forms; absent: every token is for all models. */
  modelsClaim?: string | undefined;
  /** How far the clocks of the issuer and of this machine may differ. */
  clockSkewSeconds?: number | undefined;
}

interface ClientCertsInput {
  /** The whole subject, such as CN=app,O=Clinic. */
  subject?: string | undefined;
  /** One of the alternative names, such as DNS:app.clinic.example. */
  san?: string | undefined;
  /** Name of the caller, as the audit record shows it. */
  name: string;
  /** Rights of the caller. */
  scopes: ('infer' | 'read' | 'write' | 'admin' | 'arms')[];
  /** Only these models; absent: all. */
  models?: string[] | undefined;
}

interface AuthInput {
  /**
   * api_key: callers show a key; jwt: a token of an identity provider; both: either; none: everyone
   * may call. Absent: by what is configured; with nothing configured none on loopback, elsewhere a
   * generated key.
   */
  mode?: 'none' | 'api_key' | 'jwt' | 'both' | undefined;
  /** Keys of the callers. */
  keys?: KeysInput[] | undefined;
  /**
   * Further keys: a list in YAML or JSON with the fields of `keys`. A change is in force within two
   * seconds; a faulty file leaves the last good keys in force.
   */
  keysFile?: string | undefined;
  /** Tokens (JWT) of an identity provider. */
  jwt?: JwtInput | undefined;
  /**
   * Callers by their client certificate, in every mode but none; server.tls.client_ca signs them.
   */
  clientCerts?: ClientCertsInput[] | undefined;
}

interface PayloadInput {
  /** Part of the inferences whose payload is recorded; 1: all. */
  sampleRatio: number;
  /** Ids of the models whose payload is recorded; `*`: all. */
  models: string[];
  /**
   * JSON paths of values that are replaced, in requests and answers: `$.a.b`, `$.a[*].b`,
   * `$..name`. With any, error answers are left out, and members `error` of others are replaced,
   * since their text may quote a value.
   */
  redact?: string[] | undefined;
  /** A larger request or answer is left out. */
  maxBytes?: number | undefined;
}

interface AuditInput {
  /** JSON lines; absent: no audit; "-": stdout. */
  file?: string | undefined;
  /**
   * A line for every inference as well: caller, version and time; its content only with payload.
   */
  inference?: boolean | undefined;
  /**
   * File with a secret of at least 16 bytes; each line then has a MAC over itself and the line
   * before. Absent: no chain.
   */
  chainKeyFile?: string | undefined;
  /** A file that would grow larger is put away. Absent: whatever its size. */
  rotateBytes?: number | undefined;
  /** A file whose first line is older is put away. Absent: whatever its age. */
  rotateHours?: number | undefined;
  /** Files that are kept beside the one that is written. Absent: all. */
  keep?: number | undefined;
  /**
   * While no line can be written: refuse changes (503), but never an abort, a lower share or an
   * inference; or drop lines that memory has no room for, and count them.
   */
  onFailure?: 'refuse' | 'drop' | undefined;
  /**
   * Content of inferences in their lines, for the few who must keep it. Absent: none is recorded.
   */
  payload?: PayloadInput | undefined;
}

interface TracesInput {
  /** Collector that takes OTLP over HTTP (protobuf); without a path: /v1/traces is appended. */
  endpoint: string;
  /**
   * File with further headers for the collector, a line `name: value` each, such as its
   * credentials; read again for each export.
   */
  headersFile?: string | undefined;
  /** Part of the traces that begin here; a caller’s own decision is followed. */
  sampleRatio?: number | undefined;
  /** `service.name` of the spans. */
  serviceName?: string | undefined;
  /** Spans that wait for the collector; more are dropped and counted. */
  maxQueue?: number | undefined;
  /** Longest time of one export, and of the last one at shutdown. */
  timeoutSeconds?: number | undefined;
  /** PEM file of the authorities of an https collector; absent: those of Node.js. */
  caFile?: string | undefined;
}

interface LoggingInput {
  /** Least severity that is written. */
  level?: 'debug' | 'info' | 'warn' | 'error' | 'silent' | undefined;
  /** json: an object for each line; text: for people. */
  format?: 'json' | 'text' | undefined;
}

/** The configuration of the service as it is written in TypeScript. */
export interface ConfigInput {
  /** Ports, connections and their limits. */
  server?: ServerInput | undefined;
  /**
   * local: models run as processes of this machine; kubernetes: as pods. Absent: kubernetes where
   * kubernetes.namespace or kubernetes.config_path is given, else local.
   */
  cluster?: 'local' | 'kubernetes' | undefined;
  /** Models as processes of this machine. */
  local?: LocalInput | undefined;
  /** Definitions, and bounds of those that come by REST. */
  models?: ModelsInput | undefined;
  /** Models as pods. */
  kubernetes?: KubernetesInput | undefined;
  /** Limits of inference calls. */
  inference?: InferenceInput | undefined;
  /** Constants of balancing, ejection and retries. */
  routing?: RoutingInput | undefined;
  /** Callers and their keys. */
  auth?: AuthInput | undefined;
  /** Record of changes and inference calls. */
  audit?: AuditInput | undefined;
  /** Traces of requests, for an OpenTelemetry collector; absent: none. */
  traces?: TracesInput | undefined;
  /** Severity and form of the log. */
  logging?: LoggingInput | undefined;
}
