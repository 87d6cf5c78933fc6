import { DECAY_MS, RAMP_MS } from './balance';
import { FREE_RETRIES_PER_SECOND, RETRY_RATIO } from './budget';
import { CONSECUTIVE_FAILURES, FIRST_OUT_MS, LONGEST_OUT_MS } from './ejection';
import { MAX_JITTER_MS, MIN_JITTER_MS } from './retry';

/** The constants of routing that an operator may set; each is explained where it is defined. */
export interface Tuning {
  readonly decayMs: number;
  readonly rampMs: number;
  readonly consecutiveFailures: number;
  readonly firstOutMs: number;
  readonly longestOutMs: number;
  readonly retryRatio: number;
  readonly freeRetriesPerSecond: number;
  readonly minJitterMs: number;
  readonly maxJitterMs: number;
}

export const DEFAULT_TUNING: Tuning = {
  decayMs: DECAY_MS,
  rampMs: RAMP_MS,
  consecutiveFailures: CONSECUTIVE_FAILURES,
  firstOutMs: FIRST_OUT_MS,
  longestOutMs: LONGEST_OUT_MS,
  retryRatio: RETRY_RATIO,
  freeRetriesPerSecond: FREE_RETRIES_PER_SECOND,
  minJitterMs: MIN_JITTER_MS,
  maxJitterMs: MAX_JITTER_MS,
};
