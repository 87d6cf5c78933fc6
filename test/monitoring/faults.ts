import { ruleGroups } from '../../lib/monitoring';
import type { AlertRule } from '../../lib/monitoring';
import { parseEnvironment, parseModel } from '../../lib/spec';

// Which alerts fire for which fault: Prometheus' own test runner plays it (scripts/check-alerts.sh).

const MODEL = parseModel({
  id: 'm',
  version: '1.0.0',
  framework: 'onnx',
  source: 's3://models/m.onnx',
  slo: { availability: 99.9, latencyMs: { p: 99, under: 500 } },
  scaling: { minReplicas: 1, maxReplicas: 3 },
  candidates: [
    { version: '2.0.0', name: 'next', source: 's3://models/next.onnx', traffic: 10 },
    { version: '3.0.0', name: 'shadow', source: 's3://models/shadow.onnx', shadow: 50 },
    { version: '4.0.0', name: 'new', source: 's3://models/new.onnx', rollout: { minSeconds: 600 } },
  ],
});
const ENVIRONMENT = parseEnvironment({ namespace: 'production' });
const ROUTERS = 2;

/** A model with a candidate, a shadow and an objective, and two routers. */
export const GROUPS = ruleGroups([MODEL], ENVIRONMENT, ROUTERS);

export const ALERT_RULES: readonly AlertRule[] = GROUPS.flatMap(({ rules }) =>
  rules.flatMap((rule) => ('alert' in rule ? [rule] : [])),
);

type Labels = Readonly<Record<string, string>>;

/** Series of Prometheus → their values, in the notation of promtool; undefined: there is none. */
type Series = Readonly<Record<string, string | undefined>>;

interface Fired {
  readonly alert: string;
  /** Labels that the expression gives, or that tell the rules of one alert apart. */
  readonly labels: Labels;
  readonly value?: string;
}

export interface AlertFault {
  readonly name: string;
  readonly series: Series;
  readonly fires: readonly Fired[];
}

/** Samples, one a minute; the rules are looked at after 80. */
const MINUTES = 100;
export const EVALUATED_AT = '80m';

const steady = (value: number): string => `${value}x${MINUTES}`;
/** When the rules are looked at, and days after it; promtool begins at the epoch. */
const inDays = (days: number): string => steady(80 * 60 + days * 86_400);
const growing = (perMinute: number): string => `0+${perMinute}x${MINUTES}`;

function seriesIn(namespace: string) {
  return (name: string, labels: Labels = {}): string => {
    const all = Object.entries({ namespace, ...labels });
    return `${name}{${all.map(([label, value]) => `${label}="${value}"`).join(',')}}`;
  };
}

const of = seriesIn('production');
const router = (instance: string, name: string, labels: Labels = {}): string =>
  of(name, { instance, ...labels });
const ofArm = (name: string, arm: string, labels: Labels = {}): string =>
  router('a', name, { model_id: 'm', arm, ...labels });

const HEALTH = 'ai_model_health_status';
const SHARE = 'ai_model_traffic_share_ratio';
const REQUESTS = 'ai_model_inference_requests_total';
const BUCKET = 'ai_model_inference_duration_seconds_bucket';
const JWKS = 'ai_model_auth_jwks_fetches_total';
const CERTIFICATE = 'ai_model_tls_certificate_not_after_seconds';
const SHADOW = 'ai_model_shadow_requests_total';
const PROMOTION = 'ai_model_promotion_step_seconds';
const ROLLOUT = 'ai_model_rollout_step_seconds';
const VERDICT = 'ai_model_rollout_verdict';
const REPLICAS = 'ai_model_replicas';
const ok = { version: '1.0.0', status: '200' };
const failed = { version: '1.0.0', status: '502' };

const ROUTER_SERIES: Series = Object.fromEntries(
  ['a', 'b'].flatMap((instance) => [
    [router(instance, 'ai_model_models'), steady(1)],
    [router(instance, 'ai_model_service_peers'), steady(1)],
    [router(instance, 'ai_model_service_leader'), steady(instance === 'a' ? 1 : 0)],
    [router(instance, 'ai_model_watch_age_seconds', { watch: 'cluster' }), steady(1)],
    [router(instance, 'ai_model_event_loop_lag_seconds'), steady(0.01)],
    [router(instance, 'ai_model_memory_refused_total', { share: 'service' }), steady(0)],
    [router(instance, 'ai_model_memory_refused_total', { share: 'caller' }), growing(60)],
    [router(instance, 'ai_model_connections_refused_total'), steady(0)],
    [router(instance, 'ai_model_audit_failing'), steady(0)],
    [router(instance, 'ai_model_audit_dropped_lines_total'), steady(7)],
    [router(instance, 'ai_model_auth_keys_file_faulty'), steady(0)],
    [router(instance, JWKS, { result: 'success' }), growing(1)],
    [router(instance, JWKS, { result: 'error' }), growing(1)],
    [router(instance, 'ai_model_tls_certificate_faulty'), steady(0)],
    [router(instance, CERTIFICATE), inDays(15)],
  ]),
);

