import { FAILURE_CODE, SHED_CODE } from '../core/errors';
import type { Priority, TryResult } from '../core/outcome';
import type { ArmRoute, ModelRoute, Replica } from '../core/table';
import { Refusal } from './errors';
import type { Answered, RawHeaders, Signal } from './exchange';
import type { Limits } from './limits';
import type { Attempt, AttemptStarted, Dispatcher, JobResult } from './job';
import type { Upstream } from './upstream';
import { readAll } from './upstream';

/** What a call needs to know whatever its protocol is. */
export interface CallBase {
  readonly model: ModelRoute;
  /** Arm asked for by name (already authorized). */
  readonly arm?: string | undefined;
  readonly cohortKey?: string | undefined;
  readonly priority: Priority;
  readonly timeoutMs: number;
  readonly items: number;
  readonly signal: Signal;
  /** Towards the server; each try adds Host, length and deadline. */
  readonly headers: RawHeaders;
  /** 32 hex digits of W3C Trace Context, for exemplars. */
  readonly traceId?: string | undefined;
  /** See `Job`. */
  readonly isAside?: boolean | undefined;
}

/** What is sent to one replica. */
export interface Asked {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer | undefined;
}

export type Ask = (attempt: Attempt) => Promise<Asked> | Asked;

export interface Calling {
  readonly dispatcher: Dispatcher;
  readonly upstream: Upstream;
  readonly limits: Limits;
}

/** The caller went away: there is nobody to answer. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

/** The error a job that got no answer ends in. @throws Refusal or CallerGone, always */
export function throwFailure(
  result: Exclude<JobResult, { kind: 'answered' }>,
  model: string,
): never {
  if (result.kind === 'refused') {
    const { reason, retryAfterSeconds } = result;
    throw new Refusal(SHED_CODE[reason], REFUSED[reason](model), { retryAfterSeconds });
  }
  const failure = result.result;
  if (failure.kind === 'aborted') throw new CallerGone();
  throw new Refusal(FAILURE_CODE[failure.kind], failureText(failure, model, result.tries));
}

const REFUSED = {
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

function failureText(
  failure: Exclude<TryResult, { kind: 'answered' } | { kind: 'aborted' }>,
  model: string,
  tries: number,
): string {
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

/** An answer with its whole body. */
export interface Reply {
  readonly arm: ArmRoute;
  readonly replica: Replica;
  readonly status: number;
  readonly body: Buffer;
}

/** What a request cannot be said in is the caller's fault: no replica is blamed, and no other one asked. */
class CannotAsk extends Error {
  constructor(readonly reason: unknown) {
    super('the request cannot be put to this server');
  }
}

async function send(calling: Calling, base: CallBase, attempt: Attempt, asked: Asked) {
  const { replica, remainingMs: timeoutMs } = attempt;
  const { headers, signal } = base;
  return calling.upstream.send({ replica, headers, timeoutMs, signal, ...asked });
}

async function askOf(ask: Ask, attempt: Attempt): Promise<Asked | CannotAsk> {
  try {
    return await ask(attempt);
  } catch (error) {
    return new CannotAsk(error);
  }
}

const over = (result: Exclude<TryResult, { kind: 'answered' }>): AttemptStarted => ({
  result,
  finished: Promise.resolve(result),
});

/**
 * Asks a model and reads its whole answer, whatever its status is. A try is over with the last
 * byte: one that is cut off before that can be made again, for the caller has nothing yet.
 * @throws Refusal when there is no answer, CallerGone when nobody waits for it
 */
export async function callBuffered(calling: Calling, base: CallBase, ask: Ask): Promise<Reply> {
  let current: Omit<Reply, 'arm'> | undefined;
  let fault: CannotAsk | undefined;
  const attempt = async (one: Attempt): Promise<AttemptStarted> => {
    const asked = await askOf(ask, one);
    if (asked instanceof CannotAsk) {
      fault = asked;
      return over({ kind: 'aborted' });
    }
    const began = performance.now();
    const answered = await send(calling, base, one, asked);
    if (answered.kind !== 'answered') return over(answered);
    const left = Math.max(0, one.remainingMs - (performance.now() - began));
    const body = await readAll(answered, calling.limits.answerBytes, left);
    if (!Buffer.isBuffer(body)) return over(base.signal.aborted ? { kind: 'aborted' } : body);
    const { status } = answered;
    current = { replica: one.replica, status, body };
    const result: TryResult = { kind: 'answered', status };
    return { result, finished: Promise.resolve(result) };
  };
  const discard = (): void => undefined;
  const result = await calling.dispatcher.run({ ...base, replayable: true, attempt, discard });
  if (fault !== undefined) throw fault.reason;
  if (result.kind !== 'answered') return throwFailure(result, base.model.id);
  if (current === undefined) throw new Error('a job was answered without a try');
  return { arm: result.arm, ...current };
}

/** An answer whose body has not been read; `done` must be told how that ended. */
export interface OpenReply {
  readonly arm: ArmRoute;
  readonly replica: Replica;
  readonly answered: Answered;
  readonly done: (result: TryResult) => void;
}

/** Asks a model and hands over the answer as it comes. @throws as `callBuffered` */
export async function callStreaming(
  calling: Calling,
  base: CallBase & { readonly replayable: boolean },
  asked: Asked,
): Promise<OpenReply> {
  let current: Omit<OpenReply, 'arm'> | undefined;
  const attempt = async (one: Attempt): Promise<AttemptStarted> => {
    const answered = await send(calling, base, one, asked);
    if (answered.kind !== 'answered') return over(answered);
    let done: (result: TryResult) => void = () => undefined;
    const finished = new Promise<TryResult>((resolve) => {
      done = resolve;
    });
    current = { replica: one.replica, answered, done };
    return { result: { kind: 'answered', status: answered.status }, finished };
  };
  const discard = (): void => {
    if (current === undefined) return;
    current.answered.body.destroy();
    current.done({ kind: 'answered', status: current.answered.status });
  };
  const result = await calling.dispatcher.run({ ...base, attempt, discard });
  if (result.kind !== 'answered') return throwFailure(result, base.model.id);
  if (current === undefined) throw new Error('a job was answered without a try');
  return { arm: result.arm, ...current };
}
