import type { ByArm, RowEvidence } from './evidence';
import type { FailureCounts } from './failure-comparison';
import type { Verdict } from './verdict';

/**
 * `running`: steps follow the evidence. `held`: a person keeps the step. `paused`: no traffic, a
 * person decides. `aborted` and `done` are final until another rollout is defined or a person
 * resumes.
 */
export type RolloutPhase = 'running' | 'held' | 'paused' | 'aborted' | 'done';

/** A caller whose trial failed, as a keyed hash: only the rollout's id can tell who it was. */
export interface FailingHash {
  readonly hash: number;
  readonly arm: keyof ByArm;
  /** The row it counts in. */
  readonly hundredths: number;
}

/** What one router counted of one rollout since it started. Grow-only. */
export interface RolloutCounts {
  readonly model: string;
  /** Id of the rollout. */
  readonly rollout: string;
  readonly rows: readonly RowEvidence[];
  readonly failing: readonly FailingHash[];
  readonly isFull: boolean;
  /** Distinct callers, and requests that could not count because they name no caller. */
  readonly seenCallers: number;
  readonly unnamed: number;
  /** Requests of the last minute: they do not grow. */
  readonly recent: {
    readonly stable: FailureCounts;
    readonly candidate: FailureCounts;
    /** Times to the first byte of stable: how many, how many above the threshold, and their p95. */
    readonly firstBytes: {
      readonly requests: number;
      readonly slow: number;
      readonly p95Ms?: number | undefined;
    };
  };
}

/** The counts of one run of a router. */
export interface RouterCounts {
  /** Name and start of the router. */
  readonly boot: string;
  readonly counts: RolloutCounts;
}

/** `RolloutCounts` in few bytes (`packed-counts.ts`). */
export interface PackedCounts {
  readonly model: string;
  readonly rollout: string;
  readonly rows: readonly (readonly number[])[];
  /** Hash, 1 for the candidate, hundredths. */
  readonly failing: readonly (readonly [number, number, number])[];
  readonly full: boolean;
  readonly seen: number;
  readonly unnamed: number;
  /** Requests and failures of the last minute. */
  readonly stable: readonly [number, number];
  readonly candidate: readonly [number, number];
  /** Requests, slow ones, 95th percentile in milliseconds. */
  readonly first_bytes: readonly [number, number, number | null];
}

/** The packed counts of one run of a router. */
export interface StoredCounts {
  readonly boot: string;
  readonly counts: PackedCounts;
}

/** State of a rollout, stored beside the definition. */
export interface RolloutState {
  /** Hash of what is rolled out: candidate, version of stable, rules. */
  readonly key: string;
  /** New for every start. */
  readonly id: string;
  /** Salt of the cohort hash: other callers for every start. */
  readonly salt: string;
  readonly candidate: string;
  readonly phase: RolloutPhase;
  /** Index of the step in force. */
  readonly step: number;
  /** Start of the rollout and of its step, milliseconds since the epoch. */
  readonly startedAt: number;
  readonly since: number;
  /** First bytes later than this are slow, milliseconds. */
  readonly thresholdMs?: number | undefined;
  readonly verdict?: Verdict | undefined;
  /** Who put it into its phase, when a person did. */
  readonly by?: string | undefined;
  /** Most ready replicas of the candidate so far. */
  readonly mostReady: number;
  readonly counts: readonly StoredCounts[];
}
