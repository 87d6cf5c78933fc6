import type { Socket } from 'node:net';
import type { HeaderText, AbortSignalLike, Upload } from '../exchange';
import { writeBoth } from '../server/response-writer';

/** One request over a connection. */
export interface ClientRequest {
  readonly method: string;
  readonly target: string;
  /** All of them, `Host` and the length of the body included. */
  readonly headers: HeaderText;
  readonly body: Buffer | undefined;
  /** Instead of a body; `headers` say its length, or chunks. */
  readonly upload?: Upload | undefined;
  /** Milliseconds until the head of the answer is there, and then between bytes. */
  readonly timeoutMs: number;
  readonly signal: AbortSignalLike;
  /** May the server do it twice? */
  readonly repeatable: boolean;
  /** Its first try failed: it takes no connection that was kept. */
  readonly isAgain?: boolean;
  /** Redirects are valid responses; a model server must not send one. */
  readonly takesRedirects?: boolean;
}

/** Sends all of it but an upload. */
export function writeRequest(
  socket: Socket,
  { method, target, headers, body }: ClientRequest,
): void {
  const head = `${method} ${target} HTTP/1.1\r\n${headers}\r\n`;
  if (body === undefined || body.length === 0) socket.write(head, 'latin1');
  else writeBoth(socket, head, body);
}
