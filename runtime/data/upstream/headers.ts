import type { IsTrustedProxy } from '../../shared/trusted-proxies';
import { HEAD_LENGTH } from '../../shared/binary';
import { requestIdOf, traceparentOf } from '../../shared/request-id';
import type { HeaderText, IncomingRequest } from '../http/exchange';
import type { Fields } from '../http/fields';

/** RFC 9110, 7.6.1, and what belongs to one connection by custom. */
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
 * What a caller may say to a model server. An allow-list: names of proxies and of identity (with
 * dashes or underscores, which servers of many languages take for the same) cannot all be known.
 * Set anew for every try, and so not here: Host, Content-Length, X-Request-Id, Traceparent.
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
  // Traces, in the words of W3C, Zipkin, Jaeger and clouds.
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
  // CloudEvents, as KServe takes them.
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

/** Is this header one that every caller may say to a server? */
export const isForwardedHeader = (name: string): boolean => REQUEST_HEADERS.has(name);

/** What a model server may say to a caller, who may be a browser in the origin of /docs. */
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
 * Who the caller is, in the words of proxies and networks before us. Anybody can write them, so
 * they are believed of our own proxies only, as X-Forwarded-For is; servers trust them blindly.
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

/** The same of who the caller is, as a proxy that has checked it says it. */
const AUTHENTICATED_USER_HEADERS: ReadonlySet<string> = new Set([
  'x-remote-user',
  'x-auth-request-user',
  'x-auth-request-email',
]);

/** Does this header tell an address of the caller? */
export const carriesClientAddress = (name: string): boolean => CLIENT_ADDRESS_HEADERS.has(name);

/**
 * `Connection: a, b` takes these along, but never what a message cannot do without, nor what says
 * which page of a browser asks: whoever decides behind us has to see it, too.
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

/** The usual words of `Connection`, which name no header. */
const CONNECTION_OPTIONS = new Set(['keep-alive', 'Keep-Alive', 'close', 'Close']);

function namedByConnection(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || CONNECTION_OPTIONS.has(connection)) return undefined;
  const names = connection.split(',').map((part) => part.trim().toLowerCase());
  return new Set(names.filter((name) => !NEVER_HOP_BY_HOP.has(name)));
}

/** Header lines but those that `drop` says, by name in lower case. */
export function withoutHeaders(headers: HeaderText, drop: (name: string) => boolean): HeaderText {
  const nameOf = (line: string): string => line.slice(0, line.indexOf(':')).toLowerCase();
  const kept = headers.split('\r\n').filter((line) => line !== '' && !drop(nameOf(line)));
  return kept.map((line) => `${line}\r\n`).join('');
}

/** Which headers pass, by name in lower case; of one connection only are none of them. */
export type HeaderFilter = (name: string) => boolean;

/** Names repeat from request to request; whoever thinks up new ones makes us forget, not grow. */
const KNOWN_NAMES = 256;

export function filterOf(keep: (name: string) => boolean): HeaderFilter {
  const known = new Map<string, boolean>();
  return (name) => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const passes = !HOP_BY_HOP.has(name) && keep(name);
    if (known.size >= KNOWN_NAMES) known.clear();
    // A name is a part of its message's text, which would stay with it.
    known.set(Buffer.from(name).toString(), passes);
    return passes;
  };
}

/** Headers that pass, and that `Connection` does not keep to itself. */
export function endToEnd(fields: Fields, filter: HeaderFilter): HeaderText {
  const dropped = namedByConnection(fields.get('connection'));
  if (dropped === undefined) return fields.cut(filter);
  return fields.cut((name) => filter(name) && !dropped.has(name));
}

/** What identifies a request on its way. */
export interface Tracing {
  readonly requestId: string;
  readonly traceparent: string | undefined;
}

export function tracingOf(
  { fields }: Pick<IncomingRequest, 'fields'>,
  newId: () => string,
): Tracing {
  return {
    requestId: requestIdOf(fields.get('x-request-id'), newId),
    traceparent: traceparentOf(fields.get('traceparent')),
  };
}

