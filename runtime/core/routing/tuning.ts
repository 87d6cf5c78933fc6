import { PRIORITY_AGE_MS, COLD_QUEUE_DEPTH, OLDEST_EVERY, RESERVED_RATIO } from './admission';
import { DECAY_MS, RAMP_FROM, RAMP_MS } from './balance';
import { BUDGET_SECONDS, FREE_RETRIES_PER_SECOND, RETRY_RATIO } from './retry-budget';
import {
  COMPARISON_SECONDS,
  CONSECUTIVE_FAILURES,
  EXCUSED_LAG_MS,
  BASE_EJECTION_MS,
  EJECTION_MEMORY_MS,
  MAX_EJECTION_MS,
  MAX_UNREACHABLE_MS,
  MAX_EJECTED_RATIO,
  EJECTION_JITTER,
  PANIC_RATIO,
} from './ejection';
import { AVOID_MS, MAX_JITTER_MS, MIN_JITTER_MS } from './retry';

/** The constants of routing that an operator may set; each is explained where it is defined. */
export interface Tuning {
  readonly decayMs: number;
  readonly rampMs: number;
  readonly rampFrom: number;
  readonly consecutiveFailures: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxUnreachableMs: number;
  readonly ejectionJitter: number;
  readonly ejectionMemoryMs: number;
  readonly comparisonSeconds: number;
  readonly excusedLagMs: number;
  readonly maxEjectedRatio: number;
  readonly panicRatio: number;
  readonly retryRatio: number;
  readonly freeRetriesPerSecond: number;
  readonly budgetSeconds: number;
  readonly minJitterMs: number;
  readonly maxJitterMs: number;
  readonly avoidMs: number;
  readonly priorityAgeMs: number;
  readonly oldestEvery: number;
  readonly reservedRatio: number;
  readonly coldQueueDepth: number;
}

export const DEFAULT_TUNING: Tuning = {
  decayMs: DECAY_MS,
  rampMs: RAMP_MS,
  rampFrom: RAMP_FROM,
  consecutiveFailures: CONSECUTIVE_FAILURES,
  baseEjectionMs: BASE_EJECTION_MS,
  maxEjectionMs: MAX_EJECTION_MS,
  maxUnreachableMs: MAX_UNREACHABLE_MS,
  ejectionJitter: EJECTION_JITTER,
  ejectionMemoryMs: EJECTION_MEMORY_MS,
  comparisonSeconds: COMPARISON_SECONDS,
  excusedLagMs: EXCUSED_LAG_MS,
  maxEjectedRatio: MAX_EJECTED_RATIO,
  panicRatio: PANIC_RATIO,
  retryRatio: RETRY_RATIO,
  freeRetriesPerSecond: FREE_RETRIES_PER_SECOND,
  budgetSeconds: BUDGET_SECONDS,
  minJitterMs: MIN_JITTER_MS,
  maxJitterMs: MAX_JITTER_MS,
  avoidMs: AVOID_MS,
  priorityAgeMs: PRIORITY_AGE_MS,
  oldestEvery: OLDEST_EVERY,
  reservedRatio: RESERVED_RATIO,
  coldQueueDepth: COLD_QUEUE_DEPTH,
};
