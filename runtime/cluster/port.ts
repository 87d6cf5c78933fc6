import type { Plan } from '../../lib/plan/schema';
import type { ModelSpec } from '../../lib/spec';
import type { ModelOverrides, Snapshot } from '../core/lifecycle/snapshot';

export type {
  ArmRecord,
  ModelRecord,
  ModelOverrides,
  ReplicaPhase,
  ReplicaRecord,
  Snapshot,
  WatchPhase,
  Why,
} from '../core/lifecycle/snapshot';

/** The service's own writers: they may change each other's models. */
export const OWN_MANAGERS: ReadonlySet<string> = new Set(['rest', 'files']);

export interface ApplyOptions {
  /** Actor, for history and audit. */
  readonly by: string;
  /** Writer: `rest` or `files`. */
  readonly manager: string;
  /** Refuse (412) unless the stored revision is this one. */
  readonly ifRevision?: number;
  /** Refuse (409) when a definition with this id exists and differs. */
  readonly create?: boolean;
  /** Take over a model that another manager owns. */
  readonly force?: boolean;
  /** Overrides to store with the new revision. */
  readonly state?: Omit<ModelOverrides, 'hash'>;
}

export interface Applied {
  readonly revision: number;
  /** False: the identical definition was stored already. */
  readonly changed: boolean;
}

export interface RemoveOptions {
  readonly by: string;
  readonly manager: string;
  /** Do not wait for running requests. */
  readonly force?: boolean;
}

/** From how many replicas to how many. */
export interface Rescaling {
  /** Precondition: refuse (412) when the arm's desired replicas differ. */
  readonly from: number;
  /** 0 puts the arm to sleep. */
  readonly to: number;
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

/** A refused change; nothing was changed. The message says what is wrong and how to fix it. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  constructor(
    readonly code: ClusterErrorCode,
    message: string,
    readonly details?: readonly unknown[],
    /** What the change would mean, of READ_ONLY. */
    readonly plan?: Plan,
  ) {
    super(message);
  }
}

/** Where models run. One conformance suite holds for every adapter. */
export interface Cluster {
  /** `kubernetes` or `local`; tests have a `memory` one. */
  readonly kind: string;
  /** Creates or updates; idempotent. */
  readonly apply: (spec: ModelSpec, options: ApplyOptions) => Promise<Applied>;
  /** Drains and removes; the record stays with `deleting` until the last replica is gone. */
  readonly remove: (id: string, options: RemoveOptions) => Promise<void>;
  /** Replaces the overrides of the definition; undefined removes them. */
  readonly setOverrides: (id: string, state: ModelOverrides | undefined) => Promise<void>;
  /**
   * Scales one arm within the limits of its definition, which stays as it is. Used for sleeping and
   * waking; an autoscaler or a later call may change it again.
   */
  readonly scale: (id: string, arm: string, rescaling: Rescaling) => Promise<void>;
  /** Newest first; at most 10. */
  readonly history: (id: string) => Promise<readonly Revision[]>;
  /** Calls the listener at once and after every change. */
  readonly watch: (listener: (snapshot: Snapshot) => void) => Watch;
  /** Ends its processes and connections; models of a remote cluster keep running. */
  readonly close: () => Promise<void>;
}
