import type { Tries } from '../release/failure-comparison';
import { isWorse } from '../release/failure-comparison';
import type { TryResult } from './outcome';
import { isUnavailable } from './retry';

/** So many in a row are no accident. */
export const CONSECUTIVE_FAILURES = 5;
export const FIRST_OUT_MS = 1_000;
export const LONGEST_OUT_MS = 60_000;
/** Whoever refuses connections is asked again soon: a restart takes seconds, not a minute. */
export const LONGEST_UNREACHABLE_MS = 5_000;
/** Routers must not all come back at once. */
export const OUT_JITTER = 0.25;
/** After so long without being out the next time counts as the first. */
export const FORGIVEN_AFTER_MS = 60_000;
/** Seconds a replica is compared with its siblings over. */
export const COMPARED_SECONDS = 10;
/** When our own event loop stood still this long, a timeout says nothing about the replica. */
export const EXCUSED_LAG_MS = 100;

/** At most this part of those that can be reached is out: the rest must carry the load. */
export const MOST_OUT_PART = 0.5;
/**
 * Below this part of healthy replicas ejection has lost its point: the others would only be
 * overrun.
 */
export const PANIC_PART = 0.5;

/** How long one is out. */
interface Spell {
  readonly firstOutMs: number;
  readonly longestOutMs: number;
  readonly longestUnreachableMs: number;
  readonly outJitter: number;
  readonly forgivenAfterMs: number;
}

interface Rules extends Spell {
  readonly consecutiveFailures: number;
}

const RULES: Rules = {
  firstOutMs: FIRST_OUT_MS,
  longestOutMs: LONGEST_OUT_MS,
  longestUnreachableMs: LONGEST_UNREACHABLE_MS,
  outJitter: OUT_JITTER,
  forgivenAfterMs: FORGIVEN_AFTER_MS,
  consecutiveFailures: CONSECUTIVE_FAILURES,
};

/**
 * `ejected`: it answers badly. `unreachable`: it refuses connections, so nothing is lost without
 * it.
 */
export type OutReason = 'ejected' | 'unreachable';

/** Where a replica stands with this router. Times are milliseconds since the epoch. */
export type Standing =
  | {
      readonly kind: 'in';
      readonly failures: number;
      readonly spells: number;
      readonly since: number;
    }
  | {
      readonly kind: 'out';
      readonly reason: OutReason;
      readonly until: number;
      readonly spells: number;
    }
  /** One request finds out whether it is well again. */
  | { readonly kind: 'probing'; readonly reason: OutReason; readonly spells: number };

export function joined(now: number): Standing {
  return { kind: 'in', failures: 0, spells: 0, since: now };
}

export type Verdict = 'good' | 'bad' | 'unreachable' | 'none';

/** How a try went, beside its result. */
export interface Circumstances {
  /** How long our own event loop stood still, milliseconds. */
  readonly lagMs: number;
  /** Had the replica the time that most requests need? Late from our queue, it had not. */
  readonly hadTime: boolean;
}

/**
 * What a result says about the replica. 4xx and 500 are answers of a replica that is well; a caller
 * that went away says nothing, nor does a timeout that is our own doing.
 */
export function verdictOf(
  result: TryResult,
  { lagMs, hadTime }: Circumstances,
  excusedLagMs = EXCUSED_LAG_MS,
): Verdict {
  switch (result.kind) {
    case 'answered':
      return isUnavailable(result.status) ? 'bad' : 'good';
    case 'aborted':
      return 'none';
    case 'timeout':
      return lagMs > excusedLagMs || !hadTime ? 'none' : 'bad';
    case 'unreached':
      return lagMs > excusedLagMs ? 'none' : 'unreachable';
    case 'reset':
    case 'protocol':
      return 'bad';
  }
}

function out(
  reason: OutReason,
  spells: number,
  now: number,
  random: number,
  { firstOutMs, longestOutMs, longestUnreachableMs, outJitter }: Spell,
): Standing {
  const most = Math.max(firstOutMs, longestOutMs);
  const longest = reason === 'ejected' ? most : Math.min(most, longestUnreachableMs);
  const length = Math.min(longest, firstOutMs * 2 ** spells);
  const until = now + length * (1 - outJitter + 2 * outJitter * random);
  return { kind: 'out', reason, until, spells: spells + 1 };
}

/**
 * May one more of `reachable` be out, when `away` are? At most half, and never the last: of 4, 2.
 */
export function mayBeOut(reachable: number, away: number, mostOutPart = MOST_OUT_PART): boolean {
  return away + 1 <= Math.min(reachable - 1, Math.floor(reachable * mostOutPart));
}

/** A good answer ends a row of failures, and a probe. */
export function afterGood(standing: Standing, now: number): Standing {
  if (standing.kind === 'probing') {
    return { kind: 'in', failures: 0, spells: standing.spells, since: now };
  }
  if (standing.kind === 'out' || standing.failures === 0) return standing;
  return { ...standing, failures: 0 };
}

/** A probe that told nothing leaves the question open: the next request may ask it. */
export function afterNothing(standing: Standing, now: number): Standing {
  if (standing.kind !== 'probing') return standing;
  return { kind: 'out', reason: standing.reason, until: now, spells: standing.spells };
}

export interface Siblings {
  /** Of the last seconds. */
  readonly own: Tries;
  readonly others: Tries;
  /** May one more be out (`mayEject`)? */
  readonly mayEject: boolean;
}

/**
 * A failure: out after 5 in a row, or when it is worse than its siblings by a comparison that
 * chance does not explain. `siblings` is asked only when it matters. `random` in [0, 1).
 */
export function afterBad(
  standing: Standing,
  now: number,
  random: number,
  siblings: () => Siblings,
  rules: Rules = RULES,
): Standing {
  if (standing.kind === 'out') return standing;
  if (standing.kind === 'probing') return out(standing.reason, standing.spells, now, random, rules);
  const failures = standing.failures + 1;
  const { own, others, mayEject } = siblings();
  const enough = failures >= rules.consecutiveFailures || isWorse(own, others);
  if (!enough || !mayEject) return { ...standing, failures };
  const forgiven = now - standing.since >= rules.forgivenAfterMs;
  return out('ejected', forgiven ? 0 : standing.spells, now, random, rules);
}

/** Refused: dropped at once and whatever the siblings do; who cannot be reached cannot serve. */
export function afterUnreached(
  standing: Standing,
  now: number,
  random: number,
  spell: Spell = RULES,
): Standing {
  if (standing.kind === 'out' && standing.reason === 'unreachable') return standing;
  const recent = standing.kind !== 'in' || now - standing.since < spell.forgivenAfterMs;
  return out('unreachable', recent ? standing.spells : 0, now, random, spell);
}

/** Is a probe due? */
export function isDue(standing: Standing, now: number): boolean {
  return standing.kind === 'out' && standing.until <= now;
}

export function probed(standing: Standing): Standing {
  if (standing.kind !== 'out') return standing;
  return { kind: 'probing', reason: standing.reason, spells: standing.spells };
}

/** Can nothing reach it at the moment, as far as we know? */
export function isUnreachable(standing: Standing): boolean {
  return standing.kind !== 'in' && standing.reason === 'unreachable';
}
