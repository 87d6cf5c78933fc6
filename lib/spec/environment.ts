import { z } from 'zod';
import type { Arm } from './arms';
import { checked } from './check';
import type { Fault } from './error';
import { artifactHostSchema } from './hosts';
import type { EnvironmentInput } from './environmentinput';
import type { ModelSpec } from './parse';
import { budgetSchema, pricesSchema } from './prices';
import { cpuSchema, memorySchema } from './quantity';
import {
  DEFAULT_GPU_RESOURCE,
  defaultResourcesSchema,
  gpuOf,
  gpuResourceSchema,
} from './resources';
import { tolerationSchema } from './scheduling';
import { imageSchema } from './serverkinds';
import { serverFacts } from './servers';
import { fieldsOf } from './wire';
import { isObject } from './entry';

/** Default images and tags of the servers; they are stated only here. */
export const DEFAULT_IMAGES = {
  onnx: 'suoke/ai-model-service:0.1.0',
  'tensorflow-serving': 'tensorflow/serving:2.19.1',
  triton: 'nvcr.io/nvidia/tritonserver:25.10-py3',
  mlserver: 'seldonio/mlserver:1.7.1',
  vllm: 'vllm/vllm-openai:v0.18.0',
} as const;

export const namespaceSchema = z
  .string()
  .max(63)
  .regex(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
    'a namespace: lower-case letters, digits and -; rename it',
  );

const stringMap = z.record(z.string(), z.string());

/** Labels of a peer in a network policy. */
const peerLabels = stringMap.refine((labels) => Object.keys(labels).length > 0, {
  error: 'at least one label (without one the policy admits all); name one, or leave the field out',
});

/**
 * A caller that may bypass the router, as in a NetworkPolicy: labels of pods, of namespaces, or an
 * address block.
 */
const peerSchema = z.strictObject({
  podLabels: peerLabels.optional().describe('Labels of the pods.'),
  namespaceLabels: peerLabels
    .optional()
    .describe('Labels of their namespace. Default: the namespace of the models.'),
  cidr: z.string().max(64).optional().describe('An address block, instead of labels.'),
});

const cidr = z
  .string()
  .regex(
    /^[0-9a-fA-F:.]+\/[0-9]{1,3}$/,
    'an address block such as 10.0.0.0/8; write address/length',
  );

const networkPolicySchema = z.union([
  z.literal(false),
  z.strictObject({
    from: z.array(peerSchema).max(32).default([]).describe('Callers that bypass the router.'),
    artifactCidrs: z
      .array(cidr)
      .max(32)
      .optional()
      .describe('Peers that artifacts may be loaded from.'),
  }),
]);

const gpuEnvironmentSchema = z.strictObject({
  resource: gpuResourceSchema.default(DEFAULT_GPU_RESOURCE).describe('Resource name of one GPU.'),
  productLabel: z
    .string()
    .default('nvidia.com/gpu.product')
    .describe('Node label that `gpu.product` of a definition is compared with.'),
  nodeSelector: stringMap.default({}).describe('Labels of the nodes with GPUs.'),
  tolerations: z
    .array(tolerationSchema)
    .default([{ key: DEFAULT_GPU_RESOURCE, operator: 'Exists', effect: 'NoSchedule' }])
    .describe('Taints of the nodes with GPUs that replicas tolerate.'),
});

const imagesSchema = z.strictObject({
  onnx: imageSchema
    .default(DEFAULT_IMAGES.onnx)
    .describe('The built-in ONNX server; it is the image of the service as well.'),
  'tensorflow-serving': imageSchema
    .default(DEFAULT_IMAGES['tensorflow-serving'])
    .describe('TensorFlow Serving.'),
  triton: imageSchema.default(DEFAULT_IMAGES.triton).describe('NVIDIA Triton.'),
  mlserver: imageSchema.default(DEFAULT_IMAGES.mlserver).describe('MLServer.'),
  vllm: imageSchema.default(DEFAULT_IMAGES.vllm).describe('vLLM.'),
});

/** Prefix for images that name no registry host. */
export const registrySchema = z
  .string()
  .max(255)
  .regex(
    /^[a-zA-Z0-9.-]+(:[0-9]+)?(\/[a-z0-9._/-]+)?$/,
    'a registry host with an optional path; drop the scheme',
  );

