import type { UpstreamRequest, CallOptions, UpstreamContext, BufferedResponse } from './call';
import type { HttpResponse, Exchange, HeaderText } from '../http/exchange';
import type { RelayCallbacks, RelayOptions } from './relay';
import { RelayedCall } from './relay';
import type { Attempt, JobResult, AttemptCallbacks } from '../dispatch/job';

/** Of an answer, what stands before its body. */
export type UpstreamHead = Pick<HttpResponse, 'status' | 'fields'>;

export type ResponseBody = string | Buffer;

/** How one arm is asked, and what becomes of its answer. */
export interface Encoding {
  readonly request: UpstreamRequest;
  readonly headers: HeaderText;
  /** Does the answer go to the caller as it comes? Else it is read whole. */
  readonly isRelayed: (answer: UpstreamHead) => boolean;
  /** The caller's body of an answer that was read; later, if that is large. @throws Refusal */
  readonly read: (reply: BufferedResponse) => ResponseBody | Promise<ResponseBody>;
  /** Content-Type of that body. */
  readonly type: string;
}

/** @throws Refusal when the arm cannot be told the call */
export type Encoder = (attempt: Attempt) => Encoding | Promise<Encoding>;

export interface TranscodedCallbacks extends RelayCallbacks {
  /** The answer was read; the caller has nothing yet. */
  readonly buffered: (reply: BufferedResponse, encoding: Encoding) => void;
}

/** One try, once it is known how it is made. */
interface EncodedAttempt {
  readonly attempt: Attempt;
  readonly report: AttemptCallbacks;
  readonly encoding: Encoding;
  readonly began: number;
}

/**
 * A call that reaches each arm in that arm's words: arms of one model may speak differently, and
 * which one it is is known with the try.
 */
class TranscodedCall extends RelayedCall {
  private last: EncodedAttempt | undefined;
  private response: Omit<BufferedResponse, 'arm'> | undefined;
  private fault: { readonly reason: unknown } | undefined;

  constructor(
    context: UpstreamContext,
    base: CallOptions,
    exchange: Exchange,
    relayOptions: RelayOptions,
    private readonly transcodedCallbacks: TranscodedCallbacks,
    private readonly encoder: Encoder,
  ) {
    super(context, base, exchange, relayOptions, transcodedCallbacks);
  }

  override attempt(attempt: Attempt, report: AttemptCallbacks): void {
    const go = (encoding: Encoding): void => {
      this.last = { attempt, report, encoding, began: performance.now() };
      this.request = encoding.request;
      super.attempt(attempt, report);
    };
    this.prepare(() => this.encoder(attempt), report, go, this.cannot);
  }

  private readonly cannot = (reason: unknown): void => {
    this.fault = { reason };
  };

  protected override get headers(): HeaderText {
    return this.last?.encoding.headers ?? this.base.headers;
  }

  override onResponse(answer: HttpResponse): void {
    const { last } = this;
    if (last === undefined || last.encoding.isRelayed(answer)) return super.onResponse(answer);
    const { attempt, began, report } = last;
    const keep = (body: Buffer): void => {
      const { status, fields } = answer;
      this.response = { replica: attempt.replica, status, fields, body };
    };
    this.readWhole(attempt, began, answer, report, keep, this.cannot);
  }

  override discard(): void {
    this.response = undefined;
    super.discard();
  }

  override onResult(result: JobResult): void {
    const { fault, response, last, transcodedCallbacks: callbacks } = this;
    if (fault !== undefined) callbacks.failed(fault.reason);
    else if (response === undefined || last === undefined || result.kind !== 'answered')
      super.onResult(result);
    else callbacks.buffered({ arm: result.arm, ...response }, last.encoding);
  }
}

/** Puts a call to whichever arm gets it, and its answer to the caller, as it comes or read. */
export function relayTranscoded(
  context: UpstreamContext,
  base: CallOptions,
  exchange: Exchange,
  relayOptions: RelayOptions,
  callbacks: TranscodedCallbacks,
  encoder: Encoder,
): void {
  context.dispatcher.start(
    new TranscodedCall(context, base, exchange, relayOptions, callbacks, encoder),
  );
}
