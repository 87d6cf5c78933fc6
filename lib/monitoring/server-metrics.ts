import type { Arm, Environment, ModelSpec, ServerKind } from '../spec';
import type { RecordingRule, RuleGroup } from './rules';
import { serviceNamespace } from './rules';

/** Common names of what model servers measure. */
export const SERVER_METRICS = {
  requests: {
    name: 'ai_model_server_requests_per_second',
    help: 'Requests that the servers of the arm finish.',
  },
  failures: {
    name: 'ai_model_server_failures_per_second',
    help: 'Requests that fail.',
  },
  duration: {
    name: 'ai_model_server_request_mean_seconds',
    help: 'Mean time of a request in the server, waiting included.',
  },
  queueTime: {
    name: 'ai_model_server_queue_mean_seconds',
    help: 'Mean time that a request waits in the server.',
  },
  waiting: {
    name: 'ai_model_server_waiting_requests',
    help: 'Requests that wait in the servers now.',
  },
  batchSize: {
    name: 'ai_model_server_batch_mean_size',
    help: 'Mean number of requests (Triton: rows) that a server computes together.',
  },
  gpu: {
    name: 'ai_model_server_gpu_usage_ratio',
    help: 'Mean use of the GPUs that the servers see, 0 to 1.',
  },
  cache: {
    name: 'ai_model_server_kv_cache_usage_ratio',
    help: 'Mean share of the KV cache in use, 0 to 1.',
  },
  tokens: {
    name: 'ai_model_server_generated_tokens_per_second',
    help: 'Tokens that language models write.',
  },
  firstToken: {
    name: 'ai_model_server_time_to_first_token_mean_seconds',
    help: 'Mean time to the first token.',
  },
} as const;

type Measure = keyof typeof SERVER_METRICS;

/** A selector: the metric with the matchers of the arm’s pods and `more`. */
type Select = (metric: string, more?: string) => string;
type Expression = (select: Select) => string;

const MICROSECONDS = 1e6;

const rate =
  (metric: string, more?: string): Expression =>
  (select) =>
    `sum(rate(${select(metric, more)}[5m]))`;

/** `sum` of one counter for each of another; `per` divides, for units. */
const ratio =
  (sum: string, count: string, per?: number): Expression =>
  (select) => {
    const mean = `${rate(sum)(select)} / ${rate(count)(select)}`;
    return per === undefined ? mean : `${mean} / ${per}`;
  };

const mean = (family: string, per?: number): Expression =>
  ratio(`${family}_sum`, `${family}_count`, per);

const total =
  (metric: string): Expression =>
  (select) =>
    `sum(${select(metric)})`;

const average =
  (metric: string): Expression =>
  (select) =>
    `avg(${select(metric)})`;

type Measures = Readonly<Partial<Record<Measure, Expression>>>;

/**
 * Expressions by kind of server, for the versions in `DEFAULT_IMAGES`. A measure that a server does
 * not export is absent.
 */
const BY_KIND: Readonly<Record<Exclude<ServerKind, 'custom'>, Measures>> = {
  onnx: {
    requests: rate('onnx_server_requests_total'),
    failures: rate('onnx_server_requests_total', 'status=~"5.."'),
    duration: mean('onnx_server_request_duration_seconds'),
    waiting: total('onnx_server_queue_depth'),
    batchSize: mean('onnx_server_run_requests'),
  },
  'tensorflow-serving': {
    requests: rate(':tensorflow:serving:request_count'),
    failures: rate(':tensorflow:serving:request_count', 'status!="OK"'),
    duration: mean(':tensorflow:serving:request_latency', MICROSECONDS),
    queueTime: mean(':tensorflow:serving:batching_session:queuing_latency', MICROSECONDS),
  },
  triton: {
    // A server without failures may have no series for them.
    requests: (select) =>
      `${rate('nv_inference_request_success')(select)} + ` +
      `(${rate('nv_inference_request_failure')(select)} or vector(0))`,
    failures: rate('nv_inference_request_failure'),
    duration: ratio(
      'nv_inference_request_duration_us',
      'nv_inference_request_success',
      MICROSECONDS,
    ),
    queueTime: ratio(
      'nv_inference_queue_duration_us',
      'nv_inference_request_success',
      MICROSECONDS,
    ),
    waiting: total('nv_inference_pending_request_count'),
    batchSize: ratio('nv_inference_count', 'nv_inference_exec_count'),
    gpu: average('nv_gpu_utilization'),
  },
  mlserver: {
    requests: rate('model_infer_request_duration_count'),
    failures: rate('model_infer_request_failure_total'),
    duration: mean('model_infer_request_duration'),
  },
  vllm: {
    requests: rate('vllm:request_success_total'),
    failures: rate('http_requests_total', 'status="5xx"'),
    duration: mean('vllm:e2e_request_latency_seconds'),
    queueTime: mean('vllm:request_queue_time_seconds'),
    waiting: total('vllm:num_requests_waiting'),
    batchSize: average('vllm:num_requests_running'),
    cache: average('vllm:kv_cache_usage_perc'),
    tokens: rate('vllm:generation_tokens_total'),
    firstToken: mean('vllm:time_to_first_token_seconds'),
  },
};

const MEASURES = Object.keys(SERVER_METRICS) as Measure[];

/** Pod labels as target labels of Prometheus: dots and slashes become `_`. */
const MODEL_TARGET = 'ai_model_suoke_life_model';
const ARM_TARGET = 'ai_model_suoke_life_arm';

function armRules(spec: ModelSpec, arm: Arm, environment: Environment): readonly RecordingRule[] {
  const { kind } = arm.server;
  if (kind === 'custom') return [];
  const pods =
    `namespace="${environment.namespace}",` +
    `${MODEL_TARGET}="${spec.slug}",${ARM_TARGET}="${arm.name}"`;
  const select: Select = (metric, more) =>
    `${metric}{${pods}${more === undefined ? '' : `,${more}`}}`;
  // The namespace of the routers, so that one dashboard variable selects both kinds of series.
  const namespace = serviceNamespace(environment);
  const labels = { namespace, model_id: spec.id, arm: arm.name, server: kind };
  return MEASURES.flatMap((measure) => {
    const expression = BY_KIND[kind][measure];
    if (expression === undefined) return [];
    return [{ record: SERVER_METRICS[measure].name, expr: expression(select), labels }];
  });
}

/** Recording rules for the servers of a model, under the names of `SERVER_METRICS`. */
export function serverRules(spec: ModelSpec, environment: Environment): RuleGroup['rules'] {
  return spec.arms.flatMap((arm) => armRules(spec, arm, environment));
}
