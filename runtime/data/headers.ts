import type { Trust } from '../proxies';
import { HEAD_LENGTH } from '../shared/binary';
import { requestIdOf, traceparentOf } from '../tracing';
import type { HeaderText, Incoming } from './exchange';
import type { Fields } from './http/fields';

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

/** Credentials are for us; a model server never sees them. */
const CREDENTIALS = new Set(['authorization', 'x-api-key', 'cookie']);

/** Set anew for every try. */
const OWN = new Set(['host', 'content-length', 'x-request-id', 'traceparent']);

/**
 * Who the caller is, in the words of proxies and networks before us. Anybody can write them, so
 * they are believed of our own proxies only, as X-Forwarded-For is; servers trust them blindly.
 */
const OF_PROXIES = new Set([
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

/** Does this header tell an address of the caller? */
export const tellsAddress = (name: string): boolean => OF_PROXIES.has(name);

/** `Connection: a, b` takes these along, but never what a message cannot do without. */
const KEPT_ALWAYS = new Set(['host', 'authorization', 'content-length', 'content-type']);

/** The usual words of `Connection`, which name no header. */
const NAMELESS = new Set(['keep-alive', 'Keep-Alive', 'close', 'Close']);

function namedByConnection(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || NAMELESS.has(connection)) return undefined;
  const names = connection.split(',').map((part) => part.trim().toLowerCase());
  return new Set(names.filter((name) => !KEPT_ALWAYS.has(name)));
}

/** Header lines but those that `drop` says, by name in lower case. */
export function withoutHeaders(headers: HeaderText, drop: (name: string) => boolean): HeaderText {
  const nameOf = (line: string): string => line.slice(0, line.indexOf(':')).toLowerCase();
  const kept = headers.split('\r\n').filter((line) => line !== '' && !drop(nameOf(line)));
  return kept.map((line) => `${line}\r\n`).join('');
}

/** Which headers pass, by name in lower case; of one connection only are none of them. */
export type Filter = (name: string) => boolean;

/** Names repeat from request to request; whoever thinks up new ones makes us forget, not grow. */
const KNOWN_NAMES = 256;

export function filterOf(keep: (name: string) => boolean): Filter {
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
export function endToEnd(fields: Fields, filter: Filter): HeaderText {
  const dropped = namedByConnection(fields.get('connection'));
  if (dropped === undefined) return fields.cut(filter);
  return fields.cut((name) => filter(name) && !dropped.has(name));
}

/** What identifies a request on its way. */
export interface Tracing {
  readonly requestId: string;
  readonly traceparent: string | undefined;
}

export function tracingOf({ fields }: Pick<Incoming, 'fields'>, newId: () => string): Tracing {
  return {
    requestId: requestIdOf(fields.get('x-request-id'), newId),
    traceparent: traceparentOf(fields.get('traceparent')),
  };
}

/** The host a caller named; a proxy of ours may have been called by another name. */
export function calledHost({ fields, remoteAddress }: Incoming, trust: Trust): string | undefined {
  const given = trust(remoteAddress) ? fields.get('x-forwarded-host') : undefined;
  return given === undefined ? fields.get('host') : given.split(',')[0]?.trim();
}

/** What the next server may know of the caller. */
export function forwardedFor(exchange: Incoming, trusted: boolean): HeaderText {
  const { fields, remoteAddress, secure } = exchange;
  const before = trusted ? fields.get('x-forwarded-for') : undefined;
  const given = trusted ? fields.get('x-forwarded-proto') : undefined;
  const chain = before === undefined ? remoteAddress : `${before}, ${remoteAddress}`;
  const proto = given ?? (secure ? 'https' : 'http');
  return `x-forwarded-for: ${chain}\r\nx-forwarded-proto: ${proto}\r\n`;
}

/** What reaches a model server as the caller sent it. */
function isForServer(name: string): boolean {
  if (CREDENTIALS.has(name) || OWN.has(name)) return false;
  if (name.startsWith('x-'))
    return !name.startsWith('x-forwarded-') && !name.startsWith('x-ai-model-');
  return !name.startsWith('proxy-');
}

/** The same for a body that we write ourselves and an answer that we read ourselves. */
const isForOwnBody = (name: string): boolean =>
  isForServer(name) &&
  !name.startsWith('content-') &&
  !name.startsWith('accept') &&
  name !== HEAD_LENGTH;

const fromStranger =
  (keep: (name: string) => boolean) =>
  (name: string): boolean =>
    keep(name) && !tellsAddress(name);

/** By whose body it is. */
const FROM_PROXY = { own: filterOf(isForOwnBody), passed: filterOf(isForServer) };
const FROM_STRANGER = {
  own: filterOf(fromStranger(isForOwnBody)),
  passed: filterOf(fromStranger(isForServer)),
};

/**
 * Headers of a request towards a model server, without Host, length and deadline, which each try
 * adds.
 * @param ownBody the body is JSON of ours, not the caller's
 */
export function upstreamHeaders(
  exchange: Incoming,
  { requestId, traceparent }: Tracing,
  trust: Trust,
  ownBody: boolean,
): HeaderText {
  const trusted = trust(exchange.remoteAddress);
  const keep = trusted ? FROM_PROXY : FROM_STRANGER;
  const kept = endToEnd(exchange.fields, ownBody ? keep.own : keep.passed);
  const caller = forwardedFor(exchange, trusted);
  const type = ownBody ? JSON_TYPE : '';
  const trace = traceparent === undefined ? '' : `traceparent: ${traceparent}\r\n`;
  return `${kept}${type}${caller}x-request-id: ${requestId}\r\n${trace}`;
}

/** Which arm answered; undefined when none did. */
export interface Origin {
  readonly arm: string;
  readonly version: string;
}

/** Headers of ours on every answer. */
export function ownHeaders({ requestId, traceparent }: Tracing, origin?: Origin): HeaderText {
  const trace = traceparent === undefined ? '' : `traceparent: ${traceparent}\r\n`;
  const from =
    origin === undefined
      ? ''
      : `x-ai-model-version: ${origin.version}\r\nx-ai-model-arm: ${origin.arm}\r\n`;
  return `x-request-id: ${requestId}\r\n${trace}${from}`;
}

export const typeLine = (type: string): HeaderText => `content-type: ${type}\r\n`;

export const JSON_TYPE: HeaderText = typeLine('application/json');

const FOR_CALLER = filterOf(
  (name) =>
    name !== 'server' &&
    name !== 'x-request-id' &&
    name !== 'traceparent' &&
    !name.startsWith('x-ai-model-'),
);

/** Headers of a model server's answer towards the caller. */
export function callerHeaders(fields: Fields, tracing: Tracing, origin: Origin): HeaderText {
  return endToEnd(fields, FOR_CALLER) + ownHeaders(tracing, origin);
}
