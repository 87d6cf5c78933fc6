import type { FailingHash } from '../../core/release/rollout-state';
import type { Trials } from '../../core/release/trials';
import type { Queue } from '../../core/routing/admission';
import { createQueue } from '../../core/routing/admission';
import type { Cost, Spread } from '../../core/routing/balance';
import { UNKNOWN_COST_MS } from '../../core/routing/balance';
import type { RetryBudget } from '../../core/routing/retry-budget';
import { createBudget } from '../../core/routing/retry-budget';
import type { EjectionState } from '../../core/routing/ejection';
import { initialEjectionState } from '../../core/routing/ejection';
import type { ShedReason, SpillReason } from '../../core/routing/outcome';
import type { RecentEvents } from '../../core/routing/recent-events';
import { createRecent } from '../../core/routing/recent-events';
import type { Credits } from '../../core/routing/split';
import { NO_CREDITS } from '../../core/routing/split';
import type { ArmRoute, ModelRoute, ReplicaRoute, RoutingTable } from '../../core/routing/table';
import type { Tuning } from '../../core/routing/tuning';
import type { OutcomeWindow } from '../../core/routing/window';
import { createWindow } from '../../core/routing/window';
import { PendingAttempts } from './pending-attempts';

/** State of one replica, as this router knows it. */
export interface EndpointState {
  replica: ReplicaRoute;
  /** In the current routing table; a replica that left it only finishes its requests. */
  listed: boolean;
  cost: Cost;
  ejection: EjectionState;
  joinedAt: number;
  /** Failures that were too fast count as work until then (core/balance). */
  busyUntil: number;
  inFlight: number;
  items: number;
  readonly pending: PendingAttempts;
  readonly requests: RecentEvents;
  readonly failures: RecentEvents;
}

export interface ArmState<W> {
  readonly model: DispatchState<W>;
  route: ArmRoute;
  /** In the current routing table. */
  listed: boolean;
  readonly endpoints: Map<string, EndpointState>;
  /** Listed replicas that may serve: terminating ones only when there are no others. */
  serving: readonly EndpointState[];
  readonly queue: Queue<W>;
  /** From the time no replica was up until the queue is empty. */
  isHolding: boolean;
  readonly window: OutcomeWindow;
  /** Milliseconds a request holds its slot. */
  serviceMs: Spread | undefined;
  /** Milliseconds per item to the first byte, of all replicas. */
  costMs: Spread | undefined;
  lastRequestAt: number | undefined;
  lastFailure: { readonly at: number; readonly message: string } | undefined;
  readonly shed: Partial<Record<ShedReason, number>>;
  readonly spilled: Partial<Record<SpillReason, number>>;
  retries: number;
  ejections: number;
  /** Requests that crashed two replicas, and refused repetitions of them. */
  poisoned: number;
  /** Cancels the timer that drains the queue; undefined: none is set. */
  cancelWake: (() => void) | undefined;
}

/** What this router counts of one rollout. */
export interface RolloutCounters {
  /** Of the rollout. */
  readonly id: string;
  readonly trials: Trials;
  /** Times to the first byte of stable, last minute. */
  readonly firstBytes: OutcomeWindow;
  /** Failing callers in the order of `trials.failing()`, each hashed once. */
  readonly failing: FailingHash[];
  /** Requests without a caller's key. */
  unnamed: number;
}

export interface DispatchState<W> {
  readonly tuning: Tuning;
  /** The newest route, or the last one before the model left the table. */
  route: ModelRoute;
  listed: boolean;
  credits: Credits;
  readonly budget: RetryBudget;
  /** Counts of the last rollout that had requests here. */
  rollout: RolloutCounters | undefined;
  readonly arms: Map<string, ArmState<W>>;
}

/** By model ID; a model that had no traffic has no entry. */
export type DispatchStates<W> = Map<string, DispatchState<W>>;

