import type { Trust } from '../proxies';
import { requestIdOf, traceparentOf } from '../tracing';
import type { Exchange, RawHeaders } from './exchange';

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
  'expect',
]);

/** Credentials are for us; a model server never sees them. */
const CREDENTIALS = new Set(['authorization', 'x-api-key', 'cookie']);

/** Set anew for every try. */
const OWN = new Set(['host', 'content-length', 'x-request-id', 'traceparent', 'forwarded']);

/** `Connection: a, b` takes these along, but never what a message cannot do without. */
const KEPT_ALWAYS = new Set(['host', 'authorization', 'content-length', 'content-type']);

function namedByConnection(raw: RawHeaders): ReadonlySet<string> {
  const names = new Set<string>();
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (raw[at]?.toLowerCase() !== 'connection') continue;
    for (const part of (raw[at + 1] ?? '').split(',')) {
      const name = part.trim().toLowerCase();
      if (!KEPT_ALWAYS.has(name)) names.add(name);
    }
  }
  return names;
}

/** Header lines but those that `drop` says, by name in lower case. */
export function withoutHeaders(raw: RawHeaders, drop: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (!drop((raw[at] ?? '').toLowerCase())) kept.push(raw[at] ?? '', raw[at + 1] ?? '');
  }
  return kept;
}

/** Headers that are not of one connection only, of those that are to be kept. */
export function endToEnd(raw: RawHeaders, keep: (name: string) => boolean): string[] {
  const dropped = namedByConnection(raw);
  return withoutHeaders(raw, (name) => HOP_BY_HOP.has(name) || dropped.has(name) || !keep(name));
}

/** What identifies a request on its way. */
export interface Tracing {
  readonly requestId: string;
  readonly traceparent: string | undefined;
}

/** A header's value; of several the first. */
export const firstOf = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.[0];

export function tracingOf({ headers }: Pick<Exchange, 'headers'>, newId: () => string): Tracing {
  return {
    requestId: requestIdOf(firstOf(headers['x-request-id']), newId),
    traceparent: traceparentOf(firstOf(headers['traceparent'])),
  };
}

/** What the next server may know of the caller. */
export function forwardedFor(exchange: Exchange, trusted: boolean): string[] {
  const { headers, remoteAddress, secure } = exchange;
  const before = trusted ? firstOf(headers['x-forwarded-for']) : undefined;
  const proto = trusted ? firstOf(headers['x-forwarded-proto']) : undefined;
  const chain = before === undefined ? remoteAddress : `${before}, ${remoteAddress}`;
  return ['x-forwarded-for', chain, 'x-forwarded-proto', proto ?? (secure ? 'https' : 'http')];
}

/** Headers of a request towards a model server, without Host, length and deadline, which each try adds. */
export function upstreamHeaders(exchange: Exchange, tracing: Tracing, trust: Trust): string[] {
  const kept = endToEnd(
    exchange.rawHeaders,
    (name) =>
      !CREDENTIALS.has(name) &&
      !OWN.has(name) &&
      !name.startsWith('proxy-') &&
      !name.startsWith('x-forwarded-') &&
      !name.startsWith('x-ai-model-'),
  );
  kept.push(...forwardedFor(exchange, trust(exchange.remoteAddress)));
  kept.push('x-request-id', tracing.requestId);
  if (tracing.traceparent !== undefined) kept.push('traceparent', tracing.traceparent);
  return kept;
}

/** Which arm answered; undefined when none did. */
export interface Origin {
  readonly arm: string;
  readonly version: string;
}

/** Headers of ours on every answer. */
export function ownHeaders({ requestId, traceparent }: Tracing, origin?: Origin): string[] {
  return [
    'x-request-id',
    requestId,
    ...(traceparent === undefined ? [] : ['traceparent', traceparent]),
    ...(origin === undefined
      ? []
      : ['x-ai-model-version', origin.version, 'x-ai-model-arm', origin.arm]),
  ];
}

/** Headers of a model server's answer towards the caller. */
export function callerHeaders(raw: RawHeaders, tracing: Tracing, origin: Origin): string[] {
  const kept = endToEnd(
    raw,
    (name) =>
      name !== 'server' &&
      name !== 'x-request-id' &&
      name !== 'traceparent' &&
      !name.startsWith('x-ai-model-'),
  );
  return [...kept, ...ownHeaders(tracing, origin)];
}
