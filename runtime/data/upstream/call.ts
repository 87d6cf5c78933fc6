import { ERROR_STATUS, FAILURE_CODE, SHED_CODE } from '../../core/routing/error-codes';
import type { Priority, AttemptResult } from '../../core/routing/outcome';
import type { ArmRoute, ModelRoute, ReplicaRoute } from '../../core/routing/table';
import { Refusal } from '../transcode/refusal';
import { fingerprintOf } from './fingerprint';
import type { Holding } from '../../shared/held-bytes';
import { MemoryFull, UNCOUNTED } from '../../shared/held-bytes';
import type {
  HttpResponse,
  ResponseHandler,
  HeaderText,
  AbortSignalLike,
  Upload,
} from '../http/exchange';
import type { HeaderRules } from './headers';
import type { Fields } from '../http/fields';
import type { DataPlaneLimits } from '../handlers/limits';
import type {
  Attempt,
  Dispatcher,
  Job,
  JobResult,
  PlannedTarget,
  AttemptCallbacks,
  UnansweredResult,
} from '../dispatch/job';
import type { Upstream } from './upstream';
import { collect } from './upstream';

/** What every call needs, independent of its protocol. */
export interface CallOptions extends Omit<Job, 'replayable' | 'attempt' | 'discard' | 'onResult'> {
  /** Sent to the server; each try adds Host, Content-Length and the deadline. */
  readonly headers: HeaderText;
  /** Accounts for the memory of a buffered response; absent: it is bounded elsewhere. */
  readonly held?: Holding | undefined;
}

/** The request sent to one replica. */
export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer | undefined;
  /** Extra header lines, for bodies that differ from try to try. */
  readonly headers?: HeaderText | undefined;
}

export type EncodeForAttempt = (attempt: Attempt) => Promise<UpstreamRequest> | UpstreamRequest;

export interface UpstreamContext {
  readonly dispatcher: Dispatcher;
  readonly upstream: Upstream;
  readonly limits: DataPlaneLimits;
  readonly rules: HeaderRules;
}

