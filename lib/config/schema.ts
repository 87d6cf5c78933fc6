import { z } from 'zod';
import { authSchema } from './auth';
import { inferenceSchema } from './inference';
import { kubernetesSchema } from './kubernetes';
import { localSchema } from './local';
import { modelsSchema } from './models';
import { pathSchema } from './path';
import { routingSchema } from './routing';
import { serverSchema } from './server';

export const configSchema = z.strictObject({
  server: serverSchema.prefault({}),
  cluster: z
    .enum(['local', 'kubernetes'])
    .optional()
    .describe(
      'local: models run as processes of this machine; kubernetes: as pods. Absent: kubernetes where kubernetes.namespace or kubernetes.config_path is given, else local.',
    ),
  local: localSchema.prefault({}),
  models: modelsSchema.prefault({}),
  kubernetes: kubernetesSchema.prefault({}),
  inference: inferenceSchema.prefault({}),
  routing: routingSchema.prefault({}),
  auth: authSchema.prefault({}),
  audit: z
    .strictObject({
      file: pathSchema.optional().describe('JSON lines; absent: no audit; "-": stdout.'),
      inference: z
        .boolean()
        .default(false)
        .describe('A line for every inference, too: who asked which version when, never what.'),
    })
    .prefault({}),
  logging: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
      format: z.enum(['json', 'text']).default('json'),
    })
    .prefault({}),
});

/** As it is written. */
export type WrittenConfig = z.output<typeof configSchema>;
