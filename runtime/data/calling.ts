import { FAILURE_CODE, SHED_CODE } from '../core/errors';
import type { Priority, TryResult } from '../core/outcome';
import type { ArmRoute, ModelRoute, Replica } from '../core/table';
import { Refusal } from './errors';
import type { Answered, Broken, HeaderText, Signal } from './exchange';
import type { Limits } from './limits';
import type { Attempt, Dispatcher, Job, JobResult, Tried } from './job';
import type { Upstream } from './upstream';
import { collect } from './upstream';

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
  readonly headers: HeaderText;
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

/** The error a job that got no answer ends in. */
export function failureOf(
  result: Exclude<JobResult, { kind: 'answered' }>,
  model: string,
): Refusal | CallerGone {
  if (result.kind === 'refused') {
    const { reason, retryAfterSeconds } = result;
    return new Refusal(SHED_CODE[reason], REFUSED[reason](model), { retryAfterSeconds });
  }
  const failure = result.result;
  if (failure.kind === 'aborted') return new CallerGone();
  return new Refusal(FAILURE_CODE[failure.kind], failureText(failure, model, result.tries));
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

/** A call as a job; what is done with its answer is its kind's business. */
export abstract class Call implements Job {
  readonly model: ModelRoute;
  readonly arm: string | undefined;
  readonly cohortKey: string | undefined;
  readonly priority: Priority;
  readonly timeoutMs: number;
  readonly items: number;
  readonly traceId: string | undefined;
  readonly isAside: boolean | undefined;
  readonly signal: Signal;

  constructor(
    protected readonly calling: Calling,
    protected readonly base: CallBase,
    readonly replayable: boolean,
  ) {
    this.model = base.model;
    this.arm = base.arm;
    this.cohortKey = base.cohortKey;
    this.priority = base.priority;
    this.timeoutMs = base.timeoutMs;
    this.items = base.items;
    this.traceId = base.traceId;
    this.isAside = base.isAside;
    this.signal = base.signal;
  }

  abstract attempt(attempt: Attempt, tried: Tried): void;
  abstract discard(): void;
  abstract over(result: JobResult): void;

  /** Puts it to one replica. This is told the answer. */
  protected send(
    { replica, remainingMs: timeoutMs }: Attempt,
    { method, target, body }: Asked,
    asker: { answered: (answered: Answered) => void; broken: (why: Broken) => void },
  ): void {
    const { headers, signal, replayable } = this;
    const repeatable = replayable && this.model.inference.idempotent;
    this.calling.upstream.send(
      { replica, method, target, headers, body, timeoutMs, signal, repeatable },
      asker,
    );
  }

  protected get headers(): HeaderText {
    return this.base.headers;
  }
}

/** A call whose answer is read whole before it is given out. */
class BufferedCall extends Call {
  private current: Omit<Reply, 'arm'> | undefined;
  /** What a request cannot be said in is the caller's fault: no replica is blamed for it. */
  private fault: { readonly reason: unknown } | undefined;

  constructor(
    calling: Calling,
    base: CallBase,
    private readonly ask: Ask,
    private readonly resolve: (reply: Reply) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    super(calling, base, true);
  }

  attempt(one: Attempt, tried: Tried): void {
    let asked: Asked | Promise<Asked>;
    try {
      asked = this.ask(one);
    } catch (error) {
      return this.cannotAsk(error, tried);
    }
    if (!(asked instanceof Promise)) return this.put(one, asked, tried);
    asked.then(
      (later) => this.put(one, later, tried),
      (error: unknown) => this.cannotAsk(error, tried),
    );
  }

  private cannotAsk(reason: unknown, tried: Tried): void {
    this.fault = { reason };
    tried.settled({ kind: 'aborted' });
  }

  /** A try is over with its last byte: cut off before that, it can be made again. */
  private put(one: Attempt, asked: Asked, tried: Tried): void {
    const began = performance.now();
    this.send(one, asked, {
      answered: (answered) => {
        const { status } = answered;
        const left = Math.max(0, one.remainingMs - (performance.now() - began));
        collect(answered, this.calling.limits.answerBytes, left, (body) => {
          if (!Buffer.isBuffer(body)) {
            return tried.settled(this.signal.aborted ? { kind: 'aborted' } : body);
          }
          this.current = { replica: one.replica, status, body };
          tried.settled({ kind: 'answered', status });
          tried.finished({ kind: 'answered', status });
        });
      },
      broken: (why) => tried.settled(why),
    });
  }

  discard(): void {
    this.current = undefined;
  }

  over(result: JobResult): void {
    const { current, fault, model } = this;
    if (fault !== undefined) this.reject(fault.reason);
    else if (result.kind !== 'answered') this.reject(failureOf(result, model.id));
    else if (current === undefined) this.reject(new Error('a job was answered without a try'));
    else this.resolve({ arm: result.arm, ...current });
  }
}

/**
 * Asks a model and reads its whole answer, whatever its status is.
 * @throws Refusal when there is no answer, CallerGone when nobody waits for it
 */
export function callBuffered(calling: Calling, base: CallBase, ask: Ask): Promise<Reply> {
  return new Promise((resolve, reject) =>
    calling.dispatcher.start(new BufferedCall(calling, base, ask, resolve, reject)),
  );
}
