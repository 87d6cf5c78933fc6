import type { UpstreamRequest, CallOptions, UpstreamContext, BufferedResponse } from './call';
import type { HttpResponse, Exchange, HeaderText } from '../http/exchange';
import type { RelayCallbacks, RelayOptions } from './relay';
import { RelayedCall } from './relay';
import type { Attempt, JobResult, AttemptCallbacks } from '../dispatch/job';

/** Status and headers of a server's response. */
export type UpstreamHead = Pick<HttpResponse, 'status' | 'fields'>;

export type ResponseBody = string | Buffer;

/** The request for one arm, and how its response is decoded. */
export interface Encoding {
  readonly request: UpstreamRequest;
  readonly headers: HeaderText;
  /** Is this response relayed unchanged? Else it is buffered and decoded. */
  readonly isRelayed: (answer: UpstreamHead) => boolean;
  /** Decodes a buffered response for the caller; asynchronously if it is large. @throws Refusal */
  readonly read: (reply: BufferedResponse) => ResponseBody | Promise<ResponseBody>;
  /** Content-Type of the decoded body. */
  readonly type: string;
}

/** @throws Refusal when the call cannot be encoded for the arm */
export type Encoder = (attempt: Attempt) => Encoding | Promise<Encoding>;

export interface TranscodedCallbacks extends RelayCallbacks {
  /** The response was buffered; nothing was written to the caller yet. */
  readonly buffered: (reply: BufferedResponse, encoding: Encoding) => void;
}

/** One try whose request is encoded. */
interface EncodedAttempt {
  readonly attempt: Attempt;
  readonly report: AttemptCallbacks;
  readonly encoding: Encoding;
  readonly began: number;
}

/**
 * A call that is encoded for the arm of each try: the arms of one model may speak different
 * protocols, and the dispatcher chooses the arm with the try.
 */
class TranscodedCall extends RelayedCall {
  private last: EncodedAttempt | undefined;
  private response: Omit<BufferedResponse, 'arm'> | undefined;

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
    this.prepare(() => this.encoder(attempt), report, go);
  }

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
    this.readWhole(attempt, began, answer, report, keep);
  }

  override discard(): void {
    this.response = undefined;
    super.discard();
  }

  override onResult(result: JobResult): void {
    const { response, last, transcodedCallbacks: callbacks } = this;
    if (response === undefined || last === undefined || result.kind !== 'answered')
      super.onResult(result);
    else callbacks.buffered({ arm: result.arm, ...response }, last.encoding);
  }
}

/** Sends a call to the chosen arm; the response is relayed, or buffered and decoded. */
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
