import { z } from 'zod';
import { defaultResourcesSchema, registrySchema } from '../spec';
import { pathSchema } from './path';
import { artifactHostSchema } from '../spec/hosts';

// Definitions to serve, and the limits of definitions by REST.

const registry = z
  .string()
  .max(255)
  .regex(
    /^[a-z0-9.-]+(:[0-9]{1,5})?(\/[a-z0-9._/-]+)?$/,
    'a registry with an optional path, such as ghcr.io/suoke; drop scheme and tag',
  );

export const modelsSchema = z.strictObject({
  directory: pathSchema.default('models').describe('Definitions to serve; REST may add more.'),
  watch: z.boolean().default(false).describe('Apply a definition again when its file changes.'),
  environment: z
    .string()
    .min(1)
    .optional()
    .describe('Environment of environments.ts whose objects a dry run gives; absent: its first.'),
  registry: registrySchema
    .optional()
    .describe('Prefix for images that name no registry host; an environment that has one wins.'),
  defaultResources: defaultResourcesSchema
    .optional()
    .describe('For models that name none; each value of an environment takes precedence.'),
  allowedRegistries: z
    .array(registry)
    .optional()
    .describe('Registries that images of definitions by REST may come from; absent: anywhere.'),
  allowedHosts: z
    .array(artifactHostSchema)
    .optional()
    .describe(
      'Hosts that artifacts of definitions by REST may come from (https, oci, endpoints), private ones included; absent: any public one.',
    ),
});
