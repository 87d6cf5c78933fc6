import type { ModelOverrides } from '../../port';

/**
 * Stored overrides of one model. The definition and its overrides are replaced in two steps: in
 * between, the overrides of the old and the new definition are stored side by side, each valid for
 * its own definition.
 */
export interface OverridesState {
  readonly states: readonly ModelOverrides[];
  /** The model was stopped and is being started: its replicas must be restored. */
  readonly starting?: true;
}

export const NO_OVERRIDES: OverridesState = { states: [] };

const isState = (value: unknown): value is ModelOverrides =>
  typeof value === 'object' && value !== null && typeof (value as ModelOverrides).hash === 'string';

/** An invalid text reads as no overrides. */
export function parseOverrides(text: string | undefined): OverridesState {
  try {
    const value = JSON.parse(text ?? '{}') as Partial<OverridesState> | null;
    const states = Array.isArray(value?.states) ? value.states.filter(isState) : [];
    return overridesState(states, value?.starting === true);
  } catch {
    return NO_OVERRIDES;
  }
}

/** Undefined: nothing to store. */
export function overridesText({ states, starting }: OverridesState): string | undefined {
  return states.length === 0 && starting !== true
    ? undefined
    : JSON.stringify({ states, starting });
}

function overridesState(states: readonly ModelOverrides[], starting: boolean): OverridesState {
  return { states, ...(starting && { starting: true as const }) };
}

/** A rollout outlives the definition it began with: it says itself which candidate it is about. */
export function overridesFor({ states }: OverridesState, hash: string): ModelOverrides | undefined {
  const own = states.find((state) => state.hash === hash);
  const rollout = own?.rollout ?? states.find((state) => state.rollout !== undefined)?.rollout;
  return rollout === undefined ? own : { ...own, hash, rollout };
}

const present = (...states: readonly (ModelOverrides | undefined)[]): readonly ModelOverrides[] =>
  states.filter((state) => state !== undefined);

/** Before a definition is replaced: keeps its overrides and adds those of the next one. */
export function withNext(
  before: OverridesState,
  hash: string | undefined,
  next: ModelOverrides | undefined,
  nextHash: string,
): OverridesState {
  // Drop overrides of an earlier model of this name.
  if (hash === undefined) return overridesState(present(next), false);
  if (hash === nextHash) return replaced(before, hash, next);
  const now = reconciled(before, hash);
  return overridesState(present(overridesFor(now, hash), next), now.starting === true);
}

/** After a definition was replaced: keeps only the overrides of the current one. */
export function reconciled(before: OverridesState, hash: string): OverridesState {
  const own = overridesFor(before, hash);
  if (own?.stopped === true) return overridesState([own], false);
  const wasStopped = before.states.some((state) => state !== own && state.stopped === true);
  return overridesState(present(own), wasStopped || before.starting === true);
}

/** New overrides for the same definition. */
export function replaced(
  before: OverridesState,
  hash: string,
  state: ModelOverrides | undefined,
): OverridesState {
  if (state?.stopped === true) return overridesState([state], false);
  const wasStopped = overridesFor(before, hash)?.stopped === true;
  return overridesState(present(state), wasStopped || reconciled(before, hash).starting === true);
}

/** The replicas are restored. */
export function started({ states }: OverridesState): OverridesState {
  return overridesState(states, false);
}

/** True when no work is left for this definition. */
export function isReconciled(before: OverridesState, hash: string): boolean {
  return before.starting !== true && before.states.every((state) => state.hash === hash);
}
