import type { Finding, ModelSpec } from '../../lib/spec';
import { findingsOf, inForm, modelSchema } from '../../lib/spec';
import type { Caller } from '../auth';
import { holds, mayUse } from '../auth';
import type { ModelRecord } from '../cluster/port';
import { presumedFields } from '../core/policy';
import type { Context } from './context';
import { Problem } from './problem';

export interface Warning {
  readonly rule: string;
  readonly path: string;
  readonly message: string;
  readonly fix: string;
}

/** @throws Problem FORBIDDEN */
export function requireModel(caller: Caller, id: string): void {
  if (mayUse(caller, id)) return;
  throw new Problem('FORBIDDEN', `the key of ${caller.name} is not for model ${id}`);
}

/** @throws Problem FORBIDDEN */
export function requireAdmin(caller: Caller, what: string): void {
  if (holds(caller, 'admin')) return;
  throw new Problem(
    'FORBIDDEN',
    `${what} needs the scope admin; the key of ${caller.name} has ${caller.scopes.join(', ')}`,
  );
}

/** Paths as REST writes them: `scaling.maxReplicas` → `scaling_config.max_replicas`. */
function wirePathOf(path: string): string {
  return inForm({ path, message: '' }, modelSchema, 'wire').path;
}

function warningOf({ rule, path, reason, fix }: Finding): Warning {
  return { rule, path: wirePathOf(path), message: reason, fix };
}

function refusal(errors: readonly Warning[]): Problem {
  const details = errors.map(({ path, message, fix }) => ({
    path,
    message: `${message}; ${fix}`,
    allowed: fix,
  }));
  const text = details.map(({ path, message }) => `${path}: ${message}`).join('\n');
  return new Problem('INVALID_MODEL_CONFIG', text, details);
}

/**
 * May this caller have this definition applied, and does it make sense here? What is worth saying
 * about it comes back.
 * @throws Problem FORBIDDEN or INVALID_MODEL_CONFIG
 */
export function admit(
  { environment, clock }: Context,
  caller: Caller,
  given: ModelSpec,
  previous?: ModelRecord,
): readonly Warning[] {
  requireModel(caller, given.id);
  const fields = presumedFields(given, previous?.spec);
  if (fields.length > 0) requireAdmin(caller, fields.join(' and '));
  const today = new Date(clock.now()).toISOString().slice(0, 10);
  const findings = findingsOf(given, { environment, previous: previous?.spec, today });
  const errors = findings.filter(({ severity }) => severity === 'error').map(warningOf);
  if (errors.length > 0) throw refusal(errors);
  return findings.map(warningOf);
}
