// Written by scripts/modelinput.ts from the schema; do not edit.
import type { GpuInput, TolerationsInput } from './modelinput';

interface DefaultResourcesInput {
  /** CPU cores as a Kubernetes quantity: "2", "0.5", "500m". */
  cpu?: number | string | undefined;
  /** Bytes as a Kubernetes quantity with its unit: "512Mi", "8Gi". */
  memory?: string | undefined;
  /** For server kinds that use a GPU (triton, vllm); others get none. */
  gpu?: number | GpuInput | string | undefined;
}

interface FromInput {
  /** Labels of the pods. */
  podLabels?: Record<string, string> | undefined;
  /** Labels of their namespace. Default: the namespace of the models. */
  namespaceLabels?: Record<string, string> | undefined;
  /** An address block, instead of labels. */
  cidr?: string | undefined;
}

interface NetworkPolicyInput {
  /** Callers that bypass the router. */
  from?: FromInput[] | undefined;
  /** Peers that artifacts may be loaded from. */
  artifactCidrs?: string[] | undefined;
}

interface RuntimeInput {
  /**
   * Namespace of the routers. Default: that of the models; their network policies then admit
   * routers in `ai-model-service`, too.
   */
  namespace?: string | undefined;
  /** Labels of its pods, which the network policies of models let in. */
  labels?: Record<string, string> | undefined;
}

interface MonitoringInput {
  /** annotations: prometheus.io/*; operator: PodMonitor and PrometheusRule. */
  style?: 'annotations' | 'operator' | 'none' | undefined;
  /** Labels by which an operator finds its monitors. */
  selector?: Record<string, string> | undefined;
  /** Namespace that may scrape the pods. */
  namespaceLabels?: Record<string, string> | undefined;
  /** Labels by which the sidecar of Grafana finds dashboards; operator style. */
  dashboardLabels?: Record<string, string> | undefined;
  /** Page that `runbook_url` of the alerts names: docs/runbooks.md, or your copy. */
  runbooks?: string | undefined;
}

interface Gpu7Input {
  /** Resource name of one GPU. */
  resource?: string | undefined;
  /** Node label that `gpu.product` of a definition is compared with. */
  productLabel?: string | undefined;
  /** Labels of the nodes with GPUs. */
  nodeSelector?: Record<string, string> | undefined;
  /** Taints of the nodes with GPUs that replicas tolerate. */
  tolerations?: TolerationsInput[] | undefined;
}

interface ImagesInput {
  /** The built-in ONNX server; it is the image of the service as well. */
  onnx?: string | undefined;
  /** TensorFlow Serving. */
  'tensorflow-serving'?: string | undefined;
  /** NVIDIA Triton. */
  triton?: string | undefined;
  /** MLServer. */
  mlserver?: string | undefined;
  /** vLLM. */
  vllm?: string | undefined;
}

interface QuotaInput {
  /** Number of GPUs. */
  gpu?: number | undefined;
  /** CPU cores as a Kubernetes quantity: "2", "0.5", "500m". */
  cpu?: number | string | undefined;
  /** Bytes as a Kubernetes quantity with its unit: "512Mi", "8Gi". */
  memory?: string | undefined;
}

interface PricesInput {
  /** File with prices, from the folder of the environments; fields beside it win. */
  file?: string | undefined;
  /** Where the prices come from. */
  source?: string | undefined;
  /** The day the prices were read, as YYYY-MM-DD. */
  date?: string | undefined;
  /** Three letters, such as CNY. */
  currency?: string | undefined;
  /** Price of one core. */
  cpuHour?: number | undefined;
  /** Price of one GiB of memory. */
  memoryGiBHour?: number | undefined;
  /** GPU product or resource → price of one GPU. */
  gpuHour?: Record<string, number> | undefined;
  /** Price of one GiB of a PersistentVolumeClaim, for classes without their own. */
  storageGiBHour?: number | undefined;
  /** StorageClass → price of one GiB. */
  storageClasses?: Record<string, number> | undefined;
  /** Price of preemptible nodes as a part of the full price, e.g. 0.3. */
  spotFactor?: number | undefined;
}

interface BudgetInput {
  /** All models together, per month of 730 hours. */
  monthly?: number | undefined;
  /** Each model, per month of 730 hours. */
  perModel?: number | undefined;
}

/** An environment as it is written. */
export interface EnvironmentInput {
  /** Names the folder when there are several. */
  name?: string | undefined;
  /** Namespace of the models. Constructs take that of their chart when it is left out. */
  namespace?: string | undefined;
  /** Render the namespace as well, with its pod security. */
  createNamespace?: boolean | undefined;
  /** Oldest Kubernetes that the objects are for, as major.minor. */
  kubernetesVersion?: string | undefined;
  /** Prefix for images that name no registry host. */
  registry?: string | undefined;
  /** Secrets by which nodes pull the images. */
  imagePullSecrets?: string[] | undefined;
  /** Requests of a model that names none. */
  defaultResources?: DefaultResourcesInput | undefined;
  /** platform: emit no security context, the platform sets it. */
  podSecurity?: 'restricted' | 'baseline' | 'platform' | undefined;
  /** Connections that models accept and make; false: no policy is rendered. */
  networkPolicy?: false | NetworkPolicyInput | undefined;
  /** Hosts with private addresses that artifacts may be loaded from: host, host:port, *.domain. */
  artifactHosts?: string[] | undefined;
  /** Where the service runs. */
  runtime?: RuntimeInput | undefined;
  /** How Prometheus finds the metrics. */
  monitoring?: MonitoringInput | undefined;
  /** Nodes with GPUs. */
  gpu?: Gpu7Input | undefined;
  /** Images of the server kinds. */
  images?: ImagesInput | undefined;
  /** Quota of the namespace. */
  quota?: QuotaInput | undefined;
  /** Prices per hour, for plans. */
  prices?: PricesInput | undefined;
  /** What models may cost, in the currency of `prices`. */
  budget?: BudgetInput | undefined;
}
