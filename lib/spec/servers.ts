import type { RestArguments } from './restargs';
import { NO_ARGUMENTS, TENSORFLOW_SERVING_ARGS, TRITON_ARGS, VLLM_ARGS } from './restargs';
import type { Protocol, Server, ServerKind } from './serverkinds';
import { serverSchema } from './serverkinds';

/** Frameworks of models. */
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

/** Purposes of models. */
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

/** A check of a probe or the router; `tcp` only connects. `{m}` stands for the model's id. */
export type Check = { readonly http: string } | { readonly tcp: true };

/** Facts about a kind of server. All differences between servers are stated here. */
export interface ServerFacts {
  readonly protocol: Protocol;
  readonly httpPort: number;
  readonly grpcPort?: number;
  readonly metrics: { readonly port: number; readonly path: string };
  /** The process is up. */
  readonly live: Check;
  /** The model is loaded and can answer. */
  readonly ready: Check;
  /**
   * False: it ignores SIGTERM or drops requests on it, so preStop must outlast the longest request.
   */
  readonly drains: boolean;
  /** Numeric user the public image runs as, or can run as. */
  readonly uid: number;
  /** Its user name, given by USER and LOGNAME where the image may not have it. */
  readonly user?: string;
  /** Paths that must be writable with a read-only root. `/tmp` always is. */
  readonly writable: readonly string[];
  readonly home: string;
  /** Needs a large `/dev/shm` when it uses GPUs. */
  readonly sharedMemory: boolean;
  /** Its public image uses GPUs. For own images the definition decides. */
  readonly usesGpu: boolean;
  /** Arguments that a definition by REST may give it, and patterns of their values. */
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
    // It creates the last two in its working folder at its start, and exits if it cannot.
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
    // The user that newer images have by that number (vllm-project/vllm#40275). Older images have
    // no such user, and torch looks its name up at import: `user` provides it.
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

/** Every OpenAI server lists its models; few have a path for health. */
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

/**
 * The server of a definition that names none. An own image is assumed to speak the native protocol.
 */
export function defaultServer(framework: Framework, type: ModelType, hasImage: boolean): Server {
  const kind = hasImage
    ? 'custom'
    : framework === 'huggingface' && type === 'llm'
      ? 'vllm'
      : DEFAULT_KIND[framework];
  return serverSchema.parse({ kind });
}
