import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import type { Fetcher } from './entry';
import { reasonOf, shown, SourceError } from './entry';
import type { GuardOptions } from './host-guard';
import { guardHosts } from './host-guard';
import { proxyFor, proxyHeaders, TunnelAgent } from './proxy';

// HTTP for all sources: allowed hosts only, a bounded number of redirects, no credentials to
// another host, proxies of the environment, and a timeout for silence. On node:http and not on
// fetch: undici before 8 ends the process when a server closes while the disk is slower than the
// network (undici #5360).

/** Stores redirect once or twice; more is a loop. */
const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Request headers that another host may get. */
const HARMLESS = new Set(['accept', 'accept-encoding', 'range', 'if-range', 'user-agent']);

/** After this silence of a store the connection counts as lost. Milliseconds. */
const SILENCE_MS = 60_000;

export interface HttpOptions {
  readonly env: NodeJS.ProcessEnv;
  /** File with additional trusted certificate authorities. */
  readonly ca?: string | undefined;
  readonly silenceMs?: number | undefined;
  /** Checks the host of each request and of each redirect. */
  readonly guard: GuardOptions;
}

async function authorities(file: string | undefined): Promise<string[] | undefined> {
  if (file === undefined) return undefined;
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new SourceError(`${file}: ${error.message}; --ca must name a PEM file`);
  });
  return [...rootCertificates, text];
}

interface Way {
  readonly request: typeof httpRequest;
  readonly options: RequestOptions;
  /** The connection goes to the host itself, not to a proxy. */
  readonly isDirect: boolean;
}

/** Route of a URL: direct, by a proxy, or by a tunnel through one. Connections are kept alive. */
function wayfinder(env: NodeJS.ProcessEnv, ca: string[] | undefined): (url: URL) => Way {
  const tls = ca === undefined ? {} : { ca };
  const direct = {
    http: new HttpAgent({ keepAlive: true }),
    https: new HttpsAgent({ ...tls, keepAlive: true }),
  };
  let tunnel: TunnelAgent | undefined;
  return (url) => {
    const proxy = proxyFor(url, env);
    if (url.protocol === 'https:') {
      if (proxy !== undefined) tunnel ??= new TunnelAgent(proxy, tls);
      return {
        request: httpsRequest,
        options: { agent: proxy === undefined ? direct.https : tunnel },
        isDirect: proxy === undefined,
      };
    }
    if (proxy === undefined) {
      return { request: httpRequest, options: { agent: direct.http }, isDirect: true };
    }
    const { hostname: host, port } = proxy;
    // A proxy gets the whole URL (RFC 9112, 3.2.2).
    const options = { host, port: port || '80', path: url.href, agent: direct.http };
    return { request: httpRequest, options, isDirect: false };
  };
}

const BODILESS = new Set([204, 205, 304]);

function responseOf(message: IncomingMessage): Response {
  const { statusCode: status = 0, statusMessage: statusText, rawHeaders } = message;
  const headers = new Headers();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '');
  }
  const body = BODILESS.has(status) ? null : (Readable.toWeb(message) as ReadableStream);
  if (body === null) message.resume();
  return new Response(body, { status, statusText, headers });
}

function targetOf(location: string, url: string): URL {
  const from = new URL(url);
  const to = new URL(location, from);
  if (to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:')) return to;
  throw new SourceError(
    `${shown(url)}: redirects to ${shown(to.href)}, must be https; name another source`,
  );
}

function headersFor(to: URL, url: string, headers: Headers): Headers {
  if (to.origin === new URL(url).origin) return headers;
  return new Headers([...headers].filter(([name]) => HARMLESS.has(name)));
}

type Once = (url: string, init: RequestInit, headers: Headers) => Promise<Response>;

function bodyOf({ body }: RequestInit): string | undefined {
  return body instanceof URLSearchParams ? body.toString() : undefined;
}

/** One request and its response. */
function asker(
  { env, guard, silenceMs = SILENCE_MS }: HttpOptions,
  ca: string[] | undefined,
): Once {
  const wayTo = wayfinder(env, ca);
  const { expectHost, lookupFor } = guardHosts(guard);
  return async (address, init, headers) => {
    const url = new URL(address);
    const { request, options, isDirect } = wayTo(url);
    expectHost(url, isDirect);
    // The environment gives the address of a proxy, and the proxy resolves the names of others.
    const direct = isDirect ? { lookup: lookupFor(url) } : {};
    const body = bodyOf(init);
    const proxy = options.path === undefined ? {} : proxyHeaders(proxyFor(url, env) ?? url);
    const form = body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
    const all = { ...form, ...Object.fromEntries(headers), ...proxy, host: url.host };
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        if (error instanceof SourceError) reject(error);
        else reject(new Error(`${shown(address)}: ${reasonOf(error)}`, { cause: error }));
      };
      const { method = 'GET' } = init;
      const asked = request(url, {
        ...options,
        ...direct,
        method,
        headers: all,
        timeout: silenceMs,
      });
      asked.on('timeout', () => asked.destroy(new Error(`no data for ${silenceMs} ms`)));
      asked.on('error', fail);
      asked.on('response', (message) => resolve(responseOf(message)));
      asked.end(body);
    });
  };
}

/**
 * Makes the function that sends requests to sources.
 * @throws SourceError when the file of authorities cannot be read
 */
export async function fetcherOf(options: HttpOptions): Promise<Fetcher> {
  const once = asker(options, await authorities(options.ca));
  return async (first, init = {}) => {
    let url = first;
    let headers = new Headers(init.headers);
    // With a content coding, neither the length nor an offset would be of the file.
    headers.set('accept-encoding', 'identity');
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      const response = await once(url, init, headers);
      const location = response.headers.get('location');
      const follow = REDIRECTS.has(response.status) && (init.method ?? 'GET') === 'GET';
      if (!follow || location === null) return response;
      await response.body?.cancel();
      const to = targetOf(location, url);
      headers = headersFor(to, url, headers);
      url = to.href;
    }
    throw new SourceError(`${shown(first)}: more than ${MAX_REDIRECTS} redirects; check the URI`);
  };
}
