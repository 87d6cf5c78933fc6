import type { Fields, Framing } from './fields';
import { checkText, fieldsOf, framingOf, HttpFault, keepsAlive, NO_BODY } from './fields';

/** What stands before the body of an answer. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
  readonly framing: Framing;
  /** May the connection serve another request? */
  readonly keepAlive: boolean;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?$/;

/** Answers that have no body whatever their headers say (RFC 9112, 6.3). */
const isBodiless = (method: string, status: number): boolean =>
  method === 'HEAD' || status < 200 || status === 204 || status === 304;

/**
 * Reads the head of an answer to a request with this method.
 * @param head latin-1, up to and with the empty line
 * @throws HttpFault when it is no HTTP/1.x, or could be read in two ways
 */
export function parseResponse(head: string, method: string): ResponseHead {
  checkText(head);
  const end = head.indexOf('\r');
  const [line, minorText, statusText] = STATUS_LINE.exec(head.slice(0, end)) ?? [];
  if (line === undefined) throw new HttpFault(502, 'no status line of HTTP/1.x');
  const [minor, status] = [Number(minorText), Number(statusText)];
  const fields = fieldsOf(head, end + 2);
  const stated = framingOf(fields, minor);
  const framing = isBodiless(method, status) ? NO_BODY : (stated ?? ({ kind: 'close' } as const));
  const keepAlive = framing.kind !== 'close' && keepsAlive(fields, minor);
  return { status, fields, framing, keepAlive };
}
