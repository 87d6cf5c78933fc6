import { z } from 'zod';

const headerName = z
  .string()
  .max(64)
  .regex(
    /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/,
    'a header, claim or cookie name (a token of RFC 9110); fix the name',
  );

const salt = z
  .string()
  .min(1)
  .max(128)
  .optional()
  .describe('Change it for a new experiment. Default: the id.');

/** The value that is hashed to choose an arm: callers with the same value get the same arm. */
const cohortSchema = z
  .union(
    [
      z.strictObject({
        header: headerName.describe('Request header whose value is hashed.'),
        salt,
      }),
      z.strictObject({
        claim: headerName.describe('Claim of the caller’s JWT whose value is hashed.'),
        salt,
      }),
      z.strictObject({
        cookie: headerName.describe('Cookie whose value is hashed.'),
        salt,
      }),
    ],
    {
      error: 'exactly one of { header }, { claim } or { cookie }, with an optional salt; name one',
    },
  )
  .describe('The caller’s key: a header, a JWT claim or a cookie.');

const batchingSchema = z
  .strictObject({
    maxSize: z.int().min(2).max(1024).describe('Most rows in one call to the server.'),
    maxDelayMs: z
      .int()
      .min(0)
      .max(1000)
      .describe('Longest wait for more requests, in milliseconds.'),
    rowsIndependent: z
      .boolean()
      .optional()
      .describe(
        'Each row’s answer depends on that row alone. Needed for all servers but the built-in ONNX server, which reads it from the graph.',
      ),
  })
  .describe('Requests of equal shape go to the server in one call; opt in.');

export const inferenceSchema = z
  .strictObject({
    timeoutSeconds: z
      .int()
      .min(1)
      .max(300)
      .default(30)
      .describe('Deadline of one request, in seconds.'),
    maxConcurrency: z
      .int()
      .min(1)
      .max(10_000)
      .default(8)
      .describe('Requests in flight per replica.'),
    maxBatchSize: z
      .int()
      .min(1)
      .max(1024)
      .default(32)
      .describe('Most items in one batch_inference call.'),
    batching: batchingSchema.optional(),
    idempotent: z.boolean().default(true).describe('May a request that perhaps ran be sent again?'),
    replayBytes: z
      .int()
      .min(0)
      .max(16_777_216)
      .default(65_536)
      .describe('Largest body kept for a retry, in bytes.'),
    cohort: cohortSchema.default({ header: 'x-user-id' }),
    maxQueueDepth: z
      .int()
      .min(0)
      .max(100_000)
      .optional()
      .describe('Default: twice the capacity of the arm.'),
    maxBodyBytes: z
      .int()
      .min(1024)
      .max(1_073_741_824)
      .default(10_485_760)
      .describe('Largest request body, in bytes.'),
  })
  .describe('How requests are admitted, timed and retried.');

export type Inference = z.output<typeof inferenceSchema>;
export type Cohort = z.output<typeof cohortSchema>;
