import type { Fields, Framing } from '../fields';
import { checkText, fieldsOf, framingOf, HttpFault, keepsAlive, NO_BODY } from '../fields';

/** The status line and headers of a response. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
  readonly framing: Framing;
  /** May the connection serve another request? */
  readonly keepAlive: boolean;
}

const VERSION_START = 'HTTP/1.';
const ZERO = 0x30;
const BLANK = 0x20;

/** A server that names its own limit closes about then: go before it does; milliseconds. */
const HINT_MARGIN_MS = 1000;
const TIMEOUT_HINT = /(?:^|[,;\s])timeout=([0-9]{1,6})(?![0-9])/i;

/** Parses `Keep-Alive: timeout=5`, the form of node:http. */
export function keepAliveMsOf(fields: Fields): number {
  const [, seconds] = TIMEOUT_HINT.exec(fields.get('keep-alive') ?? '') ?? [];
  return seconds === undefined ? Infinity : Number(seconds) * 1000 - HINT_MARGIN_MS;
}

const digitAt = (head: string, at: number): number => head.charCodeAt(at) - ZERO;

const isDigitAt = (head: string, at: number): boolean =>
  digitAt(head, at) >= 0 && digitAt(head, at) <= 9;

/**
 * Of `HTTP/1.x SP ddd`, and nothing or a blank and a reason behind it; 0 when it is not that. By
 * hand: a regular expression and its matches cost four times as much.
 * @param end of the line
 */
function statusOf(head: string, end: number): number {
  const minor = digitAt(head, 7);
  if (!head.startsWith(VERSION_START) || (minor !== 0 && minor !== 1)) return 0;
  if (!isDigitAt(head, 9) || !isDigitAt(head, 10) || !isDigitAt(head, 11)) return 0;
  const isSpaced = head.charCodeAt(8) === BLANK && (end === 12 || head.charCodeAt(12) === BLANK);
  const status = 100 * digitAt(head, 9) + 10 * digitAt(head, 10) + digitAt(head, 11);
  return end >= 12 && isSpaced && status >= 100 && status < 600 ? status : 0;
}

/** Answers that have no body whatever their headers say (RFC 9112, 6.3). */
const isBodiless = (method: string, status: number): boolean =>
  method === 'HEAD' || status < 200 || status === 204 || status === 304;

/**
 * Reads the head of an answer to a request with this method.
 * @param head latin-1, up to and with the empty line
 * @throws HttpFault when it is not HTTP/1.x, or could be read in two ways
 */
export function parseResponse(head: string, method: string): ResponseHead {
  checkText(head);
  const end = head.indexOf('\r');
  const status = statusOf(head, end);
  if (status === 0) throw new HttpFault(502, 'no status line of HTTP/1.x');
  const minor = digitAt(head, 7);
  const fields = fieldsOf(head, end + 2);
  const stated = framingOf(fields, minor);
  const framing = isBodiless(method, status) ? NO_BODY : (stated ?? ({ kind: 'close' } as const));
  const keepAlive = framing.kind !== 'close' && keepsAlive(fields, minor);
  return { status, fields, framing, keepAlive };
}

/** Rejects bytes that do not start like HTTP at once. @throws HttpFault */
export function checkVersionStart(text: string): void {
  if (!text.startsWith(VERSION_START.slice(0, text.length))) {
    throw new HttpFault(502, 'no status line of HTTP/1.x');
  }
}

/** @throws HttpFault for a redirect: it could lead the caller and its key to another server */
export function checkStatusAccepted(status: number, takesRedirects: boolean): void {
  if (status === 101) throw new HttpFault(502, 'status 101 to a request that asked for none');
  if (takesRedirects || status < 300 || status >= 400) return;
  throw new HttpFault(
    502,
    `status ${status} is a redirect, which is neither followed nor passed on; ` +
      'the server must answer at the path of its protocol',
  );
}
