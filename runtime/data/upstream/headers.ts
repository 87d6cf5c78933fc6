import type { IsTrustedProxy } from '../../shared/trusted-proxies';
import { HEAD_LENGTH } from '../../shared/binary';
import { traceparentOf } from '../../shared/request-id';
import type { HeaderText, IncomingRequest } from '../http/exchange';
import type { Fields } from '../http/fields';
import type { Tracing } from './tracing';

/** RFC 9110, section 7.6.1, and headers that are hop-by-hop by convention. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
]);

/**
 * Headers forwarded to model servers. An allow-list, because a deny-list of proxy and identity
 * headers cannot be complete (many servers treat dashes and underscores alike). Host,
 * Content-Length, X-Request-Id and Traceparent are set by the router, so they are not listed.
 */
const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-encoding',
  'content-language',
  'content-type',
  'user-agent',
  HEAD_LENGTH,
  // Trace context of W3C, Zipkin, Jaeger and cloud providers.
  'b3',
  'baggage',
  'tracestate',
  'uber-trace-id',
  'x-amzn-trace-id',
  'x-b3-flags',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-spanid',
  'x-b3-traceid',
  'x-cloud-trace-context',
  'x-correlation-id',
  // CloudEvents, which KServe accepts.
  'ce-datacontenttype',
  'ce-id',
  'ce-source',
  'ce-specversion',
  'ce-subject',
  'ce-time',
  'ce-type',
  // OpenAI and Triton.
  'endpoint-load-metrics-format',
  'idempotency-key',
  'openai-beta',
]);

/** Is this header forwarded to model servers from every caller? */
export const isForwardedHeader = (name: string): boolean => REQUEST_HEADERS.has(name);

/** Headers returned to callers; these may be browsers in the origin of /docs. */
const RESPONSE_HEADERS: ReadonlySet<string> = new Set([
  'cache-control',
  'content-encoding',
  'content-language',
  'content-length',
  'content-type',
  'date',
  'etag',
  HEAD_LENGTH,
  'last-modified',
  'retry-after',
  'server-timing',
  'vary',
  'x-accel-buffering',
  'ce-datacontenttype',
  'ce-id',
  'ce-source',
  'ce-specversion',
  'ce-subject',
  'ce-time',
  'ce-type',
  'endpoint-load-metrics',
  'openai-model',
  'openai-processing-ms',
  'openai-version',
  'x-ratelimit-limit-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-requests',
  'x-ratelimit-reset-tokens',
]);

/**
 * The client's address as proxies and CDNs report it. Any client can set these, and servers trust
 * them, so like X-Forwarded-For they are accepted from trusted proxies only.
 */
const CLIENT_ADDRESS_HEADERS = new Set([
  'forwarded',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-forwarded-for',
  'x-envoy-external-address',
  'true-client-ip',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'fastly-client-ip',
  'fly-client-ip',
]);

/** The client's identity as an authenticating proxy reports it; trusted like the address. */
const AUTHENTICATED_USER_HEADERS: ReadonlySet<string> = new Set([
  'x-remote-user',
  'x-auth-request-user',
  'x-auth-request-email',
]);

/** Does this header carry an address of the client? */
export const carriesClientAddress = (name: string): boolean => CLIENT_ADDRESS_HEADERS.has(name);

/**
 * Never dropped, even if `Connection` names them: a message needs them, or (Origin,
 * Sec-Fetch-Site) the management API checks them.
 */
const NEVER_HOP_BY_HOP = new Set([
  'host',
  'authorization',
  'x-api-key',
  'content-encoding',
  'content-length',
  'content-type',
  HEAD_LENGTH,
  'origin',
  'sec-fetch-site',
]);

/** Connection options that are not header names. */
const CONNECTION_OPTIONS = new Set(['keep-alive', 'Keep-Alive', 'close', 'Close']);

function namedByConnection(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || CONNECTION_OPTIONS.has(connection)) return undefined;
  const names = connection.split(',').map((part) => part.trim().toLowerCase());
  return new Set(names.filter((name) => !NEVER_HOP_BY_HOP.has(name)));
}

