import {
  busyAfter,
  costAfter,
  costAt,
  spreadAfter,
  pickTwo,
  score,
} from '../../core/routing/balance';
import type { FreeCapacity } from '../../core/routing/batch-chunks';
import type { AttemptConditions, Siblings } from '../../core/routing/ejection';
import {
  recordFailure,
  recordSuccess,
  recordInconclusive,
  recordUnreachable,
  isProbeDue,
  isUnreachable,
  mayEject,
  halfOpened,
  classifyResult,
} from '../../core/routing/ejection';
import type { AttemptResult } from '../../core/routing/outcome';
import { addRecent, sumRecent } from '../../core/routing/recent-events';
import type { Tuning } from '../../core/routing/tuning';
import type { ArmState, EndpointState } from './arm-state';

/** The replica of the failed attempt, its version, and when the avoidance ends. */
export interface AvoidedReplica {
  readonly id: string;
  readonly version: string;
  readonly until: number;
}

/** The replicas that a request accepts, and the load it adds. */
export interface EndpointFilter {
  readonly items: number;
  /** It may probe an ejected replica, because it can be retried. */
  readonly mayProbe: boolean;
  readonly avoid: AvoidedReplica | undefined;
  /** ID of the replica it was planned for. */
  readonly planned?: string | undefined;
  /** Only replicas of this version are accepted. */
  readonly version?: string | undefined;
}

const isIn = (endpoint: EndpointState): boolean => endpoint.ejection.kind === 'healthy';

/** Replicas that may get requests, regardless of their load. */
export function usableEndpoints<W>({ serving, model }: ArmState<W>): readonly EndpointState[] {
  if (serving.every(isIn)) return serving;
  const reachable = serving.filter(({ ejection }) => !isUnreachable(ejection));
  const healthy = reachable.filter(isIn);
  return healthy.length >= reachable.length * model.tuning.panicRatio ? healthy : reachable;
}

/** Maximum requests in flight of the arm now. */
export function capacityOf<W>(arm: ArmState<W>): number {
  return usableEndpoints(arm).length * arm.route.concurrencyPerReplica;
}

/** Replicas with a free slot, and ejected ones that are due for one probe each. */
export interface AvailableEndpoints {
  readonly free: readonly EndpointState[];
  readonly due: readonly EndpointState[];
}

const NONE: readonly EndpointState[] = [];

export function availableEndpoints<W>(arm: ArmState<W>, now: number): AvailableEndpoints {
  const { serving, route } = arm;
  const free = usableEndpoints(arm).filter(
    ({ inFlight }) => inFlight < route.concurrencyPerReplica,
  );
  const due = serving.every(isIn)
    ? NONE
    : serving.filter(({ ejection }) => isProbeDue(ejection, now));
  return { free, due };
}

const allows =
  ({ avoid, version }: EndpointFilter, now: number) =>
  ({ replica }: EndpointState): boolean =>
    (avoid === undefined || avoid.id !== replica.id || now >= avoid.until) &&
    (version === undefined || version === replica.version);

/** A retry prefers the version of the first attempt. */
function preferSameVersion(
  endpoints: readonly EndpointState[],
  { avoid }: EndpointFilter,
): readonly EndpointState[] {
  if (avoid === undefined) return endpoints;
  const same = endpoints.filter(({ replica }) => replica.version === avoid.version);
  return same.length > 0 ? same : endpoints;
}

/** A request that cannot be retried is used as a probe only as a last resort. */
export function hasEndpoint(
  { free, due: asking }: AvailableEndpoints,
  filter: EndpointFilter,
  now: number,
): boolean {
  const fits = allows(filter, now);
  return free.some(fits) || ((filter.mayProbe || free.length === 0) && asking.some(fits));
}

/**
 * Filters, scores and picks an endpoint, and takes its slot. A due probe goes first: only a request
 * can show that the replica has recovered.
 */
export function takeEndpoint<W>(
  arm: ArmState<W>,
  open: AvailableEndpoints,
  filter: EndpointFilter,
  now: number,
  random: () => number,
): EndpointState | undefined {
  const fits = allows(filter, now);
  const isAny = filter.avoid === undefined && filter.version === undefined;
  const free = isAny ? open.free : preferSameVersion(open.free.filter(fits), filter);
  const asking = filter.mayProbe || free.length === 0 ? open.due.find(fits) : undefined;
  const mean = arm.costMs?.mean ?? 0;
  const planned =
    filter.planned === undefined
      ? undefined
      : free.find(({ replica }) => replica.id === filter.planned);
  const endpoint =
    asking ?? planned ?? pickTwo(free, (one) => scoreOf(one, mean, now, arm.model.tuning), random);
  if (endpoint === undefined) return undefined;
  if (asking !== undefined) endpoint.ejection = halfOpened(endpoint.ejection);
  endpoint.inFlight += 1;
  endpoint.items += filter.items;
  return endpoint;
}

