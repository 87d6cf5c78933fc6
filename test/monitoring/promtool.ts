import type { AlertRule } from '../../lib/monitoring';
import { DASHBOARDS } from '../../lib/monitoring/panels';
import type { AlertFault } from './faults';
import { ALERT_RULES, EVALUATED_AT, FAULTS, GROUPS } from './faults';

// Files for promtool, written by scripts/monitoring.ts.

type Fired = AlertFault['fires'][number];

/** Of several rules of one alert the one whose labels do not contradict. */
function ruleOf({ alert, labels }: Fired): AlertRule {
  const found = ALERT_RULES.find(
    (rule) =>
      rule.alert === alert &&
      Object.entries(labels).every(([name, value]) => (rule.labels[name] ?? value) === value) &&
      Object.keys(rule.labels).every((name) => name !== 'window' || name in labels),
  );
  if (found === undefined) throw new Error(`no rule ${alert} ${JSON.stringify(labels)}`);
  return found;
}

function expected(fired: Fired): object {
  const rule = ruleOf(fired);
  const labels = { ...rule.labels, ...fired.labels };
  const summary = (rule.annotations['summary'] ?? '')
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, name: string) => fired.labels[name] ?? '')
    .replaceAll('{{ $value }}', fired.value ?? '');
  return { exp_labels: labels, exp_annotations: { ...rule.annotations, summary } };
}

function testOf({ name, series, fires }: AlertFault): object {
  return {
    name,
    interval: '1m',
    input_series: Object.entries(series).flatMap(([key, values]) =>
      values === undefined ? [] : [{ series: key, values }],
    ),
    alert_rule_test: [...new Set(ALERT_RULES.map(({ alert }) => alert))].map((alert) => ({
      alertname: alert,
      eval_time: EVALUATED_AT,
      exp_alerts: fires.filter((fired) => fired.alert === alert).map(expected),
    })),
  };
}

/** What Grafana puts in the place of its variables. */
export const withoutVariables = (expr: string): string =>
  expr
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$namespace', 'production')
    .replaceAll('$model', 'm');

/** Every query of every dashboard, as a rule whose expression promtool parses. */
const QUERIES = DASHBOARDS.map(({ name, panels }, dashboard) => ({
  name,
  rules: panels.flatMap(({ queries }, panel) =>
    queries.map(([expr], query) => ({
      record: `query_${dashboard}_${panel}_${query}`,
      expr: withoutVariables(expr),
    })),
  ),
}));

/** File name → content. JSON is YAML. */
export const PROMTOOL_FILES: ReadonlyMap<string, object> = new Map<string, object>([
  ['rules.yaml', { groups: GROUPS }],
  ['dashboards.yaml', { groups: QUERIES }],
  [
    'rules.test.yaml',
    { rule_files: ['rules.yaml'], evaluation_interval: '1m', tests: FAULTS.map(testOf) },
  ],
]);
