import type { ModelOverrides } from '../../port';

/**
 * What is remembered of one model. A definition is replaced in one step, what is remembered in
 * another: in between, the state of the old one and of the new one stand side by side, and each
 * counts for its own definition only.
 */
export interface Remembered {
  readonly states: readonly ModelOverrides[];
  /** It was stopped and no longer is; replicas have to be brought back. */
  readonly starting?: true;
}

export const NOTHING_REMEMBERED: Remembered = { states: [] };

const isState = (value: unknown): value is ModelOverrides =>
  typeof value === 'object' && value !== null && typeof (value as ModelOverrides).hash === 'string';

/** What somebody edited until it makes no sense is forgotten. */
export function parseRemembered(text: string | undefined): Remembered {
  try {
    const value = JSON.parse(text ?? '{}') as Partial<Remembered> | null;
    const states = Array.isArray(value?.states) ? value.states.filter(isState) : [];
    return remembered(states, value?.starting === true);
  } catch {
    return NOTHING_REMEMBERED;
  }
}

/** Undefined: there is nothing to be kept. */
export function rememberedText({ states, starting }: Remembered): string | undefined {
  return states.length === 0 && starting !== true
    ? undefined
    : JSON.stringify({ states, starting });
}

function remembered(states: readonly ModelOverrides[], starting: boolean): Remembered {
  return { states, ...(starting && { starting: true as const }) };
}

export function stateFor({ states }: Remembered, hash: string): ModelOverrides | undefined {
  return states.find((state) => state.hash === hash);
}

const present = (...states: readonly (ModelOverrides | undefined)[]): readonly ModelOverrides[] =>
  states.filter((state) => state !== undefined);

/** Before a definition is replaced: its state stays, that of the next one waits beside it. */
export function withNext(
  before: Remembered,
  hash: string | undefined,
  next: ModelOverrides | undefined,
  nextHash: string,
): Remembered {
  // What an earlier model of this name left behind is nobody's.
  if (hash === undefined) return remembered(present(next), false);
  if (hash === nextHash) return replaced(before, hash, next);
  const now = settled(before, hash);
  return remembered(present(stateFor(now, hash), next), now.starting === true);
}

/** After a definition was replaced, by whomever: only its own state stays. */
export function settled(before: Remembered, hash: string): Remembered {
  const own = stateFor(before, hash);
  if (own?.stopped === true) return remembered([own], false);
  const wasStopped = before.states.some((state) => state !== own && state.stopped === true);
  return remembered(present(own), wasStopped || before.starting === true);
}

/** Something else is remembered beside the same definition. */
export function replaced(
  before: Remembered,
  hash: string,
  state: ModelOverrides | undefined,
): Remembered {
  if (state?.stopped === true) return remembered([state], false);
  const wasStopped = stateFor(before, hash)?.stopped === true;
  return remembered(present(state), wasStopped || settled(before, hash).starting === true);
}

/** Replicas are back. */
export function started({ states }: Remembered): Remembered {
  return remembered(states, false);
}

/** Is anything left to be done about it? */
export function isSettled(before: Remembered, hash: string): boolean {
  return before.starting !== true && before.states.every((state) => state.hash === hash);
}
