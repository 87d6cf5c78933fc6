import type { ArmRecord, ReplicaRecord, Why } from '../../core/lifecycle/snapshot';
import type { ReplicaPlan } from './replica-plan';
import type { ReplicaProcess } from './replica';
import { nextStep } from './rollout';

/** Desired state of an arm. */
export interface ArmGoal {
  readonly plan: ReplicaPlan;
  readonly desired: number;
}

type Start = (plan: ReplicaPlan, onChange: () => void) => ReplicaProcess;

/** The latest cause among replicas that are not ready. */
function whyOf(replicas: readonly ReplicaRecord[]): Why | undefined {
  const told = replicas.filter(({ phase, why }) => phase !== 'ready' && why !== undefined);
  return told.at(-1)?.why;
}

/** Keeps the processes of one arm at their goal: observe, decide (rollout.ts), act. */
export class ArmRunner {
  private running: readonly ReplicaProcess[] = [];
  private stopped = false;
  private busy = false;

  constructor(
    private goal: ArmGoal,
    private readonly start: Start,
    private readonly onChange: () => void,
  ) {
    this.reconcile();
  }

  setGoal(goal: ArmGoal): void {
    this.goal = goal;
    for (const replica of this.running) if (this.isCurrent(replica)) replica.adopt(goal.plan);
    this.changed();
  }

  scale(desired: number): void {
    this.setGoal({ ...this.goal, desired });
  }

  replicas(): readonly ReplicaRecord[] {
    return this.running.map((replica) => replica.record());
  }

  record(): ArmRecord {
    const { plan, desired } = this.goal;
    const live = this.running.filter((one) => one.record().phase !== 'terminating');
    const why = whyOf(this.replicas());
    return {
      name: plan.name,
      version: plan.version,
      desired,
      current: live.length,
      ready: live.filter((one) => one.record().phase === 'ready').length,
      updated: live.filter((one) => this.isCurrent(one)).length,
      ...(why !== undefined && { why }),
    };
  }

  /** Ends all replicas. */
  async stop(how: { readonly drain: boolean }): Promise<void> {
    this.stopped = true;
    await Promise.all(this.running.map((replica) => replica.stop(how)));
    this.running = [];
  }

  measure(): void {
    for (const replica of this.running) replica.measure();
  }

  private isCurrent({ plan }: ReplicaProcess): boolean {
    return plan.fingerprint === this.goal.plan.fingerprint;
  }

  private changed(): void {
    this.reconcile();
    this.onChange();
  }

  // Actions report changes synchronously: only one pass runs at a time, and it sees them all.
  private reconcile(): void {
    if (this.busy || this.stopped) return;
    this.busy = true;
    try {
      while (this.act());
    } finally {
      this.busy = false;
    }
  }

  private act(): boolean {
    const slots = this.running.map((replica) => {
      const { id, phase } = replica.record();
      return { id, phase, current: this.isCurrent(replica) };
    });
    const step = nextStep(slots, this.goal.desired);
    if (step.do === 'nothing') return false;
    if (step.do === 'start') {
      const replica = this.start(this.goal.plan, () => this.changed());
      this.running = [...this.running, replica];
    } else void this.end(step.id);
    return true;
  }

  private async end(id: string): Promise<void> {
    const victim = this.running.find((one) => one.record().id === id);
    if (victim === undefined) return;
    await victim.stop({ drain: true });
    this.running = this.running.filter((one) => one !== victim);
    this.changed();
  }
}
