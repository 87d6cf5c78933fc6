import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ManagedFields } from '../../../runtime/cluster/kubernetes/client/api';
import type { Resource } from '../../../runtime/cluster/kubernetes/client/resources';
import { apiVersionOf } from '../../../runtime/cluster/kubernetes/client/resources';
import type { Leaves, Paths } from './fields';
import {
  fieldsV1,
  isObject,
  isOwnable,
  leavesOf,
  mergePatch,
  objectOf,
  pathsIn,
  textOf,
} from './fields';

type Owners = ReadonlyMap<string, Paths>;

interface Stored {
  readonly resource: Resource;
  readonly object: KubeObject;
  /** `JSON [manager, operation, subresource]` → what it owns. */
  readonly owners: Owners;
}

export interface Change {
  readonly version: number;
  readonly resource: Resource;
  readonly namespace: string;
  readonly object: KubeObject | undefined;
  readonly before: KubeObject | undefined;
}

/** What the server says instead of doing it. */
export class Refusal extends Error {
  constructor(
    readonly code: number,
    readonly reason: string,
    message: string,
    readonly details: object = {},
  ) {
    super(message);
  }
}

export interface Writing {
  readonly manager: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly subresource?: string;
}

export interface Conditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

const keyOf = ({ group, plural }: Resource, namespace: string, name: string): string =>
  [group, plural, namespace, name].join('/');

const ownerKey = (manager: string, operation: string, subresource = ''): string =>
  JSON.stringify([manager, operation, subresource]);

function managedFields(owners: Owners, apiVersion: string): readonly ManagedFields[] {
  return [...owners]
    .filter(([, paths]) => paths.size > 0)
    .map(([key, paths]) => {
      const [manager, operation, subresource] = JSON.parse(key) as [string, 'Apply', string];
      const more = subresource === '' ? {} : { subresource };
      const fields = { apiVersion, fieldsType: 'FieldsV1', fieldsV1: fieldsV1(paths) };
      return { manager, operation, ...fields, ...more };
    });
}

/** Owners as a client may write them, to hand fields from one to another. */
function ownersIn(fields: readonly ManagedFields[]): Owners {
  return new Map(
    fields.map(({ manager, operation, subresource, fieldsV1: owned }) => [
      ownerKey(manager, operation, subresource),
      new Set(pathsIn(owned)),
    ]),
  );
}

/** Of an object as a client gave it, what it may say: the rest is the server's. */
function wishedLeaves(object: object): Map<string, unknown> {
  return new Map([...leavesOf(object)].filter(([path]) => isOwnable(path)));
}

const without = (paths: Paths, taken: (path: string) => boolean): Paths =>
  new Set([...paths].filter((path) => !taken(path)));

/** Kubernetes fills it in wherever nobody says it. */
function withDefaults(kind: string, body: Readonly<Record<string, unknown>>) {
  if (kind !== 'Deployment' || !isObject(body.spec) || body.spec.replicas !== undefined)
    return body;
  return { ...body, spec: { replicas: 1, ...body.spec } };
}

/** Fields that may not change; the causes when they do. */
function changedForGood(before: KubeObject | undefined, after: KubeObject): readonly object[] {
  const isFrozen = before?.kind === 'ConfigMap' && before.immutable === true;
  const selector = ({ spec }: KubeObject): unknown => (isObject(spec) ? spec.selector : undefined);
  const fixed: readonly (readonly [boolean, string, unknown, unknown])[] = [
    [isFrozen, 'data', before?.data, after.data],
    [isFrozen, 'binaryData', before?.binaryData, after.binaryData],
    [before?.kind === 'Deployment', 'spec.selector', before && selector(before), selector(after)],
  ];
  return fixed
    .filter(([holds, , old, now]) => holds && !isDeepStrictEqual(old, now))
    .map(([, field]) => ({ reason: 'FieldValueInvalid', message: 'field is immutable', field }));
}

/** What is neither the server's nor about the object. */
function bodyOf(object: KubeObject | undefined): object {
  const others = new Set(['apiVersion', 'kind', 'metadata', 'status']);
  return Object.fromEntries(Object.entries(object ?? {}).filter(([field]) => !others.has(field)));
}

interface Draft {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly before: Stored | undefined;
  readonly leaves: Leaves;
  readonly status: unknown;
  readonly owners: Owners;
  readonly dryRun: boolean | undefined;
}

/** What an API server keeps in etcd, and how writes change it. */
export class Store {
  readonly #objects = new Map<string, Stored>();
  readonly #listeners = new Set<(change: Change) => void>();
  #history: Change[] = [];
  #version = 1000;
  #oldest = 1000;

  constructor(private readonly now: () => number = Date.now) {}

  get version(): number {
    return this.#version;
  }

