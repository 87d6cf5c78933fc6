import type { Compare } from '../../../lib/spec';
import { ExactNumber, numberOf } from '../transcode/exact-json';
import { isJsonObject } from '../transcode/body-json';
import { entryOf } from '../../../lib/spec/entry';

const MAX_SAFE = Number.MAX_SAFE_INTEGER;

/** Dotted paths that differ; empty when the answers agree. */
export type Differences = readonly string[];

const join = (path: string, key: string | number): string =>
  path === '' ? `${key}` : `${path}.${key}`;

/** `probabilities` and `probabilities.0` are below `probabilities`. */
const isBelow = (path: string, root: string): boolean =>
  path === root || path.startsWith(`${root}.`);

function numbersAgree(a: number, b: number, { abs = 0, rel }: Compare): boolean {
  if (Object.is(a, b)) return true;
  // A relative tolerance of infinity would accept everything.
  if (!Number.isFinite(a) || !Number.isFinite(b)) return false;
  return Math.abs(a - b) <= Math.max(abs, rel * Math.max(Math.abs(a), Math.abs(b)));
}

/** Compares the source text of class labels beyond 2^53; `1` and `1.0` are the same label. */
function sameNumber(a: unknown, b: unknown): boolean {
  if (a instanceof ExactNumber && b instanceof ExactNumber && a.text === b.text) return true;
  const both = numberOf(a) === numberOf(b);
  return both && (isSafe(a) || isSafe(b));
}

const isSafe = (value: unknown): boolean => Math.abs(numberOf(value) ?? 0) <= MAX_SAFE;

/** Names of the k entries with the largest values. */
function topOf(values: readonly (readonly [string, unknown])[], k: number): readonly string[] {
  return values
    .map(([name, value]) => [name, numberOf(value) ?? NaN] as const)
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, k)
    .map(([name]) => name);
}

function compareTop(live: readonly (readonly [string, unknown])[], shadow: typeof live, k: number) {
  const a = topOf(live, k);
  const b = topOf(shadow, k);
  return a.length === b.length && a.every((name, index) => name === b[index]);
}

function entriesOf(value: unknown): readonly (readonly [string, unknown])[] | undefined {
  if (Array.isArray(value)) return value.map((one, index) => [String(index), one] as const);
  return isJsonObject(value) ? Object.entries(value) : undefined;
}

const isRanking = (entries: readonly (readonly [string, unknown])[]): boolean =>
  entries.length > 0 && entries.every(([, value]) => numberOf(value) !== undefined);

/** Some servers write NaN as null. */
const comparable = (value: unknown): number | undefined => (value === null ? NaN : numberOf(value));

function walk(live: unknown, shadow: unknown, path: string, rules: Compare): Differences {
  const exact = rules.labels?.some((label) => isBelow(path, label)) === true;
  const [liveNumber, shadowNumber] = [comparable(live), comparable(shadow)];
  if (liveNumber !== undefined && shadowNumber !== undefined) {
    const agree = exact ? sameNumber(live, shadow) : numbersAgree(liveNumber, shadowNumber, rules);
    return agree ? [] : [path];
  }
  const a = entriesOf(live);
  const b = entriesOf(shadow);
  if (a === undefined || b === undefined) return Object.is(live, shadow) ? [] : [path];
  if (rules.topK !== undefined && isRanking(a) && isRanking(b)) {
    return compareTop(a, b, rules.topK) ? [] : [path];
  }
  if (Array.isArray(live) !== Array.isArray(shadow)) return [path];
  const others = new Map(b);
  const own = new Set(a.map(([key]) => key));
  const missing = b.filter(([key]) => !own.has(key)).map(([key]) => join(path, key));
  return [
    ...a.flatMap(([key, value]) =>
      others.has(key) ? walk(value, others.get(key), join(path, key), rules) : [join(path, key)],
    ),
    ...missing,
  ];
}

function valueAt(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => {
    if (Array.isArray(inner)) return inner[Number(key)];
    return isJsonObject(inner) ? entryOf(inner, key) : undefined;
  }, value);
}

/**
 * Compares a shadow's output with the live one: numbers by `abs` or `rel` (whichever allows more),
 * `labels` exactly, rows of numbers by their `topK` order, only `paths` when they are given.
 * @returns dotted paths that differ
 */
export function differences(live: unknown, shadow: unknown, rules: Compare): Differences {
  const { paths } = rules;
  if (paths === undefined) return walk(live, shadow, '', rules);
  return paths.flatMap((path) => walk(valueAt(live, path), valueAt(shadow, path), path, rules));
}
