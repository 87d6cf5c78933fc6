import type { AlertRule } from '../objects';

/** Alerts of the service itself, in the namespace that its routers are scraped in. */
export function serviceAlerts(namespace: string): readonly AlertRule[] {
  const of = (metric: string): string => `${metric}{namespace="${namespace}"}`;
  const rule = (alert: string, expr: string, severity: string, summary: string): AlertRule => ({
    alert,
    expr,
    for: '5m',
    labels: { severity },
    annotations: { summary },
  });
  return [
    rule(
      'AiModelServiceDown',
      `absent(${of('ai_model_models')})`,
      'critical',
      'no router of the model service is up, or none is scraped',
    ),
    rule(
      'AiModelServiceWithoutLeader',
      `sum(${of('ai_model_service_leader')}) == 0`,
      'warning',
      'no router leads: promotions, removals and sleep stand still',
    ),
    rule(
      'AiModelServiceStale',
      `max by (watch) (${of('ai_model_watch_age_seconds')}) > 300`,
      'warning',
      'a router has heard nothing of {{ $labels.watch }} for more than five minutes',
    ),
  ];
}