  /** Watches that begin before now are answered with 410. */
  compact(): void {
    this.#history = [];
    this.#oldest = this.#version;
  }

  /** Undefined: they are forgotten. */
  since(version: number): readonly Change[] | undefined {
    if (version < this.#oldest) return undefined;
    return this.#history.filter((change) => change.version > version);
  }

  /** Told of every change, in order; the answer ends it. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  find(resource: Resource, namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(keyOf(resource, namespace, name))?.object;
  }

  get(resource: Resource, namespace: string, name: string): KubeObject {
    return this.#stored(resource, namespace, name).object;
  }

  list(resource: Resource, namespace: string): readonly KubeObject[] {
    const prefix = keyOf(resource, namespace, '');
    const found = [...this.#objects].filter(([key]) => key.startsWith(prefix));
    return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { object }]) => object);
  }

  /** Server-side apply. */
  apply(resource: Resource, namespace: string, wish: KubeObject, writing: Writing): KubeObject {
    const { name } = wish.metadata;
    const before = this.#objects.get(keyOf(resource, namespace, name));
    // An apply may be on the condition that the object is there, and as it was seen.
    if (before !== undefined) this.#check(resource, before.object, wish.metadata);
    else if (wish.metadata.resourceVersion !== undefined) this.#stored(resource, namespace, name);
    const wished = wishedLeaves(wish);
    const live = before === undefined ? new Map() : wishedLeaves(before.object);
    const owners = new Map(before?.owners);
    const own = ownerKey(writing.manager, 'Apply');
    const mine = owners.get(own) ?? new Set();
    owners.delete(own);
    const taken = this.#contested(owners, live, wished, writing.force === true, resource);
    for (const [key, paths] of owners)
      owners.set(
        key,
        without(paths, (path) => taken.has(path)),
      );
    const isOwned = (path: string): boolean =>
      [...owners.values()].some((paths) => paths.has(path));
    for (const path of mine) if (!wished.has(path) && !isOwned(path)) live.delete(path);
    for (const [path, value] of wished) live.set(path, value);
    owners.set(own, new Set(wished.keys()));
    const { dryRun } = writing;
    const status = before?.object.status;
    return this.#commit({
      resource,
      namespace,
      name,
      before,
      leaves: live,
      status,
      owners,
      dryRun,
    });
  }

  create(resource: Resource, namespace: string, object: KubeObject, writing: Writing): KubeObject {
    const { name } = object.metadata;
    if (this.find(resource, namespace, name) !== undefined)
      throw new Refusal(409, 'AlreadyExists', `${resource.plural} "${name}" already exists`);
    const leaves = wishedLeaves(object);
    const owners = new Map([[ownerKey(writing.manager, 'Update'), new Set(leaves.keys())]]);
    const { status } = object;
    const { dryRun } = writing;
    return this.#commit({
      resource,
      namespace,
      name,
      before: undefined,
      leaves,
      status,
      owners,
      dryRun,
    });
  }

  /** PUT; of the subresource `status` only that, else everything but that. */
  replace(resource: Resource, namespace: string, object: KubeObject, writing: Writing): KubeObject {
    const { name, uid, resourceVersion } = object.metadata;
    const before = this.#stored(resource, namespace, name);
    this.#check(resource, before.object, { uid, resourceVersion });
    const isStatus = writing.subresource === 'status';
    const leaves = wishedLeaves(isStatus ? before.object : object);
    const status = isStatus ? object.status : before.object.status;
    const { managedFields: given } = object.metadata;
    const isGiven =
      given !== undefined && !isDeepStrictEqual(given, before.object.metadata.managedFields);
    const owners = isGiven ? ownersIn(given) : this.#updated(before, leaves, writing);
    const { dryRun } = writing;
    return this.#commit({ resource, namespace, name, before, leaves, status, owners, dryRun });
  }

  /** JSON merge patch. */
  patch(
    resource: Resource,
    namespace: string,
    name: string,
    patch: unknown,
    writing: Writing,
  ): KubeObject {
    const { object } = this.#stored(resource, namespace, name);
    const metadata = isObject(patch) && isObject(patch.metadata) ? patch.metadata : {};
    this.#check(resource, object, metadata);
    return this.replace(resource, namespace, mergePatch(object, patch) as KubeObject, writing);
  }

  /** With all that it owned, unless those shall stay. */
  remove(
    resource: Resource,
    namespace: string,
    name: string,
    conditions: Conditions & { readonly dryRun?: boolean; readonly orphan?: boolean } = {},
  ): void {
    const { object } = this.#stored(resource, namespace, name);
    this.#check(resource, object, conditions);
    if (conditions.dryRun === true) return;
    this.#objects.delete(keyOf(resource, namespace, name));
    this.#tell({ resource, namespace, object: undefined, before: object });
    if (conditions.orphan !== true) this.#collect(object.metadata.uid);
  }

  #collect(uid: string | undefined): void {
    for (const { resource, object } of this.#objects.values()) {
      const { name, namespace = '', ownerReferences } = object.metadata;
      const isOwned = ownerReferences?.some((one) => one.uid === uid) === true;
      // Something it owned itself may have taken it along.
      const isThere = this.find(resource, namespace, name) !== undefined;
      if (isOwned && isThere) this.remove(resource, namespace, name);
    }
  }

  #stored(resource: Resource, namespace: string, name: string): Stored {
    const found = this.#objects.get(keyOf(resource, namespace, name));
    if (found !== undefined) return found;
    throw new Refusal(404, 'NotFound', `${resource.plural} "${name}" not found`);
  }

  #check({ plural }: Resource, { metadata }: KubeObject, wished: Conditions): void {
    const fits =
      (wished.uid === undefined || wished.uid === metadata.uid) &&
      (wished.resourceVersion === undefined || wished.resourceVersion === metadata.resourceVersion);
    if (fits) return;
    const message = `Operation cannot be fulfilled on ${plural} "${metadata.name}": the object has been modified`;
    throw new Refusal(409, 'Conflict', message);
  }

  /** Fields that others own with another value. Taken by force, or a conflict that names them. */
  #contested(
    owners: Owners,
    live: Leaves,
    wished: Leaves,
    force: boolean,
    resource: Resource,
  ): Paths {
    const changed = (path: string): boolean =>
      wished.has(path) && !isDeepStrictEqual(live.get(path), wished.get(path));
    const found = [...owners].flatMap(([key, paths]) =>
      [...paths]
        .filter(changed)
        .map((path) => ({ path, manager: (JSON.parse(key) as string[])[0] })),
    );
    if (force || found.length === 0) return new Set(found.map(({ path }) => path));
    const causes = found.map(({ path, manager }) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with "${manager}" using ${apiVersionOf(resource)}`,
      field: textOf(path),
    }));
    const which = causes.map(({ message, field }) => `${message}: ${field}`).join('\n');
    const message = `Apply failed with ${causes.length} conflict${causes.length > 1 ? 's' : ''}: ${which}`;
    throw new Refusal(409, 'Conflict', message, { causes });
  }

  /** Whoever changes a field without apply becomes its only owner. */
  #updated(before: Stored, leaves: Leaves, { manager, subresource }: Writing): Owners {
    const live = wishedLeaves(before.object);
    const changed = [...leaves].filter(
      ([path, value]) => !isDeepStrictEqual(live.get(path), value),
    );
    const mine = new Set(changed.map(([path]) => path));
    const owners = new Map(
      [...before.owners].map(([key, paths]) => [
        key,
        without(paths, (path) => mine.has(path) || !leaves.has(path)),
      ]),
    );
    const own = ownerKey(manager, 'Update', subresource);
    return owners.set(own, new Set([...(owners.get(own) ?? []), ...mine]));
  }

  #commit(draft: Draft): KubeObject {
    const { resource, namespace, name, before, owners, dryRun } = draft;
    const object = this.#finished(draft);
    const causes = changedForGood(before?.object, object);
    if (causes.length > 0)
      throw new Refusal(422, 'Invalid', `${resource.kind} "${name}" is invalid`, { causes });
    if (before !== undefined && isDeepStrictEqual(object, before.object)) return object;
    if (dryRun === true) return object;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version + 1) };
    const kept = { ...object, metadata };
    this.#objects.set(keyOf(resource, namespace, name), { resource, object: kept, owners });
    this.#tell({ resource, namespace, object: kept, before: before?.object });
    return kept;
  }

  #finished({ resource, namespace, name, before, leaves, status, owners }: Draft): KubeObject {
    const { metadata: wished, ...rest } = objectOf(leaves);
    const body = withDefaults(resource.kind, rest);
    const old = before?.object;
    const isSame = isDeepStrictEqual(body, bodyOf(old));
    const generation = (old?.metadata.generation ?? 0) + (isSame ? 0 : 1);
    const created = new Date(this.now()).toISOString().replace(/\.\d+/, '');
    return {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: {
        name,
        namespace,
        uid: old?.metadata.uid ?? randomUUID(),
        resourceVersion: old?.metadata.resourceVersion,
        creationTimestamp: old?.metadata.creationTimestamp ?? created,
        ...('spec' in body && { generation }),
        ...(isObject(wished) ? wished : {}),
        managedFields: managedFields(owners, apiVersionOf(resource)),
      },
      ...body,
      ...(status !== undefined && { status }),
    };
  }

  #tell(change: Omit<Change, 'version'>): void {
    this.#version += 1;
    const told = { ...change, version: this.#version };
    this.#history.push(told);
    for (const listener of this.#listeners) listener(told);
  }
}
