import type { ModelSpec } from '../../lib/spec';
import type { ModelOverrides, Snapshot } from '../core/lifecycle/snapshot';

export type {
  ArmRecord,
  ModelRecord,
  ModelOverrides,
  PromotePhase,
  ReplicaPhase,
  ReplicaRecord,
  Snapshot,
  WatchPhase,
  Why,
} from '../core/lifecycle/snapshot';

/** The service's own writers: they may change each other's models. */
export const OWN_MANAGERS: ReadonlySet<string> = new Set(['rest', 'files']);

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
  readonly state?: Omit<ModelOverrides, 'hash'>;
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

/** From how many replicas to how many. */
export interface Rescaling {
  /** What the decision stands on: refuse (412) when the arm is no longer meant to have so many. */
  readonly from: number;
  /** 0 puts it to sleep. */
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
  /** `kubernetes` or `local`; tests have a `memory` one. */
  readonly kind: string;
  /** Creates or updates; idempotent. */
  readonly apply: (spec: ModelSpec, options: ApplyOptions) => Promise<Applied>;
  /** Drains and removes; the record stays with `deleting` until the last replica is gone. */
  readonly remove: (id: string, options: RemoveOptions) => Promise<void>;
  /** Replaces what is remembered beside the definition; undefined forgets it. */
  readonly setOverrides: (id: string, state: ModelOverrides | undefined) => Promise<void>;
  /**
   * Another number of replicas for one arm, within what its definition allows, until its autoscaler
   * or a hand says otherwise; the definition stays. For sleeping and waking.
   */
  readonly scale: (id: string, arm: string, rescaling: Rescaling) => Promise<void>;
  /** Newest first; at most 10. */
  readonly history: (id: string) => Promise<readonly Revision[]>;
  /** Calls the listener at once and after every change. */
  readonly watch: (listener: (snapshot: Snapshot) => void) => Watch;
  /** Lets go of everything it holds (processes, connections); models of a remote cluster go on. */
  readonly close: () => Promise<void>;
}
