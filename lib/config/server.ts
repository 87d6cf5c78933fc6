import { z } from 'zod';
import { pathSchema } from './path';

const MIB = 1024 * 1024;
const port = z.int().min(0).max(65_535);

export const serverSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
  port: port
    .default(8080)
    .describe('Public port: inference, models, health. 0 lets the kernel choose.'),
  opsPort: port
    .optional()
    .describe('Second port for /live, /ready, /metrics and peers. Off when absent.'),
  opsHost: z
    .string()
    .min(1)
    .optional()
    .describe('Address that the ops port listens on. Absent: `host`.'),
  grpcPort: port
    .optional()
    .describe('Port for the Open Inference Protocol over gRPC. Off when absent; 0: any.'),
  grpcMaxMessageBytes: z
    .int()
    .min(1024)
    .max(1024 * MIB)
    .default(64 * MIB)
    .describe('Largest message over gRPC, inflated; a model’s own limit holds below it.'),
  tls: z
    .strictObject({
      cert: pathSchema.describe('File with the certificate chain.'),
      key: pathSchema.describe('File with its private key.'),
      clientCa: pathSchema
        .optional()
        .describe('File with the authorities of client certificates (auth.client_certs).'),
    })
    .optional()
    .describe(
      'PEM files, read again when they change; the public port then speaks https, and the one for gRPC TLS.',
    ),
  trustedProxies: z
    .array(z.string().min(2).max(64))
    .default([])
    .describe('Addresses whose X-Forwarded-*, Forwarded, X-Real-IP and the like are believed.'),
  allowedOrigins: z
    .array(
      z
        .string()
        .max(300)
        .regex(
          /^https?:\/\/[a-z0-9.:[\]-]+$/,
          'an origin such as https://console.example (in lower case, without a path)',
        ),
    )
    .max(100)
    .default([])
    .describe('Origins of web pages beside our own that may change something and call models.'),
  allowedHosts: z
    .array(
      z
        .string()
        .max(253)
        .regex(/^[a-z0-9._-]+$/, 'a host name in lower case, without a port'),
    )
    .max(100)
    .default([])
    .describe('Names by which the ops port is called, beside addresses and names of the cluster.'),
  maxConnections: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe('Connections at a time; further ones are refused.'),
  maxConnectionsPerAddress: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      'Connections of one address; those of trusted proxies are not counted. Default: half of maxConnections.',
    ),
  maxHeldBytes: z
    .int()
    .min(MIB)
    .max(1024 * 1024 * MIB)
    .optional()
    .describe(
      'Bodies and answers that are in memory, of all requests; one caller may hold half of it. Default: 256 MiB, or a quarter of the memory if that is less.',
    ),
  headersSeconds: z
    .number()
    .min(1)
    .max(300)
    .default(10)
    .describe(
      'Time for the TLS handshake and the first request of a connection, and for the headers of each request.',
    ),
  keepAliveSeconds: z
    .number()
    .min(1)
    .max(3600)
    .default(75)
    .describe(
      'Idle connections stay open for this time; clients and load balancers should close first.',
    ),
  bodySeconds: z
    .number()
    .min(1)
    .max(3600)
    .default(30)
    .describe(
      'Longest pause between two pieces of a body, and time for each 64 KiB of it; then the request is refused (408).',
    ),
  stallSeconds: z
    .number()
    .min(1)
    .max(3600)
    .default(30)
    .describe('A caller that takes nothing of its answer for this time is disconnected.'),
  maxHeaderBytes: z
    .int()
    .min(1024)
    .max(1_048_576)
    .default(16_384)
    .describe('Request line and headers of one request.'),
  acceptSeconds: z
    .number()
    .min(0)
    .max(60)
    .default(5)
    .describe(
      'After SIGTERM: how long new requests are still taken, so that load balancers notice.',
    ),
});
