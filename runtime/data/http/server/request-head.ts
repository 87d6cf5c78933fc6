import type { Fields, Framing } from '../fields';
import { checkText, fieldsOf, framingOf, HttpFault, isToken, keepsAlive, NO_BODY } from '../fields';

/** The request line and headers of a request. */
export interface RequestHead {
  readonly method: string;
  /** As sent, with its query. */
  readonly target: string;
  /** Of HTTP/1.x: 0 or 1. */
  readonly minor: number;
  readonly fields: Fields;
  readonly framing: Framing;
  readonly keepAlive: boolean;
  /** It waits for `100 Continue` before it sends its body. */
  readonly expects: boolean;
}

/** Longest request target; no path of ours is longer; bytes. */
const MAX_TARGET_BYTES = 8192;
/** Longest method name. */
const MAX_METHOD_BYTES = 32;

/** Origin form: visible ASCII from a slash on, without a fragment. */
const TARGET = /^\/[\x21\x22\x24-\x7e]*$/;
/** `METHOD http://host/path?query HTTP/1.1`, the form for proxies. */
const ABSOLUTE_LINE = /^(\S+ )https?:\/\/([^/?#\s]*)([^\s]*)( HTTP\/1\.[01])$/i;
/** Registered name or address, and a port (RFC 3986, 3.2.2). */
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(?::[0-9]{0,5})?$/;

interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly minor: number;
}

/** @throws HttpFault unless the line is `METHOD SP target SP HTTP/1.x` */
function requestLine(line: string): RequestLine {
  const first = line.indexOf(' ');
  const last = line.lastIndexOf(' ');
  const method = line.slice(0, Math.max(first, 0));
  if (first < 0 || first === last || !isToken(method) || method.length > MAX_METHOD_BYTES) {
    throw new HttpFault(400, 'the first line must be "METHOD /path HTTP/1.1"');
  }
  const version = line.slice(last + 1);
  if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') {
    const isHttp = /^HTTP\/[0-9]\.[0-9]$/.test(version);
    throw new HttpFault(isHttp ? 505 : 400, 'the version must be HTTP/1.1 or HTTP/1.0');
  }
  if (method === TUNNEL)
    throw new HttpFault(400, `${TUNNEL} is not supported: this server is not a forward proxy`);
  const target = line.slice(first + 1, last);
  if (target.length > MAX_TARGET_BYTES) {
    throw new HttpFault(414, `the path has more than ${MAX_TARGET_BYTES} bytes`);
  }
  if (!TARGET.test(target)) {
    throw new HttpFault(400, 'the path must begin with / and hold no blanks or raw bytes');
  }
  return { method, target, minor: version === 'HTTP/1.1' ? 1 : 0 };
}

/** CONNECT and the like: a request for a connection to another host. */
const TUNNEL = 'CONNECT';

/**
 * A server may ignore `Upgrade` (RFC 9110, 7.8), and clients offer h2c with any request. But who
 * shakes hands for a WebSocket takes no other answer than a switch, or an error (RFC 6455, 4.2.2).
 * @throws HttpFault for a WebSocket handshake
 */
function checkUpgrade(fields: Fields): void {
  const upgrade = fields.get('upgrade');
  if (upgrade === undefined || !hasWord(upgrade, 'websocket')) return;
  if (!hasWord(fields.get('connection') ?? '', 'upgrade')) return;
  throw new HttpFault(400, 'WebSockets are not supported; answers are streamed over HTTP');
}

const hasWord = (list: string, word: string): boolean =>
  list.split(',').some((one) => one.trim().toLowerCase() === word);

/** @throws HttpFault unless there is one host that is one; HTTP/1.0 may have none */
function checkHost(fields: Fields, minor: number): void {
  const host = fields.get('host');
  if (host === undefined) {
    if (minor === 1) throw new HttpFault(400, 'the Host header is missing');
    return;
  }
  if (fields.count('host') > 1) throw new HttpFault(400, 'there must be one Host header');
  if (!HOST.test(host)) throw new HttpFault(400, 'Host must be host[:port]');
}

/**
 * The same request with a path, and with the host of the target whatever `Host` says (RFC 9112,
 * 3.2.2). @throws HttpFault
 */
function inOriginForm(line: RegExpExecArray, head: string, end: number): string {
  const [, method = '', host = '', path = '', version = ''] = line;
  const fields = fieldsOf(head, end + 2);
  checkHost(fields, version.endsWith('1') ? 1 : 0);
  if (!HOST.test(host)) throw new HttpFault(400, 'the target must be /path or http://host/path');
  const target = path.startsWith('/') ? path : `/${path}`;
  return `${method}${target}${version}\r\nHost: ${host}\r\n${fields.cut((name) => name !== 'host')}\r\n`;
}

/**
 * Reads the head of a request.
 * @param head latin-1, up to and with the empty line
 * @throws HttpFault with the status to refuse it with
 */
export function parseRequest(head: string): RequestHead {
  checkText(head);
  const end = head.indexOf('\r');
  if (head[head.indexOf(' ') + 1] !== '/') {
    const absolute = ABSOLUTE_LINE.exec(head.slice(0, end));
    if (absolute !== null) return parseRequest(inOriginForm(absolute, head, end));
  }
  const { method, target, minor } = requestLine(head.slice(0, end));
  const fields = fieldsOf(head, end + 2);
  checkHost(fields, minor);
  checkUpgrade(fields);
  const expect = fields.get('expect');
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    throw new HttpFault(417, 'Expect must be 100-continue');
  }
  const framing = framingOf(fields, minor) ?? NO_BODY;
  const expects = expect !== undefined && minor === 1 && framing !== NO_BODY;
  return {
    method,
    target,
    minor,
    fields,
    framing,
    keepAlive: keepsAlive(fields, minor),
    expects,
  };
}
