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

/** Replica of the failed try, what it runs, and until when it is avoided. */
export interface AvoidedReplica {
  readonly id: string;
  readonly version: string;
  readonly until: number;
}

/** A request as it looks for a replica. */
export interface EndpointFilter {
  readonly items: number;
  /** May it find out whether an ejected replica is well again? Only one that can be repeated. */
  readonly mayProbe: boolean;
  readonly avoid: AvoidedReplica | undefined;
  /** Replica that it was planned for. */
  readonly planned?: string | undefined;
  /** The only version that will do. */
  readonly version?: string | undefined;
}

const isIn = (endpoint: EndpointState): boolean => endpoint.ejection.kind === 'healthy';

/** Replicas that may get requests, busy or not. */
export function usableEndpoints<W>({ serving, model }: ArmState<W>): readonly EndpointState[] {
  if (serving.every(isIn)) return serving;
  const reachable = serving.filter(({ ejection }) => !isUnreachable(ejection));
  const healthy = reachable.filter(isIn);
  return healthy.length >= reachable.length * model.tuning.panicRatio ? healthy : reachable;
}

/** Requests in flight the arm takes at this moment. */
export function capacityOf<W>(arm: ArmState<W>): number {
  return usableEndpoints(arm).length * arm.route.concurrencyPerReplica;
}

/**
 * Replicas with room: those in use, and ejected ones whose time is over; one request each may ask.
 */
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

/** A second try is for the version that the first was for, where that has room. */
function preferSameVersion(
  endpoints: readonly EndpointState[],
  { avoid }: EndpointFilter,
): readonly EndpointState[] {
  if (avoid === undefined) return endpoints;
  const same = endpoints.filter(({ replica }) => replica.version === avoid.version);
  return same.length > 0 ? same : endpoints;
}

/**
 * Is there anything open for this request? A probe is for one that can be repeated, or the last
 * resort.
 */
export function hasEndpoint(
  { free, due: asking }: AvailableEndpoints,
  filter: EndpointFilter,
  now: number,
): boolean {
  const fits = allows(filter, now);
  return free.some(fits) || ((filter.mayProbe || free.length === 0) && asking.some(fits));
}

/**
 * Filter → score → pick. A due probe goes first: without a request nobody learns that the replica
 * is well. The slot is taken when this returns.
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

/** What the replicas of an arm have room for. */
export function roomsOf<W>(arm: ArmState<W>, now: number): readonly FreeCapacity[] {
  return usableEndpoints(arm).map((endpoint) => ({
    replica: endpoint.replica.id,
    free: Math.max(0, arm.route.concurrencyPerReplica - endpoint.inFlight),
    costMs: costOf(arm, endpoint, now),
  }));
}

/** Is there another replica on which a second try has a chance? One that keeps failing has none. */
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

/**
 * Learns from how long the first byte took. A failure teaches only when it was slower than
 * expected.
 */
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
 * What a result means for the replica it came from. True when it came in or went out by it, so that
 * those who wait must be looked at.
 */
export function recordResult<W>(
  arm: ArmState<W>,
  endpoint: EndpointState,
  result: AttemptResult,
  circumstances: AttemptConditions,
  now: number,
  random: () => number,
): boolean {
  const { kind } = endpoint.ejection;
  const { tuning } = arm.model;
  const verdict = classifyResult(result, circumstances, tuning.excusedLagMs);
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

/** When the next ejected replica may be asked, milliseconds since the epoch. */
export function nextDue<W>(arm: ArmState<W>, now: number): number {
  return arm.serving.reduce(
    (earliest, { ejection }) =>
      ejection.kind === 'ejected' && ejection.until > now
        ? Math.min(earliest, ejection.until)
        : earliest,
    Infinity,
  );
}
