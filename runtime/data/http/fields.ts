import type { IncomingHttpHeaders } from 'node:http';
import type { RawHeaders } from '../exchange';

// What a head of HTTP/1.1 may look like, both ways. Strict on purpose: every doubt about where a
// message ends is a way to smuggle a second one past whoever reads it differently (RFC 9112, 11.2).

/** Bytes of a head, request line and empty line included. */
export const MAX_HEAD_BYTES = 16_384;
/** A message with more headers than this is an attack or a mistake. */
export const MAX_HEADERS = 100;

/** Something that is no HTTP, or more of it than is taken. `status` is for the one who sent it. */
export class HttpFault extends Error {
  override readonly name = 'HttpFault';
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Latin-1 without controls; CR and LF are checked as pairs. */
const NOT_TEXT = /[^\t\r\n\x20-\x7e\x80-\xff]/;
const BARE_LINE_END = /\r(?!\n)|(?<!\r)\n/;

export const isToken = (text: string): boolean => TOKEN.test(text);

/** @throws HttpFault when a head holds a control character or a lonely CR or LF */
export function checkText(head: string): void {
  if (NOT_TEXT.test(head)) throw new HttpFault(400, 'the head holds a control character');
  if (BARE_LINE_END.test(head)) throw new HttpFault(400, 'a line must end with CR LF');
}

const BLANKS = /^ +| +$/g;
const isBlank = (code: number): boolean => code === 0x20;

/**
 * Blanks around a value; most values have one before and none behind. A tab stays a part of the
 * value: not all readers take it away, and a length with a tab is none to some.
 */
function trimmed(text: string): string {
  const begin = text.charCodeAt(0) === 0x20 ? 1 : 0;
  if (begin >= text.length) return '';
  const plain = isBlank(text.charCodeAt(begin)) || isBlank(text.charCodeAt(text.length - 1));
  return plain ? text.replace(BLANKS, '') : text.slice(begin);
}

/**
 * The header lines of a checked head, from `at` to the empty line: name, value, name, value …
 * @throws HttpFault
 */
export function fieldsOf(head: string, at: number): string[] {
  const fields: string[] = [];
  for (let from = at; ;) {
    const end = head.indexOf('\r\n', from);
    if (end === from || end < 0) return fields;
    const colon = head.indexOf(':', from);
    // A line that begins with a blank goes on with the one before (obs-fold): no token either.
    const name = colon < 0 || colon > end ? '' : head.slice(from, colon);
    if (!isToken(name)) throw new HttpFault(400, 'a header line must be "name: value"');
    if (fields.length >= 2 * MAX_HEADERS) {
      throw new HttpFault(431, `there are more than ${MAX_HEADERS} headers`);
    }
    fields.push(name, trimmed(head.slice(colon + 1, end)));
    from = end + 2;
  }
}

/** Of these a second one is not joined to the first: the first counts (as in Node). */
const SINGLE = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
]);

/** Headers by name in lower case, several of one name joined as RFC 9110, 5.3 says. */
export function headersOf(fields: RawHeaders): IncomingHttpHeaders {
  const headers = Object.create(null) as IncomingHttpHeaders;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = (fields[at] as string).toLowerCase();
    const value = fields[at + 1] as string;
    const before = headers[name];
    if (name === 'set-cookie') headers[name] = [...(headers[name] ?? []), value];
    else if (before === undefined) headers[name] = value;
    else if (!SINGLE.has(name)) {
      headers[name] = `${before as string}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
  }
  return headers;
}

/** How the body of a message is delimited. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Until the connection ends; answers only. */
  | { readonly kind: 'close' };

export const NO_BODY: Framing = { kind: 'none' };

/** 15 digits are below 2^53; a longer number is no length of anything. */
const LENGTH = /^[0-9]{1,15}$/;

function countOf(fields: RawHeaders, wanted: string): number {
  let count = 0;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string;
    if (name.length === wanted.length && name.toLowerCase() === wanted) count += 1;
  }
  return count;
}

/**
 * The framing that the headers state; undefined when they state none.
 * @param minor of HTTP/1.x: 1.0 knows no chunks
 * @throws HttpFault for anything that two readers could read in two ways
 */
export function framingOf(
  headers: IncomingHttpHeaders,
  fields: RawHeaders,
  minor: number,
): Framing | undefined {
  const coding = headers['transfer-encoding'];
  const length = headers['content-length'];
  if (coding !== undefined) {
    if (length !== undefined) throw new HttpFault(400, 'Content-Length beside Transfer-Encoding');
    if (minor === 0) throw new HttpFault(400, 'Transfer-Encoding in HTTP/1.0');
    if (coding.toLowerCase() !== 'chunked') {
      throw new HttpFault(501, 'Transfer-Encoding must be chunked, once');
    }
    return { kind: 'chunked' };
  }
  if (length === undefined) return undefined;
  if (!LENGTH.test(length) || countOf(fields, 'content-length') > 1) {
    throw new HttpFault(400, 'Content-Length must be one whole number');
  }
  return length === '0' ? NO_BODY : { kind: 'length', bytes: Number(length) };
}

/**
 * What `Connection` asks for; without it 1.1 keeps the connection and 1.0 ends it. In doubt (a tab
 * around a word) it ends: nothing is read that somebody else would not read.
 */
export function keepsAlive({ connection }: IncomingHttpHeaders, minor: number): boolean {
  if (connection === undefined) return minor === 1;
  const words = connection.toLowerCase().split(',');
  if (words.some((one) => one.trim() === 'close')) return false;
  return minor === 1 || words.some((one) => one.replace(BLANKS, '') === 'keep-alive');
}
