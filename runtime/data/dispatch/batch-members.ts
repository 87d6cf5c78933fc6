import type { AttemptResult } from '../../core/routing/outcome';
import { isUnavailable } from '../../core/routing/retry';
import { recordEnd, describeResult } from './outcomes';
import type { ActiveJob } from './attempts';
import type { ArmState, DispatchState } from './arm-state';
import type { QueuedRequest } from './queue';
import { onAbort } from './queue';
import type { BatchMember, BatchedAnswer, Job, AttemptCallbacks, UnansweredResult } from './job';

/**
 * A job that goes with others. It holds no slot, the call that is made for all of them does; but it
 * stays a job: it ends by itself, in an outcome of its own.
 */
export class ActiveBatchMember implements BatchMember, AttemptCallbacks {
  private isDone = false;
  private isSettled = false;
  private stopListening: () => void = () => undefined;
  private gone: () => void = () => undefined;
  private status = 0;

  constructor(
    private readonly run: ActiveJob,
    private readonly model: DispatchState<QueuedRequest>,
    private readonly state: ArmState<QueuedRequest>,
  ) {}

  get arm() {
    return this.state.route;
  }

  get deadline(): number {
    return this.run.deadline;
  }

  start(gather: NonNullable<Job['joinBatch']>): void {
    this.stopListening = onAbort(this.run.job.signal, () => this.leave());
    gather(this);
  }

  onCallerGone(call: () => void): void {
    this.gone = call;
  }

  /** True for the first that ends it. */
  private ends(): boolean {
    if (this.isDone) return false;
    this.isDone = true;
    this.stopListening();
    return true;
  }

  private leave(): void {
    if (!this.ends()) return;
    this.gone();
    this.run.fail({ kind: 'aborted' });
  }

  sendAlone(admitted: boolean): void {
    if (!this.ends()) return;
    this.run.isAdmitted = admitted;
    this.goOn();
  }

  private goOn(): void {
    const { run, model, state } = this;
    if (!model.listed) return run.refuse('deleting');
    if (model.route.stopped) return run.refuse('stopped');
    if (!state.listed) run.arm = undefined;
    run.dispatch(model);
  }

  fail(result: UnansweredResult): void {
    if (!this.ends()) return;
    // Its arm has gone: it chooses again, as those do who wait in a queue.
    if (result.kind === 'refused') return this.state.listed ? this.refuse(result) : this.goOn();
    this.run.tries += result.tries;
    this.run.fail(result.result);
  }

  private refuse({ reason }: Extract<UnansweredResult, { kind: 'refused' }>): void {
    this.run.refuse(reason);
  }

  deliver({ replica, answered, tries, sentAt }: BatchedAnswer): void {
    if (!this.ends()) return;
    const { run, arm } = this;
    run.endpoint = { replica };
    run.tries += tries;
    run.queuedMs = sentAt - run.startedAt;
    const remainingMs = Math.max(0, run.deadline - run.context.clock.now());
    try {
      run.job.attempt(
        { replica, arm, remainingMs, number: run.tries, batchedAnswer: answered },
        this,
      );
    } catch (error) {
      // A fault of ours with one of them must not reach the others.
      const message = error instanceof Error ? error.message : String(error);
      this.settled({ kind: 'protocol', message });
    }
  }

  settled(result: AttemptResult): void {
    if (this.isSettled) return;
    this.isSettled = true;
    const { run, arm } = this;
    if (result.kind !== 'answered') return run.fail(result);
    const { status } = result;
    this.status = status;
    run.firstByteMs = run.context.clock.now() - run.startedAt;
    run.failure = isUnavailable(status) ? describeResult(result) : undefined;
    run.job.onResult({ kind: 'answered', arm, status, tries: run.tries });
  }

  finished(end: AttemptResult): void {
    const { context } = this.run;
    recordEnd(context, this.run, this.status, end, context.clock.now());
  }
}
