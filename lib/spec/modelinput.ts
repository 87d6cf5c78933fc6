// Written by scripts/modelinput.ts from the schema; do not edit.

interface CredentialsInput {
  /** Secret in the namespace of the model. */
  secret: string;
}

interface SourceInput {
  /**
   * Artifact URI: ./model.onnx, https://…, s3://bucket/key, gs://…, hf://org/name@revision,
   * oci://…, pvc://claim/path.
   */
  uri: string;
  /** SHA-256 of the artifact; checked after the download. */
  sha256?: string | undefined;
  /** Size of the artifact, e.g. 14Gi: the start-up budget is checked against it. */
  size?: string | undefined;
  /** Secret whose keys become the downloader’s environment. */
  credentials?: CredentialsInput | undefined;
  /** Endpoint of an S3-compatible store. */
  endpoint?: string | undefined;
  /** Secret with ca.crt for the endpoint. */
  ca?: string | undefined;
}

interface OnnxServerInput {
  /** The built-in ONNX server; the default for framework onnx. */
  kind: 'onnx';
  /** Overrides the environment’s image of this server. */
  image?: string | undefined;
  /** Threads within one operator. Default: by CPU. */
  intraOpThreads?: number | undefined;
  /** Threads across operators. */
  interOpThreads?: number | undefined;
}

interface TensorflowServingServerInput {
  /** TensorFlow Serving; the default for framework tensorflow. */
  kind: 'tensorflow-serving';
  /** Overrides the environment’s image of this server. */
  image?: string | undefined;
  /** Signature to call. Default: serving_default. */
  signatureName?: string | undefined;
  /** --enable_batching. */
  batching?: boolean | undefined;
}

interface TritonServerInput {
  /** NVIDIA Triton; the default for frameworks tensorrt and pytorch. */
  kind: 'triton';
  /** Overrides the environment’s image of this server. */
  image?: string | undefined;
  /** Backend of config.pbtxt. Default: by framework. */
  backend?: 'onnxruntime' | 'tensorrt' | 'pytorch' | 'tensorflow' | 'python' | undefined;
  /** Instances of the model per replica. */
  instanceGroupCount?: number | undefined;
  /** max_batch_size of config.pbtxt; 0 turns batching off. */
  maxBatchSize?: number | undefined;
}

interface MlserverServerInput {
  /** MLServer; the default for frameworks sklearn, xgboost and huggingface. */
  kind: 'mlserver';
  /** Overrides the environment’s image of this server. */
  image?: string | undefined;
  /** Runtime class. Default: by framework. */
  implementation?: string | undefined;
  /** Worker processes; 0 runs in the main process. */
  parallelWorkers?: number | undefined;
}

interface VllmServerInput {
  /** vLLM; the default for framework huggingface with type llm. */
  kind: 'vllm';
  /** Overrides the environment’s image of this server. */
  image?: string | undefined;
  /** GPUs one model is spread over. */
  tensorParallelSize?: number | undefined;
  /** Context length, in tokens. */
  maxModelLen?: number | undefined;
  /** Fraction of GPU memory to use. */
  gpuMemoryUtilization?: number | undefined;
  /** Type of the numbers it computes with. Default: as the model was saved. */
  dtype?: 'auto' | 'half' | 'float16' | 'bfloat16' | 'float' | 'float32' | undefined;
  /** awq, gptq, fp8, … */
  quantization?: string | undefined;
}

interface CustomServerInput {
  /** An image of your own; the default for a definition with an image. */
  kind: 'custom';
  /** Overrides the environment’s image of this server. */
  image?: string | undefined;
  /** Protocol of the server in the image. */
  protocol?: 'native' | 'v1' | 'v2' | 'tfs' | 'openai' | undefined;
  /** HTTP port of the container. */
  port?: number | undefined;
}

export interface GpuInput {
  /** Whole GPUs per replica. */
  count: number;
  /** Default: the environment’s. */
  resource?: string | undefined;
  /** Product label of the node, e.g. NVIDIA-A100-SXM4-40GB. */
  product?: string | undefined;
}

