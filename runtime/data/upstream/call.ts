import type { Priority } from '../../core/routing/outcome';
import type { ArmRoute, ModelRoute, ReplicaRoute } from '../../core/routing/table';
import { failureOf, poisoned, rejected } from './failure';
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
    if (poisonedMs > 0) return asker.onFailure(poisoned(this.model.id, poisonedMs));
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
  ): void {
    const refused = (reason: unknown): void => report.settled(rejected(reason));
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
  ): void {
    const { status } = answered;
    const timeoutMs = Math.max(0, remainingMs - (performance.now() - began));
    const { held = UNCOUNTED } = this.base;
    const { answerBytes: limit } = this.context.limits;
    collect(answered, { limit, timeoutMs, held }, (body) => {
      if (body instanceof MemoryFull) return report.settled(rejected(body));
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
  | { readonly kind: 'none'; readonly result: UnansweredResult };

/** A call whose response is read whole before it is returned. */
export class BufferedCall extends UpstreamCall {
  private current: Omit<BufferedResponse, 'arm'> | undefined;

  constructor(
    context: UpstreamContext,
    base: CallOptions,
    private readonly encodeFor: EncodeForAttempt,
    private readonly done: (ended: CallOutcome) => void,
  ) {
    super(context, base, true);
  }

  attempt(attempt: Attempt, report: AttemptCallbacks): void {
    this.prepare(
      () => this.encodeFor(attempt),
      report,
      (request) => this.put(attempt, request, report),
    );
  }

  private put(attempt: Attempt, request: UpstreamRequest, report: AttemptCallbacks): void {
    const began = performance.now();
    this.send(attempt, request, {
      onResponse: (answered) => {
        const keep = (body: Buffer): void => {
          const { status, fields } = answered;
          this.current = { replica: attempt.replica, status, fields, body };
        };
        this.readWhole(attempt, began, answered, report, keep);
      },
      onFailure: (why) => report.settled(why),
    });
  }

  discard(): void {
    this.current = undefined;
  }

  onResult(result: JobResult): void {
    const { current } = this;
    if (result.kind !== 'answered') return this.done({ kind: 'none', result });
    if (current === undefined) throw new Error('a job was answered without an attempt');
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
      else reject(failureOf(ended.result, base.model.id));
    };
    context.dispatcher.start(new BufferedCall(context, base, encodeFor, end));
  });
}
