// Objects as the paths of their leaves, which is what server-side apply merges and what managers own:
// https://kubernetes.io/docs/reference/using-api/server-side-apply/. Steps are written as in
// `managedFields`: `f:data`, `k:{"name":"server"}`. Lists that are merged by key are those that our
// objects use; every other list is one leaf (atomic).

type Json = Readonly<Record<string, unknown>>;

/** JSON of the steps → value, in the order of the object. */
export type Leaves = ReadonlyMap<string, unknown>;
export type Paths = ReadonlySet<string>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const LIST_KEYS: Readonly<Record<string, readonly string[]>> = {
  conditions: ['type'],
  containers: ['name'],
  env: ['name'],
  imagePullSecrets: ['name'],
  initContainers: ['name'],
  ownerReferences: ['uid'],
  topologySpreadConstraints: ['topologyKey', 'whenUnsatisfiable'],
  volumeMounts: ['mountPath'],
  volumes: ['name'],
};

/** The keys of a list that is merged; undefined: it is atomic. */
function keysOf(field: string, items: readonly unknown[]): readonly string[] | undefined {
  const every = (key: string): boolean => items.every((item) => isObject(item) && key in item);
  if (field !== 'ports') return LIST_KEYS[field]?.every(every) ? LIST_KEYS[field] : undefined;
  const key = ['containerPort', 'port'].find(every);
  return key === undefined ? undefined : [key, 'protocol'];
}

function keyStep(keys: readonly string[], item: Json): string {
  const values = keys.map((key) => [key, item[key] ?? (key === 'protocol' ? 'TCP' : null)]);
  return `k:${JSON.stringify(Object.fromEntries(values))}`;
}

/** `path` is the JSON of the steps to the value and of `step`, without its last bracket. */
function walk(value: unknown, step: string, path: string, found: Map<string, unknown>): void {
  const fields = Array.isArray(value) ? itemsOf(value, step.slice(2)) : fieldsOf(value);
  if (fields === undefined || fields.length === 0) found.set(`${path}]`, value);
  else for (const [next, one] of fields) walk(one, next, `${path},${JSON.stringify(next)}`, found);
}

function fieldsOf(value: unknown): readonly (readonly [string, unknown])[] | undefined {
  if (!isObject(value)) return undefined;
  return Object.entries(value)
    .filter(([, one]) => one !== null && one !== undefined)
    .map(([name, one]) => [`f:${name}`, one]);
}

function itemsOf(value: readonly unknown[], field: string) {
  const keys = keysOf(field, value);
  return keys && value.map((item) => [keyStep(keys, item as Json), item] as const);
}

export function leavesOf(object: object): Leaves {
  const found = new Map<string, unknown>();
  for (const [step, one] of fieldsOf(object) ?? []) {
    walk(one, step, `[${JSON.stringify(step)}`, found);
  }
  return found;
}

const known = new Map<string, readonly string[]>();

/** The same few hundred paths are asked for with every write. */
export function stepsOf(path: string): readonly string[] {
  const steps = known.get(path) ?? (JSON.parse(path) as string[]);
  known.set(path, steps);
  return steps;
}

type Tree = Map<string, Tree | { readonly leaf: unknown }>;

function grow(tree: Tree, steps: readonly string[], leaf: unknown, at = 0): void {
  const first = steps[at] ?? '';
  const there = tree.get(first);
  if (at >= steps.length - 1) {
    // An empty `{}` beside fields within it adds nothing.
    if (!(there instanceof Map)) tree.set(first, { leaf });
    return;
  }
  const next: Tree = there instanceof Map ? there : new Map();
  tree.set(first, next);
  grow(next, steps, leaf, at + 1);
}

function valueOf(tree: Tree): unknown {
  const entries = [...tree].map(
    ([step, one]) => [step, one instanceof Map ? valueOf(one) : one.leaf] as const,
  );
  if (entries.every(([step]) => step.startsWith('k:'))) return entries.map(([, value]) => value);
  return Object.fromEntries(entries.map(([step, value]) => [step.slice(2), value]));
}

export function objectOf(leaves: Leaves): Json {
  const tree: Tree = new Map();
  for (const [path, value] of leaves) grow(tree, stepsOf(path), value);
  return valueOf(tree) as Json;
}

/** As in the causes of a conflict: `.spec.containers[name="server"].image`. */
export function textOf(path: string): string {
  const text = (step: string): string => {
    if (step.startsWith('f:')) return `.${step.slice(2)}`;
    const keys = Object.entries(JSON.parse(step.slice(2)) as Json);
    return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
  };
  return stepsOf(path).map(text).join('');
}

/** `{"f:data": {"f:a": {}}}` */
export function fieldsV1(paths: Paths): Json {
  const root: Record<string, unknown> = {};
  for (const path of paths) {
    let at = root;
    for (const step of stepsOf(path)) {
      at = (at[step] ??= step.startsWith('k:') ? { '.': {} } : {}) as Record<string, unknown>;
    }
  }
  return root;
}

/** The same, read back: a field that owns nothing further in is one that is owned. */
export function pathsIn(fields: unknown, steps: readonly string[] = []): readonly string[] {
  const inner = Object.entries(isObject(fields) ? fields : {}).filter(([step]) => step !== '.');
  if (inner.length === 0) return steps.length === 0 ? [] : [JSON.stringify(steps)];
  return inner.flatMap(([step, more]) => pathsIn(more, [...steps, step]));
}

const SERVERS =
  /^\["f:(?:apiVersion|kind|status)"|^\["f:metadata","f:(?:name|namespace|uid|resourceVersion|generation|creationTimestamp|deletionTimestamp|managedFields)"/;

/** What a manager may own by writing the object itself. */
export const isOwnable = (path: string): boolean => !SERVERS.test(path);

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}
