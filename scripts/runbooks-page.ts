import { MODEL_ALERTS } from '../lib/monitoring/model-alerts';
import type { AlertRow } from '../lib/monitoring/rules';
import { SERVICE_ALERTS } from '../lib/monitoring/service-alerts';

const HEAD = [
  '# Runbooks',
  'This page has a section for each alert. The annotation `runbook_url` of an alert links to its ' +
    'section; `monitoring.runbooks` of an environment sets the URL of your own copy of the page. ' +
    '`npx tsx scripts/runbooks.ts` generates the page from the table of alerts.',
  'Two alerts are still missing, because the service has no metrics for them yet: a stuck rollout ' +
    'and an exhausted token budget.',
];

const list = (items: readonly string[]): string =>
  items.map((item, index) => `${index + 1}. ${item}`).join('\n');

type Texts = Omit<AlertRow<never>, 'instances'>;

const fires = (severity: string, holds: string): string =>
  holds === '0m'
    ? `Severity: ${severity}. Fires at once.`
    : `Severity: ${severity}. Fires after ${holds}.`;

const section = ({ alert, severity, for: holds, meaning, diagnosis, mitigation }: Texts): string =>
  [
    `### ${alert}`,
    fires(severity, holds),
    meaning,
    '**Diagnosis**',
    list(diagnosis),
    '**Mitigation**',
    list(mitigation),
  ].join('\n\n');

/** docs/runbooks.md. */
export function runbooksPage(): string {
  return [
    ...HEAD,
    '## Models',
    ...MODEL_ALERTS.map(section),
    '## The service',
    ...SERVICE_ALERTS.map(section),
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n');
}
