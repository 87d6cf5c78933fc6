import type { Load } from '../../core/routing/load';
import { countRequest } from '../../core/routing/retry-budget';
import { DEFAULT_TUNING } from '../../core/routing/tuning';
import type { DispatchContext, DispatcherOptions } from './outcomes';
import { chooseArmFor } from './choose-arm';
import { ActiveJob } from './attempts';
import { roomsOf, usableEndpoints } from './endpoints';
import type { ArmState, DispatchState } from './arm-state';
import { dropIdle, dispatchStateOf, syncStates } from './arm-state';
import { Suspects } from './suspects';
import type { QueuedRequest } from './queue';
import { dismiss, drain } from './queue';
import type { ArmCriteria, Dispatcher, DispatchPlan, Job, JobCall } from './job';
import { loadOf } from './load-report';

export interface DispatcherParts {
  readonly dispatcher: Dispatcher;
  readonly load: Load;
  /** Called after a table swap: wakes queued requests. */
  readonly onTableSwap: () => void;
}

type Arm = ArmState<QueuedRequest>;

/**
 * Chooses arm and replica, admits, retries and records outcomes. It knows neither bytes nor
 * sockets; clock, random numbers and table are injected.
 */
export function createDispatcher(options: DispatcherOptions): DispatcherParts {
  const context: DispatchContext = {
    ...options,
    lagMs: options.lagMs ?? (() => 0),
    tuning: options.tuning ?? DEFAULT_TUNING,
    states: new Map(),
    suspects: new Suspects(options.clock.now),
    known: undefined,
    active: 0,
  };
  return {
    dispatcher: new TableDispatcher(context),
    load: loadOf(
      context.states,
      options.table,
      options.clock.now,
      options.random,
      () => context.active,
    ),
    onTableSwap: () => sync(context),
  };
}

/** Updates the states from the newest table, even if `onTableSwap` was not called. */
function sync(context: DispatchContext): void {
  const { table, states, clock } = context;
  if (table.current === context.known) return;
  context.known = table.current;
  syncStates(states, table.current, clock.now());
  for (const model of states.values()) {
    for (const arm of model.arms.values()) wakeArm(context, model, arm);
  }
  context.suspects.review();
  dropIdle(states);
}

function wakeArm(context: DispatchContext, model: DispatchState<QueuedRequest>, arm: Arm): void {
  if (arm.queue.size === 0) return;
  if (!model.listed) dismiss(arm, { kind: 'refused', reason: 'deleting' });
  else if (model.route.stopped) dismiss(arm, { kind: 'refused', reason: 'stopped' });
  else if (!arm.listed) dismiss(arm, { kind: 'moved' });
  else if (isGivenUp(arm)) dismiss(arm, { kind: 'refused', reason: 'no_replica' });
  else drain(context, arm);
}

/** Requests are not held for this arm any longer. */
const isGivenUp = (arm: Arm): boolean =>
  arm.route.holdMs === 0 && usableEndpoints(arm).length === 0;

class TableDispatcher implements Dispatcher {
  constructor(private readonly context: DispatchContext) {}

  start(job: Job, call: JobCall): void {
    const { context } = this;
    sync(context);
    const now = context.clock.now();
    if (job.isBatchCall !== true) context.active += 1;
    const active = new ActiveJob(context, job, call, now);
    const route = context.table.current.models.get(job.model.id);
    if (route === undefined) return active.refuse('deleting');
    const model = dispatchStateOf(context.states, route, now, context.tuning);
    if (route.deleting || route.stopped) {
      active.arm = model.arms.get(route.shares[0]?.arm ?? '');
      return active.refuse(route.deleting ? 'deleting' : 'stopped');
    }
    if (job.isBatchCall !== true) countRequest(model.budget, now);
    active.dispatch(model, now);
  }

  poisonedMs(model: string, arm: string, fingerprint: string | undefined): number {
    const { suspects, states } = this.context;
    const ms = suspects.poisonedMs(fingerprint);
    const state = ms > 0 ? states.get(model)?.arms.get(arm) : undefined;
    if (state !== undefined) state.poisoned += 1;
    return ms;
  }

  plan(criteria: ArmCriteria): DispatchPlan | undefined {
    const { context } = this;
    sync(context);
    const now = context.clock.now();
    const route = context.table.current.models.get(criteria.model.id);
    if (route === undefined || route.deleting || route.stopped) return undefined;
    const model = dispatchStateOf(context.states, route, now, context.tuning);
    const arm = chooseArmFor(context, model, { job: criteria, spilled: undefined });
    return arm === undefined ? undefined : { arm: arm.route, rooms: roomsOf(arm, now) };
  }
}
