import type { Environment, ModelSpec } from '../spec';
import type { AlertInstance, AlertRow } from './rules';
import { rounded, serviceNamespace } from './rules';

/** Inputs of the alerts of a model. */
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

/** Fewer comparisons in half an hour say little about a shadow. */
const SHADOW_COMPARISONS = 50;
const SHADOW_DISAGREEMENT = 0.05;
/** A replica that keeps failing is ejected six times in its first minute, then once a minute. */
const EJECTIONS = 5;

/**
 * One rule for each arm with traffic: a healthy shadow or candidate does not hide that stable is
 * down. Every router reports the arm; one that sees a ready replica is enough.
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

/** Each router ejects independently: the one with the most ejections counts. */
function ejections({ spec: { name }, series }: WatchedModel): readonly AlertInstance[] {
  const expr = `max by (arm) (increase(ai_model_ejections_total{${series}}[15m])) > ${EJECTIONS}`;
  const summary = `${name}: replicas of the arm {{ $labels.arm }} fail again and again`;
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
      summary: `${spec.name}: the shadow {{ $labels.arm }} gives other answers than the live arm`,
    },
  ];
}

/** Arms whose autoscaler is at its maximum. */
function atMaximum({ spec, series }: WatchedModel): readonly AlertInstance[] {
  return spec.arms
    .filter(({ scaling }) => scaling.minReplicas < scaling.maxReplicas)
    .map(({ name, scaling: { maxReplicas } }) => {
      const desired = `ai_model_replicas{${series},arm="${name}",state="desired"}`;
      const summary = `${spec.name}: the arm ${name} runs all ${maxReplicas} replicas it may have`;
      return { expr: `max(${desired}) >= ${maxReplicas}`, labels: { arm: name }, summary };
    });
}

const STATUS = '`GET /api/v1/models/{id}/status`: `why` names the most specific cause.';
const DETAILED =
  '`GET /api/v1/health/detailed`: error rate, percentiles, queue and the last failure of each arm.';

/** The alerts of each model. */
export const MODEL_ALERTS: readonly AlertRow<WatchedModel>[] = [
  {
    alert: 'AiModelArmDown',
    severity: 'critical',
    for: '5m',
    instances: armDown,
    meaning:
      'An arm that gets traffic has had no ready replica for five minutes. Callers of `stable` get 503; those of a candidate are served by stable. A healthy shadow or candidate does not hide it.',
    look: [STATUS, 'On Kubernetes: `kubectl describe pod` of the arm, and the events of it.'],
    mend: [
      'Follow `fix` in the status. The causes are listed in [Operations](operations.md#why-a-model-does-not-run-on-kubernetes).',
      'After a new version: `POST /api/v1/models/{id}/rollback`. A bad candidate: `POST …/abort`.',
    ],
  },
  {
    alert: 'AiModelAbsent',
    severity: 'critical',
    for: '5m',
    instances: absent,
    meaning:
      'Prometheus has no series of the model in the namespace of the routers. The model may run; no router says so.',
    look: [
      'Does `AiModelServiceDown` fire as well? Then mend that first.',
      '`GET /api/v1/models`: does the service know the model?',
      'Targets in Prometheus: are the routers scraped, and do their series have the label `namespace`?',
    ],
    mend: [
      'The definition is missing: apply the manifests again, or deploy it by REST.',
      'It was removed on purpose: remove its rules, too (synth and `rules` do).',
    ],
  },
  {
    alert: 'AiModelErrorBudgetBurn',
    severity: 'critical',
    for: '2m',
    instances: budgetBurn,
    meaning:
      'Answers with 5xx use up the error budget of `slo.availability` so fast that it will not last for the month. The label `window` says over which time: `1h` is fast, `6h` is slow and steady.',
    look: [
      DETAILED,
      'Which status? `sum by (arm, status) (rate(ai_model_inference_requests_total{model_id="…"}[5m]))`. 503: nothing is ready, or the queue is full; 504: too slow; 502: a server breaks connections.',
    ],
    mend: [
      'One arm alone is bad: `POST …/abort` (candidate) or `POST …/rollback` (stable).',
      'Queue full: more replicas (`POST …/scale`).',
    ],
  },
  {
    alert: 'AiModelSlow',
    severity: 'warning',
    for: '10m',
    instances: slow,
    meaning: 'The percentile of `slo.latency_ms` has been above its target for ten minutes.',
    look: [
      'Queue or server? Compare `ai_model_queue_depth` and `ai_model_server_request_mean_seconds` with the percentile.',
      'Is one arm slower? The dashboard “AI model” shows percentiles by arm.',
    ],
    mend: [
      'Waiting: more replicas, or a higher `inference.maxConcurrency` when replicas are idle.',
      'The server is slow: more threads or CPU, smaller batches; go back to the version before.',
    ],
  },
  {
    alert: 'AiModelReplicaEjected',
    severity: 'warning',
    for: '0m',
    instances: ejections,
    meaning:
      'A router took replicas of the arm out of traffic more than five times in 15 minutes, since they answered 5xx, broke connections or were too slow. The other replicas carry the load.',
    look: [
      '`GET /api/v1/health/detailed`: `ejected_until` of replicas, and the last failure of the arm.',
      'The log of that replica.',
    ],
    mend: [
      'Delete the ill pod; a second one that fails alike is a fault of the version: roll back.',
    ],
  },
  {
    alert: 'AiModelShadowDisagrees',
    severity: 'warning',
    for: '15m',
    instances: shadowDisagrees,
    meaning:
      'More than 5 % of at least 50 compared answers of a shadow differ from those of the live arm beyond `compare` of the definition. Callers do not notice.',
    look: [
      'The log of the routers samples disagreements: which outputs differed, of which request.',
      '`sum by (arm, result) (increase(ai_model_shadow_requests_total{model_id="…"}[30m]))`.',
    ],
    mend: [
      'The difference is meant (a new model): do not compare, or judge it by an evaluation of your own before it gets traffic.',
      'It is not: keep the shadow out of traffic, and compare preprocessing, version and precision.',
    ],
  },
  {
    alert: 'AiModelAtMaximum',
    severity: 'warning',
    for: '15m',
    instances: atMaximum,
    meaning:
      'The autoscaler of the arm has asked for `maxReplicas` for 15 minutes: if load grows, requests wait and are then refused.',
    look: [
      '`ai_model_queue_depth` and `ai_model_requests_shed_total`: do requests wait or fail already?',
      '`kubectl describe hpa`: which metric is above its target?',
    ],
    mend: [
      'Raise `scaling.maxReplicas`, as far as quota and nodes allow.',
      'More per replica: batching, a larger `inference.maxConcurrency`, more CPU.',
    ],
  },
];
