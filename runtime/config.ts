import { z } from 'zod';
import { checked, DefinitionError, formatFault } from '../lib/spec';
import { isMap, LineCounter, parseDocument } from 'yaml';
import { kubernetesSchema, modelsSchema } from './config-models';

/** Environment variables that override the file: `AI_MODEL_SERVICE__SERVER__PORT=9000`. */
export const ENV_PREFIX = 'AI_MODEL_SERVICE__';

const MIB = 1024 * 1024;

const port = z.int().min(0).max(65_535);
const address = z
  .string()
  .regex(
    /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/,
    'host:port; write for example 127.0.0.1:9001',
  );

const serverSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
  port: port
    .default(8080)
    .describe('Public port: inference, models, health. 0 lets the kernel choose.'),
  opsPort: port
    .optional()
    .describe('Second port for /live, /ready, /metrics and peers. Off when absent.'),
  grpcPort: port
    .optional()
    .describe('Port for the Open Inference Protocol over gRPC. Off when absent; 0: any.'),
  grpcMaxMessageBytes: z
    .int()
    .min(1024)
    .max(1024 * MIB)
    .default(64 * MIB)
    .describe('Of a message over gRPC, inflated; a model’s own limit holds below it.'),
  tls: z
    .strictObject({ cert: z.string().min(1), key: z.string().min(1) })
    .optional()
    .describe('PEM files; the public port then speaks https, and the one for gRPC TLS.'),
  trustedProxies: z
    .array(z.string().min(2).max(64))
    .default([])
    .describe('Addresses whose X-Forwarded-* headers are believed.'),
  maxConnections: z.int().min(1).max(1_000_000).default(10_000),
  headersSeconds: z
    .number()
    .min(1)
    .max(300)
    .default(10)
    .describe('Headers (and a TLS handshake) that do not come in this time are not coming.'),
  keepAliveSeconds: z
    .number()
    .min(1)
    .max(3600)
    .default(75)
    .describe('Longer than clients and load balancers keep idle connections, so they close first.'),
  maxHeaderBytes: z.int().min(1024).max(1_048_576).default(16_384),
  acceptSeconds: z
    .number()
    .min(0)
    .max(60)
    .default(5)
    .describe(
      'After SIGTERM: how long new requests are still taken, so that load balancers notice.',
    ),
});

const localSchema = z.strictObject({
  directory: z
    .string()
    .min(1)
    .default('.ai-model-service')
    .describe('Where definitions, history and artifacts stay.'),
  endpoints: z
    .record(z.string(), z.record(z.string(), z.array(address).min(1)))
    .default({})
    .describe('Model → arm → servers that already run; they are routed to instead of started.'),
  preStopSeconds: z
    .number()
    .min(0)
    .max(300)
    .default(1)
    .describe('Between "no new requests" and SIGTERM of a replica.'),
});

const inferenceSchema = z.strictObject({
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
});

/** The constants of the algorithms; runtime/core says why they are what they are. */
const routingSchema = z.strictObject({
  connectMs: z
    .int()
    .min(10)
    .max(60_000)
    .default(500)
    .describe('To a model server; then the next one is tried.'),
  idleMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(4000)
    .describe('Idle connections to a model server are closed; shorter than its own keep-alive.'),
  maxIdleConnections: z.int().min(1).max(10_000).default(64).describe('To one replica.'),
  decaySeconds: z
    .number()
    .min(0.1)
    .max(600)
    .default(10)
    .describe('How fast good answers make a slow one forgotten.'),
  rampSeconds: z
    .number()
    .min(0)
    .max(600)
    .default(30)
    .describe('A new or returning replica gets its full part after this time.'),
  consecutiveFailures: z
    .int()
    .min(1)
    .max(1000)
    .default(5)
    .describe('So many in a row eject a replica.'),
  ejectionSeconds: z.number().min(0.1).max(600).default(1).describe('The first time; it doubles.'),
  maxEjectionSeconds: z.number().min(0.1).max(3600).default(60),
  retryPercent: z
    .number()
    .min(0)
    .max(100)
    .default(20)
    .describe('Second tries per requests of the last 10 s, at most.'),
  freeRetriesPerSecond: z
    .number()
    .min(0)
    .max(10_000)
    .default(10)
    .describe('For models with few requests.'),
  minRetryDelayMs: z.int().min(0).max(10_000).default(25),
  maxRetryDelayMs: z.int().min(0).max(10_000).default(250),
});

const scope = z.enum(['infer', 'read', 'write', 'admin', 'arms']);

