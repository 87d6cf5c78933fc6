import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { EnvHttpProxyAgent, fetch as undiciFetch } from 'undici';
import type { Fetcher } from './entry';
import { reasonOf, shown, SourceError } from './entry';

// One way to ask for everything: bounded redirects that carry no credential to another host, proxies
// of the environment, and an end to every silence.

/** Stores redirect once or twice; more is a loop. */
const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What another host may know of a request. */
const HARMLESS = new Set(['accept', 'accept-encoding', 'range', 'if-range', 'user-agent']);

const CONNECT_MS = 10_000;
/** A store that says nothing for this long has lost the connection. Milliseconds. */
const SILENCE_MS = 60_000;

export interface HttpOptions {
  readonly env: NodeJS.ProcessEnv;
  /** File with certificate authorities that are believed beside the usual ones. */
  readonly ca?: string | undefined;
  readonly silenceMs?: number | undefined;
}

async function authorities(file: string | undefined): Promise<string[] | undefined> {
  if (file === undefined) return undefined;
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new SourceError(`${file}: ${error.message}; --ca must name a PEM file`);
  });
  return [...rootCertificates, text];
}

async function agentOf({ env, ca: file, silenceMs = SILENCE_MS }: HttpOptions) {
  const ca = await authorities(file);
  const tls = ca === undefined ? {} : { ca };
  return new EnvHttpProxyAgent({
    // Empty is "none"; without it undici would read the process's environment by itself.
    httpProxy: env['http_proxy'] ?? env['HTTP_PROXY'] ?? '',
    httpsProxy: env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '',
    noProxy: env['no_proxy'] ?? env['NO_PROXY'] ?? '',
    connect: { ...tls, timeout: CONNECT_MS },
    requestTls: tls,
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
  });
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

/**
 * Makes the one function that asks sources.
 * @throws SourceError when the file of authorities cannot be read
 */
export async function fetcherOf(options: HttpOptions): Promise<Fetcher> {
  const dispatcher = await agentOf(options);
  const once = async (url: string, init: object): Promise<Response> => {
    try {
      const answer = await undiciFetch(url, { ...init, redirect: 'manual', dispatcher });
      return answer as unknown as Response;
    } catch (error) {
      throw new Error(`${shown(url)}: ${reasonOf(error)}`, { cause: error });
    }
  };
  return async (first, init = {}) => {
    let url = first;
    let headers = new Headers(init.headers);
    // Packed on the way, neither its length nor a place in it would mean anything.
    headers.set('accept-encoding', 'identity');
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      const response = await once(url, { ...init, headers: [...headers] });
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
