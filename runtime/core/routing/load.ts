import type { RolloutCounts } from '../release/rollout-state';
import type { ShedReason, SpillReason } from './outcome';

/** Numbers over the last minute of one arm. */
export interface WindowStats {
  readonly requests: number;
  readonly failures: number;
  /** Milliseconds; undefined without requests. */
  readonly p50?: number;
  readonly p95?: number;
  readonly p99?: number;
}

export interface ReplicaStats {
  readonly id: string;
  readonly address: string;
  readonly inFlight: number;
  /** Expected milliseconds per item. */
  readonly costMs: number;
  /** When the ejection ends, milliseconds since the epoch. */
  readonly ejectedUntil?: number;
}

/** One router's traffic statistics of one arm. */
export interface ArmStats {
  readonly model: string;
  readonly arm: string;
  readonly version: string;
  readonly inFlight: number;
  readonly queued: number;
  readonly capacity: number;
  readonly window: WindowStats;
  /** Milliseconds since the epoch. */
  readonly lastRequestAt?: number;
  readonly lastFailure?: { readonly at: number; readonly message: string };
  readonly replicas: readonly ReplicaStats[];
  readonly shed: Readonly<Partial<Record<ShedReason, number>>>;
  /** Requests of this arm that went to stable instead. */
  readonly spilled?: Readonly<Partial<Record<SpillReason, number>>>;
  /** Retries and ejections since this router knows the arm. */
  readonly retries?: number;
  readonly ejections?: number;
  /** Requests that crashed two replicas, and rejected repetitions of them. */
  readonly poisoned?: number;
}

/** Written by the data plane; read by control, metrics and peers. */
export interface Load {
  /** Every arm that is in the table or still has requests. */
  readonly arms: () => readonly ArmStats[];
  /** One of them; undefined when there is none of that name. */
  readonly arm: (model: string, arm: string) => ArmStats | undefined;
  /** Closes the trials that are due, and counts those of every rollout of the table. */
  readonly rollouts: () => readonly RolloutCounts[];
  /** Requests in flight and waiting, over all arms. */
  readonly active: () => number;
}
