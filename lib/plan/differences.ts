import type { KubeObject } from '../objects';
import { HASH_ANNOTATION } from '../objects';
import { nameHash } from '../objects/context';
import { entryOf, isObject } from '../spec/entry';
import { lineChanges } from './lines';
import type { FieldChange, ObjectChange } from './schema';

/** Longer values are cut; the digest of the whole tells two of them apart. */
const MAX_SHOWN = 120;
const KEPT = 60;

/** A value as JSON on one line; long ones with their length and a digest. */
function shownValue(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  if (text.length <= MAX_SHOWN) return text;
  return `${text.slice(0, KEPT)}… (${text.length} characters, ${nameHash({ text })})`;
}

/** Keys by which Kubernetes merges lists. */
const LIST_KEYS = ['name', 'mountPath', 'topologyKey'] as const;

/** A list as a map, when one key tells all of its items apart. */
function keyed(list: readonly unknown[], key: string): Map<string, unknown> | undefined {
  const pairs = list.map(
    (item) => [isObject(item) ? entryOf(item, key) : undefined, item] as const,
  );
  if (!pairs.every(([name]) => typeof name === 'string')) return undefined;
  const map = new Map(pairs.map(([name, item]) => [String(name), item]));
  return map.size === list.length ? map : undefined;
}

interface Parts {
  readonly before: ReadonlyMap<string, unknown>;
  readonly after: ReadonlyMap<string, unknown>;
  readonly pathOf: (key: string) => string;
}

const byIndex = (list: readonly unknown[]): Map<string, unknown> =>
  new Map(list.map((item, index) => [String(index), item]));

function listParts(before: readonly unknown[], after: readonly unknown[], path: string) {
  const pathOf = (key: string): string => `${path}[${key}]`;
  for (const key of LIST_KEYS) {
    const [old, next] = [keyed(before, key), keyed(after, key)];
    if (old !== undefined && next !== undefined) return { before: old, after: next, pathOf };
  }
  if (before.length !== after.length) return undefined;
  return { before: byIndex(before), after: byIndex(after), pathOf };
}

function partsOf(before: unknown, after: unknown, path: string): Parts | undefined {
  if (Array.isArray(before) && Array.isArray(after)) return listParts(before, after, path);
  if (!isObject(before) || !isObject(after)) return undefined;
  const pathOf = (key: string): string => {
    if (!/^[\w-]+$/.test(key)) return `${path}[${key}]`;
    return path === '' ? key : `${path}.${key}`;
  };
  return { before: new Map(Object.entries(before)), after: new Map(Object.entries(after)), pathOf };
}

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.includes('\n');

function leaf(path: string, before: unknown, after: unknown): FieldChange {
  if (isText(before) && isText(after)) return { path, lines: lineChanges(before, after) };
  return {
    path,
    ...(before !== undefined && { before: shownValue(before) }),
    ...(after !== undefined && { after: shownValue(after) }),
  };
}

/** Differences of two values, leaf by leaf; `path` is that of the whole. */
export function fieldChanges(before: unknown, after: unknown, path = ''): FieldChange[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const parts = partsOf(before, after, path);
  if (parts === undefined) return [leaf(path, before, after)];
  const keys = [...new Set([...parts.before.keys(), ...parts.after.keys()])];
  return keys.flatMap((key) =>
    fieldChanges(parts.before.get(key), parts.after.get(key), parts.pathOf(key)),
  );
}

/**
 * The object without the hash of its definition, which annotates every object: no pod and no caller
 * notices it.
 */
function withoutHash(object: KubeObject): KubeObject {
  const { annotations = {}, ...metadata } = object.metadata;
  const { [HASH_ANNOTATION]: _, ...rest } = annotations;
  const own = Object.keys(rest).length > 0 && { annotations: rest };
  return { ...object, metadata: { ...metadata, ...own } };
}

const keyOf = ({ kind, metadata }: KubeObject): string =>
  `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

/** Objects whose name ends with a hash of their content have the same stem before and after. */
const stemOf = (object: KubeObject): string => keyOf(object).replace(/-[0-9a-f]{8}$/, '-');

/** The objects of both sides that belong together. */
interface Pair {
  readonly before?: KubeObject | undefined;
  readonly after?: KubeObject | undefined;
}

function pairsOf(before: readonly KubeObject[], after: readonly KubeObject[]): readonly Pair[] {
  const old = new Map(before.map((object) => [keyOf(object), object]));
  const names = new Set(after.map(keyOf));
  const gone = before.filter((object) => !names.has(keyOf(object)));
  const stems = new Map(gone.map((object) => [stemOf(object), object]));
  const taken = new Set<KubeObject>();
  const made = after.map((object): Pair => {
    const same = old.get(keyOf(object));
    if (same !== undefined) return { before: same, after: object };
    const stem = stems.get(stemOf(object));
    if (stem === undefined || taken.has(stem)) return { after: object };
    taken.add(stem);
    return { before: stem, after: object };
  });
  return [...made, ...gone.filter((one) => !taken.has(one)).map((one): Pair => ({ before: one }))];
}

function changeOf({ before, after }: Pair, namespace: string | undefined): ObjectChange[] {
  const object = after ?? before;
  if (object === undefined) return [];
  const { kind, metadata } = object;
  const isElsewhere = metadata.namespace !== undefined && metadata.namespace !== namespace;
  const named = {
    kind,
    name: metadata.name,
    ...(isElsewhere && { namespace: metadata.namespace }),
  };
  if (before === undefined) return [{ action: 'create', ...named, fields: [] }];
  if (after === undefined) return [{ action: 'delete', ...named, fields: [] }];
  const fields = fieldChanges(withoutHash(before), withoutHash(after));
  if (fields.length === 0) return [];
  const action = before.metadata.name === after.metadata.name ? 'update' : 'replace';
  return [{ action, ...named, fields }];
}

/**
 * Differences of two sets of objects, in the order of the new ones, removed ones last. The hash of
 * the definition does not count.
 * @param namespace the one that is not written beside a name
 */
export function objectChanges(
  before: readonly KubeObject[],
  after: readonly KubeObject[],
  namespace?: string,
): ObjectChange[] {
  return pairsOf(before, after).flatMap((pair) => changeOf(pair, namespace));
}
