import { z } from 'zod';
import { candidatesSchema, envSchema } from './candidates';
import { healthSchema } from './health';
import { inferenceSchema } from './inference';
import {
  LABEL_VALUE,
  MAX_METADATA_KEY,
  MAX_OBJECT_NAME,
  METADATA_KEY,
  OBJECT_NAME,
} from './kubetext';
import { idSchema, versionSchema } from './names';
import { resourcesSchema } from './resources';
import { scalingSchema } from './scaling';
import { schedulingSchema } from './scheduling';
import { FRAMEWORKS, imageSchema, MODEL_TYPES, serverSchema } from './servers';
import { sourceSchema } from './source';
import { memorySchema } from './quantity';
import { UPDATE_STRATEGIES } from './updatestrategies';

/** Labels and annotations with these prefixes are ours or Kubernetes' own. */
export const RESERVED_PREFIXES = [
  'ai-model.suoke.life/',
  'app.kubernetes.io/',
  'kubernetes.io/',
  'k8s.io/',
];

const anyMetadataKey = z
  .string()
  .max(MAX_METADATA_KEY)
  .regex(METADATA_KEY, 'a label key such as team or example.com/team; rename it');

const metadataKey = anyMetadataKey.refine(
  (key) => !RESERVED_PREFIXES.some((prefix) => key.startsWith(prefix)),
  {
    error: `outside the reserved prefixes ${RESERVED_PREFIXES.join(', ')}; use a prefix of your own`,
  },
);

const labelValue = z
  .string()
  .regex(
    LABEL_VALUE,
    'a label value: at most 63 letters, digits, _ . -; shorten it or use annotations',
  );

// Any JSON: `plainFault` has made sure of that before the schema looks.
const jsonObject = z.record(z.string(), z.unknown());

/** Kinds a definition may patch: those that `objectsOf` makes. */
export const OVERRIDABLE_KINDS = [
  'ConfigMap',
  'Deployment',
  'HorizontalPodAutoscaler',
  'PodDisruptionBudget',
  'Service',
  'NetworkPolicy',
  'ServiceAccount',
  'PersistentVolumeClaim',
  'Job',
  'PodMonitor',
  'PrometheusRule',
] as const;

const waiverSchema = z.strictObject({
  /** Id of the finding. */
  rule: z.string().min(1).max(64).describe('Id of the finding.'),
  reason: z
    .string()
    .min(10, 'a reason of at least 10 characters; say why the finding is acceptable')
    .max(500),
  until: z.iso.date('a date as YYYY-MM-DD; write the day the waiver ends'),
});

const sloSchema = z
  .strictObject({
    /** Percent of good answers. */
    availability: z.number().min(50).max(99.999).optional().describe('Percent of good answers.'),
    /** The p-th percentile stays under this many milliseconds. */
    latencyMs: z
      .strictObject({ p: z.number().min(1).max(99.99), under: z.number().min(1).max(300_000) })
      .optional()
      .describe('The p-th percentile stays under this many milliseconds.'),
  })
  .describe('What is promised to callers.');

const cacheSchema = z
  .strictObject({
    size: memorySchema,
    storageClass: z
      .string()
      .max(MAX_OBJECT_NAME)
      .regex(OBJECT_NAME, 'the name of a StorageClass; fix the name')
      .optional(),
  })
  .describe('Keep the artifact on a PersistentVolumeClaim instead of loading it for each replica.');

/** THE schema. Every way into the system (TypeScript, YAML, JSON, REST, the stored form) is parsed by it. */
export const modelSchema = z.strictObject({
  /** What callers name. Its slug (_ becomes -) names the Kubernetes objects. */
  id: idSchema,
  /** For people, in any script. Default: the id. */
  name: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('For people, in any script. Default: the id.'),
  /** What runs. Shown to callers and put on labels (+ becomes _). */
  version: versionSchema,
  /** What the model is for. */
  type: z.enum(MODEL_TYPES).default('other').describe('What the model is for.'),
  /** What the model was made with. */
  framework: z.enum(FRAMEWORKS).describe('What the model was made with.'),
  /** Container image that brings model and server, or the server alone. */
  image: imageSchema
    .optional()
    .describe('Container image that brings model and server, or the server alone.'),
  /** Entry point of the image. */
  command: z.array(z.string()).max(64).optional().describe('Entry point of the image.'),
  /** Arguments of the image. */
  args: z.array(z.string()).max(256).optional().describe('Arguments of the image.'),
  /** Numeric user; never 0. */
  runAsUser: z.int().min(1).max(4_294_967_294).optional().describe('Numeric user; never 0.'),
  /** Where the artifact (the trained model) comes from. */
  source: sourceSchema.optional(),
  /** What serves the artifact. */
  server: serverSchema.optional(),
  /** What one replica asks for. The memory limit equals the request. */
  resources: resourcesSchema.prefault({}),
  /** How many replicas an arm has. */
  scaling: scalingSchema.prefault({}),
  /** How Kubernetes and the router learn that a replica can serve. */
  health: healthSchema.prefault({}),
  /** surge: a new replica first. replace: an old one goes first, for GPUs without a spare. Default: surge, or replace where the quota has no room for one more. */
  updateStrategy: z
    .enum(UPDATE_STRATEGIES)
    .optional()
    .describe(
      'surge: a new replica first. replace: an old one goes first, for GPUs without a spare. Default: surge, or replace where the quota has no room for one more.',
    ),
  /** Environment variables: a string, or { secret, key }. */
  env: envSchema.default({}),
  /** What callers can look for. */
  capabilities: z
    .array(z.string().min(1).max(64))
    .max(64)
    .default([])
    .describe('What callers can look for.'),
  /** How requests are admitted, timed and retried. */
  inference: inferenceSchema.prefault({}),
  /** Other versions that run beside stable and get a share, or a copy, of its traffic. */
  candidates: candidatesSchema.default([]),
  /** What is promised to callers. */
  slo: sloSchema.optional(),
  /** Keep the artifact on a PersistentVolumeClaim instead of loading it for each replica. */
  cache: cacheSchema.optional(),
  /** Where replicas may run. */
  scheduling: schedulingSchema.prefault({}),
  /** Annotations of the account of its pods: workload identity of the clouds. */
  serviceAccountAnnotations: z.record(anyMetadataKey, z.string()).default({}),
  /** Object kind → JSON merge patch, laid on the finished object. */
  overrides: z
    .partialRecord(z.enum(OVERRIDABLE_KINDS), jsonObject)
    .default({})
    .describe('Object kind → JSON merge patch, laid on the finished object.'),
  /** Further labels of every object. */
  labels: z.record(metadataKey, labelValue).default({}),
  /** Further annotations of every object and pod. */
  annotations: z.record(metadataKey, z.string().max(65_536)).default({}),
  /** Findings that are accepted, each until a day. */
  waivers: z.array(waiverSchema).max(32).default([]),
});

/** What an author writes. */
export type ModelInput = z.input<typeof modelSchema>;

/** What the schema alone makes of it: defaults filled in, nothing derived yet. */
export type ParsedModel = z.output<typeof modelSchema>;

/**
 * Gives a definition its type, so that the compiler checks it. The value is returned unchanged; it
 * is parsed once, by `parseModel`, where all its faults can be reported together.
 * @example export default defineModel({ id: 'iris', version: 'v1', framework: 'onnx', source:
 * './iris.onnx' });
 */
export function defineModel(model: ModelInput): ModelInput {
  return model;
}
