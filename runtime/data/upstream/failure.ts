import type { FailedAttempt } from '../../core/routing/error-codes';
import { ERROR_STATUS, FAILURE_CODE, SHED_CODE } from '../../core/routing/error-codes';
import { BodyTooLarge } from '../../shared/body';
import { MemoryFull } from '../../shared/held-bytes';
import type { UnansweredResult } from '../dispatch/job';
import type { ExchangeFailure } from '../http/exchange';
import { Refusal } from '../transcode/refusal';

// How a call without a response ends for its caller.

/** The caller disconnected, so no response is written. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

/** Nothing was sent, and other calls take the place of this one. */
export class CallReplaced extends Error {
  override readonly name = 'CallReplaced';
}

/** The error for a call that ended without a response. */
export function failureOf(result: UnansweredResult, model: string): Error {
  if (result.kind === 'refused') {
    const { reason, retryAfterSeconds } = result;
    return new Refusal(SHED_CODE[reason], SHED_MESSAGE[reason](model), { retryAfterSeconds });
  }
  const failure = result.result;
  if (failure.kind === 'aborted') return new CallerGone();
  if (failure.kind === 'rejected') return failure.error;
  return new Refusal(FAILURE_CODE[failure.kind], failureText(failure, model, result.tries));
}

const SHED_MESSAGE = {
  queue_full: (model: string) => `model ${model} is full and so is its queue; try again later`,
  priority: (model: string) => `model ${model} is full; more urgent requests were served first`,
  deadline: (model: string) =>
    `model ${model} is full and the request's time would be over before its turn; allow more time, or try again later`,
  no_replica: (model: string) =>
    `no replica of model ${model} is ready; GET /api/v1/models/${model}/status says why`,
  stopped: (model: string) =>
    `model ${model} is stopped (scaled to 0); scale it up with POST /api/v1/models/${model}/scale`,
  deleting: (model: string) => `model ${model} is being deleted`,
};

function failureText(failure: FailedAttempt, model: string, tries: number): string {
  const times = tries === 1 ? 'one try' : `${tries} tries`;
  switch (failure.kind) {
    case 'timeout':
      return `model ${model} did not answer in time (${times}); allow more time, or a smaller request`;
    case 'unreached':
      return `model ${model} could not be reached (${times}): ${failure.message}`;
    case 'reset':
      return `model ${model} broke the connection (${times}): ${failure.message}`;
    default:
      return `model ${model} gave no valid answer (${times}): ${failure.message}`;
  }
}

/** The status that the caller gets for an error of the router's own. */
function statusOf(error: unknown): number {
  if (error instanceof Refusal) return error.status;
  if (error instanceof BodyTooLarge) return ERROR_STATUS.PAYLOAD_TOO_LARGE;
  if (error instanceof MemoryFull) return ERROR_STATUS.QUEUE_FULL;
  return ERROR_STATUS.INTERNAL;
}

/** A fault of the caller or of the router: no replica is blamed for it. */
export function rejected(reason: unknown): ExchangeFailure {
  if (reason instanceof CallerGone) return { kind: 'aborted' };
  const error = reason instanceof Error ? reason : new Error(String(reason));
  const isReplaced = error instanceof CallReplaced;
  return { kind: 'rejected', status: statusOf(error), error, ...(isReplaced && { isReplaced }) };
}

/** Two servers crashed while they worked on this request: sending it again would crash a third. */
export function poisoned(model: string, ms: number): ExchangeFailure {
  const retryAfterSeconds = Math.ceil(ms / 1000);
  const refusal = new Refusal(
    'UPSTREAM_ERROR',
    `the servers of two replicas of model ${model} ended while they worked on this request; it is not sent again for ${retryAfterSeconds} s. Look at the model's log; change the request`,
    { status: POISONED_STATUS, retryAfterSeconds },
  );
  return rejected(refusal);
}

const POISONED_STATUS = 503;
