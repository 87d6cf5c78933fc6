import type { RecentEvents } from './recent-events';
import { addRecent, createRecent, sumRecent } from './recent-events';

/** Window of the budget, seconds. */
export const BUDGET_SECONDS = 10;
/**
 * One more request in five at most: retries must not double the load of a model that is failing.
 */
export const RETRY_RATIO = 0.2;
/** Retries allowed regardless of the ratio, for models with little traffic. */
export const FREE_RETRIES_PER_SECOND = 10;

/** Retry budget of one model (as in finagle and linkerd). */
export interface RetryBudget {
  readonly seconds: number;
  readonly requests: RecentEvents;
  readonly retries: RecentEvents;
}

export function createBudget(seconds = BUDGET_SECONDS): RetryBudget {
  return { seconds, requests: createRecent(seconds), retries: createRecent(seconds) };
}

export function countRequest(budget: RetryBudget, now: number): void {
  addRecent(budget.requests, now);
}

/** Takes one retry out of the budget; false when it is spent. */
export function spendRetry(
  budget: RetryBudget,
  now: number,
  ratio = RETRY_RATIO,
  freePerSecond = FREE_RETRIES_PER_SECOND,
): boolean {
  const allowed = ratio * sumRecent(budget.requests, now) + freePerSecond * budget.seconds;
  if (sumRecent(budget.retries, now) + 1 > allowed) return false;
  addRecent(budget.retries, now);
  return true;
}
