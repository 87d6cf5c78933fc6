import { z } from 'zod';
import { URL_PATH } from './kubetext';

/** Seconds that one replica may take to load its model before it is restarted. */
const DEFAULT_STARTUP_SECONDS = 600;

export const healthSchema = z
  .strictObject({
    path: z
      .string()
      .regex(
        URL_PATH,
        'an absolute path such as /health, of ASCII letters, digits and -._~!$&()*+,=:@ only; start it with / and write other characters percent-encoded (/你 is /%E4%BD%A0)',
      )
      .max(512)
      .optional()
      .describe('Path that answers 2xx when the model is loaded. Default: by server.'),
    port: z.int().min(1).max(65_535).optional().describe('Default: the server’s HTTP port.'),
    initialDelaySeconds: z
      .int()
      .min(0)
      .max(3600)
      .default(0)
      .describe('Seconds before the first probe.'),
    periodSeconds: z.int().min(1).max(300).default(5).describe('Seconds between probes.'),
    startupSeconds: z
      .int()
      .min(5)
      .max(86_400)
      .default(DEFAULT_STARTUP_SECONDS)
      .describe('Budget to load the model, in seconds.'),
  })
  .describe('How Kubernetes and the router learn that a replica can serve.');

export type Health = z.output<typeof healthSchema>;
