import { AGE_MS, HOLD_DEPTH, OLDEST_EVERY, OWN_PART } from './admission';
import { DECAY_MS, RAMP_FROM, RAMP_MS } from './balance';
import { BUDGET_SECONDS, FREE_RETRIES_PER_SECOND, RETRY_RATIO } from './retry-budget';
import {
  COMPARED_SECONDS,
  CONSECUTIVE_FAILURES,
  EXCUSED_LAG_MS,
  FIRST_OUT_MS,
  FORGIVEN_AFTER_MS,
  LONGEST_OUT_MS,
  LONGEST_UNREACHABLE_MS,
  MOST_OUT_PART,
  OUT_JITTER,
  PANIC_PART,
} from './ejection';
import { AVOID_MS, MAX_JITTER_MS, MIN_JITTER_MS } from './retry';

/** The constants of routing that an operator may set; each is explained where it is defined. */
export interface Tuning {
  readonly decayMs: number;
  readonly rampMs: number;
  readonly rampFrom: number;
  readonly consecutiveFailures: number;
  readonly firstOutMs: number;
  readonly longestOutMs: number;
  readonly longestUnreachableMs: number;
  readonly outJitter: number;
  readonly forgivenAfterMs: number;
  readonly comparedSeconds: number;
  readonly excusedLagMs: number;
  readonly mostOutPart: number;
  readonly panicPart: number;
  readonly retryRatio: number;
  readonly freeRetriesPerSecond: number;
  readonly budgetSeconds: number;
  readonly minJitterMs: number;
  readonly maxJitterMs: number;
  readonly avoidMs: number;
  readonly ageMs: number;
  readonly oldestEvery: number;
  readonly ownPart: number;
  readonly holdDepth: number;
}

export const DEFAULT_TUNING: Tuning = {
  decayMs: DECAY_MS,
  rampMs: RAMP_MS,
  rampFrom: RAMP_FROM,
  consecutiveFailures: CONSECUTIVE_FAILURES,
  firstOutMs: FIRST_OUT_MS,
  longestOutMs: LONGEST_OUT_MS,
  longestUnreachableMs: LONGEST_UNREACHABLE_MS,
  outJitter: OUT_JITTER,
  forgivenAfterMs: FORGIVEN_AFTER_MS,
  comparedSeconds: COMPARED_SECONDS,
  excusedLagMs: EXCUSED_LAG_MS,
  mostOutPart: MOST_OUT_PART,
  panicPart: PANIC_PART,
  retryRatio: RETRY_RATIO,
  freeRetriesPerSecond: FREE_RETRIES_PER_SECOND,
  budgetSeconds: BUDGET_SECONDS,
  minJitterMs: MIN_JITTER_MS,
  maxJitterMs: MAX_JITTER_MS,
  avoidMs: AVOID_MS,
  ageMs: AGE_MS,
  oldestEvery: OLDEST_EVERY,
  ownPart: OWN_PART,
  holdDepth: HOLD_DEPTH,
};
