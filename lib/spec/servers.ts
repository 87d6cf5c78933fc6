import type { RestArguments } from './restargs';
import { NO_ARGUMENTS, TENSORFLOW_SERVING_ARGS, TRITON_ARGS, VLLM_ARGS } from './restargs';
import type { Protocol, Server, ServerKind } from './serverkinds';
import { serverSchema } from './serverkinds';

/** What a model was made with. */
export const FRAMEWORKS = [
  'tensorflow',
  'pytorch',
  'huggingface',
  'onnx',
  'tensorrt',
  'sklearn',
  'xgboost',
  'custom',
] as const;
export type Framework = (typeof FRAMEWORKS)[number];

/** What a model is for. */
export const MODEL_TYPES = [
  'llm',
  'classification',
  'regression',
  'tcm_diagnosis',
  'treatment',
  'health',
  'multimodal',
  'knowledge_graph',
  'other',
] as const;
export type ModelType = (typeof MODEL_TYPES)[number];

/** What a probe or the router asks; `tcp` only tries to connect. `{m}` stands for the model's id. */
export type Check = { readonly http: string } | { readonly tcp: true };

/** What is known of a kind of server. Everything that differs between servers is read from here. */
export interface ServerFacts {
  readonly protocol: Protocol;
  readonly httpPort: number;
  readonly grpcPort?: number;
  readonly metrics: { readonly port: number; readonly path: string };
  /** The process is up. */
  readonly live: Check;
  /** This model is loaded and can answer. */
  readonly ready: Check;
  /** False: it ignores SIGTERM or drops requests on it, so preStop must outlast the longest request. */
  readonly drains: boolean;
  /** Numeric user the public image runs as, or can run as. */
  readonly uid: number;
  /** Its name, told by USER and LOGNAME where the image may not know it. */
  readonly user?: string;
  /** Paths that must be writable although the root is read-only. `/tmp` always is. */
  readonly writable: readonly string[];
  readonly home: string;
  /** Needs a large `/dev/shm` when it uses GPUs. */
  readonly sharedMemory: boolean;
  /** Its public image uses GPUs. What an image of one's own uses, only its definition can say. */
  readonly usesGpu: boolean;
  /** Arguments that a definition by REST may give it, and what their values look like. */
  readonly restArgs: RestArguments;
}

const V2_LIVE: Check = { http: '/v2/health/live' };
const V2_READY: Check = { http: '/v2/models/{m}/ready' };

/**
 * Sources: the manuals of each server; ports, probes and signals as documented there. Those of
 * MLServer and Triton are proven by test/e2e/long, in pods as well.
 */
export const SERVERS: Readonly<Record<Exclude<ServerKind, 'custom'>, ServerFacts>> = {
  onnx: {
    protocol: 'v2',
    httpPort: 8080,
    metrics: { port: 8080, path: '/metrics' },
    live: V2_LIVE,
    ready: V2_READY,
    drains: true,
    uid: 10_001,
    writable: [],
    home: '/tmp',
    sharedMemory: false,
    usesGpu: false,
    restArgs: NO_ARGUMENTS,
  },
  'tensorflow-serving': {
    protocol: 'tfs',
    httpPort: 8501,
    grpcPort: 8500,
    metrics: { port: 8501, path: '/monitoring/prometheus/metrics' },
    live: { tcp: true },
    // `/v1/models/{m}` answers 200 while the model is still loading; its metadata does not.
    ready: { http: '/v1/models/{m}/metadata' },
    drains: false,
    uid: 1000,
    writable: [],
    home: '/tmp',
    sharedMemory: false,
    usesGpu: false,
    restArgs: TENSORFLOW_SERVING_ARGS,
  },
  triton: {
    protocol: 'v2',
    httpPort: 8000,
    grpcPort: 8001,
    metrics: { port: 8002, path: '/metrics' },
    live: V2_LIVE,
    ready: V2_READY,
    drains: true,
    uid: 1000,
    writable: [],
    home: '/tmp',
    sharedMemory: true,
    usesGpu: true,
    restArgs: TRITON_ARGS,
  },
  mlserver: {
    protocol: 'v2',
    httpPort: 8080,
    grpcPort: 8081,
    metrics: { port: 8082, path: '/metrics' },
    live: V2_LIVE,
    ready: V2_READY,
    // SIGTERM stops its worker processes at once: a request in one is answered 500 (1.7.1).
    drains: false,
    uid: 1000,
    // It makes the last two in its working folder at its start, and does not start if it cannot.
    writable: ['/opt/mlserver/.cache', '/opt/mlserver/.envs', '/opt/mlserver/.metrics'],
    home: '/tmp',
    sharedMemory: false,
    usesGpu: false,
    restArgs: NO_ARGUMENTS,
  },
  vllm: {
    protocol: 'openai',
    httpPort: 8000,
    metrics: { port: 8000, path: '/metrics' },
    live: { http: '/health' },
    ready: { http: '/v1/models' },
    drains: true,
    // The user that newer images have by that number (vllm-project/vllm#40275). Older ones have
    // nobody of it, and torch asks for the name at its import: `user` answers in its place.
    uid: 2000,
    user: 'vllm',
    // Caches of Hugging Face, of vLLM and of the compilers of torch and Triton lie below it.
    writable: ['/home/vllm'],
    home: '/home/vllm',
    sharedMemory: true,
    usesGpu: true,
    restArgs: VLLM_ARGS,
  },
};

/** The path a custom server is probed on when the definition names none. */
export const DEFAULT_HEALTH_PATH = '/health';

/** Every server of OpenAI lists its models; few of them have a path for health. */
const OPENAI_HEALTH_PATH = '/v1/models';

/** The facts of a definition's server; for `custom` they come from the definition itself. */
export function serverFacts(server: Server, healthPath?: string): ServerFacts {
  if (server.kind !== 'custom') return SERVERS[server.kind];
  const known = server.protocol === 'openai' ? OPENAI_HEALTH_PATH : DEFAULT_HEALTH_PATH;
  const check: Check = { http: healthPath ?? known };
  return {
    protocol: server.protocol,
    httpPort: server.port,
    metrics: { port: server.port, path: '/metrics' },
    live: check,
    ready: check,
    drains: true,
    uid: 10_001,
    writable: [],
    home: '/tmp',
    sharedMemory: false,
    usesGpu: false,
    restArgs: NO_ARGUMENTS,
  };
}

const DEFAULT_KIND: Readonly<Record<Framework, ServerKind>> = {
  tensorflow: 'tensorflow-serving',
  onnx: 'onnx',
  tensorrt: 'triton',
  pytorch: 'triton',
  sklearn: 'mlserver',
  xgboost: 'mlserver',
  huggingface: 'mlserver',
  custom: 'custom',
};

/** The server of a definition that names none. An image of one's own speaks the native protocol. */
export function defaultServer(framework: Framework, type: ModelType, hasImage: boolean): Server {
  const kind = hasImage
    ? 'custom'
    : framework === 'huggingface' && type === 'llm'
      ? 'vllm'
      : DEFAULT_KIND[framework];
  return serverSchema.parse({ kind });
}
