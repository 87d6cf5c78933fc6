import type { ArmRoute, ReplicaRoute } from '../../core/routing/table';
import type { Reservation } from '../../shared/held-bytes';
import { MemoryFull, UNCOUNTED } from '../../shared/held-bytes';
import type {
  Attempt,
  AttemptCallbacks,
  Dispatcher,
  Job,
  JobCall,
  UnansweredResult,
} from '../dispatch/job';
import type { DataPlaneLimits } from '../handlers/limits';
import type { HttpClient } from '../http/client/client';
import type {
  ExchangeFailure,
  HeaderText,
  HttpResponse,
  ResponseHandler,
  Upload,
} from '../http/exchange';
import { attemptHeaders } from './attempt-headers';
import { collect } from './collect';
import { failureOf, poisoned, rejected } from './failure';
import { fingerprintOf } from './fingerprint';
import type { HeaderRules } from './headers';

/** What every call needs, independent of its protocol. */
export interface CallOptions extends Job {
  /** Header lines from the caller, and about it, for the server. */
  readonly headers: HeaderText;
  /** Accounts for the memory of a buffered response; absent: it is bounded elsewhere. */
  readonly held?: Reservation | undefined;
}

export interface UpstreamContext {
  readonly dispatcher: Dispatcher;
  readonly upstream: HttpClient;
  readonly limits: DataPlaneLimits;
  readonly rules: HeaderRules;
}

/** The request of an attempt. */
export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer | undefined;
  /** All header lines but those that `attemptHeaders` adds. */
  readonly headers: HeaderText;
}

/** Encodes a call for the arm of an attempt. @throws Refusal when the arm cannot get it */
export type Encode<T extends UpstreamRequest> = (attempt: Attempt) => T | Promise<T>;

/** Status and headers of a server's response. */
export type UpstreamHead = Pick<HttpResponse, 'status' | 'fields'>;

/** A response with its whole body. */
export interface BufferedResponse extends UpstreamHead {
  readonly arm: ArmRoute;
  readonly replica: ReplicaRoute;
  readonly body: Buffer;
  /** Attempts, this one included. */
  readonly tries: number;
}

/** Has the result of a call: one of `relay`, `buffered` and `unanswered` is called, once. */
export interface Receiver<T extends UpstreamRequest> {
  /** Does the response go on as it comes? Else it is read whole. */
  readonly isRelayed: (head: UpstreamHead, request: T) => boolean;
  /** Reports to `finished` when the response has been sent. */
  readonly relay: (answer: HttpResponse, attempt: Attempt, report: AttemptCallbacks) => void;
  /** @returns `replaced`: other calls follow in its place, and have the outcomes */
  readonly buffered: (reply: BufferedResponse, request: T) => 'replaced' | void;
  readonly unanswered: (result: UnansweredResult) => void;
}

/** An attempt in progress. */
interface CurrentAttempt<T extends UpstreamRequest> {
  readonly attempt: Attempt;
  readonly report: AttemptCallbacks;
  readonly request: T;
  /** `performance.now()` */
  readonly began: number;
}

/** A call to a model, whatever its protocol: each attempt is encoded for its arm. */
export class UpstreamCall<T extends UpstreamRequest> implements JobCall, ResponseHandler {
  private current: CurrentAttempt<T> | undefined;
  /** From a batch call: nothing is sent. */
  private received: HttpResponse | undefined;

  constructor(
    private readonly context: UpstreamContext,
    private readonly base: CallOptions,
    private readonly encode: Encode<T>,
    private readonly receiver: Receiver<T>,
    readonly replayable = true,
    readonly upload?: Upload | undefined,
  ) {}

  receive(attempt: Attempt, report: AttemptCallbacks, answer: HttpResponse): void {
    this.received = answer;
    this.attempt(attempt, report);
  }

  attempt(attempt: Attempt, report: AttemptCallbacks): void {
    let request: T | Promise<T>;
    try {
      request = this.encode(attempt);
    } catch (error) {
      return void report.settled(rejected(error));
    }
    if (!(request instanceof Promise)) return this.send(attempt, report, request);
    request
      .then((later) => this.send(attempt, report, later))
      .catch((error: unknown) => report.settled(rejected(error)));
  }

