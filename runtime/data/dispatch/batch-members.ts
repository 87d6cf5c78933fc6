import type { AttemptResult } from '../../core/routing/outcome';
import { isUnavailable } from '../../core/routing/retry';
import { closed, textOf } from './outcomes';
import type { Run } from './attempts';
import type { ArmState, ModelState } from './arm-state';
import type { Waiter } from './queue';
import { onAbort } from './queue';
import type { Companion, Given, Job, Tried, Unanswered } from './job';

/**
 * A job that goes with others. It holds no slot, the call that is made for all of them does; but it
 * stays a job: it ends by itself, in an outcome of its own.
 */
export class Together implements Companion, Tried {
  private isDone = false;
  private isSettled = false;
  private stopListening: () => void = () => undefined;
  private gone: () => void = () => undefined;
  private status = 0;

  constructor(
    private readonly run: Run,
    private readonly model: ModelState<Waiter>,
    private readonly state: ArmState<Waiter>,
  ) {}

  get arm() {
    return this.state.route;
  }

  get deadline(): number {
    return this.run.deadline;
  }

  start(gather: NonNullable<Job['gather']>): void {
    this.stopListening = onAbort(this.run.job.signal, () => this.leave());
    gather(this);
  }

  whenGone(call: () => void): void {
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

  alone(admitted: boolean): void {
    if (!this.ends()) return;
    this.run.isAdmitted = admitted;
    this.goOn();
  }

  private goOn(): void {
    const { run, model, state } = this;
    if (!model.listed) return run.refuse('deleting');
    if (model.route.stopped) return run.refuse('stopped');
    if (!state.listed) run.arm = undefined;
    run.look(model);
  }

  fail(result: Unanswered): void {
    if (!this.ends()) return;
    // Its arm has gone: it chooses again, as those do who wait in a queue.
    if (result.kind === 'refused') return this.state.listed ? this.refuse(result) : this.goOn();
    this.run.tries += result.tries;
    this.run.fail(result.result);
  }

  private refuse({ reason }: Extract<Unanswered, { kind: 'refused' }>): void {
    this.run.refuse(reason);
  }

  give({ replica, answered, tries, sentAt }: Given): void {
    if (!this.ends()) return;
    const { run, arm } = this;
    run.seat = { replica };
    run.tries += tries;
    run.queuedMs = sentAt - run.startedAt;
    const remainingMs = Math.max(0, run.deadline - run.context.clock.now());
    try {
      run.job.attempt({ replica, arm, remainingMs, number: run.tries, given: answered }, this);
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
    run.failure = isUnavailable(status) ? textOf(result) : undefined;
    run.job.over({ kind: 'answered', arm, status, tries: run.tries });
  }

  finished(end: AttemptResult): void {
    const { context } = this.run;
    closed(context, this.run, this.status, end, context.clock.now());
  }
}
