import { z } from 'zod';

const MIB = 1024 * 1024;

export const inferenceSchema = z.strictObject({
  maxAnswerBytes: z
    .int()
    .min(1024)
    .max(1024 * MIB)
    .default(64 * MIB)
    .describe('Answers of native calls and batches, which are read whole; others stream.'),
  maxOpenaiBodyBytes: z
    .int()
    .min(1024)
    .max(1024 * MIB)
    .default(10 * MIB)
    .describe('OpenAI calls name their model inside, so that no limit of a model can hold before.'),
  streamAboveBytes: z
    .int()
    .min(1024)
    .max(64 * MIB)
    .default(MIB)
    .describe('Larger bodies of V1 and V2 calls go to the server while they come.'),
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
    .describe("Of a shadow's capacity that copies may use; at least one request."),
  shadowLogSeconds: z
    .number()
    .min(0)
    .max(86_400)
    .default(10)
    .describe('One line of the log in so long tells of the disagreements of a shadow; 0: all.'),
});
