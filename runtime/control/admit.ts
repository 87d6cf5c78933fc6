import type { Finding, ModelSpec } from '../../lib/spec';
import { DefinitionError, findingInForm, findingsOf } from '../../lib/spec';
import type { Caller } from '../auth';
import { holds, mayUse } from '../auth';
import { policyFaults } from '../core/policy/policy';
import type { ControlContext } from './context';
import { Problem } from './problem';

export interface Warning {
  readonly rule: string;
  readonly path: string;
  readonly message: string;
  readonly fix: string;
}

/** @throws Problem FORBIDDEN */
function requireModel(caller: Caller, id: string): void {
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

/** REST writes names in wire form: `scaling.maxReplicas` → `scaling_config.max_replicas`. */
function warningOf(found: Finding): Warning {
  const { rule, path, reason, fix } = findingInForm(found, 'wire');
  return { rule, path, message: reason, fix };
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

/** A submitted definition, and the stored ones whose values it may keep. */
export interface Candidate {
  readonly spec: ModelSpec;
  readonly previous?: ModelSpec | undefined;
  /** The earlier revision of a rollback. */
  readonly earlier?: ModelSpec | undefined;
}

/** REST speaks a smaller language than Git. @throws DefinitionError */
function requirePolicy(
  { environment, policy = {} }: ControlContext,
  { spec, previous, earlier }: Candidate,
): void {
  const held = [previous, earlier].filter((one) => one !== undefined);
  const faults = policyFaults({ spec, held, rules: policy, environment });
  if (faults.length > 0) throw new DefinitionError(faults);
}

/**
 * Checks the caller's rights and the definition, and returns its findings as warnings.
 * @throws Problem FORBIDDEN or INVALID_MODEL_CONFIG, DefinitionError
 */
export function admit(
  context: ControlContext,
  caller: Caller,
  candidate: Candidate,
): readonly Warning[] {
  const { environment, clock } = context;
  const { spec: given, previous } = candidate;
  requireModel(caller, given.id);
  requirePolicy(context, candidate);
  const today = new Date(clock.now()).toISOString().slice(0, 10);
  const findings = findingsOf(given, { environment, previous, today });
  const errors = findings.filter(({ severity }) => severity === 'error').map(warningOf);
  if (errors.length > 0) throw refusal(errors);
  return findings.map(warningOf);
}