interface ResourcesInput {
  /** CPU cores as a Kubernetes quantity: "2", "0.5", "500m". */
  cpu?: number | string | undefined;
  /** Bytes as a Kubernetes quantity with its unit: "512Mi", "8Gi". */
  memory?: string | undefined;
  /** GPUs per replica: a count, or count with resource name and product. */
  gpu?: number | GpuInput | undefined;
  /** Upper bound of CPU; "none" (default) lets a replica use idle cores. */
  cpuLimit?: 'none' | number | string | undefined;
}

interface ScalingInput {
  /** Fewest replicas; 0 scales to zero when idle. */
  minReplicas?: number | undefined;
  /** Most replicas. Default: the larger of minReplicas and 1. */
  maxReplicas?: number | undefined;
  /** Percent of the requested CPU the autoscaler aims at. */
  targetCpuUtilization?: number | undefined;
  /** Requests in flight per replica the autoscaler aims at. */
  targetConcurrency?: number | undefined;
  /** How long a lower need must last before replicas go, in seconds. */
  scaleDownWindowSeconds?: number | undefined;
}

interface HealthInput {
  /** Path that answers 2xx when the model is loaded. Default: by server. */
  path?: string | undefined;
  /** Default: the server’s HTTP port. */
  port?: number | undefined;
  /** Seconds before the first probe. */
  initialDelaySeconds?: number | undefined;
  /** Seconds between probes. */
  periodSeconds?: number | undefined;
  /** Budget to load the model, in seconds. */
  startupSeconds?: number | undefined;
}

interface EnvInput {
  /** Secret in the namespace of the model. */
  secret: string;
  /** Key of that Secret whose value the variable gets. */
  key: string;
}

interface BatchingInput {
  /** Most rows in one call to the server. */
  maxSize: number;
  /** Longest wait for more requests, in milliseconds. */
  maxDelayMs: number;
  /**
   * Each row’s answer depends on that row alone. Needed for all servers but the built-in ONNX
   * server, which reads it from the graph.
   */
  rowsIndependent?: boolean | undefined;
}

interface HeaderCohortInput {
  /** Request header whose value is hashed. */
  header: string;
  /** Change it for a new experiment. Default: the id. */
  salt?: string | undefined;
}

interface ClaimCohortInput {
  /** Claim of the caller’s JWT whose value is hashed. */
  claim: string;
  /** Change it for a new experiment. Default: the id. */
  salt?: string | undefined;
}

interface CookieCohortInput {
  /** Cookie whose value is hashed. */
  cookie: string;
  /** Change it for a new experiment. Default: the id. */
  salt?: string | undefined;
}

interface InferenceInput {
  /** Deadline of one request, in seconds. */
  timeoutSeconds?: number | undefined;
  /** Requests in flight per replica. */
  maxConcurrency?: number | undefined;
  /** Most items in one batch_inference call. */
  maxBatchSize?: number | undefined;
  /** Requests of equal shape go to the server in one call; opt in. */
  batching?: BatchingInput | undefined;
  /** May a request that perhaps ran be sent again? */
  idempotent?: boolean | undefined;
  /** Largest body kept for a retry, in bytes. */
  replayBytes?: number | undefined;
  /** The caller’s key: a header, a JWT claim or a cookie. */
  cohort?: HeaderCohortInput | ClaimCohortInput | CookieCohortInput | undefined;
  /** Default: twice the capacity of the arm. */
  maxQueueDepth?: number | undefined;
  /** Largest request body, in bytes. */
  maxBodyBytes?: number | undefined;
}

interface HoldInput {
  /** The step, in percent. */
  at: number;
  /** How long the step lasts at least. */
  seconds: number;
}

interface FailedInput {
  /** Points by which the share of failed trials may differ from stable. */
  margin?: number | undefined;
  /**
   * Percent of failed trials allowed at 100 %, where stable has no traffic to compare with.
   * Default: the share of stable plus the margin.
   */
  absolute?: number | undefined;
}

interface SlowInput {
  /** Points by which the share of slow trials may differ from stable. */
  margin?: number | undefined;
}

