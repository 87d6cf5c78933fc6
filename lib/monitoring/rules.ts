import type { Environment } from '../spec';

/** An alerting rule of Prometheus. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A recording rule of Prometheus: stores the values of an expression under a name. */
export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Rules that Prometheus evaluates together. */
export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly (AlertRule | RecordingRule)[];
}

export type Severity = 'critical' | 'warning';

/** One rule of an alert: for one objective, arm or port. */
export interface AlertInstance {
  readonly expr: string;
  readonly summary: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Overrides the severity of its row. */
  readonly severity?: Severity;
}

/** A row of the table of alerts: when it fires, and its runbook. */
export interface AlertRow<Subject> {
  readonly alert: string;
  readonly severity: Severity;
  readonly for: string;
  readonly instances: (subject: Subject) => readonly AlertInstance[];
  /** Section of docs/runbooks.md: what it means for callers, */
  readonly meaning: string;
  /** steps to find the cause, in order, */
  readonly diagnosis: readonly string[];
  /** and what to do about it. */
  readonly mitigation: readonly string[];
}

/** The namespace of the routers; it labels their series. */
export const serviceNamespace = ({ runtime, namespace }: Environment): string =>
  runtime.namespace ?? namespace;

/** Rounds binary fractions: 14.4 × 0.001 is 0.0144, not 0.014400000000000001. */
export const rounded = (value: number): number => Number(value.toPrecision(6));

/** The anchor of a heading is its text in lower case. */
const runbookUrl = (page: string, alert: string): string => `${page}#${alert.toLowerCase()}`;

/** The rules for one subject; each has the URL of its runbook. */
export function alertRules<Subject>(
  rows: readonly AlertRow<Subject>[],
  subject: Subject,
  { monitoring }: Environment,
  common: Readonly<Record<string, string>> = {},
): readonly AlertRule[] {
  return rows.flatMap(({ alert, for: holds, severity: usual, instances }) =>
    instances(subject).map(({ expr, summary, labels, severity = usual }) => ({
      alert,
      expr,
      for: holds,
      labels: { severity, ...common, ...labels },
      annotations: { summary, runbook_url: runbookUrl(monitoring.runbooks, alert) },
    })),
  );
}
