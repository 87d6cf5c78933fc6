// Decides which web pages may change state here, and by which names this machine may be addressed.
// A browser sends requests for any page, to any address it can reach.

/** Headers of a request, by name in lower case. */
interface RequestHeaders {
  readonly get: (name: string) => string | undefined;
}

/** Methods that change nothing. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

export const isSafeMethod = (method: string): boolean => SAFE_METHODS.has(method);

/** `localhost` and addresses: no DNS record can point them elsewhere. */
const LOCAL_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|[0-9.]+|\[[0-9a-f:.]+\])(?::[0-9]*)?$/i;

/** Is this `Host` a name of this machine, or an address? */
export const isLocalHost = (host: string): boolean => LOCAL_HOST.test(host);

/** Whether only this machine can reach a server at this address. */
export function isLoopback(address: string): boolean {
  return /^(?:localhost|\[?::1\]?|127\..*)$/.test(address);
}

const DEFAULT_PORT: Readonly<Record<string, RegExp>> = { http: /:80$/, https: /:443$/ };

/** @param origin such as `https://models.example:8443` */
function isOriginOf(origin: string, host: string | undefined): boolean {
  const [, scheme = '', named = ''] =
    /^(https?):\/\/([^/?#@\s]+)$/.exec(origin.toLowerCase()) ?? [];
  const port = scheme === 'http' ? DEFAULT_PORT['http'] : DEFAULT_PORT['https'];
  if (named === '' || port === undefined || host === undefined) return false;
  return named.replace(port, '') === host.toLowerCase().replace(port, '');
}

/** JSON, the media type of changes. */
const JSON_MEDIA = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

const isJsonMedia = (contentType: string): boolean => JSON_MEDIA.test(contentType.trim());

/** The address of a request, beside its headers. */
export interface Arrival {
  readonly method: string;
  readonly headers: RequestHeaders;
  /** The host that the caller named; a trusted proxy may state another than `Host`. */
  readonly host: string | undefined;
  /** Origins of other pages that may call: `https://console.example`. */
  readonly allowedOrigins: readonly string[];
}

export type OriginRefusal =
  | { readonly code: 'FORBIDDEN'; readonly message: string }
  | { readonly code: 'UNSUPPORTED_MEDIA_TYPE'; readonly message: string };

const OWN_SITE: ReadonlySet<string> = new Set(['same-origin', 'none']);

/** Characters of a header value that a message may show. */
const MAX_SHOWN = 100;

function foreign(what: string): OriginRefusal {
  return {
    code: 'FORBIDDEN',
    message:
      `${what.slice(0, MAX_SHOWN)}: pages of other origins may change nothing and call no model ` +
      'here; if this page may, add its origin to server.allowed_origins',
  };
}

/**
 * The header of the only bodies that are not JSON; a page of another origin cannot send it without
 * a preflight.
 */
const BINARY_TENSORS = 'inference-header-content-length';

function wrongBody(headers: RequestHeaders): OriginRefusal | undefined {
  const get = (name: string): string | undefined => headers.get(name);
  const hasBody = get('transfer-encoding') !== undefined || Number(get('content-length') ?? 0) > 0;
  const type = get('content-type') ?? '';
  if (!hasBody || isJsonMedia(type) || get(BINARY_TENSORS) !== undefined) return undefined;
  const message =
    'the body of a request from a web page must be JSON; send Content-Type: application/json';
  return { code: 'UNSUPPORTED_MEDIA_TYPE', message };
}

/**
 * Whether a page in a browser may have sent this. Current browsers send `Origin` or
 * `Sec-Fetch-Site` (the rule of Go's `http.CrossOriginProtection`).
 */
export const isOfPage = (headers: RequestHeaders): boolean =>
  headers.get('origin') !== undefined || headers.get('sec-fetch-site') !== undefined;

/**
 * The reason to refuse a request of a web page; undefined: it is allowed. The caller's key does not
 * count: a proxy may add it to every request of a browser. If both headers are present, they must
 * agree.
 */
export function crossOrigin({
  method,
  headers,
  host,
  allowedOrigins,
}: Arrival): OriginRefusal | undefined {
  if (isSafeMethod(method) || !isOfPage(headers)) return undefined;
  const origin = headers.get('origin');
  const site = headers.get('sec-fetch-site');
  if (origin !== undefined && allowedOrigins.includes(origin)) return wrongBody(headers);
  if (origin !== undefined && !isOriginOf(origin, host)) return foreign(`Origin: ${origin}`);
  if (site !== undefined && !OWN_SITE.has(site)) return foreign(`Sec-Fetch-Site: ${site}`);
  return wrongBody(headers);
}

/** Names that only the owner of a network or a cluster can assign: no public site has one. */
const INSIDE = /^(?:[a-z0-9_-]+|(?:[a-z0-9_-]+\.)+(?:svc|cluster\.local|internal))(?::[0-9]*)?$/i;

/**
 * Whether `Host` is a known name of this service. A web page can point its own name at any address
 * (DNS rebinding) and is then of the same origin. @param allowed further names, without port
 */
export function isKnownHost(host: string | undefined, allowed: readonly string[]): boolean {
  if (host === undefined || isLocalHost(host) || INSIDE.test(host)) return true;
  return allowed.includes(host.toLowerCase().replace(/:[0-9]*$/, ''));
}
