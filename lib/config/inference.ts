import { z } from 'zod';

const MIB = 1024 * 1024;

/**
 * Headers of a connection or a message, the router’s own headers, and credentials: never passed on.
 */
const NEVER_PASSED =
  /^(?:authorization|connection|content-length|cookie|expect|host|keep-alive|proxy-.*|set-cookie|te|traceparent|trailer|transfer-encoding|upgrade|x-ai-model-.*|x-api-key|x-forwarded-.*|x-request-id)$/;

const headerNames = z
  .array(
    z
      .string()
      .max(100)
      .regex(/^[a-z0-9][a-z0-9-]*$/, 'the name of a header in lower case, with dashes')
      .refine((name) => !NEVER_PASSED.test(name), {
        error: 'a header that may pass (credentials and headers of a connection never do); drop it',
      }),
  )
  .max(100)
  .default([]);

export const inferenceSchema = z.strictObject({
  maxAnswerBytes: z
    .int()
    .min(1024)
    .max(1024 * MIB)
    .default(64 * MIB)
    .describe('Largest answer of native calls and batches, which are read whole; others stream.'),
  maxOpenaiBodyBytes: z
    .int()
    .min(1024)
    .max(1024 * MIB)
    .default(10 * MIB)
    .describe('Largest body of OpenAI calls, which are read before their model is known.'),
  streamAboveBytes: z
    .int()
    .min(1024)
    .max(64 * MIB)
    .default(MIB)
    .describe('Larger bodies of V1 and V2 calls go to the server while they come.'),
  passedHeaders: headerNames.describe(
    'Headers of callers that model servers get, beside the documented list.',
  ),
  answerHeaders: headerNames.describe(
    'Headers of model servers that callers get, beside the documented list.',
  ),
  maxShadowBytes: z
    .int()
    .min(0)
    .max(64 * MIB)
    .default(MIB)
    .describe('Larger requests and answers are not copied for a shadow.'),
  shadowPercent: z
    .number()
    .min(0)
    .max(100)
    .default(10)
    .describe('Share of a shadow’s capacity that copies may use; at least one request.'),
  shadowLogSeconds: z
    .number()
    .min(0)
    .max(86_400)
    .default(10)
    .describe('Time between two log lines about disagreements of a shadow; 0: a line for each.'),
});
