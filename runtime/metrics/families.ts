/** Name and meaning of a metric. metrics.txt is the contract of dashboards and alerts. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, seconds. */
  readonly buckets?: readonly number[];
}

/** From a tree ensemble (1 ms) to the longest deadline (300 s); the default deadline (30 s) is a bound. */
const DURATION_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];
const FIRST_BYTE_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2.5, 10];

const ARM = ['model_id', 'arm'] as const;

/** One set of these for each model; they go with it. */
export const MODEL_FAMILIES = {
  requests: {
    name: 'ai_model_inference_requests_total',
    type: 'counter',
    help: 'Inference requests by HTTP status the caller got; 499: it went away first.',
    labels: ['model_id', 'arm', 'version', 'status'],
  },
  duration: {
    name: 'ai_model_inference_duration_seconds',
    type: 'histogram',
    help: 'From acceptance to the last byte.',
    labels: ARM,
    buckets: DURATION_BUCKETS,
  },
  firstByte: {
    name: 'ai_model_time_to_first_byte_seconds',
    type: 'histogram',
    help: 'From acceptance to the first byte of the answer.',
    labels: ARM,
    buckets: FIRST_BYTE_BUCKETS,
  },
  broken: {
    name: 'ai_model_broken_answers_total',
    type: 'counter',
    help: 'Responses and streams that broke after their first byte, by the server or the caller.',
    labels: ['model_id', 'arm', 'kind', 'by'],
  },
  batch: {
    name: 'ai_model_batch_inference_requests_total',
    type: 'counter',
    help: 'Batches by the result of their items: success, partial or error.',
    labels: ['model_id', 'status'],
  },
  joinedCalls: {
    name: 'ai_model_joined_calls_total',
    type: 'counter',
    help: 'Calls that inference.batching made, for one request or several.',
    labels: ARM,
  },
  joinedRequests: {
    name: 'ai_model_joined_requests_total',
    type: 'counter',
    help: 'Requests in those calls; divided by the calls: the mean batch size.',
    labels: ARM,
  },
  joinedUndone: {
    name: 'ai_model_joined_calls_undone_total',
    type: 'counter',
    help: 'Batched calls that failed, so that their requests were called one by one.',
    labels: ARM,
  },
  joinedDifferent: {
    name: 'ai_model_joined_calls_different_total',
    type: 'counter',
    help: 'Batched calls in which a request got another answer than alone; the first ends batching of the version.',
    labels: ARM,
  },
  shadow: {
    name: 'ai_model_shadow_requests_total',
    type: 'counter',
    help: 'Copies sent to a shadow by how its answer compared: agree, disagree, failed or dropped.',
    labels: ['model_id', 'arm', 'result'],
  },
  retries: {
    name: 'ai_model_retries_total',
    type: 'counter',
    help: 'Retries.',
    labels: ARM,
  },
  shed: {
    name: 'ai_model_requests_shed_total',
    type: 'counter',
    help: 'Requests that were refused before they reached a replica.',
    labels: ['model_id', 'arm', 'reason'],
  },
  spilled: {
    name: 'ai_model_requests_spilled_total',
    type: 'counter',
    help: 'Requests of a candidate that stable served: it was full (arm_full) or down (arm_unready).',
    labels: ['model_id', 'arm', 'reason'],
  },
  ejections: {
    name: 'ai_model_ejections_total',
    type: 'counter',
    help: 'Ejections of a replica because it failed.',
    labels: ARM,
  },
  poisoned: {
    name: 'ai_model_poisoned_requests_total',
    type: 'counter',
    help: 'Requests that ended two replicas, and repetitions of them that were refused (503).',
    labels: ARM,
  },
  ejected: {
    name: 'ai_model_ejected_replicas',
    type: 'gauge',
    help: 'Replicas that are ejected now because they failed.',
    labels: ARM,
  },
  queue: {
    name: 'ai_model_queue_depth',
    type: 'gauge',
    help: 'Requests waiting for a slot.',
    labels: ARM,
  },
  inFlight: {
    name: 'ai_model_requests_in_flight',
    type: 'gauge',
    help: 'Requests at replicas now.',
    labels: ARM,
  },
  health: {
    name: 'ai_model_health_status',
    type: 'gauge',
    help: '1 when the arm has a ready replica (or was stopped on purpose), else 0.',
    labels: ARM,
  },
  split: {
    name: 'ai_model_traffic_share_ratio',
    type: 'gauge',
    help: 'Share of live traffic the arm gets, 0 to 1.',
    labels: ARM,
  },
  replicas: {
    name: 'ai_model_replicas',
    type: 'gauge',
    help: 'Replicas of the arm: desired and ready.',
    labels: ['model_id', 'arm', 'state'],
  },
  promotion: {
    name: 'ai_model_promotion_step_seconds',
    type: 'gauge',
    help: 'Time since the promotion of this candidate last made progress: phase, share or replicas of the new version.',
    labels: ['model_id', 'arm', 'phase'],
  },
  rolloutStep: {
    name: 'ai_model_rollout_step',
    type: 'gauge',
    help: 'Step of the rollout of this candidate, from 1; as the leader stored it.',
    labels: ARM,
  },
  rolloutStepSeconds: {
    name: 'ai_model_rollout_step_seconds',
    type: 'gauge',
    help: 'Time since the rollout came to its step or phase: running, held, paused, aborted or done.',
    labels: ['model_id', 'arm', 'phase'],
  },
  rolloutEvidence: {
    name: 'ai_model_rollout_evidence',
    type: 'gauge',
    help: 'Evidence of harm by gate; 1/alpha aborts.',
    labels: ['model_id', 'arm', 'gate'],
  },
  rolloutVerdict: {
    name: 'ai_model_rollout_verdict',
    type: 'gauge',
    help: '1 for the last verdict of the rollout: advance, hold, pause, abort or done.',
    labels: ['model_id', 'arm', 'verdict'],
  },
  usage: {
    name: 'ai_model_resource_usage',
    type: 'gauge',
    help: 'What all replicas of the model use: cpu in cores, memory in bytes, replicas ready.',
    labels: ['model_id', 'resource', 'unit'],
  },
} as const satisfies Readonly<Record<string, Family>>;

