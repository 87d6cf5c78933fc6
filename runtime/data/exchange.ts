import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';

/** Header lines in the order they came or go: name, value, name, value … */
export type RawHeaders = readonly string[];

/** How the answer ended on the way to the caller. */
export type Sent = 'complete' | 'caller_gone' | 'source_broke';

/**
 * One request and its answer, whatever carries them. The handler knows only this; an engine under
 * it can be exchanged.
 */
export interface Exchange {
  readonly method: string;
  /** As sent, without query; not decoded. */
  readonly path: string;
  /** With its `?`, or `''`. */
  readonly query: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: RawHeaders;
  readonly remoteAddress: string;
  readonly secure: boolean;
  /** Aborted when the caller goes away before the answer is complete. */
  readonly signal: AbortSignal;
  /** The whole body. @throws BodyTooLarge, or any error when the caller breaks off */
  readonly body: (limit: number) => Promise<Buffer>;
  readonly answer: (status: number, headers: RawHeaders, body: Buffer | string) => void;
  /** Passes an answer on as it comes. Never rejects. */
  readonly stream: (status: number, headers: RawHeaders, source: Readable) => Promise<Sent>;
}
