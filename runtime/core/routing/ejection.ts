import type { FailureCounts } from '../release/failure-comparison';
import { isWorse } from '../release/failure-comparison';
import type { AttemptResult } from './outcome';
import { isUnavailable } from './retry';

/** So many in a row are no accident. */
export const CONSECUTIVE_FAILURES = 5;
export const BASE_EJECTION_MS = 1_000;
export const MAX_EJECTION_MS = 60_000;
/** Whoever refuses connections is asked again soon: a restart takes seconds, not a minute. */
export const MAX_UNREACHABLE_MS = 5_000;
/** Routers must not all come back at once. */
export const EJECTION_JITTER = 0.25;
/** After so long without being out the next time counts as the first. */
export const EJECTION_MEMORY_MS = 60_000;
/** Seconds a replica is compared with its siblings over. */
export const COMPARISON_SECONDS = 10;
/** When our own event loop stood still this long, a timeout says nothing about the replica. */
export const EXCUSED_LAG_MS = 100;

/** At most this part of those that can be reached is out: the rest must carry the load. */
export const MAX_EJECTED_RATIO = 0.5;
/**
 * Below this part of healthy replicas ejection has lost its point: the others would only be
 * overrun.
 */
export const PANIC_RATIO = 0.5;

/** How long one is out. */
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

/**
 * `ejected`: it answers badly. `unreachable`: it refuses connections, so nothing is lost without
 * it.
 */
export type EjectionReason = 'failing' | 'unreachable';

/** Where a replica stands with this router. Times are milliseconds since the epoch. */
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
  /** One request finds out whether it is well again. */
  | { readonly kind: 'halfOpen'; readonly reason: EjectionReason; readonly ejections: number };

export function initialEjectionState(now: number): EjectionState {
  return { kind: 'healthy', failures: 0, ejections: 0, since: now };
}

export type ResultClass = 'success' | 'failure' | 'unreachable' | 'inconclusive';

/** How a try went, beside its result. */
export interface AttemptConditions {
  /** How long our own event loop stood still, milliseconds. */
  readonly lagMs: number;
  /** Had the replica the time that most requests need? Late from our queue, it had not. */
  readonly hadTime: boolean;
}

/**
 * What a result says about the replica. 4xx and 500 are answers of a replica that is well; a caller
 * that went away says nothing, nor does a timeout that is our own doing.
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

/**
 * May one more of `reachable` be out, when `away` are? At most half, and never the last: of 4, 2.
 */
export function mayEject(
  reachable: number,
  away: number,
  maxEjectedRatio = MAX_EJECTED_RATIO,
): boolean {
  return away + 1 <= Math.min(reachable - 1, Math.floor(reachable * maxEjectedRatio));
}

/** A good answer ends a row of failures, and a probe. */
export function recordSuccess(state: EjectionState, now: number): EjectionState {
  if (state.kind === 'halfOpen') {
    return { kind: 'healthy', failures: 0, ejections: state.ejections, since: now };
  }
  if (state.kind === 'ejected' || state.failures === 0) return state;
  return { ...state, failures: 0 };
}

/** A probe that told nothing leaves the question open: the next request may ask it. */
export function recordInconclusive(state: EjectionState, now: number): EjectionState {
  if (state.kind !== 'halfOpen') return state;
  return { kind: 'ejected', reason: state.reason, until: now, ejections: state.ejections };
}

export interface Siblings {
  /** Of the last seconds. */
  readonly own: FailureCounts;
  readonly others: FailureCounts;
  /** May one more be out (`mayEject`)? */
  readonly mayEject: boolean;
}

/**
 * A failure: out after 5 in a row, or when it is worse than its siblings by a comparison that
 * chance does not explain. `siblings` is asked only when it matters. `random` in [0, 1).
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
  const { own, others, mayEject } = siblings();
  const enough = failures >= rules.consecutiveFailures || isWorse(own, others);
  if (!enough || !mayEject) return { ...state, failures };
  const forgiven = now - state.since >= rules.ejectionMemoryMs;
  return eject('failing', forgiven ? 0 : state.ejections, now, random, rules);
}

/** Refused: dropped at once and whatever the siblings do; who cannot be reached cannot serve. */
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

/** Can nothing reach it at the moment, as far as we know? */
export function isUnreachable(state: EjectionState): boolean {
  return state.kind !== 'healthy' && state.reason === 'unreachable';
}
