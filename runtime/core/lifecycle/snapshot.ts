import type { ModelSpec } from '../../../lib/spec';

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
  /** Somebody else runs its replicas, and no connection can be made to any: none is on its way. */
  readonly isUnreached?: boolean;
}

/** What the runtime remembers beside a definition; bound to `hash` and void with the next definition. */
export interface ModelOverrides {
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
  readonly state?: ModelOverrides;
  /** Where its objects are, in a cluster that has such places. */
  readonly namespace?: string;
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
