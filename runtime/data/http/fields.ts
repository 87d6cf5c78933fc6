// Syntax of an HTTP/1.1 head, in both directions. Strict on purpose: two readers that disagree
// about the end of a message allow request smuggling (RFC 9112, 11.2).

/** Bytes of a head, request line and empty line included. */
export const MAX_HEAD_BYTES = 16_384;
/** A message with more headers than this is an attack or a mistake. */
const MAX_HEADERS = 100;

/** Malformed or oversized HTTP. `status` is the status of the refusal. */
export class HttpFault extends Error {
  override readonly name = 'HttpFault';
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const TOKEN_CHARACTERS =
  "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** By character code: 1 where a token may have it. A table costs a tenth of a regular expression. */
const IN_TOKEN = new Uint8Array(256);
for (const one of TOKEN_CHARACTERS) IN_TOKEN[one.charCodeAt(0)] = 1;

/** Is `text` from `from` to `to` (not included) a token? */
function isTokenAt(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (IN_TOKEN[text.charCodeAt(at)] !== 1) return false;
  return to > from;
}

/** Latin-1 without controls; CR and LF are checked as pairs. */
const NOT_TEXT = /[^\t\r\n\x20-\x7e\x80-\xff]/;
const BARE_LINE_END = /\r(?!\n)|(?<!\r)\n/;

export const isToken = (text: string): boolean => isTokenAt(text, 0, text.length);

/** @throws HttpFault when a head holds a control character or a lonely CR or LF */
export function checkText(head: string): void {
  if (NOT_TEXT.test(head)) throw new HttpFault(400, 'the head holds a control character');
  if (BARE_LINE_END.test(head)) throw new HttpFault(400, 'a line must end with CR LF');
}

const isBlank = (code: number): boolean => code === 0x20;

/**
 * Removes surrounding blanks. A tab stays: readers differ in removing it, and some refuse a length
 * with a tab. Not by a regular expression: ` +$` scans every inner run of blanks once for each
 * blank, which takes an eighth of a second for one head.
 */
function trimmed(text: string, begin = 0, end = text.length): string {
  let from = begin;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
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

/** One of 32 bits, which few other names have. A shift takes the last five bits of its count. */
const bloomBitOf = (name: string): number => 1 << (name.length * 5 + name.charCodeAt(0));

/** The header lines of a head. The head stays whole, so that lines are passed on as they came. */
export class Fields {
  /** In lower case, in the order they came. */
  readonly names: string[] = [];
  /** Where each line ends in the head; the next one begins two bytes later. */
  private readonly ends: number[] = [];
  private readonly lower: string;
  /** A Bloom filter of the names: most lookups are for absent headers. */
  private marks = 0;

  /** @param begin of the first line */
  constructor(
    private readonly head: string,
    private readonly begin: number,
  ) {
    this.lower = head.toLowerCase();
  }

  add(colon: number, end: number): void {
    const name = this.lower.slice(this.startOf(this.names.length), colon);
    this.names.push(name);
    this.ends.push(end);
    this.marks |= bloomBitOf(name);
  }

  private startOf(at: number): number {
    return at === 0 ? this.begin : (this.ends[at - 1] as number) + 2;
  }

  /** Values are cut out on demand: few are read. */
  private valueAt(at: number): string {
    const colon = this.startOf(at) + (this.names[at] as string).length;
    return trimmed(this.head, colon + 1, this.ends[at]);
  }

  /** The value of a header; several of one name are joined (RFC 9110, 5.3). */
  get(name: string): string | undefined {
    const { names } = this;
    if ((this.marks & bloomBitOf(name)) === 0) return undefined;
    let found: string | undefined;
    for (let at = 0; at < names.length; at += 1) {
      if (names[at] !== name) continue;
      if (found === undefined) found = this.valueAt(at);
      else if (!SINGLE.has(name)) found += (name === 'cookie' ? '; ' : ', ') + this.valueAt(at);
    }
    return found;
  }

  count(name: string): number {
    let count = 0;
    for (const one of this.names) if (one === name) count += 1;
    return count;
  }

  /** The lines that are kept, each with its line end. Neighbours are copied together. */
  cut(keep: (name: string) => boolean): string {
    const { head, names } = this;
    let text = '';
    let from = -1;
    for (let at = 0; at < names.length; at += 1) {
      const isKept = keep(names[at] as string);
      if (isKept && from < 0) from = this.startOf(at);
      else if (!isKept && from >= 0) {
        text += head.slice(from, this.startOf(at));
        from = -1;
      }
    }
    return from < 0 ? text : text + head.slice(from, this.startOf(names.length));
  }
}

/**
 * The header lines of a checked head, from `at` to the empty line.
 * @throws HttpFault
 */
export function fieldsOf(head: string, at: number): Fields {
  const fields = new Fields(head, at);
  for (let from = at; ;) {
    // Behind every CR there is a LF.
    const end = head.indexOf('\r', from);
    if (end === from || end < 0) return fields;
    const colon = head.indexOf(':', from);
    // A line that begins with a blank goes on with the one before (obs-fold): no token either.
    if (colon < 0 || colon > end || !isTokenAt(head, from, colon)) {
      throw new HttpFault(400, 'a header line must be "name: value"');
    }
    if (fields.names.length >= MAX_HEADERS) {
      throw new HttpFault(431, `there are more than ${MAX_HEADERS} headers`);
    }
    fields.add(colon, end);
    from = end + 2;
  }
}

const COLON = 0x3a;

/** Is there a header of this name (in lower case) among lines that are good ones? */
export function hasLine(lines: string, name: string): boolean {
  const { length } = name;
  for (let from = 0; from < lines.length;) {
    const isLikely = lines.charCodeAt(from + length) === COLON;
    if (isLikely && lines.slice(from, from + length).toLowerCase() === name) return true;
    const end = lines.indexOf('\n', from);
    if (end < 0) return false;
    from = end + 1;
  }
  return false;
}

/** How the body of a message is delimited. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Until the connection ends; answers only. */
  | { readonly kind: 'close' };

export const NO_BODY: Framing = { kind: 'none' };

/** 15 digits are below 2^53. Longer values are rejected. */
const LENGTH = /^[0-9]{1,15}$/;

/**
 * The framing that the headers state; undefined when they state none.
 * @param minor of HTTP/1.x: 1.0 knows no chunks
 * @throws HttpFault for anything that two readers could read in two ways
 */
export function framingOf(fields: Fields, minor: number): Framing | undefined {
  const coding = fields.get('transfer-encoding');
  const length = fields.get('content-length');
  if (coding !== undefined) {
    if (length !== undefined) throw new HttpFault(400, 'Content-Length beside Transfer-Encoding');
    if (minor === 0) throw new HttpFault(400, 'Transfer-Encoding in HTTP/1.0');
    if (coding.toLowerCase() !== 'chunked') {
      throw new HttpFault(501, 'Transfer-Encoding must be chunked, once');
    }
    return { kind: 'chunked' };
  }
  if (length === undefined) return undefined;
  if (!LENGTH.test(length) || fields.count('content-length') > 1) {
    throw new HttpFault(400, 'Content-Length must be one whole number');
  }
  return length === '0' ? NO_BODY : { kind: 'length', bytes: Number(length) };
}

/**
 * What `Connection` asks for; without it 1.1 keeps the connection and 1.0 ends it. In doubt (a tab
 * around a word) it ends, so that no other HTTP parser disagrees.
 */
export function keepsAlive(fields: Fields, minor: number): boolean {
  const connection = fields.get('connection');
  if (connection === undefined) return minor === 1;
  if (connection === 'keep-alive') return true;
  const words = connection.toLowerCase().split(',');
  if (words.some((one) => one.trim() === 'close')) return false;
  return minor === 1 || words.some((one) => trimmed(one) === 'keep-alive');
}
