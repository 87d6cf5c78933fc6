import type { Environment, ModelSpec } from '../spec';
import type { AlertInstance, AlertRow } from './rules';
import { rounded, serviceNamespace } from './rules';

/** A model as its alerts see it. */
export interface WatchedModel {
  readonly spec: ModelSpec;
  /**
   * Matchers of its series. Prometheus labels each with the namespace of the scraped router, which
   * keeps a model of the same name in staging apart.
   */
  readonly series: string;
}

export const watchedModel = (spec: ModelSpec, environment: Environment): WatchedModel => ({
  spec,
  series: `namespace="${serviceNamespace(environment)}",model_id="${spec.id}"`,
});

/**
 * Burn rates and windows of the SRE workbook, chapter 5: 2 % of a month's budget in an hour pages,
 * 5 % in six hours too. Both windows must burn, so that the alarm ends soon after the cause does.
 */
const BURN_RATES = [
  { factor: 14.4, long: '1h', short: '5m' },
  { factor: 6, long: '6h', short: '30m' },
] as const;

/** Longer than a large image takes to be pulled, and a model to be loaded. */
const PROMOTION_STUCK_SECONDS = 1800;

const DAY_SECONDS = 86_400;

/** Fewer comparisons in half an hour are too few to judge a shadow. */
const SHADOW_COMPARISONS = 50;
const SHADOW_DISAGREEMENT = 0.05;
/** A replica that keeps failing is ejected six times in its first minute, then once a minute. */
const EJECTIONS = 5;

/**
 * Checks each arm with traffic on its own: a healthy shadow or candidate does not hide that stable
 * is down. Every router reports the arm; one that sees a ready replica is enough.
 */
function armDown({ spec: { name }, series }: WatchedModel): readonly AlertInstance[] {
  const health = `max by (arm) (ai_model_health_status{${series}})`;
  const share = `max by (arm) (ai_model_traffic_share_ratio{${series}})`;
  const summary = `${name}: the arm {{ $labels.arm }} has traffic and no ready replica`;
  return [{ expr: `${health} == 0 and on (arm) ${share} > 0`, summary }];
}

function absent({ spec: { name }, series }: WatchedModel): readonly AlertInstance[] {
  const expr = `absent(ai_model_health_status{${series},arm="stable"})`;
  const summary = `${name}: no router reports it: routers are down, not scraped, or do not know it`;
  return [{ expr, summary }];
}

function errorRatio(series: string, window: string): string {
  const requests = 'ai_model_inference_requests_total';
  const failed = `sum(rate(${requests}{${series},status=~"5.."}[${window}]))`;
  return `${failed} / sum(rate(${requests}{${series}}[${window}]))`;
}

function budgetBurn({ spec: { name, slo }, series }: WatchedModel): readonly AlertInstance[] {
  const availability = slo?.availability;
  if (availability === undefined) return [];
  return BURN_RATES.map(({ factor, long, short }) => {
    const limit = rounded((factor * (100 - availability)) / 100);
    const above = (window: string): string => `(${errorRatio(series, window)}) > ${limit}`;
    return {
      expr: `${above(long)} and ${above(short)}`,
      labels: { window: long },
      summary: `${name}: errors use up the budget of ${availability} % ${factor} times too fast`,
    };
  });
}

function slow({ spec: { name, slo }, series }: WatchedModel): readonly AlertInstance[] {
  const target = slo?.latencyMs;
  if (target === undefined) return [];
  const buckets = `rate(ai_model_inference_duration_seconds_bucket{${series}}[5m])`;
  const quantile = `histogram_quantile(${rounded(target.p / 100)}, sum by (le) (${buckets}))`;
  return [
    {
      expr: `${quantile} > ${rounded(target.under / 1000)}`,
      summary: `${name}: p${target.p} is above ${target.under} ms`,
    },
  ];
}

/** Each router ejects on its own; the highest count is compared. */
function ejections({ spec: { name }, series }: WatchedModel): readonly AlertInstance[] {
  const expr = `max by (arm) (increase(ai_model_ejections_total{${series}}[15m])) > ${EJECTIONS}`;
  const summary = `${name}: replicas of the arm {{ $labels.arm }} keep failing`;
  return [{ expr, summary }];
}

