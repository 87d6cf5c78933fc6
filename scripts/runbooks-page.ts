import { MODEL_ALERTS } from '../lib/monitoring/model-alerts';
import type { AlertRow } from '../lib/monitoring/rules';
import { SERVICE_ALERTS } from '../lib/monitoring/service-alerts';

const HEAD = [
  '# Runbooks',
  'A section for each alert: what it means, how to look, how to mend. `runbook_url` of the alerts ' +
    'names it; `monitoring.runbooks` of an environment can name a copy instead. This page is ' +
    'written by `npx tsx scripts/runbooks.ts` from the table of alerts; a test compares the two.',
  'Two alerts are missing, since the service has no metric for them yet: a rollout that does not ' +
    'go on, and a budget of tokens that is used up.',
];

const list = (items: readonly string[]): string =>
  items.map((item, index) => `${index + 1}. ${item}`).join('\n');

type Texts = Omit<AlertRow<never>, 'instances'>;

const section = ({ alert, severity, for: holds, meaning, look, mend }: Texts): string =>
  [
    `### ${alert}`,
    `Severity: ${severity}. It fires when its condition has held for ${holds}.`,
    meaning,
    'How to look:',
    list(look),
    'How to mend:',
    list(mend),
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
