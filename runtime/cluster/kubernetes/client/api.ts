import type { Resource } from './resources';

/** What Kubernetes keeps about every object; only the fields that are read here. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFields[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

/** Who set which fields: `{"f:data": {"f:definition.json": {}}}`. */
export interface ManagedFields {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource?: string;
  readonly time?: string;
  readonly fieldsV1?: Readonly<Record<string, unknown>>;
}

/** An object as the API server speaks of it: plain JSON. What `objectsOf` makes fits in. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** One page, or all, of a collection. */
export interface KubeList {
  readonly items: readonly KubeObject[];
  /** Where a watch goes on from; the same on every page. */
  readonly resourceVersion: string;
  /** There is more; goes into the next call. */
  readonly continue?: string;
}

export interface ListOptions {
  /** `a=b`, `a!=b`, `a`, `a in (b,c)`; joined by commas. */
  readonly labelSelector?: string;
  /** Field selectors that the server knows, e.g. `involvedObject.uid=…`. */
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  /** `0`: as the server's cache has it, which costs etcd nothing. */
  readonly resourceVersion?: string;
  /** False: the caller has a backoff of its own, so one try is all. */
  readonly retry?: boolean;
}

export interface WriteOptions {
  /** Everything is checked, nothing is kept. */
  readonly dryRun?: boolean;
  /** Who is remembered as the owner of the fields. */
  readonly manager: string;
}

export interface ServerSideApplyOptions extends WriteOptions {
  /** Takes fields that another manager owns; else those are a 409 whose causes name them. */
  readonly force?: boolean;
}

export interface PatchOptions extends WriteOptions {
  readonly subresource?: 'scale' | 'status';
}

export interface DeleteOptions {
  /** Only this very object, not one that has its name since. */
  readonly uid?: string;
  /** Only if nobody changed it since. */
  readonly resourceVersion?: string;
  /** What becomes of the objects it owns; Background: they go after it. */
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
  readonly dryRun?: boolean;
}

export interface WatchOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Of the list, or of the last event. */
  readonly resourceVersion: string;
  /** The server ends the watch after it. */
  readonly timeoutSeconds: number;
}

export type WatchEvent =
  /** The server has taken the watch; comes once, first. */
  | { readonly type: 'OPENED' }
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  /** Nothing happened up to here. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/**
 * The API server, as far as it is needed. Every call is bounded in time and rejects with a
 * `KubeError` only. Reads are tried again a few times when the server is overloaded; writes never.
 */
export interface KubeApi {
  /** Undefined: there is none (404). */
  readonly get: (
    resource: Resource,
    namespace: string,
    name: string,
  ) => Promise<KubeObject | undefined>;
  readonly list: (
    resource: Resource,
    namespace: string,
    options?: ListOptions,
  ) => Promise<KubeList>;
  /** Server-side apply: creates, or changes the fields this manager sets and drops those it no longer sets. */
  readonly apply: (object: KubeObject, options: ServerSideApplyOptions) => Promise<KubeObject>;
  /** 409 `AlreadyExists` when there is one with this name. */
  readonly create: (object: KubeObject, options: WriteOptions) => Promise<KubeObject>;
  /** 409 `Conflict` when `metadata.resourceVersion` is given and no longer current. */
  readonly replace: (object: KubeObject, options: WriteOptions) => Promise<KubeObject>;
  /** JSON merge patch (RFC 7396): null removes; `metadata.resourceVersion` in it is a condition. */
  readonly patch: (
    resource: Resource,
    namespace: string,
    name: string,
    mergePatch: Readonly<Record<string, unknown>>,
    options: PatchOptions,
  ) => Promise<KubeObject>;
  /** False: it was not there. 409 when `uid` or `resourceVersion` no longer match. */
  readonly remove: (
    resource: Resource,
    namespace: string,
    name: string,
    options?: DeleteOptions,
  ) => Promise<boolean>;
  /**
   * Resolves when the server ended it in good order or `signal` is aborted. An ERROR event
   * rejects like the same status of an answer would.
   */
  readonly watch: (
    resource: Resource,
    namespace: string,
    options: WatchOptions,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Resolves when the server answers anything, soon; no right is needed for it. */
  readonly alive: () => Promise<void>;
  /** Ends every connection. */
  readonly close: () => void;
}
