import type { ArmStats, Load, ReplicaStats } from '../../core/routing/load';
import type { ArmRoute, TableHolder } from '../../core/routing/table';
import { windowStats } from '../../core/routing/window';
import { capacityOf, costOf } from './endpoints';
import type { ArmState, EndpointState, DispatchStates } from './arm-state';
import { UNKNOWN_COST_MS } from '../../core/routing/balance';
import type { QueuedRequest } from './queue';
import { rolloutCounts } from './rollout-counters';

function endpointStats<W>(arm: ArmState<W>, endpoint: EndpointState, now: number): ReplicaStats {
  const { replica, inFlight, ejection } = endpoint;
  return {
    id: replica.id,
    address: replica.address,
    inFlight,
    costMs: costOf(arm, endpoint, now),
    ...(ejection.kind === 'ejected' ? { ejectedUntil: ejection.until } : {}),
  };
}

function armStats<W>(model: string, arm: ArmState<W>, now: number): ArmStats {
  const endpoints = [...arm.endpoints.values()];
  const { route, lastRequestAt, lastFailure } = arm;
  return {
    model,
    arm: route.name,
    version: route.version,
    inFlight: endpoints.reduce((sum, { inFlight }) => sum + inFlight, 0),
    queued: arm.queue.size,
    capacity: capacityOf(arm),
    // Computed on access: peers read the other fields every second.
    get window() {
      return windowStats(arm.window, now);
    },
    ...(lastRequestAt === undefined ? {} : { lastRequestAt }),
    ...(lastFailure === undefined ? {} : { lastFailure }),
    replicas: endpoints
      .filter(({ listed }) => listed)
      .map((endpoint) => endpointStats(arm, endpoint, now)),
    shed: { ...arm.shed },
    spilled: { ...arm.spilled },
    retries: arm.retries,
    ejections: arm.ejections,
    poisoned: arm.poisoned,
  };
}

/** Statistics of an arm that had no request yet. */
function idleArmStats(model: string, arm: ArmRoute): ArmStats {
  const staying = arm.replicas.filter(({ terminating }) => !terminating);
  const serving = staying.length > 0 ? staying : arm.replicas;
  return {
    model,
    arm: arm.name,
    version: arm.version,
    inFlight: 0,
    queued: 0,
    capacity: serving.length * arm.concurrencyPerReplica,
    window: { requests: 0, failures: 0 },
    replicas: arm.replicas.map(({ id, address }) => ({
      id,
      address,
      inFlight: 0,
      costMs: UNKNOWN_COST_MS,
    })),
    shed: {},
  };
}

/** Load of the data plane: copies, made on request. */
export function loadOf(
  states: DispatchStates<QueuedRequest>,
  table: TableHolder,
  now: () => number,
  random: () => number,
  active: () => number,
): Load {
  const arm: Load['arm'] = (model, name) => {
    const state = states.get(model)?.arms.get(name);
    if (state !== undefined) return armStats(model, state, now());
    const route = table.current.models.get(model)?.arms.get(name);
    return route === undefined ? undefined : idleArmStats(model, route);
  };
  const arms = (): readonly ArmStats[] => {
    const known = [...states].flatMap(([id, model]) =>
      [...model.arms.values()].map((state) => armStats(id, state, now())),
    );
    const quiet = [...table.current.models.values()].flatMap((route) =>
      [...route.arms.values()]
        .filter(({ name }) => states.get(route.id)?.arms.has(name) !== true)
        .map((one) => idleArmStats(route.id, one)),
    );
    return [...known, ...quiet];
  };
  const rollouts: Load['rollouts'] = () =>
    [...states.values()].flatMap((model) => rolloutCounts(model, now(), random) ?? []);
  return { arms, arm, rollouts, active };
}
