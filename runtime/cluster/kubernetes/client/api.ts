import type { Resource } from './resources';

/** Metadata of an object; only the fields that the service reads. */
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

/** Which manager set which fields: `{"f:data": {"f:definition.json": {}}}`. */
export interface ManagedFields {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource?: string;
  readonly time?: string;
  readonly fieldsV1?: Readonly<Record<string, unknown>>;
}

/** An object of the API as plain JSON; objects of `objectsOf` are assignable. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** One page, or all, of a collection. */
export interface KubeList {
  readonly items: readonly KubeObject[];
  /** A watch continues from here; the same on every page. */
  readonly resourceVersion: string;
  /** Set when there are more pages; pass it to the next call. */
  readonly continue?: string;
}

export interface ListOptions {
  /** `a=b`, `a!=b`, `a`, `a in (b,c)`; joined by commas. */
  readonly labelSelector?: string;
  /** Field selectors that the server supports, e.g. `involvedObject.uid=…`. */
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  /** `0`: the answer may come from the server's cache and does not load etcd. */
  readonly resourceVersion?: string;
  /** False: do not retry, because the caller has its own backoff. */
  readonly retry?: boolean;
}

export interface WriteOptions {
  /** The server checks the write and does not store it. */
  readonly dryRun?: boolean;
  /** Field manager. */
  readonly manager: string;
}

export interface ServerSideApplyOptions extends WriteOptions {
  /** Takes fields that another manager owns; without it they are a 409 whose causes name them. */
  readonly force?: boolean;
}

export interface PatchOptions extends WriteOptions {
  readonly subresource?: 'scale' | 'status';
}

export interface DeleteOptions {
  /** Precondition: do not delete a newer object of the same name. */
  readonly uid?: string;
}

export interface WatchOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** From the list or the last event. */
  readonly resourceVersion: string;
  /** The server ends the watch after this time. */
  readonly timeoutSeconds: number;
}

export type WatchEvent =
  /** The server accepted the watch; sent once, first. */
  | { readonly type: 'OPENED' }
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  /** There were no changes up to this version. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/**
 * The calls to the API server that the service needs. Every call has a deadline and rejects only
 * with a `KubeError`. How they are repeated: request-retry.ts.
 */
export interface KubeApi {
  /** Undefined: not found (404). */
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
  /** 409 `AlreadyExists` when the name is taken. */
  readonly create: (object: KubeObject, options: WriteOptions) => Promise<KubeObject>;
  /**
   * JSON merge patch (RFC 7396): null removes; 409 `Conflict` when `metadata.resourceVersion` is in
   * it and no longer current.
   */
  readonly patch: (
    resource: Resource,
    namespace: string,
    name: string,
    mergePatch: Readonly<Record<string, unknown>>,
    options: PatchOptions,
  ) => Promise<KubeObject>;
  /** False: not found. 409 when `uid` no longer matches. */
  readonly remove: (
    resource: Resource,
    namespace: string,
    name: string,
    options?: DeleteOptions,
  ) => Promise<boolean>;
  /**
   * Resolves when the server ends the watch normally or `signal` is aborted. An ERROR event rejects
   * like an answer with the same status.
   */
  readonly watch: (
    resource: Resource,
    namespace: string,
    options: WatchOptions,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Resolves when the server answers at all; needs no permission. */
  readonly alive: () => Promise<void>;
  /** Ends every connection. */
  readonly close: () => void;
}