const MODEL_SERIES: Series = {
  ...Object.fromEntries(
    Object.entries({ stable: 0.9, next: 0.1, shadow: 0 }).flatMap(([arm, share]) => [
      [ofArm(HEALTH, arm), steady(1)],
      [ofArm(SHARE, arm), steady(share)],
      [ofArm('ai_model_ejections_total', arm), steady(0)],
      [ofArm(REPLICAS, arm, { state: 'desired' }), steady(1)],
    ]),
  ),
  [ofArm(REQUESTS, 'stable', ok)]: growing(6000),
  [ofArm(REQUESTS, 'stable', failed)]: growing(3),
  [ofArm(BUCKET, 'stable', { le: '0.1' })]: growing(5995),
  [ofArm(BUCKET, 'stable', { le: '1' })]: growing(6003),
  [ofArm(BUCKET, 'stable', { le: '+Inf' })]: growing(6003),
  [ofArm(SHADOW, 'shadow', { result: 'agree' })]: growing(60),
  [ofArm(SHADOW, 'shadow', { result: 'disagree' })]: growing(1),
};

/** Another model service, whose health must hide nothing and whose faults must fire nothing. */
const STAGING_HEALTHY: Series = moved({ ...ROUTER_SERIES, ...MODEL_SERIES });
const HEALTHY: Series = { ...ROUTER_SERIES, ...MODEL_SERIES, ...STAGING_HEALTHY };

function moved(series: Series): Series {
  return Object.fromEntries(
    Object.entries(series).map(([key, values]) => [
      key.replace('namespace="production"', 'namespace="staging"'),
      values,
    ]),
  );
}

const gone = (series: Series): Series =>
  Object.fromEntries(Object.keys(series).map((key) => [key, undefined]));

/** What is different from a healthy service, and what must fire; all other alerts are silent. */
function fault(name: string, change: Series, ...fires: readonly Fired[]): AlertFault {
  return { name, series: { ...HEALTHY, ...change }, fires };
}

const fired = (alert: string, labels: Labels = {}, value?: string): Fired => ({
  alert,
  labels,
  ...(value !== undefined && { value }),
});

const ALL_ILL: Series = {
  [ofArm(HEALTH, 'stable')]: steady(0),
  [ofArm(REQUESTS, 'stable', failed)]: growing(6000),
  [ofArm(BUCKET, 'stable', { le: '0.1' })]: growing(1),
  [ofArm('ai_model_ejections_total', 'stable')]: growing(1),
  [ofArm(SHADOW, 'shadow', { result: 'disagree' })]: growing(60),
  [ofArm(PROMOTION, 'next', { phase: 'rolling' })]: growing(60),
  [ofArm(ROLLOUT, 'new', { phase: 'running' })]: steady(900_000),
  [ofArm(ROLLOUT, 'new', { phase: 'paused' })]: growing(60),
  [ofArm(VERDICT, 'new', { verdict: 'abort' })]: steady(1),
  [ofArm(REPLICAS, 'stable', { state: 'desired' })]: steady(3),
  [router('a', 'ai_model_service_leader')]: steady(0),
  [router('a', 'ai_model_service_peers')]: steady(0),
  [router('a', 'ai_model_watch_age_seconds', { watch: 'cluster' })]: steady(900),
  [router('a', 'ai_model_event_loop_lag_seconds')]: steady(1),
  [router('a', 'ai_model_memory_refused_total', { share: 'service' })]: growing(1),
  [router('a', 'ai_model_connections_refused_total')]: growing(1),
  [router('a', 'ai_model_audit_failing')]: steady(1),
  [router('a', 'ai_model_audit_dropped_lines_total')]: growing(1),
  [router('a', 'ai_model_auth_keys_file_faulty')]: steady(1),
  [router('a', 'ai_model_tls_certificate_faulty')]: steady(1),
  [router('a', JWKS, { result: 'success' })]: steady(0),
  [router('b', JWKS, { result: 'success' })]: steady(0),
  [router('a', CERTIFICATE)]: inDays(-1),
};