function newEndpoint<W>(replica: ReplicaRoute, arm: ArmState<W>, now: number): EndpointState {
  return {
    replica,
    listed: true,
    cost: { ms: arm.costMs?.mean ?? UNKNOWN_COST_MS, at: now },
    ejection: initialEjectionState(now),
    joinedAt: now,
    busyUntil: now,
    inFlight: 0,
    items: 0,
    pending: new PendingAttempts(),
    requests: createRecent(arm.model.tuning.comparisonSeconds),
    failures: createRecent(arm.model.tuning.comparisonSeconds),
  };
}

function newArm<W>(model: DispatchState<W>, route: ArmRoute): ArmState<W> {
  return {
    model,
    route,
    listed: true,
    endpoints: new Map(),
    serving: [],
    queue: createQueue(),
    isHolding: false,
    window: createWindow(),
    serviceMs: undefined,
    costMs: undefined,
    lastRequestAt: undefined,
    lastFailure: undefined,
    shed: {},
    spilled: {},
    retries: 0,
    ejections: 0,
    poisoned: 0,
    cancelWake: undefined,
  };
}

const isIdle = (endpoint: EndpointState): boolean => endpoint.inFlight === 0;

function armIsIdle<W>(arm: ArmState<W>): boolean {
  return arm.queue.size === 0 && [...arm.endpoints.values()].every(isIdle);
}

/** Adds replicas of the table; endpoints that left it stay until they are idle. */
function syncEndpoints<W>(arm: ArmState<W>, replicas: readonly ReplicaRoute[], now: number): void {
  for (const endpoint of arm.endpoints.values()) endpoint.listed = false;
  for (const replica of replicas) {
    const endpoint = arm.endpoints.get(replica.id);
    if (endpoint === undefined) arm.endpoints.set(replica.id, newEndpoint(replica, arm, now));
    else Object.assign(endpoint, { replica, listed: true });
  }
  for (const [id, endpoint] of arm.endpoints)
    if (!endpoint.listed && isIdle(endpoint)) arm.endpoints.delete(id);
  const listed = [...arm.endpoints.values()].filter((endpoint) => endpoint.listed);
  const staying = listed.filter(({ replica }) => !replica.terminating);
  arm.serving = staying.length > 0 ? staying : listed;
}

function syncArm<W>(model: DispatchState<W>, route: ArmRoute, now: number): void {
  const known = model.arms.get(route.name);
  const arm = known ?? newArm(model, route);
  if (known === undefined) model.arms.set(route.name, arm);
  arm.route = route;
  arm.listed = true;
  syncEndpoints(arm, route.replicas, now);
}

function syncModel<W>(model: DispatchState<W>, route: ModelRoute | undefined, now: number): void {
  model.listed = route !== undefined;
  model.route = route ?? model.route;
  for (const arm of model.arms.values()) {
    arm.listed = false;
    if (route?.arms.has(arm.route.name) !== true) syncEndpoints(arm, [], now);
  }
  for (const arm of route?.arms.values() ?? []) syncArm(model, arm, now);
}

/** Updates the existing states from a new routing table. */
export function syncStates<W>(states: DispatchStates<W>, table: RoutingTable, now: number): void {
  for (const [id, model] of states) {
    const route = table.models.get(id);
    // Tables share the route objects of models that did not change.
    if (route === undefined || route !== model.route || !model.listed) syncModel(model, route, now);
  }
}

/** Removes arms and models that left the table and are idle. */
export function dropIdle<W>(states: DispatchStates<W>): void {
  for (const [id, model] of states) {
    for (const [name, arm] of model.arms) {
      if (arm.listed || !armIsIdle(arm)) continue;
      arm.cancelWake?.();
      model.arms.delete(name);
    }
    if (!model.listed && model.arms.size === 0) states.delete(id);
  }
}

/** The state of a model, created on its first request. */
export function dispatchStateOf<W>(
  states: DispatchStates<W>,
  route: ModelRoute,
  now: number,
  tuning: Tuning,
): DispatchState<W> {
  const known = states.get(route.id);
  if (known !== undefined) return known;
  const made: DispatchState<W> = {
    tuning,
    route,
    listed: true,
    credits: NO_CREDITS,
    budget: createBudget(tuning.budgetSeconds),
    rollout: undefined,
    arms: new Map(),
  };
  syncModel(made, route, now);
  states.set(route.id, made);
  return made;
}