/** Header lines without those whose lower-case name `drop` selects. */
export function withoutHeaders(headers: HeaderText, drop: (name: string) => boolean): HeaderText {
  const nameOf = (line: string): string => line.slice(0, line.indexOf(':')).toLowerCase();
  const kept = headers.split('\r\n').filter((line) => line !== '' && !drop(nameOf(line)));
  return kept.map((line) => `${line}\r\n`).join('');
}

/** Does a header (lower-case name) pass? Hop-by-hop headers never do. */
export type HeaderFilter = (name: string) => boolean;

/** Decisions are cached by name; a flood of new names clears the cache instead of growing it. */
const KNOWN_NAMES = 256;

export function filterOf(keep: (name: string) => boolean): HeaderFilter {
  const known = new Map<string, boolean>();
  return (name) => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const passes = !HOP_BY_HOP.has(name) && keep(name);
    if (known.size >= KNOWN_NAMES) known.clear();
    // A slice would keep the whole text of the message in memory, so the name is copied.
    known.set(Buffer.from(name).toString(), passes);
    return passes;
  };
}

/** Headers that pass the filter and that `Connection` does not name. */
export function endToEnd(fields: Fields, filter: HeaderFilter): HeaderText {
  const dropped = namedByConnection(fields.get('connection'));
  if (dropped === undefined) return fields.cut(filter);
  return fields.cut((name) => filter(name) && !dropped.has(name));
}

/** The host the client called; a trusted proxy reports it in X-Forwarded-Host. */
export function calledHost(
  { fields, remoteAddress }: IncomingRequest,
  trust: IsTrustedProxy,
): string | undefined {
  const given = trust(remoteAddress) ? fields.get('x-forwarded-host') : undefined;
  return given === undefined ? fields.get('host') : given.split(',')[0]?.trim();
}

/** X-Forwarded-For and X-Forwarded-Proto for the next server. */
export function forwardedFor(exchange: IncomingRequest, trusted: boolean): HeaderText {
  const { fields, remoteAddress, secure } = exchange;
  const before = trusted ? fields.get('x-forwarded-for') : undefined;
  const given = trusted ? fields.get('x-forwarded-proto') : undefined;
  const chain = before === undefined ? remoteAddress : `${before}, ${remoteAddress}`;
  const proto = given ?? (secure ? 'https' : 'http');
  return `x-forwarded-for: ${chain}\r\nx-forwarded-proto: ${proto}\r\n`;
}

/** Additional headers from the configuration, names in lower case. */
export interface ExtraHeaders {
  readonly toServers: readonly string[];
  readonly toCallers: readonly string[];
}

/** Filters by the body's author; `untyped`: the caller's, whose Content-Type is replaced. */
interface ServerFilters {
  readonly own: HeaderFilter;
  readonly passed: HeaderFilter;
  readonly untyped: HeaderFilter;
}

/** Which headers pass in each direction. */
export interface HeaderRules {
  readonly fromProxy: ServerFilters;
  readonly fromStranger: ServerFilters;
  readonly toCaller: HeaderFilter;
}

/** Headers about the body, dropped when the router writes the request and reads the response. */
const isOfBody = (name: string): boolean =>
  name.startsWith('content-') || name.startsWith('accept') || name === HEAD_LENGTH;

function serverFilters(passes: (name: string) => boolean): ServerFilters {
  return {
    own: filterOf((name) => passes(name) && !isOfBody(name)),
    passed: filterOf(passes),
    untyped: filterOf((name) => passes(name) && name !== 'content-type'),
  };
}

export function headerRules({ toServers, toCallers }: ExtraHeaders): HeaderRules {
  const servers = new Set([...REQUEST_HEADERS, ...toServers]);
  const callers = new Set([...RESPONSE_HEADERS, ...toCallers]);
  return {
    fromProxy: serverFilters(
      (name) =>
        servers.has(name) || carriesClientAddress(name) || AUTHENTICATED_USER_HEADERS.has(name),
    ),
    fromStranger: serverFilters((name) => servers.has(name)),
    toCaller: filterOf((name) => callers.has(name)),
  };
}