interface GatesInput {
  /** Connection failures, broken answers, statuses from 500, timeouts. */
  failed?: FailedInput | undefined;
  /** Trials whose first byte came later than the 95th percentile of stable. */
  slow?: SlowInput | undefined;
}

interface RolloutInput {
  /** Shares in percent, rising, ending with 100. */
  steps?: number[] | undefined;
  /** Closed trials of the candidate per step at least. */
  minRequests?: number | undefined;
  /** Seconds per step at least. */
  minSeconds?: number | undefined;
  /** Highest probability of aborting a candidate that equals stable. */
  alpha?: number | undefined;
  /**
   * What counts as one trial: a caller (by its cohort key), or each request. With request, the arm
   * is drawn anew for each request.
   */
  unit?: 'caller' | 'request' | undefined;
  /** Abort only on proof that the candidate is worse by more than the margin. */
  strict?: boolean | undefined;
  /** A step that lasts longer than the others. */
  hold?: HoldInput | undefined;
  /** What is compared between the candidate and stable. */
  gates?: GatesInput | undefined;
}

interface CompareInput {
  /** Numbers may differ by this much. */
  abs?: number | undefined;
  /** Numbers may differ by this fraction. */
  rel?: number | undefined;
  /** Outputs that must be equal exactly. */
  labels?: string[] | undefined;
  /** Only the k best entries are compared. */
  topK?: number | undefined;
  /** Only these dotted paths are compared. */
  paths?: string[] | undefined;
}

interface CandidatesInput {
  /** Names the arm. Default: the slug of its version. */
  name?: string | undefined;
  /** Version that runs. Shown to callers and put on labels (+ becomes _). */
  version: string;
  /** Container image that brings model and server, or the server alone. */
  image?: string | undefined;
  /** Where the artifact (the trained model) comes from. */
  source?: string | SourceInput | undefined;
  /** Server of the artifact. */
  server?:
    | OnnxServerInput
    | TensorflowServingServerInput
    | TritonServerInput
    | MlserverServerInput
    | VllmServerInput
    | CustomServerInput
    | undefined;
  /** Requests of one replica. The memory limit equals the request. */
  resources?: ResourcesInput | undefined;
  /** How many replicas an arm has. */
  scaling?: ScalingInput | undefined;
  /** Environment variables: a string, or { secret, key }. */
  env?: Record<string, string | EnvInput> | undefined;
  /** Percent of live traffic, in steps of 0.01. */
  traffic?: number | undefined;
  /** Percent of live traffic copied to it. */
  shadow?: number | undefined;
  /** Progressive rollout by evidence. */
  rollout?: RolloutInput | undefined;
  /** When a shadow’s answer counts as the same. */
  compare?: CompareInput | undefined;
}

interface LatencyMsInput {
  /** Percentile, e.g. 99. */
  p: number;
  /** Milliseconds that the percentile stays under. */
  under: number;
}

interface SloInput {
  /** Percent of good answers. */
  availability?: number | undefined;
  /** The p-th percentile stays under this many milliseconds. */
  latencyMs?: LatencyMsInput | undefined;
}

interface CacheInput {
  /** Size of the claim, e.g. 50Gi. */
  size: string;
  /** StorageClass of the claim. Default: the cluster’s. */
  storageClass?: string | undefined;
}

export interface TolerationsInput {
  /** Key of the taint. Left out with Exists: every taint. */
  key?: string | undefined;
  /** Whether the value counts. Default: Equal. */
  operator?: 'Exists' | 'Equal' | undefined;
  /** Value of the taint, with Equal. */
  value?: string | undefined;
  /** Effect of the taint. Default: all of them. */
  effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute' | undefined;
  /** How long a NoExecute taint is tolerated, in seconds. Default: for ever. */
  tolerationSeconds?: number | undefined;
}

interface SchedulingInput {
  /** Node labels that must match. */
  nodeSelector?: Record<string, string> | undefined;
  /** Taints of nodes that replicas tolerate. */
  tolerations?: TolerationsInput[] | undefined;
  /** PriorityClass of the pods. */
  priorityClass?: string | undefined;
  /** RuntimeClass of the pods. */
  runtimeClass?: string | undefined;
  /** Topology over which the replicas of an arm are spread. */
  topologySpread?: 'zone' | 'host' | 'both' | 'none' | undefined;
  /** Tolerate and prefer preemptible nodes of the usual clouds. */
  spot?: boolean | undefined;
}

