/**
 * Arguments of a server that a definition by REST may give, without the dashes, and patterns of
 * their values; `FLAG` takes none. They change speed and limits, and load nothing: none is a path,
 * a class or a plugin.
 */
export type RestArguments = ReadonlyMap<string, RegExp>;

const COUNT = /^\d{1,15}$/;
const FLAG = /^$/;
const SWITCH = /^(?:true|false)?$/;
const NAME = /^[a-z0-9_]{1,40}$/;

const restArgs = (
  groups: readonly (readonly [value: RegExp, ...names: readonly string[]])[],
): RestArguments =>
  new Map(groups.flatMap(([value, ...names]) => names.map((name) => [name, value] as const)));

export const NO_ARGUMENTS: RestArguments = new Map();

export const TENSORFLOW_SERVING_ARGS = restArgs([
  [
    COUNT,
    'tensorflow_session_parallelism',
    'tensorflow_intra_op_parallelism',
    'tensorflow_inter_op_parallelism',
    'rest_api_num_threads',
    'grpc_max_threads',
    'num_load_threads',
    'num_unload_threads',
    'max_num_load_retries',
    'load_retry_interval_micros',
  ],
  [SWITCH, 'enable_model_warmup', 'flush_filesystem_caches', 'prefer_tflite_model'],
]);

export const TRITON_ARGS = restArgs([
  [
    COUNT,
    'log-verbose',
    'pinned-memory-pool-byte-size',
    'buffer-manager-thread-count',
    'model-load-thread-count',
  ],
  [/^\d{1,3}:\d{1,15}$/, 'cuda-memory-pool-byte-size'],
  [SWITCH, 'log-info', 'log-warning', 'log-error', 'strict-readiness'],
  [/^(?:execution_count|off)$/, 'rate-limit'],
]);

export const VLLM_ARGS = restArgs([
  [
    COUNT,
    'max-num-seqs',
    'max-num-batched-tokens',
    'block-size',
    'swap-space',
    'cpu-offload-gb',
    'seed',
    'max-logprobs',
    'pipeline-parallel-size',
    'max-seq-len-to-capture',
  ],
  [
    FLAG,
    'enforce-eager',
    'enable-prefix-caching',
    'no-enable-prefix-caching',
    'enable-chunked-prefill',
    'no-enable-chunked-prefill',
    'enable-auto-tool-choice',
    'disable-log-stats',
    'disable-log-requests',
    'enable-expert-parallel',
  ],
  [NAME, 'kv-cache-dtype', 'tool-call-parser', 'reasoning-parser'],
  [/^(?:auto|vllm)$/, 'generation-config'],
  [/^(?:fcfs|priority)$/, 'scheduling-policy'],
  [/^(?:auto|generate|pooling)$/, 'runner'],
]);
