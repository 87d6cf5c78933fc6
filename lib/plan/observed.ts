import { z } from 'zod';
import type { ModelObservation } from '../spec';

// What a running service observed: `GET /api/v1/observed` writes it, `plan --observed` reads it.

const observedArmSchema = z.object({
  arm: z.string().describe('`stable`, or the name of the candidate.'),
  role: z.enum(['traffic', 'shadow', 'rollout']),
  replicas: z.int().min(0).describe('Replicas that exist, ready or not.'),
  requests_per_second: z
    .number()
    .min(0)
    .describe('Completed requests; of a shadow the copies that it answered.'),
});

const observedModelSchema = z.object({
  model_id: z.string(),
  arms: z.array(observedArmSchema),
});

export const observedSchema = z
  .object({
    format: z.literal(1).describe('Rises when a field changes its meaning or goes.'),
    time: z.iso.datetime().describe('When it was observed.'),
    seconds: z.number().min(0).describe('Length of the time over which the rates were counted.'),
    complete: z
      .boolean()
      .optional()
      .describe('false: a router did not report, so the rates are too low.'),
    models: z.array(observedModelSchema),
  })
  .describe('Replicas and rates of all models, for the cost of a plan.');

export type Observed = z.output<typeof observedSchema>;

/** Observations by model. Copies for shadows are not requests of callers. */
export function observations({ models }: Observed): ReadonlyMap<string, ModelObservation> {
  return new Map(
    models.map(({ model_id, arms }) => {
      const replicas = Object.fromEntries(arms.map(({ arm, replicas: count }) => [arm, count]));
      const requestsPerSecond = arms
        .filter(({ role }) => role !== 'shadow')
        .reduce((sum, { requests_per_second }) => sum + requests_per_second, 0);
      return [model_id, { replicas, requestsPerSecond }];
    }),
  );
}
