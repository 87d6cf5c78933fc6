import type { Finding } from '../lib/spec';
import { DefinitionError } from '../lib/spec';
import { FindingsError, findingGroups, placedFaults } from '../lib/synth/errors';
import { CommandError, EXIT } from './exit';
import type { ExitCode } from './exit';
import type { Io } from './io';

export type OutputFormat = 'text' | 'json';

/** `1 warning`, `2 warnings`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

/** The line of a finding: `warning image-digest: x: image: …; …`. */
function findingLine({ severity, rule, model, path, reason, fix }: Finding): string {
  const where = path === '' ? model : `${model}: ${path}`;
  return `${severity} ${rule}: ${where}: ${reason}; ${fix}`;
}

/** One line for each finding; for a rule with many, the first and a count. */
export function findingLines(findings: readonly Finding[]): readonly string[] {
  return findingGroups(findings).map(({ first, others }) => `${findingLine(first)}${others}`);
}

interface Failure {
  readonly message: string;
  readonly details: readonly unknown[];
  readonly exitCode: ExitCode;
}

function failureOf(error: unknown): Failure {
  if (error instanceof CommandError) return error;
  if (error instanceof DefinitionError) {
    return { message: error.message, details: placedFaults(error), exitCode: EXIT.findings };
  }
  const message = error instanceof Error ? error.message : String(error);
  const details = error instanceof FindingsError ? error.findings : [];
  return { message, details, exitCode: EXIT.findings };
}

/**
 * Writes the error to stderr (as JSON to stdout with `--output json`) and returns the exit code.
 */
export function reportFailure(error: unknown, format: OutputFormat, io: Io): ExitCode {
  const { message, details, exitCode } = failureOf(error);
  if (format === 'json') io.out(`${JSON.stringify({ status: 'error', message, details })}\n`);
  else io.err(`${message}\n`);
  return exitCode;
}