function scoreOf(endpoint: EndpointState, mean: number, now: number, tuning: Tuning): number {
  const { cost, items, joinedAt, busyUntil } = endpoint;
  const one = {
    cost,
    itemsInFlight: items,
    waitingSince: endpoint.pending.since,
    busyUntil,
    joinedAt,
  };
  return score(one, mean, now, tuning);
}

/** Expected milliseconds per item. */
export function costOf<W>(arm: ArmState<W>, endpoint: EndpointState, now: number): number {
  return costAt(endpoint.cost, arm.costMs?.mean ?? endpoint.cost.ms, now, arm.model.tuning.decayMs);
}

/** Free slots of each replica of an arm. */
export function roomsOf<W>(arm: ArmState<W>, now: number): readonly FreeCapacity[] {
  return usableEndpoints(arm).map((endpoint) => ({
    replica: endpoint.replica.id,
    free: Math.max(0, arm.route.concurrencyPerReplica - endpoint.inFlight),
    costMs: costOf(arm, endpoint, now),
  }));
}

/** Another usable replica exists that is not failing repeatedly. */
export function hasAlternative<W>(
  arm: ArmState<W>,
  failed: EndpointState,
  version?: string,
): boolean {
  return usableEndpoints(arm).some(
    (endpoint) =>
      endpoint !== failed &&
      (version === undefined || endpoint.replica.version === version) &&
      endpoint.ejection.kind === 'healthy' &&
      endpoint.ejection.failures < arm.model.tuning.consecutiveFailures,
  );
}

/** Updates the cost from the time to the first byte. A failure counts only if it was slow. */
export function learnCost<W>(
  arm: ArmState<W>,
  endpoint: EndpointState,
  ms: number,
  good: boolean,
  now: number,
): void {
  if (good) arm.costMs = spreadAfter(arm.costMs, ms);
  else endpoint.busyUntil = busyAfter(endpoint.busyUntil, ms, arm.costMs?.mean ?? 0, now);
  if (good || ms > endpoint.cost.ms) {
    endpoint.cost = costAfter(endpoint.cost, ms, now, arm.model.tuning.decayMs);
  }
}

const attemptCounts = (endpoints: readonly EndpointState[], now: number): Siblings['own'] => ({
  requests: endpoints.reduce((sum, { requests }) => sum + sumRecent(requests, now), 0),
  failures: endpoints.reduce((sum, { failures }) => sum + sumRecent(failures, now), 0),
});

function siblingsOf<W>(arm: ArmState<W>, endpoint: EndpointState, now: number): Siblings {
  const { maxEjectedRatio } = arm.model.tuning;
  const reachable = arm.serving.filter(({ ejection }) => !isUnreachable(ejection));
  const away = reachable.filter((one) => !isIn(one)).length;
  return {
    own: attemptCounts([endpoint], now),
    others: attemptCounts(
      reachable.filter((one) => one !== endpoint),
      now,
    ),
    mayEject: reachable.includes(endpoint) && mayEject(reachable.length, away, maxEjectedRatio),
  };
}

/**
 * Updates the ejection state of the replica that produced the result.
 * @returns whether the state changed kind, so that the queue must be drained
 */
export function recordResult<W>(
  arm: ArmState<W>,
  endpoint: EndpointState,
  result: AttemptResult,
  conditions: AttemptConditions,
  now: number,
  random: () => number,
): boolean {
  const { kind } = endpoint.ejection;
  const { tuning } = arm.model;
  const verdict = classifyResult(result, conditions, tuning.excusedLagMs);
  if (verdict !== 'inconclusive') addRecent(endpoint.requests, now);
  if (verdict === 'failure' || verdict === 'unreachable') addRecent(endpoint.failures, now);
  if (verdict === 'inconclusive') endpoint.ejection = recordInconclusive(endpoint.ejection, now);
  if (verdict === 'success') endpoint.ejection = recordSuccess(endpoint.ejection, now);
  if (verdict === 'unreachable') {
    endpoint.ejection = recordUnreachable(endpoint.ejection, now, random(), tuning);
  }
  if (verdict === 'failure') {
    const siblings = (): Siblings => siblingsOf(arm, endpoint, now);
    endpoint.ejection = recordFailure(endpoint.ejection, now, random(), siblings, tuning);
  }
  const after = kindOf(endpoint);
  if (kind === 'halfOpen' && after === 'healthy') endpoint.joinedAt = now;
  if (kind === 'healthy' && after === 'ejected') arm.ejections += 1;
  return kind !== after;
}

const kindOf = (endpoint: EndpointState): EndpointState['ejection']['kind'] =>
  endpoint.ejection.kind;

/** When the next ejected replica is due for a probe; milliseconds since the epoch. */
export function nextDue<W>(arm: ArmState<W>, now: number): number {
  return arm.serving.reduce(
    (earliest, { ejection }) =>
      ejection.kind === 'ejected' && ejection.until > now
        ? Math.min(earliest, ejection.until)
        : earliest,
    Infinity,
  );
}
