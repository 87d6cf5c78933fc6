import type { Environment, ModelSpec } from '../spec';

/** An alerting rule of Prometheus. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Rules that are evaluated together. */
export interface AlertGroup {
  readonly name: string;
  readonly rules: readonly AlertRule[];
}

/** The namespace of the routers, whose metrics these are. */
export const serviceNamespace = ({ runtime, namespace }: Environment): string =>
  runtime.namespace ?? namespace;

/**
 * Burn rates and windows of the SRE workbook, chapter 5: 2 % of a month's budget in an hour pages,
 * 5 % in six hours too. Both windows must burn, so that the alarm ends soon after the cause does.
 */
const BURN_RATES = [
  { factor: 14.4, long: '1h', short: '5m' },
  { factor: 6, long: '6h', short: '30m' },
] as const;

/** Rounds binary fractions: 14.4 × 0.001 is 0.0144, not 0.014400000000000001. */
const rounded = (value: number): number => Number(value.toPrecision(6));

/**
 * The series of a model. Prometheus labels each with the namespace of the scraped router, which
 * keeps a model of the same name in staging apart.
 */
const seriesOf = ({ id }: ModelSpec, environment: Environment): string =>
  `namespace="${serviceNamespace(environment)}",model_id="${id}"`;

function errorRatio(series: string, window: string): string {
  const requests = 'ai_model_inference_requests_total';
  const failed = `sum(rate(${requests}{${series},status=~"5.."}[${window}]))`;
  return `${failed} / sum(rate(${requests}{${series}}[${window}]))`;
}

function availabilityRules({ id, name, slo }: ModelSpec, series: string): readonly AlertRule[] {
  const availability = slo?.availability;
  if (availability === undefined) return [];
  return BURN_RATES.map(({ factor, long, short }) => {
    const limit = rounded((factor * (100 - availability)) / 100);
    const above = (window: string): string => `(${errorRatio(series, window)}) > ${limit}`;
    return {
      alert: 'AiModelErrorBudgetBurn',
      expr: `${above(long)} and ${above(short)}`,
      for: '2m',
      labels: { severity: 'critical', model_id: id, window: long },
      annotations: {
        summary: `${name}: errors use up the budget of ${availability} % ${factor} times too fast`,
      },
    };
  });
}

function latencyRules({ id, name, slo }: ModelSpec, series: string): readonly AlertRule[] {
  const target = slo?.latencyMs;
  if (target === undefined) return [];
  const buckets = `rate(ai_model_inference_duration_seconds_bucket{${series}}[5m])`;
  const quantile = rounded(target.p / 100);
  return [
    {
      alert: 'AiModelSlow',
      expr: `histogram_quantile(${quantile}, sum by (le) (${buckets})) > ${rounded(target.under / 1000)}`,
      for: '10m',
      labels: { severity: 'warning', model_id: id },
      annotations: { summary: `${name}: p${target.p} is above ${target.under} ms` },
    },
  ];
}

/**
 * One rule for each arm with traffic: a healthy shadow or candidate does not hide that stable is
 * down. Every router reports the arm; one that sees a ready replica is enough.
 */
function healthRules({ id, name }: ModelSpec, series: string): readonly AlertRule[] {
  const health = `max by (arm) (ai_model_health_status{${series}})`;
  const share = `max by (arm) (ai_model_traffic_share_ratio{${series}})`;
  const labels = { severity: 'critical', model_id: id };
  return [
    {
      alert: 'AiModelArmDown',
      expr: `${health} == 0 and on (arm) ${share} > 0`,
      for: '5m',
      labels,
      annotations: {
        summary: `${name}: the arm {{ $labels.arm }} has traffic and no ready replica`,
      },
    },
    {
      alert: 'AiModelAbsent',
      expr: `absent(ai_model_health_status{${series},arm="stable"})`,
      for: '5m',
      labels,
      annotations: {
        summary: `${name}: no router reports it: routers are down, not scraped, or do not know it`,
      },
    },
  ];
}

/** Alerts of a model: an arm is down or unknown, errors burn the budget, answers are slow. */
export function alertRulesOf(spec: ModelSpec, environment: Environment): readonly AlertRule[] {
  const series = seriesOf(spec, environment);
  return [
    ...healthRules(spec, series),
    ...availabilityRules(spec, series),
    ...latencyRules(spec, series),
  ];
}

/** A rules file for a Prometheus without operator: the groups of these models. */
export function alertGroups(
  specs: readonly ModelSpec[],
  environment: Environment,
): readonly AlertGroup[] {
  return specs.map((spec) => ({
    name: `ai-model-service.${spec.slug}`,
    rules: alertRulesOf(spec, environment),
  }));
}