  private send(attempt: Attempt, report: AttemptCallbacks, request: T): void {
    this.current = { attempt, report, request, began: performance.now() };
    if (this.received !== undefined) return this.onResponse(this.received);
    const { replica, remainingMs: timeoutMs, number } = attempt;
    const { base, context, upload, replayable } = this;
    const refused = attempt.isSuspect ? this.poisoned(attempt) : undefined;
    if (refused !== undefined) return this.onFailure(refused);
    const { method, target, body } = request;
    context.upstream.send(
      replica,
      {
        method,
        target,
        headers: this.headersOf(attempt, request),
        body,
        upload,
        timeoutMs,
        signal: base.signal,
        repeatable: replayable && base.model.inference.idempotent,
        isAgain: number > 1,
      },
      this,
    );
  }

  private headersOf({ replica, remainingMs, span }: Attempt, request: T): HeaderText {
    const headers = attemptHeaders(replica, request, this.upload, remainingMs);
    const { span: parent } = this.base;
    if (span === undefined || parent === undefined) return headers;
    // The server's spans are children of the attempt's, not of the request's.
    return headers.replace(parent.traceparent, span.traceparent);
  }

  private poisoned({ arm, replica }: Attempt): ExchangeFailure | undefined {
    const { id } = this.base.model;
    const fingerprint = this.fingerprint(replica.version);
    const ms = this.context.dispatcher.poisonedMs(id, arm.name, fingerprint);
    return ms > 0 ? poisoned(id, ms) : undefined;
  }

  fingerprint(version: string): string | undefined {
    const { model, isBatchCall } = this.base;
    const body = this.current?.request.body;
    if (body === undefined || isBatchCall === true) return undefined;
    return fingerprintOf(model.id, version, body);
  }

  onRequestSent(): void {
    this.current?.report.delivered?.();
  }

  onFailure(why: ExchangeFailure): void {
    this.current?.report.settled(why);
  }

  onResponse(answer: HttpResponse): void {
    const { current } = this;
    if (current === undefined) return;
    const { attempt, report, request } = current;
    if (!this.receiver.isRelayed(answer, request)) return this.buffer(current, answer);
    const verdict = report.settled({ kind: 'answered', status: answer.status });
    if (verdict === 'deliver') this.receiver.relay(answer, attempt, report);
    else answer.body.destroy();
  }

  /** An attempt ends with the last byte; a response that is cut off before can be retried. */
  private buffer(current: CurrentAttempt<T>, answer: HttpResponse): void {
    const { attempt, report, request, began } = current;
    const { arm, replica, remainingMs, number: tries } = attempt;
    const { status, fields } = answer;
    const timeoutMs = Math.max(0, remainingMs - (performance.now() - began));
    const { held = UNCOUNTED, signal } = this.base;
    const { answerBytes: limit } = this.context.limits;
    collect(answer, { limit, timeoutMs, held }, (body) => {
      if (body instanceof MemoryFull) return void report.settled(rejected(body));
      if (!Buffer.isBuffer(body)) {
        return void report.settled(signal.aborted ? { kind: 'aborted' } : body);
      }
      if (report.settled({ kind: 'answered', status }) !== 'deliver') return;
      const reply = { arm, replica, status, fields, body, tries };
      const isReplaced = this.receiver.buffered(reply, request) === 'replaced';
      report.finished({ kind: 'answered', status, ...(isReplaced && { isReplaced }) });
    });
  }

  onUnanswered(result: UnansweredResult): void {
    this.receiver.unanswered(result);
  }
}

/** A response that was read whole, and the request it answers. */
export interface BufferedResult<T extends UpstreamRequest> {
  readonly reply: BufferedResponse;
  readonly request: T;
}

/**
 * Calls a model and reads the whole response, whatever its status.
 * @param isReplaced will other calls take the place of the one with this response?
 * @throws Refusal when there is no response, CallerGone when the caller disconnected
 */
export function callBuffered<T extends UpstreamRequest>(
  context: UpstreamContext,
  base: CallOptions,
  encode: Encode<T>,
  isReplaced: (reply: BufferedResponse) => boolean = () => false,
): Promise<BufferedResult<T>> {
  return new Promise((resolve, reject) => {
    const receiver = new BufferedReceiver<T>(
      (reply, request) => {
        resolve({ reply, request });
        return isReplaced(reply) ? 'replaced' : undefined;
      },
      (result) => reject(failureOf(result, base.model.id)),
    );
    context.dispatcher.start(base, new UpstreamCall(context, base, encode, receiver));
  });
}

/** Receives every response whole, so that none is relayed. */
export class BufferedReceiver<T extends UpstreamRequest> implements Receiver<T> {
  constructor(
    readonly buffered: Receiver<T>['buffered'],
    readonly unanswered: Receiver<T>['unanswered'],
  ) {}

  isRelayed(): boolean {
    return false;
  }

  relay({ body }: HttpResponse): void {
    body.destroy();
  }
}
