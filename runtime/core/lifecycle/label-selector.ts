import { entryOf } from '../../../lib/spec/entry';
type Labels = Readonly<Record<string, string>>;

/** One condition on labels; all of a selector must hold. */
export interface Requirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'absent';
  readonly values: readonly string[];
}

/** A selector, or what is wrong with it. */
export type Selector =
  | { readonly ok: true; readonly requirements: readonly Requirement[] }
  | { readonly ok: false; readonly message: string };

const KEY = '(?:[A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?';
const VALUE = '(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?';
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const EQUAL = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*(${VALUE})$`);
const BARE = new RegExp(`^(!?)\\s*(${KEY})$`);
const WHOLE_VALUE = new RegExp(`^${VALUE}$`);

/** More than any autoscaler sends; a longer one is a mistake or an attack. */
const MAX_LENGTH = 4096;

function requirementOf(text: string): Requirement | undefined {
  const [, key, operator, list] = SET.exec(text) ?? [];
  if (key !== undefined && operator !== undefined) {
    const values = (list ?? '').split(',').map((value) => value.trim());
    if (!values.every((value) => WHOLE_VALUE.test(value))) return undefined;
    return { key, operator: operator === 'in' ? 'in' : 'notin', values };
  }
  const [, name, sign, value = ''] = EQUAL.exec(text) ?? [];
  if (name !== undefined)
    return { key: name, operator: sign === '!=' ? 'notin' : 'in', values: [value] };
  const [, not, bare] = BARE.exec(text) ?? [];
  if (bare === undefined) return undefined;
  return { key: bare, operator: not === '!' ? 'absent' : 'exists', values: [] };
}

/**
 * A label selector as the API takes it: `a=b,c!=d,e in (f,g),h notin (i),j,!k`; '' selects all.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
 */
export function parseSelector(text: string): Selector {
  if (text.length > MAX_LENGTH)
    return { ok: false, message: `got ${text.length} characters, must be ≤ ${MAX_LENGTH}` };
  if (text.trim() === '') return { ok: true, requirements: [] };
  // Commas between conditions, not those within parentheses.
  const parts = text.split(/,(?![^(]*\))/).map((part) => part.trim());
  const found = parts.map(requirementOf);
  const wrong = found.indexOf(undefined);
  if (wrong < 0) return { ok: true, requirements: found.filter((one) => one !== undefined) };
  const message = `got "${parts[wrong]}", must be a condition such as a=b, a!=b, a in (b,c), a or !a`;
  return { ok: false, message };
}

function holds({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = entryOf(labels, key);
  switch (operator) {
    case 'in':
      return value !== undefined && values.includes(value);
    case 'notin':
      return value === undefined || !values.includes(value);
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
  }
}

export function selects(requirements: readonly Requirement[], labels: Labels): boolean {
  return requirements.every((one) => holds(one, labels));
}