interface WaiversInput {
  /** Id of the finding. */
  rule: string;
  /** Why the finding is acceptable; at least 10 characters. */
  reason: string;
  /** The day the waiver ends, as YYYY-MM-DD. */
  until: string;
}

/** What an author writes. */
export interface ModelInput {
  /** Name of the model for callers. Its slug (_ becomes -) names the Kubernetes objects. */
  id: string;
  /** For people, in any script. Default: the id. */
  name?: string | undefined;
  /** Version that runs. Shown to callers and put on labels (+ becomes _). */
  version: string;
  /** Purpose of the model. */
  type?:
    | 'llm'
    | 'classification'
    | 'regression'
    | 'tcm_diagnosis'
    | 'treatment'
    | 'health'
    | 'multimodal'
    | 'knowledge_graph'
    | 'other'
    | undefined;
  /** Framework of the artifact. */
  framework:
    | 'tensorflow'
    | 'pytorch'
    | 'huggingface'
    | 'onnx'
    | 'tensorrt'
    | 'sklearn'
    | 'xgboost'
    | 'custom';
  /** Container image that brings model and server, or the server alone. */
  image?: string | undefined;
  /** Entry point of the image. */
  command?: string[] | undefined;
  /** Arguments of the image. */
  args?: string[] | undefined;
  /** Numeric user; never 0. */
  runAsUser?: number | undefined;
  /** Where the artifact (the trained model) comes from. */
  source?: string | SourceInput | undefined;
  /** Server of the artifact. */
  server?:
    | OnnxServerInput
    | TensorflowServingServerInput
    | TritonServerInput
    | MlserverServerInput
    | VllmServerInput
    | CustomServerInput
    | undefined;
  /** Requests of one replica. The memory limit equals the request. */
  resources?: ResourcesInput | undefined;
  /** How many replicas an arm has. */
  scaling?: ScalingInput | undefined;
  /** How Kubernetes and the router learn that a replica can serve. */
  health?: HealthInput | undefined;
  /**
   * surge: a new replica first. replace: an old one goes first, for GPUs without a spare. Default:
   * surge, or replace where the quota has no room for one more.
   */
  updateStrategy?: 'surge' | 'replace' | undefined;
  /** Environment variables: a string, or { secret, key }. */
  env?: Record<string, string | EnvInput> | undefined;
  /** Capabilities that callers can filter by. */
  capabilities?: string[] | undefined;
  /** How requests are admitted, timed and retried. */
  inference?: InferenceInput | undefined;
  /** Other versions that run beside stable and get a share, or a copy, of its traffic. */
  candidates?: CandidatesInput[] | undefined;
  /** Service level objectives. */
  slo?: SloInput | undefined;
  /** Keep the artifact on a PersistentVolumeClaim instead of loading it for each replica. */
  cache?: CacheInput | undefined;
  /** Where replicas may run. */
  scheduling?: SchedulingInput | undefined;
  /** Annotations of the account of its pods: workload identity of the clouds. */
  serviceAccountAnnotations?: Record<string, string> | undefined;
  /** Object kind → JSON merge patch, laid on the finished object. */
  overrides?:
    | Partial<
        Record<
          | 'ConfigMap'
          | 'Deployment'
          | 'HorizontalPodAutoscaler'
          | 'PodDisruptionBudget'
          | 'Service'
          | 'NetworkPolicy'
          | 'ServiceAccount'
          | 'PersistentVolumeClaim'
          | 'Job'
          | 'PodMonitor'
          | 'PrometheusRule',
          Record<string, unknown>
        >
      >
    | undefined;
  /** Further labels of every object. */
  labels?: Record<string, string> | undefined;
  /** Further annotations of every object and pod. */
  annotations?: Record<string, string> | undefined;
  /** Findings that are accepted, each until a day. */
  waivers?: WaiversInput[] | undefined;
}
