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
  readonly asked: UpstreamRequest;
  readonly headers: HeaderText;
  /** Does the answer go to the caller as it comes? Else it is read whole. */
  readonly passes: (answer: UpstreamHead) => boolean;
  /** The caller's body of an answer that was read; later, if that is large. @throws Refusal */
  readonly read: (reply: BufferedResponse) => ResponseBody | Promise<ResponseBody>;
  /** Content-Type of that body. */
  readonly type: string;
}

/** @throws Refusal when the arm cannot be told the call */
export type Encoder = (attempt: Attempt) => Encoding | Promise<Encoding>;

export interface TranscodedCallbacks extends RelayCallbacks {
  /** The answer was read; the caller has nothing yet. */
  readonly whole: (reply: BufferedResponse, way: Encoding) => void;
}

/** One try, once it is known how it is made. */
interface EncodedAttempt {
  readonly one: Attempt;
  readonly tried: AttemptCallbacks;
  readonly way: Encoding;
  readonly began: number;
}

/**
 * A call that reaches each arm in that arm's words: arms of one model may speak differently, and
 * which one it is is known with the try.
 */
class TranscodedCall extends RelayedCall {
  private last: EncodedAttempt | undefined;
  private whole: Omit<BufferedResponse, 'arm'> | undefined;
  private fault: { readonly reason: unknown } | undefined;

  constructor(
    calling: UpstreamContext,
    base: CallOptions,
    exchange: Exchange,
    forwarding: RelayOptions,
    private readonly crossed: TranscodedCallbacks,
    private readonly wayTo: Encoder,
  ) {
    super(calling, base, exchange, forwarding, crossed);
  }

  override attempt(one: Attempt, tried: AttemptCallbacks): void {
    const go = (way: Encoding): void => {
      this.last = { one, tried, way, began: performance.now() };
      this.asked = way.asked;
      super.attempt(one, tried);
    };
    this.prepare(() => this.wayTo(one), tried, go, this.cannot);
  }

  private readonly cannot = (reason: unknown): void => {
    this.fault = { reason };
  };

  protected override get headers(): HeaderText {
    return this.last?.way.headers ?? this.base.headers;
  }

  override onResponse(answer: HttpResponse): void {
    const { last } = this;
    if (last === undefined || last.way.passes(answer)) return super.onResponse(answer);
    const { one, began, tried } = last;
    const keep = (body: Buffer): void => {
      const { status, fields } = answer;
      this.whole = { replica: one.replica, status, fields, body };
    };
    this.readWhole(one, began, answer, tried, keep, this.cannot);
  }

  override discard(): void {
    this.whole = undefined;
    super.discard();
  }

  override onResult(result: JobResult): void {
    const { fault, whole, last, crossed } = this;
    if (fault !== undefined) crossed.failed(fault.reason);
    else if (whole === undefined || last === undefined || result.kind !== 'answered')
      super.onResult(result);
    else crossed.whole({ arm: result.arm, ...whole }, last.way);
  }
}

/** Puts a call to whichever arm gets it, and its answer to the caller, as it comes or read. */
export function relayTranscoded(
  calling: UpstreamContext,
  base: CallOptions,
  exchange: Exchange,
  forwarding: RelayOptions,
  crossed: TranscodedCallbacks,
  wayTo: Encoder,
): void {
  calling.dispatcher.start(new TranscodedCall(calling, base, exchange, forwarding, crossed, wayTo));
}
