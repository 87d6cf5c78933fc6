import { retryAfterSeconds } from '../../core/routing/admission';
import { ERROR_STATUS, SHED_CODE, statusOfAttempt } from '../../core/routing/error-codes';
import type {
  BrokenAnswer,
  Outcome,
  ShedReason,
  SpillReason,
  AttemptResult,
} from '../../core/routing/outcome';
import { isInconclusive } from '../../core/routing/outcome';
import type { ModelRoute, RoutingTable, TableHolder } from '../../core/routing/table';
import type { Tuning } from '../../core/routing/tuning';
import { addToWindow } from '../../core/routing/window';
import type { Trial } from '../../core/release/trials';
import type { ArmState, EndpointState, DispatchStates } from './arm-state';
import type { AvoidedReplica } from './endpoints';
import type { Suspects } from './suspects';
import type { TimerClock, QueuedRequest } from './queue';
import { waitOf } from './queue';
import type { Job, JobCall, UnansweredResult } from './job';

export interface DispatcherOptions {
  readonly table: TableHolder;
  readonly clock: TimerClock;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called exactly once for every inference, when its last byte is out or it was refused. */
  readonly onOutcome: (outcome: Outcome) => void;
  /** Milliseconds our own event loop was blocked just now; such timeouts do not count. */
  readonly lagMs?: () => number;
  readonly tuning?: Tuning;
  /** Called when requests of an arm start to be held because none of its replicas is up. */
  readonly onHeld?: ((model: string, arm: string) => void) | undefined;
}

type Arm = ArmState<QueuedRequest>;

export interface DispatchContext extends Omit<DispatcherOptions, 'lagMs'> {
  readonly tuning: Tuning;
  readonly lagMs: () => number;
  readonly states: DispatchStates<QueuedRequest>;
  readonly suspects: Suspects;
  /** The table that the states reflect. */
  known: RoutingTable | undefined;
  active: number;
}

/** Data of a job in progress, from which its outcome is made. */
export interface JobProgress {
  readonly job: Job;
  readonly call: JobCall;
  readonly startedAt: number;
  readonly deadline: number;
  arm: Arm | undefined;
  /** The replica of the current or last attempt. */
  endpoint: Pick<EndpointState, 'replica'> | undefined;
  spilled: SpillReason | undefined;
  avoid: AvoidedReplica | undefined;
  tries: number;
  queuedMs: number;
  firstByteMs: number | undefined;
  failure: string | undefined;
  /** Its trial in a rollout, until it is known how it ended. */
  trial: Trial | undefined;
  /** Was the first byte of the first attempt slow? Undefined: not judged. */
  isSlow: boolean | undefined;
}

const isReplaced = (result: AttemptResult): boolean =>
  'isReplaced' in result && result.isReplaced === true;

/** Records that an answer was sent to the caller, or broke off. */
export function recordEnd(
  context: DispatchContext,
  progress: JobProgress,
  status: number,
  end: AttemptResult,
  now: number,
  broken?: BrokenAnswer,
): void {
  if (end.kind !== 'answered') progress.failure = describeResult(end);
  // A broken answer is a failure, regardless of its status line.
  reportOutcome(
    context,
    progress,
    end.kind === 'answered' ? status : statusOfAttempt(end),
    { inconclusive: isInconclusive(end), broken, isReplaced: isReplaced(end) },
    now,
  );
}

export function recordFailure(
  context: DispatchContext,
  progress: JobProgress,
  result: Exclude<AttemptResult, { kind: 'answered' }>,
): UnansweredResult {
  progress.failure = describeResult(result);
  reportOutcome(context, progress, statusOfAttempt(result), {
    inconclusive: isInconclusive(result),
    isReplaced: isReplaced(result),
  });
  return { kind: 'failed', arm: progress.arm?.route, result, tries: progress.tries };
}

export function recordRefusal(
  context: DispatchContext,
  progress: JobProgress,
  reason: ShedReason,
): UnansweredResult {
  const { arm, job } = progress;
  if (arm !== undefined && job.isBatchCall !== true) arm.shed[reason] = (arm.shed[reason] ?? 0) + 1;
  const waitMs = arm === undefined ? 0 : waitOf(arm, job.priority);
  reportOutcome(context, progress, ERROR_STATUS[SHED_CODE[reason]], { shed: reason });
  return {
    kind: 'refused',
    arm: arm?.route,
    reason,
    retryAfterSeconds: retryAfterSeconds(reason, waitMs),
  };
}

/** Short text for logs, without any data of the request. */
export function describeResult(result: AttemptResult): string {
  if (result.kind === 'answered') return `answered ${result.status}`;
  return 'message' in result ? `${result.kind}: ${result.message}` : result.kind;
}

const stableOf = (route: ModelRoute) => route.arms.get(route.shares[0]?.arm ?? '');

const TIMED_OUT = 504;

/** The caller's own timeout was shorter than the model's: it says nothing about the model. */
const isOwnTimeout = ({ timeoutMs, model }: Job, status: number): boolean =>
  status === TIMED_OUT && timeoutMs < model.inference.timeoutSeconds * 1000;

/** Counts a request in its rollout, once. */
export function endTrial(progress: JobProgress, failed: boolean, now: number): void {
  const { trial, isSlow: slow } = progress;
  progress.trial = undefined;
  trial?.end({ failed, slow }, now);
}

/** Did the first attempt fail? A rollout counts it before a retry hides it. */
export function failedAtFirst({ job }: JobProgress, result: AttemptResult): boolean {
  switch (result.kind) {
    case 'answered':
      return result.status >= 500;
    case 'timeout':
      return !isOwnTimeout(job, TIMED_OUT);
    case 'aborted':
    case 'rejected':
      return false;
    case 'unreached':
    case 'reset':
    case 'protocol':
      return true;
  }
}

interface OutcomeDetails {
  readonly inconclusive?: boolean;
  readonly shed?: ShedReason;
  readonly broken?: BrokenAnswer | undefined;
  readonly isReplaced?: boolean;
}

/** The only place that records the end of a job. */
function reportOutcome(
  context: DispatchContext,
  progress: JobProgress,
  status: number,
  { inconclusive = false, shed, broken, isReplaced: isNone = false }: OutcomeDetails,
  now = context.clock.now(),
): void {
  const { job, arm, failure, spilled, tries, startedAt } = progress;
  const durationMs = now - startedAt;
  if (job.isBatchCall === true) return;
  if (progress.trial !== undefined) {
    const own = tries > 0 && !inconclusive && shed === undefined;
    const failed = own && !isOwnTimeout(job, status) && (status >= 500 || failure !== undefined);
    endTrial(progress, failed, now);
  }
  context.active -= 1;
  if (isNone) return;
  if (arm !== undefined && tries > 0 && !inconclusive && shed === undefined) {
    addToWindow(arm.window, now, durationMs, status >= 500 || failure !== undefined);
    if (failure !== undefined) arm.lastFailure = { at: now, message: failure };
  }
  // During a rollout some replicas still run the previous version: report the replica's own.
  const route = arm?.route ?? stableOf(job.model);
  context.onOutcome({
    model: job.model.id,
    arm: route?.name ?? '',
    version: progress.endpoint?.replica.version ?? route?.version ?? '',
    status,
    durationMs,
    queuedMs: progress.queuedMs,
    firstByteMs: progress.firstByteMs,
    tries,
    traceId: job.traceId,
    shed,
    broken,
    spilled,
    failure,
  });
}
