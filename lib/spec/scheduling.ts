import { z } from 'zod';

export const tolerationSchema = z.strictObject({
  key: z.string().max(317).optional(),
  operator: z.enum(['Exists', 'Equal']).optional(),
  value: z.string().max(63).optional(),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
  tolerationSeconds: z.int().min(0).optional(),
});

export type Toleration = z.output<typeof tolerationSchema>;

export const schedulingSchema = z
  .strictObject({
    nodeSelector: z
      .record(z.string(), z.string())
      .default({})
      .describe('Node labels that must match.'),
    tolerations: z.array(tolerationSchema).max(32).default([]),
    priorityClass: z.string().max(253).optional(),
    runtimeClass: z.string().max(253).optional(),
    topologySpread: z
      .enum(['zone', 'host', 'both', 'none'])
      .default('both')
      .describe('Over what the replicas of an arm are spread.'),
    spot: z
      .boolean()
      .default(false)
      .describe('Tolerate and prefer preemptible nodes of the usual clouds.'),
  })
  .describe('Where replicas may run.');

export type Scheduling = z.output<typeof schedulingSchema>;