/** The caller disconnected, so no response is written. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

/** The error for a job that ended without a response. */
export function failureOf(result: UnansweredResult, model: string): Refusal | CallerGone {
  if (result.kind === 'refused') {
    const { reason, retryAfterSeconds } = result;
    return new Refusal(SHED_CODE[reason], SHED_MESSAGE[reason](model), { retryAfterSeconds });
  }
  const failure = result.result;
  if (failure.kind === 'aborted') return new CallerGone();
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

function failureText(
  failure: Exclude<AttemptResult, { kind: 'answered' } | { kind: 'aborted' }>,
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

/** A fault of the caller or of the router: no replica is blamed for it. */
function localFailure(reason: unknown): AttemptResult {
  if (reason instanceof CallerGone) return { kind: 'aborted' };
  const status = reason instanceof Refusal ? reason.status : ERROR_STATUS.INTERNAL;
  return { kind: 'aborted', status };
}

const POISONED_STATUS = 503;

/** Two servers crashed while they worked on this request: sending it again would crash a third. */
function poisonedRefusal(model: string, ms: number): Refusal {
  const retryAfterSeconds = Math.ceil(ms / 1000);
  return new Refusal(
    'UPSTREAM_ERROR',
    `the servers of two replicas of model ${model} ended while they worked on this request; it is not sent again for ${retryAfterSeconds} s. Look at the model's log; change the request`,
    { status: POISONED_STATUS, retryAfterSeconds },
  );
}

/** A response with its whole body. */
export interface BufferedResponse {
  readonly arm: ArmRoute;
  readonly replica: ReplicaRoute;
  readonly status: number;
  readonly fields: Fields;
  readonly body: Buffer;
}

/** A call as a job of the dispatcher; subclasses decide how the response is delivered. */
export abstract class UpstreamCall implements Job {
  readonly model: ModelRoute;
  readonly arm: string | undefined;
  readonly version: string | undefined;
  readonly cohortKey: string | undefined;
  readonly priority: Priority;
  readonly timeoutMs: number;
  readonly items: number;
  readonly traceId: string | undefined;
  readonly isBatchCall: boolean | undefined;
  readonly planned: PlannedTarget | undefined;
  readonly joinBatch: Job['joinBatch'];
  readonly signal: AbortSignalLike;

  /** Why the request was not sent, when the caller learns the reason. */
  protected refusal: Refusal | undefined;
  /** Body of the last try. */
  private lastBody: Buffer | undefined;

  constructor(
    protected readonly context: UpstreamContext,
    protected readonly base: CallOptions,
    readonly replayable: boolean,
    readonly upload?: Upload | undefined,
  ) {
    this.model = base.model;
    this.arm = base.arm;
    this.version = base.version;
    this.cohortKey = base.cohortKey;
    this.priority = base.priority;
    this.timeoutMs = base.timeoutMs;
    this.items = base.items;
    this.traceId = base.traceId;
    this.isBatchCall = base.isBatchCall;
    this.planned = base.planned;
    this.joinBatch = base.joinBatch;
    this.signal = base.signal;
  }

  abstract attempt(attempt: Attempt, report: AttemptCallbacks): void;
  abstract discard(): void;
  abstract onResult(result: JobResult): void;

  /** Sends the request to one replica; `asker` receives the response. */
  protected send(
    { replica, arm, remainingMs: timeoutMs, number, batchedAnswer }: Attempt,
    { method, target, body, headers: more = '' }: UpstreamRequest,
    asker: ResponseHandler,
  ): void {
    if (batchedAnswer !== undefined) return asker.onResponse(batchedAnswer);
    this.lastBody = body;
    const poisonedMs = this.isBatchCall === true ? 0 : this.poisonedMs(arm.name, replica.version);
    if (poisonedMs > 0) {
      this.refusal = poisonedRefusal(this.model.id, poisonedMs);
      return asker.onFailure({ kind: 'aborted', status: POISONED_STATUS });
    }
    const { signal, replayable, upload } = this;
    const headers = this.headers + more;
    const repeatable = replayable && this.model.inference.idempotent;
    const isAgain = number > 1;
    const asking = { method, target, headers, body, upload, timeoutMs, signal };
    this.context.upstream.send({ replica, ...asking, repeatable, isAgain }, asker);
  }

  private poisonedMs(arm: string, version: string): number {
    return this.context.dispatcher.poisonedMs(this.model.id, arm, () => this.fingerprint(version));
  }

  fingerprint(version: string): string | undefined {
    const { lastBody, model } = this;
    if (lastBody === undefined || this.isBatchCall === true) return undefined;
    return fingerprintOf(model.id, version, lastBody);
  }

  protected get headers(): HeaderText {
    return this.base.headers;
  }

  /** A request that cannot be encoded is the caller's fault: no replica is blamed for it. */
  protected prepare<T>(
    make: () => T | Promise<T>,
    report: AttemptCallbacks,
    put: (made: T) => void,
    cannot: (reason: unknown) => void,
  ): void {
    const refused = (reason: unknown): void => {
      cannot(reason);
      report.settled(localFailure(reason));
    };
    let made: T | Promise<T>;
    try {
      made = make();
    } catch (error) {
      return refused(error);
    }
    if (made instanceof Promise) made.then(put, refused);
    else put(made);
  }

  /** A try ends with the last byte; a response that is cut off before can be retried. */
  protected readWhole(
    { remainingMs }: Attempt,
    began: number,
    answered: HttpResponse,
    report: AttemptCallbacks,
    keep: (body: Buffer) => void,
    cannot: (reason: unknown) => void,
  ): void {
    const { status } = answered;
    const timeoutMs = Math.max(0, remainingMs - (performance.now() - began));
    const { held = UNCOUNTED } = this.base;
    const { answerBytes: limit } = this.context.limits;
    collect(answered, { limit, timeoutMs, held }, (body) => {
      if (body instanceof MemoryFull) {
        cannot(body);
        return report.settled({ kind: 'aborted', status: ERROR_STATUS.QUEUE_FULL });
      }
      if (!Buffer.isBuffer(body)) {
        return report.settled(this.signal.aborted ? { kind: 'aborted' } : body);
      }
      keep(body);
      report.settled({ kind: 'answered', status });
      report.finished({ kind: 'answered', status });
    });
  }
}

/** How a buffered call ended. */
export type CallOutcome =
  | { readonly kind: 'reply'; readonly reply: BufferedResponse; readonly tries: number }
  | { readonly kind: 'none'; readonly result: UnansweredResult }
  /** The request could not be sent: a fault of the caller, or of the router. */
  | { readonly kind: 'fault'; readonly reason: unknown };

/** A call whose response is read whole before it is returned. */
export class BufferedCall extends UpstreamCall {
  private current: Omit<BufferedResponse, 'arm'> | undefined;
  private fault: { readonly reason: unknown } | undefined;

  constructor(
    context: UpstreamContext,
    base: CallOptions,
    private readonly encodeFor: EncodeForAttempt,
    private readonly done: (ended: CallOutcome) => void,
  ) {
    super(context, base, true);
  }

  attempt(attempt: Attempt, report: AttemptCallbacks): void {
    const cannot = (reason: unknown): void => {
      this.fault = { reason };
    };
    this.prepare(
      () => this.encodeFor(attempt),
      report,
      (request) => this.put(attempt, request, report, cannot),
      cannot,
    );
  }

  private put(
    attempt: Attempt,
    request: UpstreamRequest,
    report: AttemptCallbacks,
    cannot: (reason: unknown) => void,
  ): void {
    const began = performance.now();
    this.send(attempt, request, {
      onResponse: (answered) => {
        const keep = (body: Buffer): void => {
          const { status, fields } = answered;
          this.current = { replica: attempt.replica, status, fields, body };
        };
        this.readWhole(attempt, began, answered, report, keep, cannot);
      },
      onFailure: (why) => report.settled(why),
    });
  }

  discard(): void {
    this.current = undefined;
  }

  onResult(result: JobResult): void {
    const { current, fault, refusal } = this;
    if (refusal !== undefined && result.kind === 'failed') {
      return this.done({ kind: 'fault', reason: refusal });
    }
    if (fault !== undefined) return this.done({ kind: 'fault', reason: fault.reason });
    if (result.kind !== 'answered') return this.done({ kind: 'none', result });
    if (current === undefined) {
      const reason = new Error('a job was answered without a try');
      return this.done({ kind: 'fault', reason });
    }
    const { arm, tries } = result;
    this.done({ kind: 'reply', reply: { arm, ...current }, tries });
  }
}

/**
 * Calls a model and reads the whole response, whatever its status.
 * @throws Refusal when there is no response, CallerGone when the caller disconnected
 */
export function callBuffered(
  context: UpstreamContext,
  base: CallOptions,
  encodeFor: EncodeForAttempt,
): Promise<BufferedResponse> {
  return new Promise((resolve, reject) => {
    const end = (ended: CallOutcome): void => {
      if (ended.kind === 'reply') resolve(ended.reply);
      else if (ended.kind === 'fault') reject(ended.reason);
      else reject(failureOf(ended.result, base.model.id));
    };
    context.dispatcher.start(new BufferedCall(context, base, encodeFor, end));
  });
}
