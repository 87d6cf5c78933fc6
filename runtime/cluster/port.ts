import type { ModelSpec } from '../../lib/spec';

/** Where the view of the cluster stands. Only `synced` is current; `stale` serves the last one. */
export type WatchPhase = 'empty' | 'listing' | 'synced' | 'stale';

/** Why something is not as wished: the most specific cause that was found. */
export interface Why {
  /** Stable word for programs, e.g. `artifact-missing`, `crash`, `probe-failing`, `cannot-run-here`. */
  readonly cause: string;
  /** For people: what is the matter and what to do about it. */
  readonly message: string;
  /** The object it is about, e.g. `process 4711` or `Pod/x`. */
  readonly object?: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

export type ReplicaPhase = 'starting' | 'ready' | 'terminating' | 'failed';

/** One pod or process. */
export interface ReplicaRecord {
  /** Unique over the life of the cluster; a restarted replica gets a new one. */
  readonly id: string;
  /** `stable` or the candidate's name. */
  readonly arm: string;
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly phase: ReplicaPhase;
  readonly restarts: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly why?: Why;
  /** What it uses, when the cluster knows. */
  readonly usage?: { readonly cpuCores: number; readonly memoryBytes: number };
}

/** How far an arm is from what its definition asks for. */
export interface ArmRecord {
  readonly name: string;
  readonly version: string;
  readonly desired: number;
  readonly current: number;
  readonly ready: number;
  /** Replicas that already run the newest revision. */
  readonly updated: number;
  readonly why?: Why;
}

/** What the runtime remembers beside a definition; bound to `hash` and void with the next definition. */
export interface ModelState {
  readonly hash: string;
  /** Candidate → percent that overrides the definition's share; set by abort. */
  readonly shares?: Readonly<Record<string, number>>;
  /** Promotion under way: its candidate and how far it is. */
  readonly promote?: { readonly candidate: string; readonly phase: PromotePhase };
  /** Scaled to zero by hand. */
  readonly stopped?: true;
}

/** (1) the candidate gets all traffic, (2) stable takes its version and rolls, (3) traffic returns. */
export type PromotePhase = 'shifting' | 'rolling' | 'returning';

/** A definition as the cluster holds it, with what became of it. */
export interface ModelRecord {
  readonly spec: ModelSpec;
  readonly revision: number;
  /** `definitionHash` of the definition. */
  readonly hash: string;
  /** Who applied it last: `rest`, `files`, or a Kubernetes field manager. */
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Draining; the definition goes last. */
  readonly deleting: boolean;
  readonly state?: ModelState;
  readonly arms: readonly ArmRecord[];
  readonly replicas: readonly ReplicaRecord[];
}

/** The whole world at one moment; never changed, always replaced. */
export interface Snapshot {
  readonly phase: WatchPhase;
  /** When the cluster was last heard, milliseconds since the epoch. */
  readonly at: number;
  /** By model id. */
  readonly models: ReadonlyMap<string, ModelRecord>;
}

export interface ApplyOptions {
  /** Who asks, for history and audit. */
  readonly by: string;
  /** Who writes: `rest` or `files`. */
  readonly manager: string;
  /** Refuse (412) unless the stored revision is this one. */
  readonly ifRevision?: number;
  /** Refuse (409) when a definition with this id exists and differs. */
  readonly create?: boolean;
  /** Take over a model that another manager owns. */
  readonly force?: boolean;
  /** What to remember with the new revision. */
  readonly state?: Omit<ModelState, 'hash'>;
}

export interface Applied {
  readonly revision: number;
  /** False: the identical definition was already there, nothing was done. */
  readonly changed: boolean;
}

export interface RemoveOptions {
  readonly by: string;
  readonly manager: string;
  /** Do not wait for running requests. */
  readonly force?: boolean;
}

/** One definition that was applied. */
export interface Revision {
  readonly revision: number;
  readonly hash: string;
  readonly version: string;
  readonly by: string;
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly definition: ModelSpec['definition'];
}

/** A running watch. The listener was called once before `watch` returned. */
export interface Watch {
  readonly snapshot: () => Snapshot;
  readonly stop: () => void;
}

/** Why a cluster refused; `code` is one of the REST error codes (api.md). */
export type ClusterErrorCode =
  | 'MODEL_NOT_FOUND'
  | 'NOT_FOUND'
  | 'MODEL_ALREADY_EXISTS'
  | 'READ_ONLY'
  | 'FIELD_CONFLICT'
  | 'REVISION_CONFLICT'
  | 'INVALID_MODEL_CONFIG'
  | 'INSUFFICIENT_RESOURCES'
  | 'CLUSTER_UNAVAILABLE'
  | 'DEPLOYMENT_FAILED';

/** A refusal. Nothing was changed. The message says what, got, allowed and how to mend it. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  constructor(
    readonly code: ClusterErrorCode,
    message: string,
    readonly details?: readonly unknown[],
  ) {
    super(message);
  }
}

/** Where models run. One conformance suite holds for every adapter. */
export interface Cluster {
  /** `kubernetes`, `local` or `memory`. */
  readonly kind: string;
  /** Creates or updates; idempotent. */
  readonly apply: (spec: ModelSpec, options: ApplyOptions) => Promise<Applied>;
  /** Drains and removes; the record stays with `deleting` until the last replica is gone. */
  readonly remove: (id: string, options: RemoveOptions) => Promise<void>;
  /** Replaces what is remembered beside the definition; undefined forgets it. */
  readonly remember: (id: string, state: ModelState | undefined) => Promise<void>;
  /** Newest first; at most 10. */
  readonly history: (id: string) => Promise<readonly Revision[]>;
  /** Calls the listener at once and after every change. */
  readonly watch: (listener: (snapshot: Snapshot) => void) => Watch;
  /** Lets go of everything it holds (processes, connections); models of a remote cluster go on. */
  readonly close: () => Promise<void>;
}
