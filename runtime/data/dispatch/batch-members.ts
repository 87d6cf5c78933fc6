import type { AttemptResult, BrokenAnswer } from '../../core/routing/outcome';
import type { ShedReason } from '../../core/routing/outcome';
import { isUnavailable } from '../../core/routing/retry';
import type { DispatchContext, JobProgress } from './outcomes';
import { describeResult, endTrial, recordEnd } from './outcomes';
import type { ArmState, DispatchState } from './arm-state';
import type { QueuedRequest } from './queue';
import { attemptSpan, endAttemptSpan } from './attempt-span';
import { onAbort } from './queue';
import type { Span } from '../../shared/spans';
import type {
  AttemptCallbacks,
  AttemptVerdict,
  BatchedAnswer,
  BatchMember,
  Job,
  UnansweredResult,
} from './job';

/** The operations of an active job that a batch member needs. */
interface MemberJob extends JobProgress {
  readonly context: DispatchContext;
  isAdmitted: boolean;
  readonly refuse: (reason: ShedReason) => void;
  readonly fail: (result: Exclude<AttemptResult, { kind: 'answered' }>) => void;
  readonly dispatch: (model: DispatchState<QueuedRequest>) => void;
}

/**
 * A job that is a member of a batch. The batch call holds the slot, not the member; the member
 * still ends with an outcome of its own.
 */
export class ActiveBatchMember implements BatchMember, AttemptCallbacks {
  private isDone = false;
  private isSettled = false;
  private stopListening: () => void = () => undefined;
  private callerGone: () => void = () => undefined;
  private status = 0;
  private span: Span | undefined;

  constructor(
    private readonly owner: MemberJob,
    private readonly model: DispatchState<QueuedRequest>,
    private readonly state: ArmState<QueuedRequest>,
  ) {}

  get arm() {
    return this.state.route;
  }

  get deadline(): number {
    return this.owner.deadline;
  }

  start(joinBatch: NonNullable<Job['joinBatch']>): void {
    this.stopListening = onAbort(this.owner.job.signal, () => this.leave());
    joinBatch(this);
  }

  onCallerGone(call: () => void): void {
    this.callerGone = call;
  }

  /** Returns true only for the first call. */
  private end(): boolean {
    if (this.isDone) return false;
    this.isDone = true;
    this.stopListening();
    return true;
  }

  private leave(): void {
    if (!this.end()) return;
    this.callerGone();
    this.owner.fail({ kind: 'aborted' });
  }

  sendAlone(admitted: boolean): void {
    if (!this.end()) return;
    this.owner.isAdmitted = admitted;
    this.redispatch();
  }

  private redispatch(): void {
    const { owner, model, state } = this;
    if (!model.listed) return owner.refuse('deleting');
    if (model.route.stopped) return owner.refuse('stopped');
    if (!state.listed) owner.arm = undefined;
    owner.dispatch(model);
  }

  fail(result: UnansweredResult): void {
    if (!this.end()) return;
    // When the arm is gone, the job chooses another one, as queued requests do.
    if (result.kind === 'refused')
      return this.state.listed ? this.refuse(result) : this.redispatch();
    this.owner.tries += result.tries;
    this.owner.fail(result.result);
  }

  private refuse({ reason }: Extract<UnansweredResult, { kind: 'refused' }>): void {
    this.owner.refuse(reason);
  }

  deliver({ replica, answered, tries, sentAt }: BatchedAnswer): void {
    if (!this.end()) return;
    const { owner, arm } = this;
    owner.endpoint = { replica };
    // More than one try: the first of the batch call failed.
    if (tries > 1) endTrial(owner, true, owner.context.clock.now());
    owner.tries += tries;
    owner.queuedMs = sentAt - owner.startedAt;
    const now = owner.context.clock.now();
    const remainingMs = Math.max(0, owner.deadline - now);
    const number = owner.tries;
    // The batch call has no trace of its own: each of its requests shows it as an attempt.
    this.span = attemptSpan(owner.job.span, { replica, arm, number }, now - sentAt);
    try {
      owner.call.receive({ replica, arm, remainingMs, number }, this, answered);
    } catch (error) {
      // A programming error for one member must not reach the others.
      const message = error instanceof Error ? error.message : String(error);
      this.settled({ kind: 'protocol', message });
    }
  }

  settled(result: AttemptResult): AttemptVerdict {
    if (this.isSettled) return 'retry';
    this.isSettled = true;
    const { owner } = this;
    if (result.kind !== 'answered') {
      endAttemptSpan(this.span, result);
      owner.fail(result);
      return 'deliver';
    }
    const { status } = result;
    this.status = status;
    this.span?.set('http.response.status_code', status);
    owner.firstByteMs = owner.context.clock.now() - owner.startedAt;
    owner.failure = isUnavailable(status) ? describeResult(result) : undefined;
    return 'deliver';
  }

  finished(end: AttemptResult, broken?: BrokenAnswer): void {
    const { context } = this.owner;
    endAttemptSpan(this.span, end);
    recordEnd(context, this.owner, this.status, end, context.clock.now(), broken);
  }
}
