import type { AttemptResult } from '../../core/routing/outcome';
import type { Holding } from '../../shared/held-bytes';
import type { Fields } from './fields';

/** Header lines as they go out: `name: value`, each with CR LF at its end. */
export type HeaderText = string;

/**
 * How the answer ended on the way to the caller. `unsent`: it broke before a byte of it was out, and
 * the caller waits for another one.
 */
export type DeliveryOutcome = 'complete' | 'caller_gone' | 'source_broke' | 'unsent';

/** Why there is no answer, or not all of it. */
export type ExchangeFailure = Exclude<AttemptResult, { readonly kind: 'answered' }>;

/** Who takes a body. Exactly one of `end` and `fail` is called, last. */
export interface BodySink {
  /** False: wait for `resume`. The bytes are the sink's for this call only. */
  readonly data: (piece: Buffer) => boolean;
  readonly end: () => void;
  readonly fail: (why: ExchangeFailure) => void;
}

/** A body as it comes. Nothing of it is given before `flow`, and that is called once. */
export interface BodySource {
  readonly flow: (sink: BodySink) => void;
  readonly resume: () => void;
  /** Nobody wants it, or the rest of it. A sink is told so, too. */
  readonly destroy: () => void;
}

/**
 * A request's body that comes while it is passed on. Its pieces may be kept, other than those of an
 * answer. It fails with `aborted`: nobody but the caller is to blame.
 */
export interface Upload extends BodySource {
  /** Bytes of all of it; undefined: nobody knows before it is over. */
  readonly length: number | undefined;
  /** Nothing of it was given yet: it can still go to another server. */
  readonly isUntouched: boolean;
  /** Why it failed while its caller is still there, who must be told. */
  readonly fault: Error | undefined;
}

/** The head of a server's answer, and its body to come. */
export interface HttpResponse {
  readonly kind: 'answered';
  readonly status: number;
  readonly fields: Fields;
  readonly body: BodySource;
}

export type HttpResult = HttpResponse | ExchangeFailure;

/** Who asked a server. Exactly one of the two is called, once. */
export interface ResponseHandler {
  /** Before it returns the body may be taken without a copy being kept. */
  readonly onResponse: (answer: HttpResponse) => void;
  /** An upload is with the server, all of it; before one of the others. */
  readonly onRequestSent?: () => void;
  readonly onFailure: (why: ExchangeFailure) => void;
}

/** What of an AbortSignal is needed on the way of a request; making a real one takes microseconds. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** What is known of a request only on its way. */
export interface RequestObserver {
  readonly onIdentified: (caller: string, model: string | undefined) => void;
  readonly onRouted: (arm: string, version: string) => void;
  /** Once: the answer is out; undefined: its caller has gone. */
  readonly onFinished: (status?: number) => void;
}

/** Who asks, and with which headers: all that the steps before the body need, whatever carries it. */
export type IncomingRequest = Pick<
  Exchange,
  'fields' | 'remoteAddress' | 'secure' | 'signal' | 'account' | 'held'
>;

/** What a request brings: all of it, or what will come. */
export type RequestPayload = Buffer | Upload;

/**
 * One request and its answer, whatever carries them. The handler knows only this; an engine under
 * it can be exchanged. Nothing waits for a promise that is there already: a turn of the microtask
 * queue for each layer costs more than the layers.
 */
export interface Exchange {
  readonly method: string;
  /** As sent, without query; not decoded. */
  readonly path: string;
  /** With its `?`, or `''`. */
  readonly query: string;
  readonly fields: Fields;
  readonly remoteAddress: string;
  readonly secure: boolean;
  /** Aborted when the caller goes away before the answer is complete. */
  readonly signal: AbortSignalLike;
  /** Who wants to know what becomes of the request; absent where nobody does. */
  account?: RequestObserver | undefined;
  /** Memory that is used for the request until it is over. */
  readonly held: Holding;
  /**
   * The whole body, at once if it is there. Rejects with BodyTooLarge, with MemoryFull (or throws
   * it), or any error when the caller breaks off.
   */
  readonly body: (limit: number) => Buffer | Promise<Buffer>;
  /** The same up to `whole` bytes; a larger one is given as it comes, and ends at the limit. */
  readonly upload: (whole: number, limit: number) => RequestPayload | Promise<RequestPayload>;
  readonly answer: (status: number, headers: HeaderText, body: Buffer | string) => void;
  /** Passes an answer on as it comes. `sent` is called once, with the reason when it broke. */
  readonly stream: (
    status: number,
    headers: HeaderText,
    source: BodySource,
    sent: (how: DeliveryOutcome, why?: ExchangeFailure) => void,
  ) => void;
}
