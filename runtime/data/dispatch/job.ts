import type { Priority, ShedReason, AttemptResult } from '../../core/routing/outcome';
import type { FreeCapacity } from '../../core/routing/batch-chunks';
import type { ArmRoute, ModelRoute, ReplicaRoute } from '../../core/routing/table';
import type { HttpResponse, AbortSignalLike } from '../http/exchange';

/** One try at one replica, begun by the dispatcher, done by the upstream client. */
export interface Attempt {
  readonly replica: ReplicaRoute;
  readonly arm: ArmRoute;
  /** Milliseconds left of the request's deadline. */
  readonly remainingMs: number;
  /** Counts from 1. */
  readonly number: number;
  /** The answer is there already: it was asked for together with others. Nothing is sent. */
  readonly batchedAnswer?: HttpResponse | undefined;
}

/** Who is told how a try goes. */
export interface AttemptCallbacks {
  /** Its first byte, or its failure, is there. Once. */
  readonly settled: (result: AttemptResult) => void;
  /**
   * The last byte of an answer is out, or the stream broke. Once, and only after an answer. Until
   * then the slot is held.
   */
  readonly finished: (end: AttemptResult) => void;
  /** The replica has all of a job's upload: what passes now is its time, no longer the caller's. */
  readonly delivered?: () => void;
}

/** Where a job is to go when that was decided before it started. */
export interface PlannedTarget {
  /** When it has gone meanwhile, an arm is chosen as for any other job. */
  readonly arm: string;
  /** Taken while it has room; else any other. */
  readonly replica?: string | undefined;
}

/** What came for one request out of a call that was made for several. */
export interface BatchedAnswer {
  readonly replica: ReplicaRoute;
  readonly answered: HttpResponse;
  /** Tries of the call that was made for all, and when the first was sent. */
  readonly tries: number;
  readonly sentAt: number;
}

/**
 * A request whose arm is known and that has not asked for a slot yet, so that it can go with
 * others. One of `give`, `fail` and `alone` is called, once; after it has gone, none has an effect.
 */
export interface BatchMember {
  readonly arm: ArmRoute;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Its caller went away before it was answered. */
  readonly onCallerGone: (call: () => void) => void;
  readonly deliver: (given: BatchedAnswer) => void;
  readonly fail: (result: UnansweredResult) => void;
  /** It goes by itself. `admitted`: it had its part of a slot before, and goes in front. */
  readonly sendAlone: (admitted: boolean) => void;
}

/** A request as the dispatcher sees it: no bytes, no sockets. */
export interface Job {
  readonly model: ModelRoute;
  /** Arm asked for by name (already authorized); undefined: by cohort or in turn. */
  readonly arm?: string | undefined;
  /** Asked for by name: while the arm rolls, some of its replicas run another one. */
  readonly version?: string | undefined;
  /** Value that is hashed to choose an arm; undefined: in turn. */
  readonly cohortKey?: string | undefined;
  readonly priority: Priority;
  /** Milliseconds from now for everything: waiting, tries, answer. */
  readonly timeoutMs: number;
  /** Items in it: 1, or the size of a batch chunk. */
  readonly items: number;
  /** 32 hex digits of W3C Trace Context, when the request has any. */
  readonly traceId?: string | undefined;
  /** It is made for several others, which have outcomes of their own: it has none. */
  readonly isBatchCall?: boolean | undefined;
  readonly planned?: PlannedTarget | undefined;
  /** Called once its arm is known: it may go with others instead of asking for a slot. */
  readonly joinBatch?: ((member: BatchMember) => void) | undefined;
  /** Can the body be sent a second time? */
  readonly replayable: boolean;
  /** Its body is passed on while it comes: nothing else can be sent a second time, once it began. */
  readonly upload?: { readonly isUntouched: boolean } | undefined;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignalLike;
  /**
   * Does one try. The dispatcher may call it again (on another replica) only if the result was a
   * failure and nothing has been sent to the caller; it then discards that answer first by calling
   * `discard`.
   */
  readonly attempt: (attempt: Attempt, tried: AttemptCallbacks) => void;
  /** What tells the request of the last try from others; undefined: its bytes are not kept. */
  readonly fingerprint?: (version: string) => string | undefined;
  /** Throws away the answer of the last try (502, 503, 504) because another one is made. */
  readonly discard: () => void;
  /** How it ended, once. Must not throw. */
  readonly onResult: (result: JobResult) => void;
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

/** A job that got no answer. */
export type UnansweredResult = Exclude<JobResult, { readonly kind: 'answered' }>;

/** What decides the arm of a job. */
export type ArmCriteria = Pick<Job, 'model' | 'arm' | 'cohortKey' | 'planned'>;

/** The arm a batch gets, and what room its replicas have at this moment. */
export interface ArmPlan {
  readonly arm: ArmRoute;
  readonly rooms: readonly FreeCapacity[];
}

/** Chooses arm and replica, admits, retries, and keeps the accounts. */
export interface Dispatcher {
  /** Works through callbacks, for most jobs find their endpoint at once and a promise costs more than that. */
  readonly start: (job: Job) => void;
  /** Decides the arm for jobs to come; it is their turn. Undefined: a job would be refused. */
  readonly plan: (criteria: ArmCriteria) => ArmPlan | undefined;
  /**
   * Milliseconds for which this request is refused, because it has ended two replicas; 0: it may be
   * sent. The fingerprint is asked for only where any request of the model is refused.
   */
  readonly poisonedMs: (
    model: string,
    arm: string,
    fingerprint: () => string | undefined,
  ) => number;
}
