import { entryOf } from '../../../../lib/spec/entry';
// What the API server says is read with care: an object of another version, or one that somebody
// wrote by hand, must at worst tell less.

export type RawObject = Readonly<Record<string, unknown>>;

const isRawObject = (value: unknown): value is RawObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a path leads to; undefined when something on the way is missing or of another shape. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (isRawObject(inner) ? entryOf(inner, key) : undefined),
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

/** The objects of a list; what is none is left out. */
export function listAt(value: unknown, ...path: readonly string[]): readonly RawObject[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found.filter(isRawObject) : [];
}

/** Milliseconds since the epoch; undefined when it is no time. */
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

/** Since when a condition is as it is. */
export const transitionedAt = (condition: unknown): number | undefined =>
  timeAt(condition, 'lastTransitionTime');
