import type { FailureCounts } from '../release/failure-comparison';
import { isWorse } from '../release/failure-comparison';
import type { AttemptResult } from './outcome';
import { isUnavailable } from './retry';

/** Consecutive failures that eject a replica. */
export const CONSECUTIVE_FAILURES = 5;
export const BASE_EJECTION_MS = 1_000;
export const MAX_EJECTION_MS = 60_000;
/** A replica that refuses connections is probed again soon: a restart takes seconds. */
export const MAX_UNREACHABLE_MS = 5_000;
/** Spreads the ends of ejections, so that all routers do not probe at once. */
export const EJECTION_JITTER = 0.25;
/** After this long without an ejection, the backoff starts again at the base time. */
export const EJECTION_MEMORY_MS = 60_000;
/** Window in which a replica is compared with its siblings, seconds. */
export const COMPARISON_SECONDS = 10;
/** A timeout does not count against the replica if our own event loop stalled this long. */
export const EXCUSED_LAG_MS = 100;

/** Largest ejected part of the reachable replicas: the rest must carry the load. */
export const MAX_EJECTED_RATIO = 0.5;
/** Panic threshold: with a smaller healthy part, ejection is ignored, or the rest is overloaded. */
export const PANIC_RATIO = 0.5;

/** Durations of ejections. */
interface EjectionTimes {
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxUnreachableMs: number;
  readonly ejectionJitter: number;
  readonly ejectionMemoryMs: number;
}

interface EjectionRules extends EjectionTimes {
  readonly consecutiveFailures: number;
}

const RULES: EjectionRules = {
  baseEjectionMs: BASE_EJECTION_MS,
  maxEjectionMs: MAX_EJECTION_MS,
  maxUnreachableMs: MAX_UNREACHABLE_MS,
  ejectionJitter: EJECTION_JITTER,
  ejectionMemoryMs: EJECTION_MEMORY_MS,
  consecutiveFailures: CONSECUTIVE_FAILURES,
};

/** `failing`: its answers are failures. `unreachable`: it refuses connections. */
export type EjectionReason = 'failing' | 'unreachable';

/** This router's view of a replica. Times are milliseconds since the epoch. */
export type EjectionState =
  | {
      readonly kind: 'healthy';
      readonly failures: number;
      readonly ejections: number;
      readonly since: number;
    }
  | {
      readonly kind: 'ejected';
      readonly reason: EjectionReason;
      readonly until: number;
      readonly ejections: number;
    }
  /** One request probes whether the replica has recovered. */
  | { readonly kind: 'halfOpen'; readonly reason: EjectionReason; readonly ejections: number };

export function initialEjectionState(now: number): EjectionState {
  return { kind: 'healthy', failures: 0, ejections: 0, since: now };
}

export type ResultClass = 'success' | 'failure' | 'unreachable' | 'inconclusive';

/** Circumstances of an attempt that decide whether its result counts. */
export interface AttemptConditions {
  /** Longest recent stall of our own event loop, milliseconds. */
  readonly lagMs: number;
  /** Did the replica have the time that most requests need? Not if it left our queue late. */
  readonly hadTime: boolean;
}

/**
 * Classifies a result. 4xx and 500 come from a healthy replica. A caller that disconnected, a
 * request that the router refused, and a timeout that our own stall caused are inconclusive.
 */
export function classifyResult(
  result: AttemptResult,
  { lagMs, hadTime }: AttemptConditions,
  excusedLagMs = EXCUSED_LAG_MS,
): ResultClass {
  switch (result.kind) {
    case 'answered':
      return isUnavailable(result.status) ? 'failure' : 'success';
    case 'aborted':
    case 'rejected':
      return 'inconclusive';
    case 'timeout':
      return lagMs > excusedLagMs || !hadTime ? 'inconclusive' : 'failure';
    case 'unreached':
      return lagMs > excusedLagMs ? 'inconclusive' : 'unreachable';
    case 'reset':
    case 'protocol':
      return 'failure';
  }
}

function eject(
  reason: EjectionReason,
  ejections: number,
  now: number,
  random: number,
  { baseEjectionMs, maxEjectionMs, maxUnreachableMs, ejectionJitter }: EjectionTimes,
): EjectionState {
  const most = Math.max(baseEjectionMs, maxEjectionMs);
  const longest = reason === 'failing' ? most : Math.min(most, maxUnreachableMs);
  const length = Math.min(longest, baseEjectionMs * 2 ** ejections);
  const until = now + length * (1 - ejectionJitter + 2 * ejectionJitter * random);
  return { kind: 'ejected', reason, until, ejections: ejections + 1 };
}

/** May one more of `reachable` replicas be ejected? At most half, never the last: 2 of 4. */
export function mayEject(
  reachable: number,
  away: number,
  maxEjectedRatio = MAX_EJECTED_RATIO,
): boolean {
  return away + 1 <= Math.min(reachable - 1, Math.floor(reachable * maxEjectedRatio));
}

/** A success resets the count of failures and ends a probe. */
export function recordSuccess(state: EjectionState, now: number): EjectionState {
  if (state.kind === 'halfOpen') {
    return { kind: 'healthy', failures: 0, ejections: state.ejections, since: now };
  }
  if (state.kind === 'ejected' || state.failures === 0) return state;
  return { ...state, failures: 0 };
}

/** After an inconclusive probe the next request may probe. */
export function recordInconclusive(state: EjectionState, now: number): EjectionState {
  if (state.kind !== 'halfOpen') return state;
  return { kind: 'ejected', reason: state.reason, until: now, ejections: state.ejections };
}

export interface Siblings {
  /** Within the comparison window. */
  readonly own: FailureCounts;
  readonly others: FailureCounts;
  /** Result of `mayEject` for one more replica. */
  readonly mayEject: boolean;
}

/**
 * Ejects after 5 consecutive failures, or when the replica fails significantly more often than its
 * siblings. `siblings` is called only when needed. `random` in [0, 1).
 */
export function recordFailure(
  state: EjectionState,
  now: number,
  random: number,
  siblings: () => Siblings,
  rules: EjectionRules = RULES,
): EjectionState {
  if (state.kind === 'ejected') return state;
  if (state.kind === 'halfOpen') return eject(state.reason, state.ejections, now, random, rules);
  const failures = state.failures + 1;
  const { own, others, mayEject: hasRoom } = siblings();
  const enough = failures >= rules.consecutiveFailures || isWorse(own, others);
  if (!enough || !hasRoom) return { ...state, failures };
  const forgiven = now - state.since >= rules.ejectionMemoryMs;
  return eject('failing', forgiven ? 0 : state.ejections, now, random, rules);
}

/** Ejects at once, however many siblings are ejected: an unreachable replica cannot serve. */
export function recordUnreachable(
  state: EjectionState,
  now: number,
  random: number,
  times: EjectionTimes = RULES,
): EjectionState {
  if (state.kind === 'ejected' && state.reason === 'unreachable') return state;
  const recent = state.kind !== 'healthy' || now - state.since < times.ejectionMemoryMs;
  return eject('unreachable', recent ? state.ejections : 0, now, random, times);
}

/** Is a probe due? */
export function isProbeDue(state: EjectionState, now: number): boolean {
  return state.kind === 'ejected' && state.until <= now;
}

export function halfOpened(state: EjectionState): EjectionState {
  if (state.kind !== 'ejected') return state;
  return { kind: 'halfOpen', reason: state.reason, ejections: state.ejections };
}

/** Did the last connection to it fail? */
export function isUnreachable(state: EjectionState): boolean {
  return state.kind !== 'healthy' && state.reason === 'unreachable';
}
