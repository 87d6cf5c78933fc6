import { z } from 'zod';
import { MAX_OBJECT_NAME, OBJECT_NAME } from './kubetext';
import { candidateNameSchema, versionSchema } from './names';
import { resourcesSchema } from './resources';
import { rolloutSchema, shareSchema } from './rollout';
import { scalingSchema } from './scaling';
import { imageSchema, serverSchema } from './serverkinds';
import { sourceSchema } from './source';
import { isObject } from './entry';

/**
 * Shares of two candidates can grow so that no cohort moves backwards; those of three cannot
 * (routing.md).
 */
export const MAX_TRAFFIC_CANDIDATES = 2;
export const MAX_SHADOWS = 2;

const compareSchema = z
  .strictObject({
    abs: z.number().min(0).optional().describe('Numbers may differ by this much.'),
    rel: z.number().min(0).default(1e-3).describe('Numbers may differ by this fraction.'),
    labels: z.array(z.string().min(1)).optional().describe('Outputs that must be equal exactly.'),
    topK: z.int().min(1).max(1000).optional().describe('Only the k best entries are compared.'),
    paths: z.array(z.string().min(1)).optional().describe('Only these dotted paths are compared.'),
  })
  .describe('When a shadow’s answer counts as the same.');

/** Maps that a definition and its candidates have in common: values reach the model unchanged. */
const secretRefSchema = z.strictObject({
  secret: z
    .string()
    .regex(OBJECT_NAME, 'the name of a Secret; fix the name')
    .max(MAX_OBJECT_NAME)
    .describe('Secret in the namespace of the model.'),
  key: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+$/, 'a key of that Secret; fix the key')
    .max(253)
    .describe('Key of that Secret whose value the variable gets.'),
});

export const envSchema = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a variable name: letters, digits and _; rename it'),
    z.union([z.string(), secretRefSchema], {
      error: 'a string or { secret, key }; write numbers and booleans in quotes',
    }),
  )
  .describe('Environment variables: a string, or { secret, key }.');

const candidateObject = z.strictObject({
  name: candidateNameSchema.optional(),
  version: versionSchema,
  image: imageSchema.optional(),
  source: sourceSchema.optional(),
  server: serverSchema.optional(),
  resources: resourcesSchema.optional(),
  scaling: scalingSchema.optional(),
  env: envSchema.optional(),
  traffic: shareSchema.optional().describe('Percent of live traffic, in steps of 0.01.'),
  shadow: z.int().min(1).max(100).optional().describe('Percent of live traffic copied to it.'),
  rollout: rolloutSchema.optional(),
  compare: compareSchema.optional(),
});

/**
 * Fields may be present and wrong: presence is checked even then, so that all faults are reported
 * together.
 */
const isGiven = ({ value }: { readonly value: unknown }): boolean => isObject(value);

export const candidateSchema = candidateObject.superRefine(
  (candidate, context) => {
    const { traffic, shadow, rollout, compare } = candidate;
    const given = [traffic, shadow, rollout].filter((role) => role !== undefined).length;
    if (given !== 1) {
      context.addIssue({
        code: 'custom',
        path: [],
        input: candidate,
        message: 'given exactly one of `traffic`, `shadow` or `rollout`; keep one of them',
      });
    }
    if (compare !== undefined && shadow === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['compare'],
        input: compare,
        message: 'left out unless the candidate is a shadow; remove `compare` or set `shadow`',
      });
    }
  },
  { when: isGiven },
);

export const candidatesSchema = z
  .array(candidateSchema)
  .max(MAX_TRAFFIC_CANDIDATES + MAX_SHADOWS)
  .describe('Other versions that run beside stable and get a share, or a copy, of its traffic.');

export type Candidate = z.output<typeof candidateSchema>;
export type Compare = z.output<typeof compareSchema>;
export type EnvValue = z.output<typeof envSchema>[string];