const authSchema = z.strictObject({
  mode: z
    .enum(['none', 'api_key'])
    .optional()
    .describe('Absent: open on loopback, a generated key elsewhere.'),
  keys: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(64),
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits; run: ai-model-service keys'),
        scopes: z.array(scope).min(1),
        models: z.array(z.string().min(1)).optional().describe('Only these models; absent: all.'),
      }),
    )
    .max(10_000)
    .default([]),
});

const configSchema = z.strictObject({
  server: serverSchema.prefault({}),
  cluster: z
    .enum(['local', 'kubernetes'])
    .default('local')
    .describe('local: models run as processes of this machine; kubernetes: as pods.'),
  local: localSchema.prefault({}),
  models: modelsSchema.prefault({}),
  kubernetes: kubernetesSchema.prefault({}),
  inference: inferenceSchema.prefault({}),
  routing: routingSchema.prefault({}),
  auth: authSchema.prefault({}),
  audit: z
    .strictObject({
      file: z.string().min(1).optional().describe('JSON lines; absent: no audit; "-": stdout.'),
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

export type Config = z.output<typeof configSchema>;

/** A configuration that cannot be used; the message names variable, or file and line, and key for every fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Plain = Record<string, unknown>;

/** `"8080"` → 8080, `"[1]"` → [1]; what is not JSON is text. */
function envValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function override(tree: Plain, path: readonly string[], value: unknown): Plain {
  const [key = '', ...rest] = path;
  if (rest.length === 0) return { ...tree, [key]: value };
  const inner = typeof tree[key] === 'object' && tree[key] !== null ? (tree[key] as Plain) : {};
  return { ...tree, [key]: override(inner, rest, value) };
}

/** Lays `AI_MODEL_SERVICE__SECTION__KEY` variables over what the file says. */
export function withEnvironment(tree: Plain, env: NodeJS.ProcessEnv): Plain {
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith(ENV_PREFIX) && value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .reduce((all, [name, value]) => {
      const path = name.slice(ENV_PREFIX.length).toLowerCase().split('__');
      return override(all, path, envValue(value ?? ''));
    }, tree);
}

function lineOf(text: string, path: string): number | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const parts = path.split(/[.[\]]+/).filter((part) => part !== '');
  for (let length = parts.length; length > 0; length -= 1) {
    const owner =
      length === 1 ? document.contents : document.getIn(parts.slice(0, length - 1), true);
    const pair = isMap(owner)
      ? owner.items.find(({ key }) => String(key) === parts[length - 1])
      : undefined;
    const range = (pair?.key as { range?: [number, number, number] } | undefined)?.range;
    if (range !== undefined) return lines.linePos(range[0]).line;
  }
  return undefined;
}

/** The variable that gave what a fault is about, or a part of it. */
function variableOf(env: NodeJS.ProcessEnv, path: string): string | undefined {
  const parts = path.split(/[.[\]]+/).filter((part) => part !== '');
  for (let length = parts.length; length > 0; length -= 1) {
    const name = ENV_PREFIX + parts.slice(0, length).join('__').toUpperCase();
    if (env[name] !== undefined) return name;
  }
  return undefined;
}

function readYaml(text: string, file: string): Plain {
  const document = parseDocument(text);
  const [broken] = document.errors;
  if (broken !== undefined) throw new ConfigError(`${file}: ${broken.message}`);
  const tree: unknown = document.toJS();
  if (tree === null || tree === undefined) return {};
  if (typeof tree === 'object' && !Array.isArray(tree)) {
    // A section of which everything is commented out is null in YAML.
    return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, value ?? {}]));
  }
  throw new ConfigError(
    `${file}: must be sections such as "server:"; see config/config.example.yaml`,
  );
}

/**
 * Parses a configuration once: the text of the file (YAML) with the environment laid over it.
 * @throws ConfigError
 */
export function parseConfig(
  text: string,
  env: NodeJS.ProcessEnv = {},
  file = 'config.yaml',
): Config {
  const tree = withEnvironment(readYaml(text, file), env);
  try {
    return checked(configSchema, tree, 'wire');
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    const lines = error.faults.map((found) => {
      const line = lineOf(text, found.path);
      const place = line === undefined ? file : `${file}:${line}`;
      return formatFault(found, variableOf(env, found.path) ?? place);
    });
    throw new ConfigError(lines.join('\n'));
  }
}

/** Is this an address that only this machine can reach? */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || host.startsWith('127.');
}
