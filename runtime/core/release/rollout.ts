import type { Arm, ModelSpec, Rollout } from '../../../lib/spec';
import type { ModelRecord } from '../lifecycle/snapshot';
import { cohortHash } from '../routing/split';
import type { RolloutState } from './rollout-state';

/** The arm that is rolled out; a definition has one at most. */
export function rolloutArmOf({ arms }: Pick<ModelSpec, 'arms'>): Arm | undefined {
  return arms.find(({ role }) => role.kind === 'rollout');
}

export function rolloutRulesOf(spec: Pick<ModelSpec, 'arms'>): Rollout | undefined {
  const role = rolloutArmOf(spec)?.role;
  return role?.kind === 'rollout' ? role.rollout : undefined;
}

/**
 * Identity of what is rolled out: unchanged by changes of a definition that concern neither the
 * candidate nor the version of stable.
 */
export function rolloutKeyOf(spec: ModelSpec): string | undefined {
  const arm = rolloutArmOf(spec);
  if (arm === undefined) return undefined;
  const { name, version, image, source, server, env, role } = arm;
  const stable = spec.arms[0];
  const against = [stable.version, stable.image, stable.source, stable.server, stable.env];
  const text = JSON.stringify({ name, version, image, source, server, env, role, against });
  return ['1', '2'].map((salt) => cohortHash(salt, text).toString(16).padStart(8, '0')).join('');
}

/** The stored state, if it is of the rollout that the definition has. */
export function rolloutStateOf({ spec, state }: ModelRecord): RolloutState | undefined {
  const stored = state?.rollout;
  return stored !== undefined && stored.key === rolloutKeyOf(spec) ? stored : undefined;
}

/** A rollout that ends with a general abort; what has ended stays as it is. */
export const abortedRollout = (state: RolloutState): RolloutState =>
  state.phase === 'done' ? state : { ...state, phase: 'aborted', since: state.since + 1 };

/** The candidate's share in force, percent. */
export function rolloutPercent(rules: Rollout, state: RolloutState | undefined): number {
  if (state === undefined) return 0;
  if (state.phase === 'paused' || state.phase === 'aborted') return 0;
  if (state.phase === 'done') return 100;
  return rules.steps[Math.min(state.step, rules.steps.length - 1)] ?? 0;
}