/** Where models run, separate from the models. One schema for synth and for the service. */
export const environmentSchema = z.strictObject({
  name: namespaceSchema.default('default').describe('Names the folder when there are several.'),
  namespace: namespaceSchema
    .default('ai-models')
    .describe('Namespace of the models. Constructs take that of their chart when it is left out.'),
  createNamespace: z
    .boolean()
    .default(false)
    .describe('Render the namespace as well, with its pod security.'),
  kubernetesVersion: z
    .string()
    .regex(/^1\.(2[89]|[3-9][0-9])$/, '1.28 or newer, as major.minor; write for example 1.30')
    .default('1.30')
    .describe('Oldest Kubernetes that the objects are for, as major.minor.'),
  registry: registrySchema.optional().describe('Prefix for images that name no registry host.'),
  imagePullSecrets: z
    .array(z.string().min(1).max(253))
    .default([])
    .describe('Secrets by which nodes pull the images.'),
  defaultResources: z
    .strictObject({
      ...defaultResourcesSchema.shape,
      cpu: cpuSchema.default('500m'),
      memory: memorySchema.default('512Mi'),
    })
    .prefault({})
    .describe('Requests of a model that names none.'),
  podSecurity: z
    .enum(['restricted', 'baseline', 'platform'])
    .default('restricted')
    .describe('platform: emit no security context, the platform sets it.'),
  networkPolicy: networkPolicySchema
    .prefault({})
    .describe('Connections that models accept and make; false: no policy is rendered.'),
  artifactHosts: z
    .array(artifactHostSchema)
    .max(100)
    .default([])
    .describe(
      'Hosts with private addresses that artifacts may be loaded from: host, host:port, *.domain.',
    ),
  runtime: z
    .strictObject({
      namespace: namespaceSchema
        .optional()
        .describe(
          'Namespace of the routers. Default: that of the models; their network policies then admit routers in `ai-model-service`, too.',
        ),
      labels: peerLabels
        .default({ 'app.kubernetes.io/name': 'ai-model-service' })
        .describe('Labels of its pods, which the network policies of models let in.'),
    })
    .prefault({})
    .describe('Where the service runs.'),
  monitoring: z
    .strictObject({
      style: z
        .enum(['annotations', 'operator', 'none'])
        .default('annotations')
        .describe('annotations: prometheus.io/*; operator: PodMonitor and PrometheusRule.'),
      selector: stringMap.default({}).describe('Labels by which an operator finds its monitors.'),
      namespaceLabels: peerLabels
        .default({ 'kubernetes.io/metadata.name': 'monitoring' })
        .describe('Namespace that may scrape the pods.'),
      dashboardLabels: stringMap
        .default({ grafana_dashboard: '1' })
        .describe('Labels by which the sidecar of Grafana finds dashboards; operator style.'),
      runbooks: z
        .string()
        .max(500)
        .regex(/^https?:\/\/[^\s#]+$/, 'an http(s) URL without #; write where the page is')
        .default('https://unpkg.com/@suoke/ai-model-service/docs/runbooks.md')
        .describe('Page that `runbook_url` of the alerts names: docs/runbooks.md, or your copy.'),
    })
    .prefault({})
    .describe('How Prometheus finds the metrics.'),
  gpu: gpuEnvironmentSchema.prefault({}).describe('Nodes with GPUs.'),
  images: imagesSchema.prefault({}).describe('Images of the server kinds.'),
  quota: z
    .strictObject({
      gpu: z.int().min(0).optional().describe('Number of GPUs.'),
      cpu: cpuSchema.optional(),
      memory: memorySchema.optional(),
    })
    .prefault({})
    .describe('Quota of the namespace.'),
  prices: pricesSchema,
  budget: budgetSchema.optional(),
});

export type Environment = z.output<typeof environmentSchema>;

/** Gives an environment its type; see `defineModel`. */
export function defineEnvironment(environment: EnvironmentInput): EnvironmentInput {
  return environment;
}

/**
 * Parses an environment; `{}` is the default one.
 * @throws DefinitionError with every fault
 */
export function parseEnvironment(input: unknown = {}, file?: string): Environment {
  return checked(environmentSchema, input, 'fields', file);
}

/** 1.30 → 30; versions before 1.28 are refused by the schema. */
export function kubernetesMinor({
  kubernetesVersion,
}: Pick<Environment, 'kubernetesVersion'>): number {
  return Number(kubernetesVersion.split('.')[1]);
}

/** Defaults of an environment from elsewhere. */
export interface EnvironmentDefaults {
  readonly registry?: string | undefined;
  readonly defaultResources?: z.output<typeof defaultResourcesSchema> | undefined;
}

/** Lays defaults under an unparsed environment; its own values take precedence, key by key. */
export function underEnvironment(input: unknown, defaults: EnvironmentDefaults): unknown {
  const faults: Fault[] = [];
  const given = fieldsOf(environmentSchema, input, faults);
  const { registry, defaultResources = {} } = defaults;
  const own = isObject(given) ? (given['defaultResources'] ?? {}) : undefined;
  // A value that is not an environment stays unchanged; the parser refuses it.
  if (faults.length > 0 || !isObject(given) || !isObject(own)) return input;
  return {
    ...(registry !== undefined && { registry }),
    ...given,
    defaultResources: { ...defaultResources, ...own },
  };
}

/**
 * GPUs from the environment for an arm that requests none; a server that spans several needs them
 * all.
 */
function defaultGpuOf({ server }: Arm, { defaultResources }: Environment) {
  const gpu = serverFacts(server).usesGpu ? gpuOf(defaultResources) : undefined;
  if (gpu === undefined || server.kind !== 'vllm') return gpu;
  return { ...gpu, count: Math.max(gpu.count, server.tensorParallelSize) };
}

/** The definition with the GPUs that arms get from the environment. Pods fill in CPU and memory. */
export function withDefaultGpus(spec: ModelSpec, environment: Environment): ModelSpec {
  const [stable, ...rest] = spec.arms.map((arm): Arm => {
    const gpu = arm.resources.gpu ?? defaultGpuOf(arm, environment);
    return { ...arm, resources: { ...arm.resources, gpu } };
  });
  return stable === undefined ? spec : { ...spec, arms: [stable, ...rest] };
}
