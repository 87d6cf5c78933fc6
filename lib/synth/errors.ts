import type { Fault, Finding } from '../spec';
import { DefinitionError } from '../spec';

/** Faults of several files in one answer; each line names its file. */
export class DefinitionsError extends DefinitionError {
  /** One for each file (or line of a file). */
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

/** One error for all; a single one stays what it is. */
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

/** Definitions that are right by themselves but cannot work in their environment. Nothing was written. */
export class FindingsError extends Error {
  override readonly name = 'FindingsError';
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[], fileOf: (model: string) => string | undefined) {
    super(findings.map((one) => formatFinding(one, fileOf(one.model))).join('\n'));
    this.findings = findings;
  }
}

/** A sentence about something that is wrong with a file as a whole. */
export function fileFault(message: string): Fault {
  return { path: '', message };
}
