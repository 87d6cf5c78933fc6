import type { SpillReason } from '../../core/routing/outcome';
import { chooseArm } from '../../core/routing/split';
import type { DispatchContext, JobProgress } from './outcomes';
import { usableEndpoints } from './endpoints';
import type { ArmState, DispatchState } from './arm-state';
import type { QueuedRequest } from './queue';
import { availableToNewcomers } from './queue';
import type { ArmCriteria } from './job';

type Arm = ArmState<QueuedRequest>;

/** A job that needs an arm, and the spill that is recorded for it. */
interface ArmChoice extends Pick<JobProgress, 'spilled'> {
  readonly job: ArmCriteria;
}

function listedArm(model: DispatchState<QueuedRequest>, name: string): Arm | undefined {
  const arm = model.arms.get(name);
  return arm?.listed === true ? arm : undefined;
}

/**
 * The arm of a job. A requested arm is never replaced; a candidate that cannot take its share
 * spills to stable.
 */
export function chooseArmFor(
  context: DispatchContext,
  model: DispatchState<QueuedRequest>,
  progress: ArmChoice,
): Arm | undefined {
  const { job } = progress;
  if (job.arm !== undefined) return listedArm(model, job.arm);
  const planned = job.planned && listedArm(model, job.planned.arm);
  if (planned !== undefined) return planned;
  const { rollout } = model.route;
  const isDrawn = rollout?.unit === 'request' && rollout.hundredths > 0;
  // Evidence by request needs an arm that is drawn for each of them.
  const key = isDrawn ? String(context.random()) : job.cohortKey;
  const { choice, credits } = chooseArm(model.route, key, model.credits);
  model.credits = credits;
  const chosen = listedArm(model, choice.arm);
  const [first] = model.route.shares;
  const stable = listedArm(model, first?.arm ?? '');
  if (chosen === undefined || stable === undefined || chosen === stable) return chosen ?? stable;
  const reason = spillReason(chosen, stable, first?.hundredths ?? 0, context.clock.now());
  if (reason === undefined) return chosen;
  progress.spilled = reason;
  chosen.spilled[reason] = (chosen.spilled[reason] ?? 0) + 1;
  // The request counts as demand for the candidate, so that a sleeping one is woken.
  chosen.lastRequestAt = context.clock.now();
  return stable;
}

function spillReason(
  chosen: Arm,
  stable: Arm,
  stableShare: number,
  now: number,
): SpillReason | undefined {
  const { free, due } = availableToNewcomers(chosen, now);
  if (free.length > 0 || due.length > 0) return undefined;
  const ready = usableEndpoints(chosen).length > 0;
  // A candidate with all traffic is waited for, as stable may be rolling; spill only if it is down.
  if (stableShare === 0 && (ready || usableEndpoints(stable).length === 0)) return undefined;
  return ready ? 'arm_full' : 'arm_unready';
}
