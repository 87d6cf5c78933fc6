import type { ModelSpec } from '../spec';

/** An alerting rule of Prometheus. */
export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * Burn rates and windows of the SRE workbook, chapter 5: 2 % of a month's budget in an hour pages,
 * 5 % in six hours too. Both windows must burn, so that the alarm ends soon after the cause does.
 */
const BURN_RATES = [
  { factor: 14.4, long: '1h', short: '5m' },
  { factor: 6, long: '6h', short: '30m' },
] as const;

/** Keeps 14.4 × 0.001 from being written as 0.014400000000000001. */
const rounded = (value: number): number => Number(value.toPrecision(6));

function errorRatio(id: string, window: string): string {
  const requests = 'ai_model_inference_requests_total';
  const failed = `sum(rate(${requests}{model_id="${id}",status=~"5.."}[${window}]))`;
  return `${failed} / sum(rate(${requests}{model_id="${id}"}[${window}]))`;
}

function availabilityRules({ id, name, slo }: ModelSpec): readonly Rule[] {
  const availability = slo?.availability;
  if (availability === undefined) return [];
  return BURN_RATES.map(({ factor, long, short }) => {
    const limit = rounded((factor * (100 - availability)) / 100);
    const above = (window: string): string => `(${errorRatio(id, window)}) > ${limit}`;
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

function latencyRules({ id, name, slo }: ModelSpec): readonly Rule[] {
  const target = slo?.latencyMs;
  if (target === undefined) return [];
  const buckets = `rate(ai_model_inference_duration_seconds_bucket{model_id="${id}"}[5m])`;
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

/** Alarms for a model: nobody answers, errors burn the budget, answers are slow. */
export function rulesOf(spec: ModelSpec): readonly Rule[] {
  return [
    {
      alert: 'AiModelUnhealthy',
      expr: `max(ai_model_health_status{model_id="${spec.id}"}) == 0`,
      for: '5m',
      labels: { severity: 'critical', model_id: spec.id },
      annotations: { summary: `${spec.name}: no arm is healthy` },
    },
    ...availabilityRules(spec),
    ...latencyRules(spec),
  ];
}
