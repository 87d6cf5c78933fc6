import type { Fault, Finding } from '../spec';
import { DefinitionError } from '../spec';

/** Faults of several files in one answer; each line names its file. */
class DefinitionsError extends DefinitionError {
  /** One for each file, or for each line of a file. */
  readonly errors: readonly DefinitionError[];

  constructor(errors: readonly DefinitionError[]) {
    super(errors.flatMap(placedFaults));
    this.errors = errors;
    this.message = errors.map(({ message }) => message).join('\n');
  }
}

/** The faults of an error, each with the file that the error is about. */
export function placedFaults({ faults, file }: DefinitionError): readonly Fault[] {
  return faults.map((one) => (file === undefined ? one : { file, ...one }));
}

/** Throws the only error, or one for all. */
export function throwAll(errors: readonly DefinitionError[]): void {
  const [first] = errors;
  if (first === undefined) return;
  throw errors.length === 1 ? first : new DefinitionsError(errors);
}

/** One line for a finding: `models/x.ts: scaling: …; lower it (gpu-quota)`. */
export function formatFinding(finding: Finding, file?: string): string {
  const { model, path, reason, fix, rule } = finding;
  return `${file ?? model}: ${path}: ${reason}; ${fix} (${rule})`;
}

/** Further findings of a rule are one line: a thousand models may have the same one. */
const MAX_SHOWN_FINDINGS = 3;
/** Models named in that line. */
const MAX_NAMED_MODELS = 3;

/** A finding to show, and a summary of the others of its rule. */
export interface FindingGroup {
  readonly first: Finding;
  /** Empty, or ` (and 998 more, in m2, m3, m4, …; --output json lists all)`. */
  readonly others: string;
}

function othersText(rest: readonly Finding[]): string {
  const models = [...new Set(rest.map(({ model }) => model))];
  const named = models.slice(0, MAX_NAMED_MODELS).join(', ');
  const more = models.length > MAX_NAMED_MODELS ? ', …' : '';
  return ` (and ${rest.length} more of this rule, in ${named}${more}; --output json lists all)`;
}

/** A few findings of a rule are shown in full; of many the first, with a count. */
export function findingGroups(findings: readonly Finding[]): readonly FindingGroup[] {
  const rules = [...new Set(findings.map(({ severity, rule }) => `${severity} ${rule}`))];
  return rules.flatMap((name) => {
    const own = findings.filter(({ severity, rule }) => `${severity} ${rule}` === name);
    const [first, ...rest] = own;
    if (first === undefined || own.length <= MAX_SHOWN_FINDINGS) {
      return own.map((one) => ({ first: one, others: '' }));
    }
    return [{ first, others: othersText(rest) }];
  });
}

/** Says that warnings count as errors. */
function strictText(findings: readonly Finding[]): readonly string[] {
  const warnings = findings.filter(({ severity }) => severity === 'warning').length;
  if (warnings === 0) return [];
  const what =
    warnings === 1 ? '1 warning counts as an error' : `${warnings} warnings count as errors`;
  return [`${what} because of strict; correct the cause, or waive the rule in the definition`];
}

/**
 * Definitions that are valid but cannot work in their environment, or have warnings where those
 * count as errors. Nothing was written.
 */
export class FindingsError extends Error {
  override readonly name = 'FindingsError';
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[], fileOf: (model: string) => string | undefined) {
    const lines = findingGroups(findings).map(
      ({ first, others }) => `${formatFinding(first, fileOf(first.model))}${others}`,
    );
    super([...lines, ...strictText(findings)].join('\n'));
    this.findings = findings;
  }
}

/** A fault of a file as a whole. */
export function fileFault(message: string): Fault {
  return { path: '', message };
}
