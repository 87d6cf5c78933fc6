import type { Priority, ShedReason, TryResult } from '../core/outcome';
import type { ArmRoute, ModelRoute, Replica } from '../core/table';
import type { Signal } from './exchange';

/** One try at one replica, begun by the dispatcher, done by the upstream client. */
export interface Attempt {
  readonly replica: Replica;
  readonly arm: ArmRoute;
  /** Milliseconds left of the request's deadline. */
  readonly remainingMs: number;
  /** Counts from 1. */
  readonly number: number;
}

/** Who is told how a try goes. */
export interface Tried {
  /** Its first byte, or its failure, is there. Once. */
  readonly settled: (result: TryResult) => void;
  /**
   * The last byte of an answer is out, or the stream broke. Once, and only after an answer. Until
   * then the slot is held.
   */
  readonly finished: (end: TryResult) => void;
}

/** A request as the dispatcher sees it: no bytes, no sockets. */
export interface Job {
  readonly model: ModelRoute;
  /** Arm asked for by name (already authorized); undefined: by cohort or in turn. */
  readonly arm?: string | undefined;
  /** Value that is hashed to choose an arm; undefined: in turn. */
  readonly cohortKey?: string | undefined;
  readonly priority: Priority;
  /** Milliseconds from now for everything: waiting, tries, answer. */
  readonly timeoutMs: number;
  /** Items in it: 1, or the size of a batch chunk. */
  readonly items: number;
  /** 32 hex digits of W3C Trace Context, when the request has any. */
  readonly traceId?: string | undefined;
  /** It asks about the model and not the model: no inference in metrics, windows and estimates. */
  readonly isAside?: boolean | undefined;
  /** Can the body be sent a second time? */
  readonly replayable: boolean;
  /** Aborted when the caller goes away. */
  readonly signal: Signal;
  /**
   * Does one try. The dispatcher may call it again (on another replica) only if the result was a
   * failure and nothing has been sent to the caller; it then discards that answer first by calling
   * `discard`.
   */
  readonly attempt: (attempt: Attempt, tried: Tried) => void;
  /** Throws away the answer of the last try (502, 503, 504) because another one is made. */
  readonly discard: () => void;
  /** How it ended, once. Must not throw. */
  readonly over: (result: JobResult) => void;
}

/** How a job ended. `answered`: the caller has (or is getting) the replica's answer. */
export type JobResult =
  | {
      readonly kind: 'answered';
      readonly arm: ArmRoute;
      readonly status: number;
      readonly tries: number;
    }
  | {
      readonly kind: 'failed';
      readonly arm: ArmRoute | undefined;
      readonly result: Exclude<TryResult, { kind: 'answered' }>;
      readonly tries: number;
    }
  | {
      readonly kind: 'refused';
      readonly arm: ArmRoute | undefined;
      readonly reason: ShedReason;
      /** Seconds for `Retry-After`. */
      readonly retryAfterSeconds: number;
    };

/** Chooses arm and replica, admits, retries, and keeps the accounts. */
export interface Dispatcher {
  /** Works through callbacks, for most jobs find their seat at once and a promise costs more than that. */
  readonly start: (job: Job) => void;
}
