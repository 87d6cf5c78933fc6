import { z } from 'zod';
import { pathSchema } from './path';

const address = z
  .string()
  .regex(
    /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/,
    'host:port; write for example 127.0.0.1:9001',
  )
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, {
    error: 'host:port with a port up to 65535; correct the port',
  });

export const localSchema = z.strictObject({
  directory: pathSchema
    .default('.ai-model-service')
    .describe('Folder of the definitions, their history and the artifacts.'),
  endpoints: z
    .record(z.string(), z.record(z.string(), z.array(address).min(1)))
    .default({})
    .describe('Model → arm → servers that already run; they are routed to instead of started.'),
  preStopSeconds: z
    .number()
    .min(0)
    .max(300)
    .default(1)
    .describe('Time between the last new request of a replica and its SIGTERM.'),
});
