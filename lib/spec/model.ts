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
import type { ModelInput } from './modelinput';
import { idSchema, versionSchema } from './names';
import { resourcesSchema } from './resources';
import { scalingSchema } from './scaling';
import { schedulingSchema } from './scheduling';
import { imageSchema, serverSchema } from './serverkinds';
import { FRAMEWORKS, MODEL_TYPES } from './servers';
import { sourceSchema } from './source';
import { memorySchema } from './quantity';
import { UPDATE_STRATEGIES } from './updatestrategies';

/** Labels and annotations with these prefixes are ours or Kubernetes' own. */
const RESERVED_PREFIXES = [
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

// Any JSON: `plainFault` has checked it before the schema does.
const jsonObject = z.record(z.string(), z.unknown());

/** Kinds a definition may patch: those that `objectsOf` makes. */
const OVERRIDABLE_KINDS = [
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
  rule: z.string().min(1).max(64).describe('Id of the finding.'),
  reason: z
    .string()
    .min(10, 'a reason of at least 10 characters; say why the finding is acceptable')
    .max(500)
    .describe('Why the finding is acceptable; at least 10 characters.'),
  until: z.iso
    .date('a date as YYYY-MM-DD; write the day the waiver ends')
    .describe('The day the waiver ends, as YYYY-MM-DD.'),
});

const sloSchema = z
  .strictObject({
    availability: z.number().min(50).max(99.999).optional().describe('Percent of good answers.'),
    latencyMs: z
      .strictObject({
        p: z.number().min(1).max(99.99).describe('Percentile, e.g. 99.'),
        under: z
          .number()
          .min(1)
          .max(300_000)
          .describe('Milliseconds that the percentile stays under.'),
      })
      .optional()
      .describe('The p-th percentile stays under this many milliseconds.'),
  })
  .describe('Service level objectives.');

const cacheSchema = z
  .strictObject({
    size: memorySchema.describe('Size of the claim, e.g. 50Gi.'),
    storageClass: z
      .string()
      .max(MAX_OBJECT_NAME)
      .regex(OBJECT_NAME, 'the name of a StorageClass; fix the name')
      .optional()
      .describe('StorageClass of the claim. Default: the cluster’s.'),
  })
  .describe('Keep the artifact on a PersistentVolumeClaim instead of loading it for each replica.');

/** The schema. Every input (TypeScript, YAML, JSON, REST, the stored form) is parsed by it. */
export const modelSchema = z.strictObject({
  id: idSchema,
  name: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('For people, in any script. Default: the id.'),
  version: versionSchema,
  type: z.enum(MODEL_TYPES).default('other').describe('Purpose of the model.'),
  framework: z.enum(FRAMEWORKS).describe('Framework of the artifact.'),
  image: imageSchema.optional(),
  command: z.array(z.string()).max(64).optional().describe('Entry point of the image.'),
  args: z.array(z.string()).max(256).optional().describe('Arguments of the image.'),
  runAsUser: z.int().min(1).max(4_294_967_294).optional().describe('Numeric user; never 0.'),
  source: sourceSchema.optional(),
  server: serverSchema.optional(),
  resources: resourcesSchema.prefault({}),
  scaling: scalingSchema.prefault({}),
  health: healthSchema.prefault({}),
  updateStrategy: z
    .enum(UPDATE_STRATEGIES)
    .optional()
    .describe(
      'surge: a new replica first. replace: an old one goes first, for GPUs without a spare. Default: surge, or replace where the quota has no room for one more.',
    ),
  env: envSchema.default({}),
  capabilities: z
    .array(z.string().min(1).max(64))
    .max(64)
    .default([])
    .describe('Capabilities that callers can filter by.'),
  inference: inferenceSchema.prefault({}),
  candidates: candidatesSchema.default([]),
  slo: sloSchema.optional(),
  cache: cacheSchema.optional(),
  scheduling: schedulingSchema.prefault({}),
  serviceAccountAnnotations: z
    .record(anyMetadataKey, z.string())
    .default({})
    .describe('Annotations of the account of its pods: workload identity of the clouds.'),
  overrides: z
    .partialRecord(z.enum(OVERRIDABLE_KINDS), jsonObject)
    .default({})
    .describe('Object kind → JSON merge patch, laid on the finished object.'),
  labels: z.record(metadataKey, labelValue).default({}).describe('Further labels of every object.'),
  annotations: z
    .record(metadataKey, z.string().max(65_536))
    .default({})
    .describe('Further annotations of every object and pod.'),
  waivers: z
    .array(waiverSchema)
    .max(32)
    .default([])
    .describe('Findings that are accepted, each until a day.'),
});

/** The result of the schema alone: defaults filled in, nothing derived yet. */
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