const MODEL_FAULTS: readonly AlertFault[] = [
  fault(
    'stable is down while a candidate and a shadow are healthy',
    { [ofArm(HEALTH, 'stable')]: steady(0) },
    fired('AiModelArmDown', { arm: 'stable' }),
  ),
  fault(
    'a candidate with a tenth of the traffic is down',
    { [ofArm(HEALTH, 'next')]: steady(0) },
    fired('AiModelArmDown', { arm: 'next' }),
  ),
  fault('a shadow is down, and so is an aborted candidate', {
    [ofArm(HEALTH, 'shadow')]: steady(0),
    [ofArm(HEALTH, 'next')]: steady(0),
    [ofArm(SHARE, 'next')]: steady(0),
  }),
  fault('an arm without traffic fails fast', {
    [ofArm(HEALTH, 'stable')]: `0x3 1x${MINUTES}`,
  }),
  fault(
    'no router knows the model',
    gone(MODEL_SERIES),
    fired('AiModelAbsent', { namespace: 'production', arm: 'stable' }),
  ),
  fault(
    'two percent of the answers are errors',
    { [ofArm(REQUESTS, 'stable', failed)]: growing(120) },
    fired('AiModelErrorBudgetBurn', { window: '1h' }),
    fired('AiModelErrorBudgetBurn', { window: '6h' }),
  ),
  fault(
    'one percent of the answers are errors',
    { [ofArm(REQUESTS, 'stable', failed)]: growing(60) },
    fired('AiModelErrorBudgetBurn', { window: '6h' }),
  ),
  fault(
    'two percent of the answers take a second',
    { [ofArm(BUCKET, 'stable', { le: '0.1' })]: growing(5880) },
    fired('AiModelSlow'),
  ),
  fault(
    'replicas are ejected once a minute',
    { [ofArm('ai_model_ejections_total', 'stable')]: growing(1) },
    fired('AiModelReplicaEjected', { arm: 'stable' }),
  ),
  fault(
    'a shadow gives other answers',
    { [ofArm(SHADOW, 'shadow', { result: 'disagree' })]: growing(10) },
    fired('AiModelShadowDisagrees', { arm: 'shadow' }),
  ),
  fault('a shadow was compared too seldom to tell', {
    [ofArm(SHADOW, 'shadow', { result: 'agree' })]: growing(1),
    [ofArm(SHADOW, 'shadow', { result: 'disagree' })]: `0x60 1x${MINUTES}`,
  }),
  fault(
    'a promotion makes no progress, and one router has seen it for a short time only',
    {
      [ofArm(PROMOTION, 'next', { phase: 'rolling' })]: growing(60),
      [router('b', PROMOTION, { model_id: 'm', arm: 'next', phase: 'rolling' })]: steady(5),
    },
    fired('AiModelPromotionStuck', { arm: 'next', phase: 'rolling' }),
  ),
  fault(
    'a rollout is paused',
    { [ofArm(ROLLOUT, 'new', { phase: 'paused' })]: growing(60) },
    fired('AiModelRolloutPaused', { arm: 'new' }),
  ),
  fault('a rollout holds its step', {
    [ofArm(VERDICT, 'next', { verdict: 'hold' })]: steady(1),
  }),
  fault('a promotion makes progress every 29 minutes', {
    [ofArm(PROMOTION, 'next', { phase: 'shifting' })]: steady(29 * 60),
  }),
  fault('a person aborted a rollout that was paused', {
    [ofArm(ROLLOUT, 'new', { phase: 'aborted' })]: growing(60),
    [ofArm(VERDICT, 'new', { verdict: 'pause' })]: steady(1),
  }),
  fault(
    'a rollout has been at one step for a day longer than it must',
    { [ofArm(ROLLOUT, 'new', { phase: 'running' })]: steady(87_001) },
    fired('AiModelRolloutStuck', { arm: 'new' }),
  ),
  fault('a rollout is at a long step, and was held by a person for days', {
    [ofArm(ROLLOUT, 'new', { phase: 'running' })]: steady(86_999),
    [ofArm(ROLLOUT, 'new', { phase: 'held' })]: steady(900_000),
  }),
  fault(
    'a rollout was aborted by its evidence',
    {
      [ofArm(ROLLOUT, 'new', { phase: 'aborted' })]: growing(60),
      [ofArm(VERDICT, 'new', { verdict: 'abort' })]: steady(1),
    },
    fired('AiModelRolloutAborted', { arm: 'new' }),
  ),
  fault('a person aborted a rollout, and one was aborted the day before', {
    [ofArm(ROLLOUT, 'new', { phase: 'aborted' })]: growing(60),
    [ofArm(VERDICT, 'new', { verdict: 'hold' })]: steady(1),
    [ofArm(ROLLOUT, 'old', { phase: 'aborted' })]: steady(90_000),
    [ofArm(VERDICT, 'old', { verdict: 'abort' })]: steady(1),
  }),
  fault(
    'an arm runs all replicas it may have',
    { [ofArm(REPLICAS, 'stable', { state: 'desired' })]: steady(3) },
    fired('AiModelAtMaximum', { arm: 'stable' }),
  ),
];

