import { SERVER_METRICS } from './server-metrics';

/** Units of Grafana. */
type Unit = 'short' | 'reqps' | 's' | 'percentunit' | 'bytes' | 'cps';

/** A query and the name of its series. */
type Query = readonly [expr: string, legend: string];

export interface Panel {
  readonly title: string;
  readonly unit: Unit;
  /** One number instead of a graph. */
  readonly isNumber?: true;
  readonly queries: readonly Query[];
}

export interface Dashboard {
  /** The file’s name, and the uid in Grafana. */
  readonly name: string;
  readonly title: string;
  /** It has a variable that selects one model. */
  readonly ofModel?: true;
  readonly panels: readonly Panel[];
}

const FLEET = 'namespace="$namespace"';
const MODEL = 'namespace="$namespace",model_id="$model"';

const graph = (title: string, unit: Unit, ...queries: readonly Query[]): Panel => ({
  title,
  unit,
  queries,
});

const number = (title: string, unit: Unit, expr: string): Panel => ({
  title,
  unit,
  isNumber: true,
  queries: [[expr, '']],
});

/** Per second, summed by these labels. */
const rate = (by: string, metric: string, matchers: string): string =>
  `sum by (${by}) (rate(${metric}{${matchers}}[$__rate_interval]))`;

/** Every router reports the same state of the cluster; one is enough. */
const most = (by: string, metric: string, matchers: string): string =>
  `max by (${by}) (${metric}{${matchers}})`;

const sum = (by: string, metric: string, matchers: string): string =>
  `sum by (${by}) (${metric}{${matchers}})`;

/** `rate`, `most` or `sum`. */
type Aggregation = typeof rate;

/** One metric, with a line for each value of these labels, which are its legend. */
const per = (labels: string, aggregated: Aggregation, metric: string, matchers: string): Query => [
  aggregated(labels, metric, matchers),
  labels.replaceAll(/\w+/g, '{{$&}}').replaceAll(',', ''),
];

function errorRatio(by: string, matchers: string): string {
  const requests = 'ai_model_inference_requests_total';
  return `${rate(by, requests, `${matchers},status=~"5.."`)} / ${rate(by, requests, matchers)}`;
}

const quantile = (q: number, by: string, family: string, matchers: string): string =>
  `histogram_quantile(${q}, ${rate(`le, ${by}`, `${family}_bucket`, matchers)})`;

const DURATION = 'ai_model_inference_duration_seconds';
const FIRST_BYTE = 'ai_model_time_to_first_byte_seconds';

/** A panel for one recorded measure of the servers. */
const server = (
  key: keyof typeof SERVER_METRICS,
  title: string,
  unit: Unit,
  matchers = MODEL,
): Panel => graph(title, unit, per('model_id, arm', most, SERVER_METRICS[key].name, matchers));

const FLEET_PANELS: readonly Panel[] = [
  number('Models', 'short', `max(ai_model_models{${FLEET}})`),
  number(
    'Arms with traffic and no ready replica',
    'short',
    `count(${most('model_id, arm', 'ai_model_health_status', FLEET)} == 0 and on (model_id, arm) ${most('model_id, arm', 'ai_model_traffic_share_ratio', FLEET)} > 0) or vector(0)`,
  ),
  graph('Requests', 'reqps', per('model_id', rate, 'ai_model_inference_requests_total', FLEET)),
  graph('Share of 5xx', 'percentunit', [errorRatio('model_id', FLEET), '{{model_id}}']),
  graph('p99', 's', [quantile(0.99, 'model_id', DURATION, FLEET), '{{model_id}}']),
  graph('Waiting requests', 'short', per('model_id', sum, 'ai_model_queue_depth', FLEET)),
  graph(
    'Refused before they reach a replica',
    'reqps',
    per('model_id, reason', rate, 'ai_model_requests_shed_total', FLEET),
  ),
  graph('Ready replicas', 'short', [
    `sum by (model_id) (${most('model_id, arm', 'ai_model_replicas', `${FLEET},state="ready"`)})`,
    '{{model_id}}',
  ]),
  graph(
    'CPU cores',
    'short',
    per('model_id', most, 'ai_model_resource_usage', `${FLEET},resource="cpu"`),
  ),
  graph(
    'Memory',
    'bytes',
    per('model_id', most, 'ai_model_resource_usage', `${FLEET},resource="memory"`),
  ),
];

const MODEL_TRAFFIC: readonly Panel[] = [
  graph(
    'Requests by status',
    'reqps',
    per('arm, status', rate, 'ai_model_inference_requests_total', MODEL),
  ),
  graph('Share of 5xx', 'percentunit', [errorRatio('arm', MODEL), '{{arm}}']),
  graph(
    'Duration',
    's',
    ...[0.5, 0.95, 0.99].map((q): Query => [
      quantile(q, 'arm', DURATION, MODEL),
      `p${q * 100} {{arm}}`,
    ]),
  ),
  graph('Time to first byte, p95', 's', [quantile(0.95, 'arm', FIRST_BYTE, MODEL), '{{arm}}']),
  graph('Share of traffic', 'percentunit', per('arm', most, 'ai_model_traffic_share_ratio', MODEL)),
  graph('Replicas', 'short', per('arm, state', most, 'ai_model_replicas', MODEL)),
  graph(
    'In flight and waiting',
    'short',
    [sum('arm', 'ai_model_requests_in_flight', MODEL), '{{arm}} at replicas'],
    [sum('arm', 'ai_model_queue_depth', MODEL), '{{arm}} waiting'],
  ),
];

