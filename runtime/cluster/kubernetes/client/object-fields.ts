import { entryOf, isObject } from '../../../../lib/spec/entry';
// Reads fields of objects that may be of another version or edited by hand: an unexpected shape
// reads as absent and never throws.

export type RawObject = Readonly<Record<string, unknown>>;

/** The value at a path; undefined when a step is missing or has another shape. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (isObject(inner) ? entryOf(inner, key) : undefined),
    value,
  );
}

export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

export function numberAt(value: unknown, ...path: readonly string[]): number | undefined {
  const found = at(value, ...path);
  return typeof found === 'number' && Number.isFinite(found) ? found : undefined;
}

/** The objects of a list; other elements are left out. */
export function listAt(value: unknown, ...path: readonly string[]): readonly RawObject[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found.filter(isObject) : [];
}

/** Milliseconds since the epoch; undefined when the value is not a time. */
export function timeAt(value: unknown, ...path: readonly string[]): number | undefined {
  const time = Date.parse(textAt(value, ...path) ?? '');
  return Number.isNaN(time) ? undefined : time;
}

export const nameOf = (object: unknown): string => textAt(object, 'metadata', 'name') ?? '?';

export const labelOf = (object: unknown, label: string): string | undefined =>
  textAt(object, 'metadata', 'labels', label);

export const createdAt = (object: unknown): number =>
  timeAt(object, 'metadata', 'creationTimestamp') ?? 0;

/** The condition of a type, whatever its status. */
export function conditionOf(object: unknown, type: string): RawObject | undefined {
  return listAt(object, 'status', 'conditions').find((one) => one['type'] === type);
}

/** When a condition last changed its status. */
export const transitionedAt = (condition: unknown): number | undefined =>
  timeAt(condition, 'lastTransitionTime');
