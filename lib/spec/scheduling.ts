import { z } from 'zod';
import {
  LABEL_VALUE,
  MAX_METADATA_KEY,
  MAX_OBJECT_NAME,
  METADATA_KEY,
  OBJECT_NAME,
} from './kubetext';

const nodeKey = z
  .string()
  .max(MAX_METADATA_KEY)
  .regex(METADATA_KEY, 'the key of a node label or taint; copy it from the node');
const nodeValue = z
  .string()
  .regex(LABEL_VALUE, 'the value of a node label or taint; copy it from the node');

export const tolerationSchema = z.strictObject({
  key: nodeKey.optional(),
  operator: z.enum(['Exists', 'Equal']).optional(),
  value: nodeValue.optional(),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
  tolerationSeconds: z.int().min(0).optional(),
});

export type Toleration = z.output<typeof tolerationSchema>;

export const schedulingSchema = z
  .strictObject({
    /** Node labels that must match. */
    nodeSelector: z.record(nodeKey, nodeValue).default({}).describe('Node labels that must match.'),
    tolerations: z.array(tolerationSchema).max(32).default([]),
    priorityClass: z
      .string()
      .max(MAX_OBJECT_NAME)
      .regex(OBJECT_NAME, 'the name of a PriorityClass; fix the name')
      .optional(),
    runtimeClass: z
      .string()
      .max(MAX_OBJECT_NAME)
      .regex(OBJECT_NAME, 'the name of a RuntimeClass; fix the name')
      .optional(),
    /** Over what the replicas of an arm are spread. */
    topologySpread: z
      .enum(['zone', 'host', 'both', 'none'])
      .default('both')
      .describe('Over what the replicas of an arm are spread.'),
    /** Tolerate and prefer preemptible nodes of the usual clouds. */
    spot: z
      .boolean()
      .default(false)
      .describe('Tolerate and prefer preemptible nodes of the usual clouds.'),
  })
  .describe('Where replicas may run.');

export type Scheduling = z.output<typeof schedulingSchema>;
