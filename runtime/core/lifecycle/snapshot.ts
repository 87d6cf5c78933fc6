import type { ModelSpec } from '../../../lib/spec';
import type { RolloutState } from '../release/rollout-state';

/** State of the watch. Only `synced` is current; `stale` serves the last view. */
export type WatchPhase = 'empty' | 'listing' | 'synced' | 'stale';

/** Why something is not in its desired state: the most specific cause found. */
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
  /**
   * Only the control plane of the cluster no longer hears from its node; its containers were ready.
   * It gets requests as long as it answers: a node that cannot report may serve well.
   */
  readonly isNodeSilent?: boolean;
  readonly restarts: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly why?: Why;
  /** What it uses, when the cluster knows. */
  readonly usage?: { readonly cpuCores: number; readonly memoryBytes: number };
}

/** Desired and actual state of an arm. */
export interface ArmRecord {
  readonly name: string;
  readonly version: string;
  readonly desired: number;
  readonly current: number;
  readonly ready: number;
  /** Replicas that already run the newest revision. */
  readonly updated: number;
  readonly why?: Why;
  /** An external system runs its replicas, and none accepts connections: none is starting. */
  readonly isUnreached?: boolean;
}

/** Runtime overrides of a definition; void when the definition's hash changes. */
export interface ModelOverrides {
  readonly hash: string;
  /** Candidate → percent that overrides the definition's share; set by abort. */
  readonly shares?: Readonly<Record<string, number>>;
  /** Promotion under way: its candidate and how far it is. */
  readonly promote?: { readonly candidate: string; readonly phase: PromotePhase };
  /** Scaled to zero by hand. */
  readonly stopped?: true;
  /** The rollout of a candidate; valid for its own key (`rolloutStateOf`). */
  readonly rollout?: RolloutState;
}

/** (1) the candidate gets all traffic, (2) stable takes its version and rolls, (3) traffic returns. */
export type PromotePhase = 'shifting' | 'rolling' | 'returning';

/** A stored definition and the state of its objects. */
export interface ModelRecord {
  readonly spec: ModelSpec;
  readonly revision: number;
  /** `definitionHash` of the definition. */
  readonly hash: string;
  /** Manager that applied it last: `rest`, `files`, or a Kubernetes field manager. */
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Draining; the definition goes last. */
  readonly deleting: boolean;
  readonly state?: ModelOverrides;
  /** Namespace of its objects, on Kubernetes. */
  readonly namespace?: string;
  readonly arms: readonly ArmRecord[];
  readonly replicas: readonly ReplicaRecord[];
}

/** Immutable state of the cluster at one moment. */
export interface Snapshot {
  readonly phase: WatchPhase;
  /** When the cluster was last heard, milliseconds since the epoch. */
  readonly at: number;
  /** By model id. */
  readonly models: ReadonlyMap<string, ModelRecord>;
}