/** The host a caller named; a proxy of ours may have been called by another name. */
export function calledHost(
  { fields, remoteAddress }: IncomingRequest,
  trust: IsTrustedProxy,
): string | undefined {
  const given = trust(remoteAddress) ? fields.get('x-forwarded-host') : undefined;
  return given === undefined ? fields.get('host') : given.split(',')[0]?.trim();
}

/** What the next server may know of the caller. */
export function forwardedFor(exchange: IncomingRequest, trusted: boolean): HeaderText {
  const { fields, remoteAddress, secure } = exchange;
  const before = trusted ? fields.get('x-forwarded-for') : undefined;
  const given = trusted ? fields.get('x-forwarded-proto') : undefined;
  const chain = before === undefined ? remoteAddress : `${before}, ${remoteAddress}`;
  const proto = given ?? (secure ? 'https' : 'http');
  return `x-forwarded-for: ${chain}\r\nx-forwarded-proto: ${proto}\r\n`;
}

/** Headers beside those of the lists, by configuration: names in lower case. */
export interface ExtraHeaders {
  readonly toServers: readonly string[];
  readonly toCallers: readonly string[];
}

/** Filters by whose body it is; `untyped`: the caller's, whose type is not the one it is of. */
interface ServerFilters {
  readonly own: HeaderFilter;
  readonly passed: HeaderFilter;
  readonly untyped: HeaderFilter;
}

/** Which headers pass, both ways. */
export interface HeaderRules {
  readonly fromProxy: ServerFilters;
  readonly fromStranger: ServerFilters;
  readonly toCaller: HeaderFilter;
}

/** A body that we write ourselves, and an answer that we read ourselves. */
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

/** No type, or what tools send that do not know of one: curl -d says that it is a form. */
const NO_TYPE =
  /^(?:application\/x-www-form-urlencoded|text\/plain|text\/json|application\/x-json)\s*(?:;|$)/i;

/** The type of a caller's body where it says none: JSON, or JSON with tensors as bytes behind it. */
function missingType(fields: Fields): HeaderText | undefined {
  const given = fields.get('content-type');
  // Nearly always.
  if (given === 'application/json') return undefined;
  if (given !== undefined && given !== '' && !NO_TYPE.test(given)) return undefined;
  return fields.get(HEAD_LENGTH) === undefined ? JSON_TYPE : BINARY_TYPE;
}

/**
 * Headers of a request towards a model server, without Host, length and deadline, which each try
 * adds.
 * @param ownBody the body is JSON of ours, not the caller's
 */
export function upstreamHeaders(
  exchange: IncomingRequest,
  { requestId, traceparent }: Tracing,
  { trust, rules }: { readonly trust: IsTrustedProxy; readonly rules: HeaderRules },
  ownBody: boolean,
): HeaderText {
  const trusted = trust(exchange.remoteAddress);
  const { own, passed, untyped } = trusted ? rules.fromProxy : rules.fromStranger;
  const type = ownBody ? JSON_TYPE : missingType(exchange.fields);
  const kept = endToEnd(exchange.fields, ownBody ? own : type === undefined ? passed : untyped);
  const caller = forwardedFor(exchange, trusted);
  const trace = traceparent === undefined ? '' : `traceparent: ${traceparent}\r\n`;
  return `${kept}${type ?? ''}${caller}x-request-id: ${requestId}\r\n${trace}`;
}

/** Which arm answered; undefined when none did. */
export interface Origin {
  readonly arm: string;
  readonly version: string;
}

/** A browser takes an answer for what its type says, and for nothing else. */
const NO_SNIFFING: HeaderText = 'x-content-type-options: nosniff\r\n';

/** Headers of ours on every answer. */
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
 * What a model server answers is no page of ours: opened in a browser it is of no origin, runs no
 * script and loads nothing, whatever its type is.
 */
const SANDBOX: HeaderText =
  "content-security-policy: sandbox; default-src 'none'; frame-ancestors 'none'\r\n";

/** Headers of a model server's answer towards the caller. */
export function callerHeaders(
  fields: Fields,
  tracing: Tracing,
  origin: Origin,
  { toCaller }: HeaderRules,
): HeaderText {
  return endToEnd(fields, toCaller) + ownHeaders(tracing, origin) + SANDBOX;
}
