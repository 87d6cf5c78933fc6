import { z } from 'zod';

const scope = z.enum(['infer', 'read', 'write', 'admin', 'arms']);

export const authSchema = z.strictObject({
  mode: z
    .enum(['none', 'api_key'])
    .optional()
    .describe(
      'api_key: callers show a key; none: everyone may call. Absent: none on loopback, elsewhere a generated key.',
    ),
  keys: z
    .array(
      z.strictObject({
        name: z
          .string()
          .min(1)
          .max(64)
          .describe('Name of the caller, as the audit record shows it.'),
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits; run: ai-model-service keys')
          .describe('SHA-256 of the key, in hex.'),
        scopes: z.array(scope).min(1).describe('Rights of the caller.'),
        models: z.array(z.string().min(1)).optional().describe('Only these models; absent: all.'),
      }),
    )
    .max(10_000)
    .default([])
    .describe('Keys of the callers.'),
});
