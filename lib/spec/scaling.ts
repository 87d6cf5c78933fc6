import { z } from 'zod';

/** More replicas of one arm are a typing error. */
const MAX_REPLICAS = 1000;

const replicasSchema = z.int().min(0).max(MAX_REPLICAS);

export const scalingSchema = z
  .strictObject({
    minReplicas: replicasSchema.default(1).describe('Fewest replicas; 0 scales to zero when idle.'),
    maxReplicas: replicasSchema
      .optional()
      .describe('Most replicas. Default: the larger of minReplicas and 1.'),
    targetCpuUtilization: z
      .int()
      .min(1)
      .max(100)
      .default(70)
      .describe('Percent of the requested CPU the autoscaler aims at.'),
    targetConcurrency: z
      .number()
      .min(0.1)
      .max(10_000)
      .optional()
      .describe('Requests in flight per replica the autoscaler aims at.'),
    scaleDownWindowSeconds: z
      .int()
      .min(0)
      .max(3600)
      .default(300)
      .describe('How long a lower need must last before replicas go, in seconds.'),
  })
  .check((context) => {
    const { minReplicas, maxReplicas, targetConcurrency } = context.value;
    if (maxReplicas !== undefined && maxReplicas < Math.max(minReplicas, 1)) {
      const needed = `\`minReplicas\` (${minReplicas}); raise it or lower \`minReplicas\``;
      context.issues.push({
        code: 'custom',
        path: ['maxReplicas'],
        input: maxReplicas,
        message: minReplicas > 1 ? `≥ ${needed}` : '≥ 1; raise it',
      });
    }
    if (minReplicas === 0 && targetConcurrency === undefined) {
      context.issues.push({
        code: 'custom',
        path: ['targetConcurrency'],
        input: undefined,
        message:
          'given when `minReplicas` is 0 (CPU of no replica says nothing); add `targetConcurrency` or set `minReplicas` to 1',
      });
    }
  })
  .transform((scaling) => ({
    ...scaling,
    maxReplicas: scaling.maxReplicas ?? Math.max(scaling.minReplicas, 1),
  }))
  .describe('How many replicas an arm has.');

export type Scaling = z.output<typeof scalingSchema>;
