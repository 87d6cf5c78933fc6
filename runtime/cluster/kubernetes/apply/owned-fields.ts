import { entryOf, isObject, setEntry } from '../../../../lib/spec/entry';

// The part of an object that a field manager owns, by `managedFields` (fields format v1):
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/. A key is
// `f:<name>` for a field, `k:<keys as JSON>` for an item of a list that is merged by keys,
// `v:<value>` for an item of a set, and `.` for the field or item itself.

type Fields = Readonly<Record<string, unknown>>;

function hasKeys(item: unknown, keys: string): boolean {
  const wanted: unknown = JSON.parse(keys);
  if (!isObject(item) || !isObject(wanted)) return false;
  return Object.entries(wanted).every(([key, value]) => {
    // The API server fills in a protocol before it notes the key.
    const own = entryOf(item, key) ?? (key === 'protocol' ? 'TCP' : undefined);
    return JSON.stringify(own) === JSON.stringify(value);
  });
}

/** The fields below an item of a list; undefined when the item is not owned. */
function fieldsOfItem(item: unknown, fields: Fields): unknown {
  const key = Object.keys(fields).find((one) => {
    if (one.startsWith('k:')) return hasKeys(item, one.slice(2));
    return one.startsWith('v:') && one.slice(2) === JSON.stringify(item);
  });
  return key === undefined ? undefined : entryOf(fields, key);
}

/** What of a value is owned. A field without any below it is owned whole. */
function ownedPart(value: unknown, fields: unknown): unknown {
  if (value === undefined) return undefined;
  if (!isObject(fields) || Object.keys(fields).length === 0) return value;
  if (Array.isArray(value)) {
    return value.flatMap((item): readonly unknown[] => {
      const below = fieldsOfItem(item, fields);
      return below === undefined ? [] : [ownedPart(item, below)];
    });
  }
  if (!isObject(value)) return value;
  const part: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    const below = entryOf(fields, `f:${key}`);
    const own = below === undefined ? undefined : ownedPart(inner, below);
    if (own !== undefined) setEntry(part, key, own);
  }
  return part;
}

/** The owned part of an object, which keeps what names it. */
export function ownedObject<T extends { readonly metadata: object }>(object: T, fields: Fields): T {
  const part = ownedPart(object, fields);
  const { apiVersion, kind } = object as unknown as { apiVersion: string; kind: string };
  const { name, namespace } = object.metadata as { name: string; namespace?: string };
  const own = isObject(part) ? part : {};
  const metadata = isObject(own['metadata']) ? own['metadata'] : {};
  return {
    ...own,
    apiVersion,
    kind,
    metadata: { ...metadata, name, ...(namespace !== undefined && { namespace }) },
  } as unknown as T;
}
