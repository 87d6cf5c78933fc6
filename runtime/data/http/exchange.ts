import type { AuthResult, ClientCertificate } from '../../auth/port';
import type { AttemptResult } from '../../core/routing/outcome';
import type { Holding } from '../../shared/held-bytes';
import type { Fields } from './fields';

/** Header lines as they go out: `name: value`, each with CR LF at its end. */
export type HeaderText = string;

/**
 * How the answer ended on the way to the caller. `unsent`: it broke before a byte of it was out,
 * and the caller waits for another one.
 */
export type DeliveryOutcome = 'complete' | 'caller_gone' | 'source_broke' | 'unsent';

/** Why there is no complete response. */
export type ExchangeFailure = Exclude<AttemptResult, { readonly kind: 'answered' }>;

/** Receives a body. Exactly one of `end` and `fail` is called, last. */
export interface BodySink {
  /** False: wait for `resume`. The bytes are the sink's for this call only. */
  readonly data: (piece: Buffer) => boolean;
  readonly end: () => void;
  readonly fail: (why: ExchangeFailure) => void;
}

/** A streamed body. Delivery starts with `flow`, which is called once. */
export interface BodySource {
  readonly flow: (sink: BodySink) => void;
  readonly resume: () => void;
  /** Discards the rest; a sink may still get `fail`. */
  readonly destroy: () => void;
}

/**
 * A request's body that comes while it is passed on. Its pieces may be kept, other than those of an
 * response. It fails with `rejected`, a fault of the caller.
 */
export interface Upload extends BodySource {
  /** Its bytes; undefined: unknown until it ends. */
  readonly length: number | undefined;
  /** No byte was delivered yet: another server can still get it. */
  readonly isUntouched: boolean;
}

/** The head of a server's answer, and its body to come. */
export interface HttpResponse {
  readonly kind: 'answered';
  readonly status: number;
  readonly fields: Fields;
  readonly body: BodySource;
}

export type HttpResult = HttpResponse | ExchangeFailure;

/** Receives the result of a request: exactly one of `onResponse` and `onFailure`, once. */
export interface ResponseHandler {
  /** A body that is read before this returns is not copied. */
  readonly onResponse: (answer: HttpResponse) => void;
  /** The whole upload was sent; called before one of the others. */
  readonly onRequestSent?: () => void;
  readonly onFailure: (why: ExchangeFailure) => void;
}

/** The used part of `AbortSignal`; creating a real one takes microseconds. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Observes a request, for the audit line. */
export interface RequestObserver {
  readonly onIdentified: (caller: string | undefined, model: string | undefined) => void;
  readonly onRouted: (arm: string, version: string) => void;
  /** Once, with the status sent; undefined: the caller left. */
  readonly onFinished: (status?: number) => void;
}

/** The part of a request that is known before its body, over HTTP or gRPC. */
export type IncomingRequest = Pick<
  Exchange,
  'fields' | 'remoteAddress' | 'secure' | 'certificate' | 'signal' | 'identity' | 'account' | 'held'
>;

/** A whole body, or a streamed one. */
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
  /** Undefined: the caller showed none that an authority of ours signed. */
  readonly certificate?: ClientCertificate | undefined;
  /** Aborted when the caller goes away before the answer is complete. */
  readonly signal: AbortSignalLike;
  /** Who sent it; undefined until that is known. */
  identity?: AuthResult | undefined;
  /** Absent: the request is not observed. */
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
