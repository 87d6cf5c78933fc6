import type { AttemptResult } from '../../core/routing/outcome';
import { MAX_TRIES, mayRepeat, retryDelay } from '../../core/routing/retry';
import { spendRetry } from '../../core/routing/retry-budget';
import type { ArmState, EndpointState } from './arm-state';
import { hasAlternative } from './endpoints';
import type { DispatchContext, JobProgress } from './outcomes';
import type { QueuedRequest } from './queue';

type Arm = ArmState<QueuedRequest>;

/** Delay before the second attempt, and how long it then avoids the first replica. */
interface RetryPlan {
  readonly delayMs: number;
  readonly avoidMs: number;
}

function retryPlanFor(
  { tuning, random }: DispatchContext,
  arm: Arm,
  result: AttemptResult,
  isAlone: boolean,
): RetryPlan {
  // A reset of a reused connection says nothing about the replica: retry on a new one.
  const isAtOnce = result.kind === 'reset' && result.wasKept === true && isAlone;
  if (isAtOnce) return { delayMs: 0, avoidMs: 0 };
  const delayMs = retryDelay(result, arm.queue.size, random(), tuning);
  return { delayMs, avoidMs: tuning.avoidMs };
}

/** Plans the second attempt; undefined: no retry. */
export function planRetry(
  context: DispatchContext,
  { job, call, tries, deadline }: JobProgress,
  arm: Arm,
  endpoint: EndpointState,
  result: AttemptResult,
): RetryPlan | undefined {
  const { idempotent } = arm.model.route.inference;
  if (tries >= MAX_TRIES || job.signal.aborted) return undefined;
  const replayable = call.replayable || call.upload?.isUntouched === true;
  if (!mayRepeat(result, { idempotent, replayable })) return undefined;
  // Without another replica, return the 502, 503 or 504 at once; retry only broken attempts.
  const isAlone = !hasAlternative(arm, endpoint, job.version);
  if (result.kind === 'answered' && isAlone) return undefined;
  const now = context.clock.now();
  const { retryRatio, freeRetriesPerSecond } = context.tuning;
  const retry = retryPlanFor(context, arm, result, isAlone);
  if (now + retry.delayMs >= deadline) return undefined;
  if (!spendRetry(arm.model.budget, now, retryRatio, freeRetriesPerSecond)) return undefined;
  return retry;
}
