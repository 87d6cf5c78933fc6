import { z } from 'zod';

const scope = z.enum(['infer', 'read', 'write', 'admin', 'arms']);

export const authSchema = z.strictObject({
  mode: z
    .enum(['none', 'api_key'])
    .optional()
    .describe('Absent: open on loopback, a generated key elsewhere.'),
  keys: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(64),
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits; run: ai-model-service keys'),
        scopes: z.array(scope).min(1),
        models: z.array(z.string().min(1)).optional().describe('Only these models; absent: all.'),
      }),
    )
    .max(10_000)
    .default([]),
});
