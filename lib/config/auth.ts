import { z } from 'zod';
import { pathSchema } from './path';

const scope = z.enum(['infer', 'read', 'write', 'admin', 'arms']);
const callerName = z
  .string()
  .min(1)
  .max(64)
  .describe('Name of the caller, as the audit record shows it.');
const models = z.array(z.string().min(1)).optional().describe('Only these models; absent: all.');

/** RFC 3339: without an offset the time would depend on the machine. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** Keys of a file or of a configuration. */
export const MAX_KEYS = 10_000;

/** One key; in the configuration, and in the file that `auth.keys_file` names. */
export const keySchema = z.strictObject({
  name: callerName,
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits; run: ai-model-service keys')
    .describe('SHA-256 of the key, in hex.'),
  scopes: z.array(scope).min(1).describe('Rights of the caller.'),
  models,
  expires: z
    .string()
    .refine((text) => TIME.test(text) && !Number.isNaN(Date.parse(text)), {
      error: 'a time such as 2027-01-31T00:00:00Z; write one',
    })
    .optional()
    .describe('From this time on the key is refused; absent: never.'),
});

export type KeyEntry = z.output<typeof keySchema>;

export const authSchema = z.strictObject({
  mode: z
    .enum(['none', 'api_key'])
    .optional()
    .describe(
      'api_key: callers show a key; none: everyone may call. Absent: none on loopback, elsewhere a generated key.',
    ),
  keys: z.array(keySchema).max(MAX_KEYS).default([]).describe('Keys of the callers.'),
  keysFile: pathSchema
    .optional()
    .describe(
      'Further keys: a list in YAML or JSON with the fields of `keys`. A change is in force within two seconds; a faulty file leaves the last good keys in force.',
    ),
});