function shadowDisagrees({ spec, series }: WatchedModel): readonly AlertInstance[] {
  if (!spec.arms.some(({ role }) => role.kind === 'shadow')) return [];
  const compared = (results: string): string =>
    `sum by (arm) (increase(ai_model_shadow_requests_total{${series},result=~"${results}"}[30m]))`;
  const all = compared('agree|disagree');
  const ratio = `${compared('disagree')} / ${all}`;
  return [
    {
      expr: `${ratio} > ${SHADOW_DISAGREEMENT} and ${all} >= ${SHADOW_COMPARISONS}`,
      summary: `${spec.name}: responses of the shadow {{ $labels.arm }} differ from those of the live arm`,
    },
  ];
}

/** A router that started lately has seen the promotion for a shorter time: the longest counts. */
function promotionStuck({ spec, series }: WatchedModel): readonly AlertInstance[] {
  const [, ...others] = spec.arms;
  if (!others.some(({ role }) => role.kind !== 'shadow')) return [];
  const age = `max by (arm, phase) (ai_model_promotion_step_seconds{${series}})`;
  const summary = `${spec.name}: the promotion of {{ $labels.arm }} has made no progress ({{ $labels.phase }})`;
  return [{ expr: `${age} > ${PROMOTION_STUCK_SECONDS}`, summary }];
}

/**
 * Paused is the one end of a rollout at which a person decides. The phase tells, not the verdict,
 * which stays when a person aborts what was paused.
 */
function rolloutPaused({ spec, series }: WatchedModel): readonly AlertInstance[] {
  const [, ...others] = spec.arms;
  if (!others.some(({ role }) => role.kind !== 'shadow')) return [];
  const paused = `max by (arm) (ai_model_rollout_step_seconds{${series},phase="paused"})`;
  const summary = `${spec.name}: the rollout of {{ $labels.arm }} is paused and waits for a decision`;
  return [{ expr: `${paused} > 0`, summary }];
}

/** Candidates that are rolled out, with the rules of each. */
const rolloutsOf = ({ arms }: ModelSpec) =>
  arms.flatMap(({ name, role }) => (role.kind === 'rollout' ? [{ name, ...role.rollout }] : []));

/** A step may last long on purpose; a person is asked for when it lasts a day longer. */
function rolloutStuck({ spec, series }: WatchedModel): readonly AlertInstance[] {
  return rolloutsOf(spec).map(({ name, minSeconds, hold }) => {
    const longest = Math.max(minSeconds, hold?.seconds ?? 0) + DAY_SECONDS;
    const age = `max by (arm) (ai_model_rollout_step_seconds{${series},arm="${name}",phase="running"})`;
    const summary = `${spec.name}: the rollout of ${name} has been at one step for more than a day`;
    return { expr: `${age} > ${longest}`, summary };
  });
}

/** Not when a person aborted it: then the last verdict is another one. */
function rolloutAborted({ spec, series }: WatchedModel): readonly AlertInstance[] {
  return rolloutsOf(spec).map(({ name }) => {
    const of = `{${series},arm="${name}"`;
    const verdict = `max by (arm) (ai_model_rollout_verdict${of},verdict="abort"}) == 1`;
    const age = `max by (arm) (ai_model_rollout_step_seconds${of},phase="aborted"})`;
    const summary = `${spec.name}: the rollout of ${name} was aborted, since it showed harm`;
    return { expr: `${verdict} and on (arm) ${age} < ${DAY_SECONDS}`, summary };
  });
}

/** One rule for each arm that an autoscaler scales. */
function atMaximum({ spec, series }: WatchedModel): readonly AlertInstance[] {
  return spec.arms
    .filter(({ scaling }) => scaling.minReplicas < scaling.maxReplicas)
    .map(({ name, scaling: { maxReplicas } }) => {
      const desired = `ai_model_replicas{${series},arm="${name}",state="desired"}`;
      const summary = `${spec.name}: the arm ${name} is at its maximum of ${maxReplicas} replicas`;
      return { expr: `max(${desired}) >= ${maxReplicas}`, labels: { arm: name }, summary };
    });
}

const STATUS =
  'Read `why` in `GET /api/v1/models/{id}/status`: the most specific cause, and what to do.';