const SERVICE_FAULTS: readonly AlertFault[] = [
  fault(
    'all routers are gone while those of staging live',
    gone({ ...ROUTER_SERIES, ...MODEL_SERIES }),
    fired('AiModelServiceDown', { namespace: 'production' }),
    fired('AiModelAbsent', { namespace: 'production', arm: 'stable' }),
  ),
  fault(
    'one of two routers is gone',
    {
      ...gone(
        Object.fromEntries(Object.entries(ROUTER_SERIES).filter(([key]) => key.includes('="b"'))),
      ),
      [router('a', 'ai_model_service_peers')]: steady(0),
    },
    fired('AiModelServiceRouterMissing', {}, '1'),
  ),
  fault(
    'one router does not hear the other',
    { [router('a', 'ai_model_service_peers')]: steady(0) },
    fired('AiModelServicePeersLost'),
  ),
  fault(
    'no router leads',
    { [router('a', 'ai_model_service_leader')]: steady(0) },
    fired('AiModelServiceWithoutLeader'),
  ),
  fault(
    'one router is blind',
    { [router('b', 'ai_model_watch_age_seconds', { watch: 'cluster' })]: `301+60x${MINUTES}` },
    fired('AiModelServiceStale', { watch: 'cluster' }),
  ),
  fault(
    'the event loop of one router is held up',
    { [router('b', 'ai_model_event_loop_lag_seconds')]: steady(0.2) },
    fired('AiModelServiceEventLoopHeld', { instance: 'b' }),
  ),
  fault(
    'bodies take all the memory they may',
    { [router('b', 'ai_model_memory_refused_total', { share: 'service' })]: growing(1) },
    fired('AiModelServiceMemoryFull'),
  ),
  fault(
    'connections are refused',
    { [router('b', 'ai_model_connections_refused_total')]: growing(1) },
    fired('AiModelServiceConnectionsRefused'),
  ),
  fault(
    'one router cannot write its audit record, and has room for the lines',
    { [router('b', 'ai_model_audit_failing')]: steady(1) },
    fired('AiModelServiceAuditFailing', { instance: 'b' }),
  ),
  fault(
    'lines of the audit record are lost',
    { [router('b', 'ai_model_audit_dropped_lines_total')]: growing(1) },
    fired('AiModelServiceAuditDropped'),
  ),
  fault(
    'the identity provider does not answer any more',
    {
      [router('a', JWKS, { result: 'success' })]: steady(7),
      [router('b', JWKS, { result: 'success' })]: steady(7),
    },
    fired('AiModelServiceJwksUnreachable'),
  ),
  fault('routers have no certificate', {
    [router('a', CERTIFICATE)]: steady(0),
    [router('b', CERTIFICATE)]: steady(0),
  }),
  fault(
    'the certificate of one router ends in 13 days',
    { [router('b', CERTIFICATE)]: inDays(13) },
    fired('AiModelServiceCertificateEnds', { severity: 'warning' }),
  ),
  fault(
    'the certificate of one router ends in a day',
    { [router('b', CERTIFICATE)]: inDays(1) },
    fired('AiModelServiceCertificateEnds', { severity: 'warning' }),
    fired('AiModelServiceCertificateEnds', { severity: 'critical' }),
  ),
  fault(
    'the newest certificate of one router cannot be used',
    { [router('b', 'ai_model_tls_certificate_faulty')]: steady(1) },
    fired('AiModelServiceCertificateFaulty'),
  ),
  fault(
    'the keys file of one router has a fault',
    { [router('b', 'ai_model_auth_keys_file_faulty')]: steady(1) },
    fired('AiModelServiceKeysFaulty'),
  ),
];

export const FAULTS: readonly AlertFault[] = [
  fault('nothing is wrong', {}),
  fault('everything is wrong in staging', moved(ALL_ILL)),
  ...MODEL_FAULTS,
  ...SERVICE_FAULTS,
];
