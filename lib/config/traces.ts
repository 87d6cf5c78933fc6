import { z } from 'zod';
import { pathSchema } from './path';

function isCollectorUrl(text: string): boolean {
  try {
    const { protocol, username, password } = new URL(text);
    return /^https?:$/.test(protocol) && username === '' && password === '';
  } catch {
    return false;
  }
}

export const tracesSchema = z.strictObject({
  endpoint: z
    .string()
    .max(2048)
    .refine(isCollectorUrl, {
      error:
        'an http or https URL without a user, such as http://collector:4318; credentials are in headersFile',
    })
    .describe(
      'Collector that takes OTLP over HTTP (protobuf); without a path: /v1/traces is appended.',
    ),
  headersFile: pathSchema
    .optional()
    .describe(
      'File with further headers for the collector, a line `name: value` each, such as its credentials; read again for each export.',
    ),
  sampleRatio: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('Part of the traces that begin here; a caller’s own decision is followed.'),
  serviceName: z
    .string()
    .min(1)
    .max(255)
    .default('ai-model-service')
    .describe('`service.name` of the spans.'),
  maxQueue: z
    .int()
    .min(1)
    .max(100_000)
    .default(4096)
    .describe('Spans that wait for the collector; more are dropped and counted.'),
  timeoutSeconds: z
    .number()
    .min(0.1)
    .max(60)
    .default(10)
    .describe('Longest time of one export, and of the last one at shutdown.'),
  caFile: pathSchema
    .optional()
    .describe('PEM file of the authorities of an https collector; absent: those of Node.js.'),
});