const DETAILED =
  'Read error rate, percentiles, queue and last failure of each arm in `GET /api/v1/health/detailed`.';

/** The alerts of each model. */
export const MODEL_ALERTS: readonly AlertRow<WatchedModel>[] = [
  {
    alert: 'AiModelArmDown',
    severity: 'critical',
    for: '5m',
    instances: armDown,
    meaning:
      'An arm with traffic has had no ready replica for five minutes. Requests to `stable` get 503; stable serves the requests of a candidate.',
    diagnosis: [STATUS, 'On Kubernetes, run `kubectl describe pod` for the pods of the arm.'],
    mitigation: [
      'Follow `why`; [Operations](operations.md#why-a-model-does-not-run-on-kubernetes) lists the causes.',
      'If a new version is the cause, call `POST /api/v1/models/{id}/rollback`; for a candidate, `POST …/abort`.',
    ],
  },
  {
    alert: 'AiModelAbsent',
    severity: 'critical',
    for: '5m',
    instances: absent,
    meaning:
      'Prometheus has no series of the model in the namespace of the routers. The model may still run, but no router reports it.',
    diagnosis: [
      'If `AiModelServiceDown` fires as well, resolve that first.',
      'Check whether `GET /api/v1/models` lists the model.',
      'Check the targets in Prometheus: the routers are scraped, and their series have the label `namespace`.',
    ],
    mitigation: [
      'If the definition is missing, apply its manifest again or deploy it by REST.',
      'If it was removed on purpose, remove its rules as well (`synth` and `rules` do).',
    ],
  },
  {
    alert: 'AiModelErrorBudgetBurn',
    severity: 'critical',
    for: '2m',
    instances: budgetBurn,
    meaning:
      'Responses with 5xx use up the error budget of `slo.availability` too fast to last a month. The label `window` gives the period: `1h` for a fast burn, `6h` for a slow one.',
    diagnosis: [
      DETAILED,
      'Query the status: `sum by (arm, status) (rate(ai_model_inference_requests_total{model_id="…"}[5m]))`. 503: no replica is ready, or the queue is full. 504: the server is too slow. 502: the server breaks connections.',
    ],
    mitigation: [
      'If one arm fails, call `POST …/abort` (candidate) or `POST …/rollback` (stable).',
      'If the queue is full, add replicas with `POST …/scale`.',
    ],
  },
  {
    alert: 'AiModelSlow',
    severity: 'warning',
    for: '10m',
    instances: slow,
    meaning: 'The percentile in `slo.latency_ms` has been above its target for ten minutes.',
    diagnosis: [
      'Find out whether requests wait in the queue or in the server: compare `ai_model_queue_depth` and `ai_model_server_request_mean_seconds` with the percentile.',
      'Compare the arms on the dashboard “AI model”.',
    ],
    mitigation: [
      'If requests wait, add replicas; if the replicas are idle, raise `inference.maxConcurrency`.',
      'If the server is slow, give it more threads or CPU, send smaller batches, or roll back.',
    ],
  },
  {
    alert: 'AiModelReplicaEjected',
    severity: 'warning',
    for: '0m',
    instances: ejections,
    meaning:
      'A router ejected replicas of the arm more than five times in 15 minutes, because they returned 502, 503 or 504, broke connections or timed out. The other replicas carry the load.',
    diagnosis: [
      'Find the replica by `ejected_until` in `GET /api/v1/health/detailed`, beside the last failure of its arm.',
      'Read the log of that replica.',
    ],
    mitigation: ['Delete the pod. If its replacement fails as well, roll back the version.'],
  },
  {
    alert: 'AiModelShadowDisagrees',
    severity: 'warning',
    for: '15m',
    instances: shadowDisagrees,
    meaning:
      'More than 5 % of at least 50 compared responses of a shadow differ from those of the live arm by more than `compare` allows. Callers are not affected.',
    diagnosis: [
      'Read the samples in the log of the routers (`shadow disagrees`): the outputs that differ, and the request id.',
      'Query the trend: `sum by (arm, result) (increase(ai_model_shadow_requests_total{model_id="…"}[30m]))`.',
    ],
    mitigation: [
      'If the difference is intended (a retrained model), evaluate the model offline before it gets traffic.',
      'If it is not, give the shadow no traffic; compare preprocessing, version and precision.',
    ],
  },
  {
    alert: 'AiModelPromotionStuck',
    severity: 'warning',
    for: '1m',
    instances: promotionStuck,
    meaning:
      'A promotion has made no progress for 30 minutes: neither its phase, nor the share of the candidate, nor the number of updated replicas of stable changed. The label `phase` is `shifting` (the candidate takes over), `rolling` (stable gets the version while the candidate has all traffic) or `returning`. Requests are answered meanwhile.',
    diagnosis: [
      'Read the `reason` in the last line `promotion` of the leader’s log. If `AiModelServiceWithoutLeader` fires as well, resolve that first: only a leader advances a promotion.',
      '`shifting` and `returning` wait for ready capacity: compare `ready` of the arms in `GET /api/v1/models/{id}/status` with the load.',
      '`rolling` waits for new replicas of stable. Read `why` in the status of the model.',
    ],
    mitigation: [
      'If capacity is missing, raise the scaling of the arm, or quota and nodes.',
      'If the new version does not start, call `POST …/abort`: the traffic returns to stable.',
      'If the model was stopped, scale it up.',
    ],
  },
  {
    alert: 'AiModelRolloutPaused',
    severity: 'warning',
    for: '2m',
    instances: rolloutPaused,
    meaning:
      'Half of the requests of a candidate failed within a minute while stable was well. The candidate gets no traffic; the evidence was too little for an abort, so a person decides. Stable answers all requests.',
    diagnosis: [
      'Read `verdict.reason` in `GET /api/v1/models/{id}/rollout`, and `lastFailure` of the arm in `/health/detailed`.',
      'Was it the candidate (its version, its configuration) or something around it (a node, a dependency) that also ends?',
    ],
    mitigation: [
      'If the candidate is at fault, `POST …/rollout/abort`, and remove it or give it another version.',
      'If it was not, `POST …/rollout/resume`: the rollout goes on at its step with the evidence it has.',
    ],
  },
  {
    alert: 'AiModelRolloutStuck',
    severity: 'warning',
    for: '1m',
    instances: rolloutStuck,
    meaning:
      'A rollout has been at one step for a day longer than its rules ask for, without a `hold` by a person. Both arms answer requests meanwhile.',
    diagnosis: [
      'Read verdict, reason and missing trials in `GET /api/v1/models/{id}/rollout`.',
      'Compare the traffic with `min_requests` and `margin`: few callers need many days.',
      'If `AiModelServiceWithoutLeader` or `AiModelServicePeersLost` fires as well, resolve that first: without all routers nothing is decided.',
    ],
    mitigation: [
      'If the candidate is sound, call `POST …/rollout/advance` for the next step.',
      'If it is not, call `POST …/rollout/abort`.',
      'If traffic is scarce, use fewer steps or a wider margin.',
    ],
  },
  {
    alert: 'AiModelRolloutAborted',
    severity: 'warning',
    for: '0m',
    instances: rolloutAborted,
    meaning:
      'The service aborted a rollout in the last 24 hours, because the evidence showed that the candidate harms callers. Stable has all traffic.',
    diagnosis: [
      'Read verdict and gates in `GET /api/v1/models/{id}/rollout`; the audit record has a line with the reason (`action: rollout`).',
      'Read the last failure of the candidate in `GET /api/v1/health/detailed`, and the log of its pods.',
    ],
    mitigation: ['Correct the candidate and roll out another version of it, or remove it.'],
  },
  {
    alert: 'AiModelAtMaximum',
    severity: 'warning',
    for: '15m',
    instances: atMaximum,
    meaning:
      'The arm has had `maxReplicas` for 15 minutes. If the load grows, requests wait and are then refused.',
    diagnosis: [
      'Check `ai_model_queue_depth` and `ai_model_requests_shed_total` for requests that wait or are refused.',
      'Find the metric above its target with `kubectl describe hpa`.',
    ],
    mitigation: [
      'Raise `scaling.maxReplicas` if quota and nodes allow it.',
      'Get more from each replica: batching, a higher `inference.maxConcurrency`, more CPU.',
    ],
  },
];
