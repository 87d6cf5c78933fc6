import type { Environment } from '../spec';

/** An alerting rule of Prometheus. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A recording rule of Prometheus: an expression whose values are stored under a name. */
export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Rules that are evaluated together. */
export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly (AlertRule | RecordingRule)[];
}

export type Severity = 'critical' | 'warning';

/** An alert for one subject: an objective, an arm, a port. */
export interface AlertInstance {
  readonly expr: string;
  readonly summary: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Replaces the severity of its row. */
  readonly severity?: Severity;
}

/** A row of the table of alerts: its condition and its runbook. */
export interface AlertRow<Subject> {
  readonly alert: string;
  readonly severity: Severity;
  readonly for: string;
  readonly instances: (subject: Subject) => readonly AlertInstance[];
  /** The meaning, for the page of runbooks. */
  readonly meaning: string;
  /** Steps of the diagnosis, in order. */
  readonly look: readonly string[];
  /** Remedies. */
  readonly mend: readonly string[];
}

/** The namespace of the routers, whose metrics these are. */
export const serviceNamespace = ({ runtime, namespace }: Environment): string =>
  runtime.namespace ?? namespace;

/** Rounds binary fractions: 14.4 × 0.001 is 0.0144, not 0.014400000000000001. */
export const rounded = (value: number): number => Number(value.toPrecision(6));

/** Headings become anchors in lower case. */
export const runbookUrl = (page: string, alert: string): string => `${page}#${alert.toLowerCase()}`;

/** The rules of one subject; each links to its section of the page of runbooks. */
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
