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
  requestsPerMinute: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Calls of each model in a minute, at each router; absent: without a limit.'),
  concurrency: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('Calls of models at a time, at each router; absent: without a limit.'),
});

/** Asymmetric only: a service that checks signatures must not be able to make one. */
const algorithm = z.enum([
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
]);
const claim = z.string().min(1).max(200);

const jwtSchema = z.strictObject({
  issuer: z.string().min(1).max(2000).describe('The claim iss of a token, character by character.'),
  audience: z
    .array(z.string().min(1).max(2000))
    .min(1)
    .max(20)
    .describe('The claim aud of a token has one of these.'),
  jwksUrl: z
    .string()
    .max(2000)
    .optional()
    .describe('Where the keys of the issuer are, https; absent: by OIDC discovery.'),
  algorithms: z
    .array(algorithm)
    .min(1)
    .default(['RS256', 'ES256'])
    .describe('Algorithms of signatures that are accepted.'),
  scopesClaim: claim
    .default('scope')
    .describe('Claim with the scopes: a list, or a text with blanks between.'),
  modelsClaim: claim
    .optional()
    .describe(
      'Claim with the models (`*`: all), in the same forms; absent: every token is for all models.',
    ),
  clockSkewSeconds: z
    .int()
    .min(0)
    .max(300)
    .default(30)
    .describe('How far the clocks of the issuer and of this machine may differ.'),
});

export type KeyEntry = z.output<typeof keySchema>;

const clientCertSchema = z
  .strictObject({
    subject: z
      .string()
      .min(1)
      .max(2000)
      .optional()
      .describe('The whole subject, such as CN=app,O=Clinic.'),
    san: z
      .string()
      .max(2000)
      .regex(/^(?:DNS|URI|IP|email):./, 'a name with its kind, such as URI:spiffe://clinic/app')
      .optional()
      .describe('One of the alternative names, such as DNS:app.clinic.example.'),
    name: callerName,
    scopes: z.array(scope).min(1).describe('Rights of the caller.'),
    models,
  })
  .refine(({ subject, san }) => subject !== undefined || san !== undefined, {
    error: 'a certificate by subject or san; add one of them',
  });

export type ClientCertEntry = z.output<typeof clientCertSchema>;

export const authSchema = z.strictObject({
  mode: z
    .enum(['none', 'api_key', 'jwt', 'both'])
    .optional()
    .describe(
      'api_key: callers show a key; jwt: a token of an identity provider; both: either; none: everyone may call. Absent: by what is configured; with nothing configured none on loopback, elsewhere a generated key.',
    ),
  keys: z.array(keySchema).max(MAX_KEYS).default([]).describe('Keys of the callers.'),
  keysFile: pathSchema
    .optional()
    .describe(
      'Further keys: a list in YAML or JSON with the fields of `keys`. A change is in force within two seconds; a faulty file leaves the last good keys in force.',
    ),
  jwt: jwtSchema.optional().describe('Tokens (JWT) of an identity provider.'),
  clientCerts: z
    .array(clientCertSchema)
    .max(1000)
    .default([])
    .describe(
      'Callers by their client certificate, in every mode but none; server.tls.client_ca signs them.',
    ),
});