const MODEL_TROUBLE: readonly Panel[] = [
  graph(
    'Refused, retried, served by stable instead',
    'reqps',
    [rate('arm, reason', 'ai_model_requests_shed_total', MODEL), 'refused {{arm}} {{reason}}'],
    [rate('arm', 'ai_model_retries_total', MODEL), 'retried {{arm}}'],
    [rate('arm, reason', 'ai_model_requests_spilled_total', MODEL), 'moved {{arm}} {{reason}}'],
  ),
  graph('Broken responses', 'cps', [
    rate('arm, kind, by', 'ai_model_broken_answers_total', MODEL),
    '{{arm}} {{kind}} by {{by}}',
  ]),
  graph(
    'Ejections',
    'cps',
    [rate('arm', 'ai_model_ejections_total', MODEL), '{{arm}}'],
    [rate('arm', 'ai_model_poisoned_requests_total', MODEL), 'poisoned {{arm}}'],
  ),
  graph('Shadow', 'cps', per('arm, result', rate, 'ai_model_shadow_requests_total', MODEL)),
  graph('Requests per call (batching)', 'short', [
    `${rate('arm', 'ai_model_joined_requests_total', MODEL)} / ${rate('arm', 'ai_model_joined_calls_total', MODEL)}`,
    '{{arm}}',
  ]),
];

const MODEL_PANELS: readonly Panel[] = [
  ...MODEL_TRAFFIC,
  ...MODEL_TROUBLE,
  server('requests', 'Server: requests', 'reqps'),
  server('failures', 'Server: failures', 'reqps'),
  server('duration', 'Server: mean duration', 's'),
  server('queueTime', 'Server: mean time in its queue', 's'),
  server('batchSize', 'Server: mean batch', 'short'),
  server('gpu', 'Server: GPU', 'percentunit'),
];

const LANGUAGE_PANELS: readonly Panel[] = [
  server('tokens', 'Generated tokens', 'cps', FLEET),
  server('firstToken', 'Server: mean time to first token', 's', FLEET),
  graph('Time to first byte at the router, p95', 's', [
    quantile(0.95, 'model_id, arm', FIRST_BYTE, FLEET),
    '{{model_id}} {{arm}}',
  ]),
  graph('Whole response, p95', 's', [
    quantile(0.95, 'model_id, arm', DURATION, FLEET),
    '{{model_id}} {{arm}}',
  ]),
  server('waiting', 'Server: waiting requests', 'short', FLEET),
  server('batchSize', 'Server: concurrent requests', 'short', FLEET),
  server('cache', 'KV cache', 'percentunit', FLEET),
  graph('Broken streams', 'cps', [
    rate('model_id, by', 'ai_model_broken_answers_total', `${FLEET},kind="stream"`),
    '{{model_id}} by {{by}}',
  ]),
];

const each = (metric: string): Query => per('instance', most, metric, FLEET);

const ROUTER_PANELS: readonly Panel[] = [
  number('Routers', 'short', `count(count by (instance) (ai_model_models{${FLEET}}))`),
  number('Leaders', 'short', `sum(ai_model_service_leader{${FLEET}})`),
  graph('Peers of each router', 'short', each('ai_model_service_peers')),
  graph('Requests', 'reqps', per('instance', rate, 'ai_model_inference_requests_total', FLEET)),
  graph('Age of watches', 's', per('instance, watch', most, 'ai_model_watch_age_seconds', FLEET)),
  graph('Watch of the cluster is synced', 'short', each('ai_model_watch_synced')),
  graph('Event-loop delay, p99', 's', each('ai_model_event_loop_lag_seconds')),
  // Model servers export process metrics, too: only instances with router metrics count.
  graph('CPU cores', 'short', [
    `rate(process_cpu_seconds_total{${FLEET}}[$__rate_interval]) and on (instance) ai_model_models{${FLEET}}`,
    '{{instance}}',
  ]),
  graph(
    'Memory',
    'bytes',
    [
      `process_resident_memory_bytes{${FLEET}} and on (instance) ai_model_models{${FLEET}}`,
      '{{instance}}',
    ],
    [most('instance', 'ai_model_held_bytes', FLEET), '{{instance}} bodies'],
  ),
  graph(
    'Refused by the routers',
    'cps',
    [rate('instance, share', 'ai_model_memory_refused_total', FLEET), 'memory {{share}}'],
    [rate('instance', 'ai_model_connections_refused_total', FLEET), 'connections'],
  ),
  graph(
    'Audit lines',
    'short',
    [most('instance', 'ai_model_audit_waiting_lines', FLEET), '{{instance}} waiting'],
    [
      `sum by (instance) (increase(ai_model_audit_dropped_lines_total{${FLEET}}[$__rate_interval]))`,
      '{{instance}} dropped',
    ],
  ),
  graph('Time until the certificate ends', 's', [
    `(${most('instance', 'ai_model_tls_certificate_not_after_seconds', FLEET)} > 0) - time()`,
    '{{instance}}',
  ]),
  graph('Keys in force', 'short', each('ai_model_auth_keys')),
  graph('Changes by REST', 'cps', per('action, status', rate, 'ai_model_deployments_total', FLEET)),
];

export const DASHBOARDS: readonly Dashboard[] = [
  { name: 'ai-model-fleet', title: 'AI models', panels: FLEET_PANELS },
  { name: 'ai-model-one', title: 'AI model', ofModel: true, panels: MODEL_PANELS },
  { name: 'ai-model-language', title: 'AI language models', panels: LANGUAGE_PANELS },
  { name: 'ai-model-routers', title: 'AI model routers', panels: ROUTER_PANELS },
];
