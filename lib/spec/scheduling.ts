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
  key: nodeKey.optional().describe('Key of the taint. Left out with Exists: every taint.'),
  operator: z
    .enum(['Exists', 'Equal'])
    .optional()
    .describe('Whether the value counts. Default: Equal.'),
  value: nodeValue.optional().describe('Value of the taint, with Equal.'),
  effect: z
    .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
    .optional()
    .describe('Effect of the taint. Default: all of them.'),
  tolerationSeconds: z
    .int()
    .min(0)
    .optional()
    .describe('How long a NoExecute taint is tolerated, in seconds. Default: for ever.'),
});

export type Toleration = z.output<typeof tolerationSchema>;

export const schedulingSchema = z
  .strictObject({
    nodeSelector: z.record(nodeKey, nodeValue).default({}).describe('Node labels that must match.'),
    tolerations: z
      .array(tolerationSchema)
      .max(32)
      .default([])
      .describe('Taints of nodes that replicas tolerate.'),
    priorityClass: z
      .string()
      .max(MAX_OBJECT_NAME)
      .regex(OBJECT_NAME, 'the name of a PriorityClass; fix the name')
      .optional()
      .describe('PriorityClass of the pods.'),
    runtimeClass: z
      .string()
      .max(MAX_OBJECT_NAME)
      .regex(OBJECT_NAME, 'the name of a RuntimeClass; fix the name')
      .optional()
      .describe('RuntimeClass of the pods.'),
    topologySpread: z
      .enum(['zone', 'host', 'both', 'none'])
      .default('both')
      .describe('Topology over which the replicas of an arm are spread.'),
    spot: z
      .boolean()
      .default(false)
      .describe('Tolerate and prefer preemptible nodes of the usual clouds.'),
  })
  .describe('Where replicas may run.');

export type Scheduling = z.output<typeof schedulingSchema>;
