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
import type { ArmState, Seat } from './arm-state';

/** Replica of the failed try, what it runs, and until when it is avoided. */
export interface Avoided {
  readonly id: string;
  readonly version: string;
  readonly until: number;
}

/** A request as it looks for a replica. */
export interface Wish {
  readonly items: number;
  /** May it find out whether an ejected replica is well again? Only one that can be repeated. */
  readonly mayProbe: boolean;
  readonly avoid: Avoided | undefined;
  /** Replica that it was planned for. */
  readonly planned?: string | undefined;
  /** The only version that will do. */
  readonly version?: string | undefined;
}

const isIn = (seat: Seat): boolean => seat.ejection.kind === 'healthy';

/** Replicas that may get requests, busy or not. */
export function usable<W>({ serving, model }: ArmState<W>): readonly Seat[] {
  if (serving.every(isIn)) return serving;
  const reachable = serving.filter(({ ejection }) => !isUnreachable(ejection));
  const healthy = reachable.filter(isIn);
  return healthy.length >= reachable.length * model.tuning.panicRatio ? healthy : reachable;
}

/** Requests in flight the arm takes at this moment. */
export function capacityOf<W>(arm: ArmState<W>): number {
  return usable(arm).length * arm.route.concurrencyPerReplica;
}

/**
 * Replicas with room: those in use, and ejected ones whose time is over; one request each may ask.
 */
export interface Open {
  readonly free: readonly Seat[];
  readonly due: readonly Seat[];
}

const NOBODY: readonly Seat[] = [];

export function openSeats<W>(arm: ArmState<W>, now: number): Open {
  const { serving, route } = arm;
  const free = usable(arm).filter(({ inFlight }) => inFlight < route.concurrencyPerReplica);
  const due = serving.every(isIn)
    ? NOBODY
    : serving.filter(({ ejection }) => isProbeDue(ejection, now));
  return { free, due };
}

const allows =
  ({ avoid, version }: Wish, now: number) =>
  ({ replica }: Seat): boolean =>
    (avoid === undefined || avoid.id !== replica.id || now >= avoid.until) &&
    (version === undefined || version === replica.version);

/** A second try is for the version that the first was for, where that has room. */
function alike(seats: readonly Seat[], { avoid }: Wish): readonly Seat[] {
  if (avoid === undefined) return seats;
  const same = seats.filter(({ replica }) => replica.version === avoid.version);
  return same.length > 0 ? same : seats;
}

/**
 * Is there anything open for this request? A probe is for one that can be repeated, or the last
 * resort.
 */
export function hasSeat({ free, due: asking }: Open, wish: Wish, now: number): boolean {
  const fits = allows(wish, now);
  return free.some(fits) || ((wish.mayProbe || free.length === 0) && asking.some(fits));
}

/**
 * Filter → score → pick. A due probe goes first: without a request nobody learns that the replica
 * is well. The slot is taken when this returns.
 */
export function takeSeat<W>(
  arm: ArmState<W>,
  open: Open,
  wish: Wish,
  now: number,
  random: () => number,
): Seat | undefined {
  const fits = allows(wish, now);
  const isAny = wish.avoid === undefined && wish.version === undefined;
  const free = isAny ? open.free : alike(open.free.filter(fits), wish);
  const asking = wish.mayProbe || free.length === 0 ? open.due.find(fits) : undefined;
  const mean = arm.cost?.mean ?? 0;
  const planned =
    wish.planned === undefined
      ? undefined
      : free.find(({ replica }) => replica.id === wish.planned);
  const seat =
    asking ?? planned ?? pickTwo(free, (one) => scoreOf(one, mean, now, arm.model.tuning), random);
  if (seat === undefined) return undefined;
  if (asking !== undefined) seat.ejection = halfOpened(seat.ejection);
  seat.inFlight += 1;
  seat.items += wish.items;
  return seat;
}

function scoreOf(seat: Seat, mean: number, now: number, tuning: Tuning): number {
  const { cost, items, joinedAt, busyUntil } = seat;
  const one = {
    cost,
    itemsInFlight: items,
    waitingSince: seat.unanswered.since,
    busyUntil,
    joinedAt,
  };
  return score(one, mean, now, tuning);
}