/** One set for the service. */
export const SERVICE_FAMILIES = {
  deployments: {
    name: 'ai_model_deployments_total',
    type: 'counter',
    help: 'Changes requested over REST, by action and result.',
    labels: ['action', 'status'],
  },
  watchAge: {
    name: 'ai_model_watch_age_seconds',
    type: 'gauge',
    help: 'Time since the last news of a watch: the cluster, the other routers.',
    labels: ['watch'],
  },
  leader: {
    name: 'ai_model_service_leader',
    type: 'gauge',
    help: '1 in the router that leads: it promotes, finishes removals and puts to sleep.',
    labels: [],
  },
  peers: {
    name: 'ai_model_service_peers',
    type: 'gauge',
    help: 'Other routers of the service that answer.',
    labels: [],
  },
  watchSynced: {
    name: 'ai_model_watch_synced',
    type: 'gauge',
    help: '1 when the view of the cluster is current.',
    labels: [],
  },
  models: {
    name: 'ai_model_models',
    type: 'gauge',
    help: 'Models that are known.',
    labels: [],
  },
  heldBytes: {
    name: 'ai_model_held_bytes',
    type: 'gauge',
    help: 'Bodies and answers that are in memory now, of all requests (server.max_held_bytes).',
    labels: [],
  },
  memoryRefused: {
    name: 'ai_model_memory_refused_total',
    type: 'counter',
    help: 'Requests refused because the service or their caller was at its memory limit.',
    labels: ['share'],
  },
  authentications: {
    name: 'ai_model_authentications_total',
    type: 'counter',
    help: 'Requests by what their caller showed (key, token, certificate, none) and what became of it.',
    labels: ['credential', 'result'],
  },
  keys: {
    name: 'ai_model_auth_keys',
    type: 'gauge',
    help: 'API keys in force.',
    labels: [],
  },
  keysFileFaulty: {
    name: 'ai_model_auth_keys_file_faulty',
    type: 'gauge',
    help: '1 when the newest auth.keys_file cannot be used and the last good keys are in force.',
    labels: [],
  },
  keyReloads: {
    name: 'ai_model_auth_reloads_total',
    type: 'counter',
    help: 'Times auth.keys_file was read again: success or error.',
    labels: ['result'],
  },
  jwksFetches: {
    name: 'ai_model_auth_jwks_fetches_total',
    type: 'counter',
    help: 'Fetches of the keys that verify tokens (auth.jwt): success or error.',
    labels: ['result'],
  },
  limited: {
    name: 'ai_model_auth_limited_total',
    type: 'counter',
    help: 'Calls refused with 429 for the limits of their key: rate or concurrency.',
    labels: ['limit'],
  },
  connectionsRefused: {
    name: 'ai_model_connections_refused_total',
    type: 'counter',
    help: 'Connections refused at the limit of the service or of one address.',
    labels: [],
  },
  certificateNotAfter: {
    name: 'ai_model_tls_certificate_not_after_seconds',
    type: 'gauge',
    help: 'When the certificate of the ports ends, seconds since the epoch; 0 without server.tls.',
    labels: [],
  },
  certificateFaulty: {
    name: 'ai_model_tls_certificate_faulty',
    type: 'gauge',
    help: '1 when the newest server.tls files cannot be used and the last good pair is in use.',
    labels: [],
  },
  auditFailing: {
    name: 'ai_model_audit_failing',
    type: 'gauge',
    help: '1 while no line of the audit record can be written.',
    labels: [],
  },
  auditWaiting: {
    name: 'ai_model_audit_waiting_lines',
    type: 'gauge',
    help: 'Lines of the audit record that are in memory, to be written.',
    labels: [],
  },
  auditDropped: {
    name: 'ai_model_audit_dropped_lines_total',
    type: 'counter',
    help: 'Lines of the audit record that memory had no room for while they could not be written.',
    labels: [],
  },
  auditChainLines: {
    name: 'ai_model_audit_chain_lines',
    type: 'gauge',
    help: 'Number of the last line of the audit chain; it never goes down.',
    labels: [],
  },
  auditChainHead: {
    name: 'ai_model_audit_chain_head',
    type: 'gauge',
    help: 'The first 48 bits of the MAC of that line as a number, for audit verify --head.',
    labels: [],
  },
  spansDropped: {
    name: 'ai_model_trace_spans_dropped_total',
    type: 'counter',
    help: 'Spans that no collector has got: the queue was full, or the export failed.',
    labels: [],
  },
  lag: {
    name: 'ai_model_event_loop_lag_seconds',
    type: 'gauge',
    help: 'Longest stall of the event loop in the last second.',
    labels: [],
  },
} as const satisfies Readonly<Record<string, Family>>;

/** All families as text: name, type, labels, help. Committed as metrics.txt and compared in a test. */
export function contract(): string {
  const all: readonly Family[] = [
    ...Object.values(SERVICE_FAMILIES),
    ...Object.values(MODEL_FAMILIES),
  ];
  return all
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, labels, help, buckets }) => {
      const bounds = buckets === undefined ? '' : ` buckets ${buckets.join(' ')}`;
      return `${name}{${labels.join(',')}} ${type}${bounds}\n  ${help}\n`;
    })
    .join('');
}
