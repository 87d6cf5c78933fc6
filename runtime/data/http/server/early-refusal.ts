import type { HeaderText } from '../exchange';
import type { HttpFault } from '../fields';

// Refusals by the engine itself, before or while a request is read.

/** The readable part of an incomplete or invalid request; unvalidated. */
export interface PartialRequest {
  /** Without its query; perhaps cut short. */
  readonly path: string | undefined;
  readonly requestId: string | undefined;
}

/** Header lines and body; the engine adds the length, and ends the connection. */
export interface RefusalResponse {
  readonly headers: HeaderText;
  readonly body: string;
}

/** Writes a fault in the format of the API that was called. */
export type WriteRefusal = (fault: HttpFault, seen: PartialRequest) => RefusalResponse;

const PATH = /^[!-~]+ (?:https?:\/\/[^/?#\s]*)?(\/[!->@-~]*)/i;
const REQUEST_ID = /\r\nx-request-id:([^\r\n]*)(?=\r\n)/gi;

/**
 * Reads path and request id from a head that is refused or incomplete.
 * @param head latin-1, from its first line on
 */
export function parsePartialRequest(head: string): PartialRequest {
  const ids = [...head.matchAll(REQUEST_ID)];
  const [only] = ids;
  return {
    path: PATH.exec(head)?.[1],
    requestId: ids.length === 1 ? only?.[1]?.trim() : undefined,
  };
}

/** The whole answer. */
export function refusalText({ status }: HttpFault, { headers, body }: RefusalResponse): string {
  return (
    `HTTP/1.1 ${status} Refused\r\n${headers}` +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  );
}
