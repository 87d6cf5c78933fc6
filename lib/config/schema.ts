import { z } from 'zod';
import { auditSchema } from './audit';
import { authSchema } from './auth';
import { inferenceSchema } from './inference';
import { kubernetesSchema } from './kubernetes';
import { localSchema } from './local';
import { modelsSchema } from './models';
import { routingSchema } from './routing';
import { serverSchema } from './server';
import { tracesSchema } from './traces';

export const configSchema = z.strictObject({
  server: serverSchema.prefault({}).describe('Ports, connections and their limits.'),
  cluster: z
    .enum(['local', 'kubernetes'])
    .optional()
    .describe(
      'local: models run as processes of this machine; kubernetes: as pods. Absent: kubernetes where kubernetes.namespace or kubernetes.config_path is given, else local.',
    ),
  local: localSchema.prefault({}).describe('Models as processes of this machine.'),
  models: modelsSchema.prefault({}).describe('Definitions, and bounds of those that come by REST.'),
  kubernetes: kubernetesSchema.prefault({}).describe('Models as pods.'),
  inference: inferenceSchema.prefault({}).describe('Limits of inference calls.'),
  routing: routingSchema.prefault({}).describe('Constants of balancing, ejection and retries.'),
  auth: authSchema.prefault({}).describe('Callers and their keys.'),
  audit: auditSchema.prefault({}).describe('Record of changes and inference calls.'),
  traces: tracesSchema
    .optional()
    .describe('Traces of requests, for an OpenTelemetry collector; absent: none.'),
  logging: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('Least severity that is written.'),
      format: z
        .enum(['json', 'text'])
        .default('json')
        .describe('json: an object for each line; text: for people.'),
    })
    .prefault({})
    .describe('Severity and form of the log.'),
});

/** The sections as their author wrote them. */
export type WrittenConfig = z.output<typeof configSchema>;
