import type { ModelPlan, ObjectChange, Plan, Risk } from '../schema';
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

// The plan as a comment of a pull request. A definition is written by its author, and the comment is
// posted by a trusted job: no value may become markup, a mention, a link or the marker.

/** The hidden first line, by which a pipeline finds its comment again. */
export const MARKER = '<!-- ai-model-service plan -->';

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** Text without markup. An empty comment breaks mentions and references, which see rendered text. */
function escaped(text: string): string {
  return visible(text.replaceAll(/\s+/g, ' '))
    .replaceAll(/[&<>]/g, (character) => HTML[character as '&'] ?? '')
    .replaceAll(/[\\`*_{}[\]()+!|~$:]/g, (character) => `\\${character}`)
    .replaceAll(/[@#]/g, (character) => `${character}<!-- -->`)
    .replaceAll(/www\./gi, (prefix) => `${prefix.slice(0, 3)}<!-- -->.`);
}

/** A code span. */
function span(text: string): string {
  const flat = visible(text.replaceAll(/\s+/g, ' ')).replaceAll('`', '’').trim();
  return flat === '' ? '' : `\`${flat}\``;
}

/** In the cell of a table `|` ends the cell, even in code. */
const cell = (markdown: string): string => markdown.replaceAll(/\\?\|/g, '\\|');

/** Words with values between backticks. */
function marked(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 1 ? span(part) : escaped(part)))
    .join('');
}

/** Lines in a fence that none of them can close. */
function fenced(lines: readonly string[]): readonly string[] {
  const longest = Math.max(
    2,
    ...lines.flatMap((line) => line.match(/`+/g) ?? []).map(({ length }) => length),
  );
  const fence = '`'.repeat(longest + 1);
  return [`${fence}diff`, ...lines.map(visible), fence];
}

const ICON: Readonly<Record<Risk['severity'], string>> = { high: '🔴', medium: '🟠', low: '🔵' };

function riskLines({ risks }: ModelPlan): readonly string[] {
  return risks.map(({ rule, severity, path, reason, fix }) => {
    const where = path === '' ? '' : ` ${span(path)}:`;
    return `- ${ICON[severity]} **${severity}** ${span(rule)}${where} ${marked(reason)}. _Fix:_ ${marked(fix)}.`;
  });
}

function trafficLines({ traffic }: ModelPlan): readonly string[] {
  if (traffic === undefined) return [];
  const rows = shareLines(traffic).map(
    ({ arm, before, after }) =>
      `| ${[span(arm), marked(before), marked(after)].map(cell).join(' | ')} |`,
  );
  const moves = moveLines(traffic).map((line) => `- ${marked(line)}`);
  const table = ['| arm | before | after |', '| --- | --- | --- |', ...rows];
  return moves.length === 0 ? table : [...table, '', ...moves];
}

/** Signs that a `diff` fence colours. */
function diffLines(change: ObjectChange): readonly string[] {
  const sign = SIGN[change.action];
  return [
    `${sign === '+' || sign === '-' ? sign : '!'} ${objectName(change)}`,
    ...change.fields.flatMap((field) => [
      `    ${fieldText(field)}`,
      // The sign has to stand first, or the fence does not colour the line.
      ...(field.lines ?? []),
    ]),
  ];
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`**${title}**`, '', ...lines, ''];
}

function folded(title: string, changes: readonly ObjectChange[]): readonly string[] {
  const lines = fenced(changes.flatMap(diffLines));
  return ['<details>', `<summary>${title}</summary>`, '', ...lines, '', '</details>', ''];
}

function titleOf(model: ModelPlan): string {
  const worst = model.risks[0]?.severity;
  const icon = worst === undefined ? '🟢' : ICON[worst];
  return `### ${icon} ${span(model.model_id)} ${actionText(model)} (${escaped(model.environments.join(', '))})`;
}

function modelMarkdown(model: ModelPlan, isFull: boolean): string {
  const restarts = model.restarts.map((one) => `- ${marked(restartText(one))}`);
  const objects = `Objects: ${counted(model.objects.length, 'change')} (${hashText(model)})`;
  const lines = [
    titleOf(model),
    '',
    ...section('Risk', riskLines(model)),
    ...section('Traffic', trafficLines(model)),
    ...section('Restarts', restarts.length === 0 ? [`- ${NO_RESTART}`] : restarts),
    ...section(
      'Cost',
      costLines(model).map((line) => `- ${marked(line)}`),
    ),
    ...(isFull ? folded(objects, model.objects) : [objects, '']),
  ];
  return `${lines.join('\n')}\n`;
}

function endOf(plan: Plan): string {
  const findings = plan.findings.map(
    ({ rule, model, path, reason, fix }) =>
      `- ${ICON.high} **error** ${span(rule)} ${span(`${model}: ${path}`)}: ${marked(reason)}. _Fix:_ ${marked(fix)}.`,
  );
  const lines = [
    ...(plan.shared.length === 0 ? [] : folded('Shared objects', plan.shared)),
    ...section('Findings', shortList(findings)),
    ...section('Not compared', shortList(plan.notes.map((note) => `- ${marked(note)}`))),
    `<sub>${marked(footer(plan))}</sub>`,
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * The plan as Markdown for GitHub and GitLab, with a hidden marker in its first line.
 * @param maxBytes details, then models at the end are left out to stay below it
 */
export function planMarkdown(plan: Plan, maxBytes = Number.POSITIVE_INFINITY): string {
  const totals = totalLines(plan).map((line) => `${marked(line)}.\n\n`);
  const start = `${MARKER}\n## Plan\n\n${marked(headline(plan))}.\n\n${totals.join('')}`;
  const end = endOf(plan);
  const parts = plan.models.map((model) => ({
    short: modelMarkdown(model, false),
    full: modelMarkdown(model, true),
  }));
  const used = bytesOf(`${start}${end}`);
  // The line that says what is left out has room in any case.
  const { texts, left } = fitted(parts, maxBytes - used - 200);
  const rest =
    left === 0
      ? ''
      : `… and ${left} more: they do not fit here; \`plan --format text\` shows all.\n\n`;
  return `${start}${texts.join('')}${rest}${end}`;
}
