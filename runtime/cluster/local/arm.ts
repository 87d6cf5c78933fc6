import type { ArmRecord, ReplicaRecord, Why } from '../../core/snapshot';
import type { ArmPlan } from './plan';
import type { Replica } from './replica';
import { nextStep } from './rollout';

/** What an arm should come to. */
export interface ArmGoal {
  readonly plan: ArmPlan;
  readonly desired: number;
}

export interface ArmRunner {
  readonly setGoal: (goal: ArmGoal) => void;
  readonly replicas: () => readonly ReplicaRecord[];
  readonly record: () => ArmRecord;
  /** Ends all replicas. */
  readonly stop: (options: { readonly drain: boolean }) => Promise<void>;
  readonly measure: () => void;
}

/** The most specific thing that keeps an arm from its goal. */
function whyOf(replicas: readonly ReplicaRecord[]): Why | undefined {
  const told = replicas.filter(({ phase, why }) => phase !== 'ready' && why !== undefined);
  return told.at(-1)?.why;
}

/** Keeps the processes of one arm at their goal: observe, decide (rollout.ts), act. */
export function createArm(
  first: ArmGoal,
  start: (plan: ArmPlan, onChange: () => void) => Replica,
  onChange: () => void,
): ArmRunner {
  let goal = first;
  let replicas: Replica[] = [];
  let stopped = false;
  let busy = false;

  const changed = (): void => {
    reconcile();
    onChange();
  };
  const end = async (replica: Replica, drain: boolean): Promise<void> => {
    await replica.stop({ drain });
    replicas = replicas.filter((one) => one !== replica);
    changed();
  };
  const act = (): boolean => {
    const slots = replicas.map((replica) => {
      const { id, phase } = replica.record();
      return { id, phase, current: replica.plan.fingerprint === goal.plan.fingerprint };
    });
    const step = nextStep(slots, goal.desired);
    if (step.do === 'nothing') return false;
    if (step.do === 'start') replicas = [...replicas, start(goal.plan, changed)];
    else {
      const victim = replicas.find((one) => one.record().id === step.id);
      if (victim !== undefined) void end(victim, true);
    }
    return true;
  };
  // Acting changes replicas, and they report changes at once: one pass at a time sees them all.
  function reconcile(): void {
    if (busy || stopped) return;
    busy = true;
    while (act());
    busy = false;
  }
  reconcile();
  return {
    setGoal: (next) => {
      goal = next;
      changed();
    },
    replicas: () => replicas.map((replica) => replica.record()),
    record: () => {
      const records = replicas.map((replica) => ({ ...replica.record(), plan: replica.plan }));
      const live = records.filter(({ phase }) => phase !== 'terminating');
      const why = whyOf(records);
      const isNew = (plan: ArmPlan): boolean => plan.fingerprint === goal.plan.fingerprint;
      return {
        name: goal.plan.name,
        version: goal.plan.version,
        desired: goal.desired,
        current: live.length,
        ready: live.filter(({ phase }) => phase === 'ready').length,
        updated: live.filter(({ plan }) => isNew(plan)).length,
        ...(why !== undefined && { why }),
      };
    },
    stop: async ({ drain }) => {
      stopped = true;
      await Promise.all(replicas.map((replica) => replica.stop({ drain })));
      replicas = [];
    },
    measure: () => replicas.forEach((replica) => replica.measure()),
  };
}
