import type { BrokenAnswer, Priority, ShedReason, AttemptResult } from '../../core/routing/outcome';
import type { FreeCapacity } from '../../core/routing/batch-chunks';
import type { ArmRoute, ModelRoute, ReplicaRoute } from '../../core/routing/table';
import type { Span } from '../../shared/spans';
import type { HttpResponse, AbortSignalLike } from '../http/exchange';

/** One attempt at one replica, started by the dispatcher and made by the upstream client. */
export interface Attempt {
  readonly replica: ReplicaRoute;
  readonly arm: ArmRoute;
  /** Milliseconds until the deadline of the request. */
  readonly remainingMs: number;
  /** Counts from 1. */
  readonly number: number;
  /** Requests of this model have crashed replicas: is this one of them? */
  readonly isSuspect?: boolean;
  /** Of a job that is traced. */
  readonly span?: Span | undefined;
}

/**
 * What becomes of the result of an attempt. `deliver`: the caller gets it. `retry`: another attempt
 * follows, and an answer is discarded.
 */
export type AttemptVerdict = 'deliver' | 'retry';

/** Progress of an attempt, reported to the dispatcher. */
export interface AttemptCallbacks {
  /**
   * Called once, with the first byte or the failure. A failure that is not retried has been handed
   * to `onUnanswered` when it returns.
   */
  readonly settled: (result: AttemptResult) => AttemptVerdict;
  /**
   * Called once after an answer that is delivered: its last byte was sent, or the stream broke. The
   * slot is held until then. `broken`: the caller has seen its beginning.
   */
  readonly finished: (end: AttemptResult, broken?: BrokenAnswer) => void;
  /** The whole upload was sent: from now on the replica's time is measured. */
  readonly delivered?: () => void;
}

/** Destination of a job that was decided before it started. */
export interface PlannedTarget {
  /** If this arm is gone meanwhile, an arm is chosen as for any other job. */
  readonly arm: string;
  /** Preferred replica; used while it has a free slot. */
  readonly replica?: string | undefined;
}

/** The answer for one member of a batch call. */
export interface BatchedAnswer {
  readonly replica: ReplicaRoute;
  readonly answered: HttpResponse;
  /** Attempts of the batch call, and when the first was sent; milliseconds since the epoch. */
  readonly tries: number;
  readonly sentAt: number;
}

/**
 * A request whose arm is known and that has not requested a slot yet, so that it can join a batch.
 * The batcher calls one of `deliver`, `fail` and `sendAlone` once; after the caller is gone, the
 * call has no effect.
 */
export interface BatchMember {
  readonly arm: ArmRoute;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Registers a callback for a caller that goes away before its answer. */
  readonly onCallerGone: (call: () => void) => void;
  readonly deliver: (given: BatchedAnswer) => void;
  readonly fail: (result: UnansweredResult) => void;
  /** Sends it alone. `admitted`: its batch held a slot, so it goes to the front of the queue. */
  readonly sendAlone: (admitted: boolean) => void;
}

/** A request as the dispatcher sees it, without bytes and sockets. It does not change. */
export interface Job {
  readonly model: ModelRoute;
  /** Requested arm (already authorized); undefined: chosen by cohort or in turn. */
  readonly arm?: string | undefined;
  /** Requested version: during a rollout some replicas of the arm run another one. */
  readonly version?: string | undefined;
  /** Value that is hashed to choose an arm; undefined: arms take turns. */
  readonly cohortKey?: string | undefined;
  readonly priority: Priority;
  /** Milliseconds from now for everything: queue, attempts, answer. */
  readonly timeoutMs: number;
  /** Items in it: 1, or the size of a batch chunk. */
  readonly items: number;
  /** 32 hex digits of W3C Trace Context, if the request has them. */
  readonly traceId?: string | undefined;
  /** The parent of its spans; absent: the request is not traced. */
  readonly span?: Span | undefined;
  /** A call for a batch has no outcome of its own; its members have. */
  readonly isBatchCall?: boolean | undefined;
  readonly planned?: PlannedTarget | undefined;
  /** Called once the arm is known: the request may join a batch instead of requesting a slot. */
  readonly joinBatch?: ((member: BatchMember) => void) | undefined;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignalLike;
}

/** Sends the request of a job, and has its result. */
export interface JobCall {
  /** The body can be sent a second time. */
  readonly replayable: boolean;
  /** The body is streamed: it can be sent again only while nothing of it was sent. */
  readonly upload?: { readonly isUntouched: boolean } | undefined;
  /** Makes one attempt; another one only after a verdict of `retry`. */
  readonly attempt: (attempt: Attempt, report: AttemptCallbacks) => void;
  /** Takes the answer that a batch call returned for this request, instead of an attempt. */
  readonly receive: (attempt: Attempt, report: AttemptCallbacks, answer: HttpResponse) => void;
  /** Fingerprint of the request of the last attempt; undefined: its bytes are not kept. */
  readonly fingerprint: (version: string) => string | undefined;
  /** Called once if no answer is delivered. Must not throw. */
  readonly onUnanswered: (result: UnansweredResult) => void;
}

/** Result of a job without an answer. */
export type UnansweredResult =
  | {
      readonly kind: 'failed';
      readonly arm: ArmRoute | undefined;
      readonly result: Exclude<AttemptResult, { kind: 'answered' }>;
      readonly tries: number;
    }
  | {
      readonly kind: 'refused';
      readonly arm: ArmRoute | undefined;
      readonly reason: ShedReason;
      /** Seconds for `Retry-After`. */
      readonly retryAfterSeconds: number;
    };

/** The fields of a job that decide its arm. */
export type ArmCriteria = Pick<Job, 'model' | 'arm' | 'cohortKey' | 'planned'>;

/** The arm chosen for a client batch, and the free slots of its replicas now. */
export interface DispatchPlan {
  readonly arm: ArmRoute;
  readonly rooms: readonly FreeCapacity[];
}

/** Chooses arm and replica, admits, retries, and records outcomes. */
export interface Dispatcher {
  /** Uses callbacks: most jobs get an endpoint at once, and a promise would cost more than that. */
  readonly start: (job: Job, call: JobCall) => void;
  /** Chooses the arm for jobs to come and takes their turn. Undefined: a job would be refused. */
  readonly plan: (criteria: ArmCriteria) => DispatchPlan | undefined;
  /** Milliseconds for which a request that crashed two replicas is refused; 0: it may be sent. */
  readonly poisonedMs: (model: string, arm: string, fingerprint: string | undefined) => number;
}
