import type { ModelPlan, ObjectChange, Plan } from '../schema';
import { bytesOf, fitted } from './fit';
import {
  actionText,
  costLines,
  counted,
  fieldText,
  footer,
  hashText,
  headline,
  moveLines,
  NO_RESTART,
  objectName,
  restartText,
  shareLines,
  shortList,
  SIGN,
  totalLines,
  visible,
} from './words';

const indented = (lines: readonly string[], by = 4): readonly string[] =>
  lines.map((line) => `${' '.repeat(by)}${line}`);

/** Code is not marked on a terminal. */
const plain = (text: string): string => text.replaceAll('`', '');

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`  ${title}`, ...indented(lines.map(plain))];
}

function objectLines(change: ObjectChange): readonly string[] {
  return [
    `${SIGN[change.action]} ${objectName(change)}`,
    ...change.fields.flatMap((field) => [
      `    ${fieldText(field)}`,
      ...indented(field.lines ?? [], 6),
    ]),
  ];
}

function trafficLines({ traffic }: ModelPlan): readonly string[] {
  if (traffic === undefined) return [];
  const shares = shareLines(traffic).map(
    ({ arm, before, after }) => `${arm}: ${before} → ${after}`,
  );
  return [...shares, ...moveLines(traffic)];
}

function riskLines({ risks }: ModelPlan): readonly string[] {
  return risks.flatMap(({ rule, severity, path, reason, fix }) => [
    `${severity.padEnd(6)} ${rule}: ${path === '' ? '' : `${path}: `}${reason}`,
    `       ${fix}`,
  ]);
}

function modelText(model: ModelPlan, isFull: boolean): string {
  const { model_id, environments, objects, restarts } = model;
  const restarted = restarts.map(restartText);
  const objectsTitle = `Objects (${hashText(model)})`;
  const lines = [
    `${model_id} (${environments.join(', ')}) ${actionText(model)}`,
    ...section('Risk', riskLines(model)),
    ...section('Traffic', trafficLines(model)),
    ...section('Restarts', restarted.length === 0 ? [NO_RESTART] : restarted),
    ...section('Cost', costLines(model)),
    ...(isFull
      ? [`  ${objectsTitle}`, ...indented(objects.flatMap(objectLines))]
      : [`  ${counted(objects.length, 'object')}`]),
    '',
  ];
  return `${visible(lines.join('\n'))}\n`;
}

function sharedText({ shared }: Plan): string {
  if (shared.length === 0) return '';
  return visible(
    `${['Shared objects', ...indented(shared.flatMap(objectLines)), ''].join('\n')}\n`,
  );
}

function findingsText({ findings, notes }: Plan): string {
  const errors = findings.map(
    ({ rule, model, path, reason, fix }) => `error ${rule}: ${model}: ${path}: ${reason}; ${fix}`,
  );
  const lines = [...shortList(errors), ...shortList(notes.map((note) => `note: ${note}`))];
  return lines.length === 0 ? '' : `${visible(plain(lines.join('\n')))}\n`;
}

/**
 * The plan for a terminal.
 * @param maxBytes details, then models at the end are left out to stay below it
 */
export function planText(plan: Plan, maxBytes = Number.POSITIVE_INFINITY): string {
  const parts = plan.models.map((model) => ({
    short: modelText(model, false),
    full: modelText(model, true),
  }));
  const lines = [headline(plan), ...totalLines(plan), footer(plan)];
  const end = `${findingsText(plan)}${visible(plain(lines.join('\n')))}\n`;
  const shared = sharedText(plan);
  // The line that says what is left out has room in any case.
  const { texts, left } = fitted(parts, maxBytes - bytesOf(`${end}${shared}`) - 100);
  const rest = left === 0 ? '' : `… and ${left} more: raise --max-bytes\n\n`;
  return `${texts.join('')}${rest}${shared}${end}`;
}
