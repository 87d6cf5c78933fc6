import type { TryResult } from '../core/outcome';
import type { Replica } from '../core/table';
import type { Answered, Broken, Exchanged, RawHeaders, Signal } from './exchange';
import type { HttpClient } from './http/client';
import { createHttpClient } from './http/client';

/** One request to one replica. */
export interface Sending {
  readonly replica: Replica;
  readonly method: string;
  /** With its query. */
  readonly target: string;
  readonly headers: RawHeaders;
  readonly body: Buffer | undefined;
  /** Milliseconds until the first byte, and then between bytes. */
  readonly timeoutMs: number;
  /** Aborted when the caller goes away. */
  readonly signal: Signal;
}

/** Sends requests to model servers over connections that are kept. */
export interface Upstream {
  /** Resolves with the status line and an unread body, or with why there is none. Never rejects. */
  readonly send: (sending: Sending) => Promise<Exchanged>;
  readonly close: () => void;
}

export function createUpstream(client: HttpClient = createHttpClient()): Upstream {
  return {
    send: ({ replica, method, target, headers, body, timeoutMs, signal }) =>
      client.send(replica, {
        method,
        target,
        headers: [
          'host',
          replica.address,
          ...headers,
          ...(body === undefined ? [] : ['content-length', String(body.length)]),
          'x-ai-model-deadline-ms',
          String(Math.ceil(timeoutMs)),
        ],
        body,
        timeoutMs,
        signal,
      }),
    close: client.close,
  };
}

/**
 * The rest of an answer in one buffer; what is wrong with it otherwise.
 * @param timeoutMs for all of it: a server that drips must not outlive the request
 */
export function readAll(
  { body }: Answered,
  limit: number,
  timeoutMs: number,
): Promise<Buffer | Broken> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    let size = 0;
    const settle = (result: Buffer | Exclude<TryResult, { kind: 'answered' }>): void => {
      clearTimeout(timer);
      resolve(result);
    };
    const timer = setTimeout(() => {
      settle({ kind: 'timeout' });
      body.destroy();
    }, timeoutMs);
    body.flow({
      data: (piece) => {
        size += piece.length;
        // The bytes are ours for this call only.
        pieces.push(piece);
        if (size <= limit) return true;
        settle({ kind: 'protocol', message: `the answer has more than ${limit} bytes` });
        body.destroy();
        return false;
      },
      end: () => settle(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, size)),
      fail: settle,
    });
  });
}