export const DEFAULT_RULES = headerRules({ toServers: [], toCallers: [] });

/** Types that tools send by default: `curl -d` declares a form. */
const NO_TYPE =
  /^(?:application\/x-www-form-urlencoded|text\/plain|text\/json|application\/x-json)\s*(?:;|$)/i;

/** The Content-Type of a body that declares none: JSON, or JSON followed by binary tensors. */
function missingType(fields: Fields): HeaderText | undefined {
  const given = fields.get('content-type');
  // The common case.
  if (given === 'application/json') return undefined;
  if (given !== undefined && given !== '' && !NO_TYPE.test(given)) return undefined;
  return fields.get(HEAD_LENGTH) === undefined ? JSON_TYPE : BINARY_TYPE;
}

/** A `tracestate` belongs to its `traceparent`: a trace that begins here has none. */
function ofTrace(fields: Fields, headers: HeaderText): HeaderText {
  if (traceparentOf(fields.get('traceparent')) !== undefined) return headers;
  return withoutHeaders(headers, (name) => name === 'tracestate');
}

/**
 * Headers of a request to a model server, without Host, Content-Length and the deadline, which
 * each try adds.
 * @param ownBody the body is JSON the router wrote, not the caller's
 */
export function upstreamHeaders(
  exchange: IncomingRequest,
  { requestId, traceparent, span }: Tracing,
  { trust, rules }: { readonly trust: IsTrustedProxy; readonly rules: HeaderRules },
  ownBody: boolean,
): HeaderText {
  const trusted = trust(exchange.remoteAddress);
  const { own, passed, untyped } = trusted ? rules.fromProxy : rules.fromStranger;
  const type = ownBody ? JSON_TYPE : missingType(exchange.fields);
  const filter = ownBody ? own : type === undefined ? passed : untyped;
  const whole = endToEnd(exchange.fields, filter);
  const kept = span === undefined ? whole : ofTrace(exchange.fields, whole);
  const caller = forwardedFor(exchange, trusted);
  const trace = traceparent === undefined ? '' : `traceparent: ${traceparent}\r\n`;
  return `${kept}${type ?? ''}${caller}x-request-id: ${requestId}\r\n${trace}`;
}

/** The arm and version that answered. */
export interface Origin {
  readonly arm: string;
  readonly version: string;
}

/** Browsers must not guess a type other than the declared one. */
const NO_SNIFFING: HeaderText = 'x-content-type-options: nosniff\r\n';

/** The router's own headers on every response. */
export function ownHeaders({ requestId, traceparent }: Tracing, origin?: Origin): HeaderText {
  const trace = traceparent === undefined ? '' : `traceparent: ${traceparent}\r\n`;
  const from =
    origin === undefined
      ? ''
      : `x-ai-model-version: ${origin.version}\r\nx-ai-model-arm: ${origin.arm}\r\n`;
  return `x-request-id: ${requestId}\r\n${trace}${from}${NO_SNIFFING}`;
}

export const typeLine = (type: string): HeaderText => `content-type: ${type}\r\n`;

export const JSON_TYPE: HeaderText = typeLine('application/json');

const BINARY_TYPE: HeaderText = typeLine('application/octet-stream');

/**
 * A model server's response opened in a browser gets an opaque origin, runs no script and loads
 * nothing, whatever its type is.
 */
const SANDBOX: HeaderText =
  "content-security-policy: sandbox; default-src 'none'; frame-ancestors 'none'\r\n";

/** Headers of a model server's response for the caller. */
export function callerHeaders(
  fields: Fields,
  tracing: Tracing,
  origin: Origin,
  { toCaller }: HeaderRules,
): HeaderText {
  return endToEnd(fields, toCaller) + ownHeaders(tracing, origin) + SANDBOX;
}