/** Expected milliseconds per item. */
export function costOf<W>(arm: ArmState<W>, seat: Seat, now: number): number {
  return costAt(seat.cost, arm.cost?.mean ?? seat.cost.ms, now, arm.model.tuning.decayMs);
}

/** What the replicas of an arm have room for. */
export function roomsOf<W>(arm: ArmState<W>, now: number): readonly FreeCapacity[] {
  return usable(arm).map((seat) => ({
    replica: seat.replica.id,
    free: Math.max(0, arm.route.concurrencyPerReplica - seat.inFlight),
    costMs: costOf(arm, seat, now),
  }));
}

/** Is there another replica on which a second try has a chance? One that keeps failing has none. */
export function hasHope<W>(arm: ArmState<W>, failed: Seat, version?: string): boolean {
  return usable(arm).some(
    (seat) =>
      seat !== failed &&
      (version === undefined || seat.replica.version === version) &&
      seat.ejection.kind === 'healthy' &&
      seat.ejection.failures < arm.model.tuning.consecutiveFailures,
  );
}

/**
 * Learns from how long the first byte took. A failure teaches only when it was slower than
 * expected.
 */
export function learnCost<W>(
  arm: ArmState<W>,
  seat: Seat,
  ms: number,
  good: boolean,
  now: number,
): void {
  if (good) arm.cost = spreadAfter(arm.cost, ms);
  else seat.busyUntil = busyAfter(seat.busyUntil, ms, arm.cost?.mean ?? 0, now);
  if (good || ms > seat.cost.ms) {
    seat.cost = costAfter(seat.cost, ms, now, arm.model.tuning.decayMs);
  }
}

const triesOf = (seats: readonly Seat[], now: number): Siblings['own'] => ({
  requests: seats.reduce((sum, { requests }) => sum + sumRecent(requests, now), 0),
  failures: seats.reduce((sum, { failures }) => sum + sumRecent(failures, now), 0),
});

function siblingsOf<W>(arm: ArmState<W>, seat: Seat, now: number): Siblings {
  const { maxEjectedRatio } = arm.model.tuning;
  const reachable = arm.serving.filter(({ ejection }) => !isUnreachable(ejection));
  const away = reachable.filter((one) => !isIn(one)).length;
  return {
    own: triesOf([seat], now),
    others: triesOf(
      reachable.filter((one) => one !== seat),
      now,
    ),
    mayEject: reachable.includes(seat) && mayEject(reachable.length, away, maxEjectedRatio),
  };
}

/**
 * What a result means for the replica it came from. True when it came in or went out by it, so that
 * those who wait must be looked at.
 */
export function recordResult<W>(
  arm: ArmState<W>,
  seat: Seat,
  result: AttemptResult,
  circumstances: AttemptConditions,
  now: number,
  random: () => number,
): boolean {
  const { kind } = seat.ejection;
  const { tuning } = arm.model;
  const verdict = classifyResult(result, circumstances, tuning.excusedLagMs);
  if (verdict !== 'inconclusive') addRecent(seat.requests, now);
  if (verdict === 'failure' || verdict === 'unreachable') addRecent(seat.failures, now);
  if (verdict === 'inconclusive') seat.ejection = recordInconclusive(seat.ejection, now);
  if (verdict === 'success') seat.ejection = recordSuccess(seat.ejection, now);
  if (verdict === 'unreachable') {
    seat.ejection = recordUnreachable(seat.ejection, now, random(), tuning);
  }
  if (verdict === 'failure') {
    const siblings = (): Siblings => siblingsOf(arm, seat, now);
    seat.ejection = recordFailure(seat.ejection, now, random(), siblings, tuning);
  }
  const after = kindOf(seat);
  if (kind === 'halfOpen' && after === 'healthy') seat.joinedAt = now;
  if (kind === 'healthy' && after === 'ejected') arm.ejections += 1;
  return kind !== after;
}

const kindOf = (seat: Seat): Seat['ejection']['kind'] => seat.ejection.kind;

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
