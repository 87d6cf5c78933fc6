import type { ModelOverrides } from '../../port';

/**
 * What is remembered of one model. A definition is replaced in one step, what is remembered in
 * another: in between, the state of the old one and of the new one stand side by side, and each
 * counts for its own definition only.
 */
export interface OverridesState {
  readonly states: readonly ModelOverrides[];
  /** It was stopped and no longer is; replicas have to be brought back. */
  readonly starting?: true;
}

export const NO_OVERRIDES: OverridesState = { states: [] };

const isState = (value: unknown): value is ModelOverrides =>
  typeof value === 'object' && value !== null && typeof (value as ModelOverrides).hash === 'string';

/** What somebody edited until it makes no sense is forgotten. */
export function parseOverrides(text: string | undefined): OverridesState {
  try {
    const value = JSON.parse(text ?? '{}') as Partial<OverridesState> | null;
    const states = Array.isArray(value?.states) ? value.states.filter(isState) : [];
    return overridesState(states, value?.starting === true);
  } catch {
    return NO_OVERRIDES;
  }
}

/** Undefined: there is nothing to be kept. */
export function overridesText({ states, starting }: OverridesState): string | undefined {
  return states.length === 0 && starting !== true
    ? undefined
    : JSON.stringify({ states, starting });
}

function overridesState(states: readonly ModelOverrides[], starting: boolean): OverridesState {
  return { states, ...(starting && { starting: true as const }) };
}

export function overridesFor({ states }: OverridesState, hash: string): ModelOverrides | undefined {
  return states.find((state) => state.hash === hash);
}

const present = (...states: readonly (ModelOverrides | undefined)[]): readonly ModelOverrides[] =>
  states.filter((state) => state !== undefined);

/** Before a definition is replaced: its state stays, that of the next one waits beside it. */
export function withNext(
  before: OverridesState,
  hash: string | undefined,
  next: ModelOverrides | undefined,
  nextHash: string,
): OverridesState {
  // What an earlier model of this name left behind is nobody's.
  if (hash === undefined) return overridesState(present(next), false);
  if (hash === nextHash) return replaced(before, hash, next);
  const now = reconciled(before, hash);
  return overridesState(present(overridesFor(now, hash), next), now.starting === true);
}

/** After a definition was replaced, by whomever: only its own state stays. */
export function reconciled(before: OverridesState, hash: string): OverridesState {
  const own = overridesFor(before, hash);
  if (own?.stopped === true) return overridesState([own], false);
  const wasStopped = before.states.some((state) => state !== own && state.stopped === true);
  return overridesState(present(own), wasStopped || before.starting === true);
}

/** Something else is remembered beside the same definition. */
export function replaced(
  before: OverridesState,
  hash: string,
  state: ModelOverrides | undefined,
): OverridesState {
  if (state?.stopped === true) return overridesState([state], false);
  const wasStopped = overridesFor(before, hash)?.stopped === true;
  return overridesState(present(state), wasStopped || reconciled(before, hash).starting === true);
}

/** Replicas are back. */
export function started({ states }: OverridesState): OverridesState {
  return overridesState(states, false);
}

/** Is anything left to be done about it? */
export function isReconciled(before: OverridesState, hash: string): boolean {
  return before.starting !== true && before.states.every((state) => state.hash === hash);
}
