import type { IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { ApiServerAccess } from './access';
import { orAborted } from './deadline';
import { networkError } from './api-error';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With its query; relative to the server's URL. */
  readonly path: string;
  readonly body?: { readonly type: string; readonly text: string };
}

/** HTTP to the API server. */
export interface Transport {
  /** Resolves with the head; the body is still to be read. Rejects with a KubeError, or the signal's reason. */
  readonly open: (call: ApiRequest, signal: AbortSignal) => Promise<IncomingMessage>;
  readonly close: () => void;
}

/** Close idle connections before a load balancer drops them silently, often after a minute. */
const IDLE_MS = 30_000;

const AGENTS = { keepAlive: true, timeout: IDLE_MS };

const UNAUTHORIZED = 401;

class Connections implements Transport {
  readonly #secure = new HttpsAgent(AGENTS);
  readonly #plain = new HttpAgent(AGENTS);
  #access: Promise<ApiServerAccess>;

  constructor(
    first: ApiServerAccess,
    private readonly reload: () => Promise<ApiServerAccess>,
  ) {
    this.#access = Promise.resolve(first);
  }

  readonly open = async (call: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> => {
    const used = this.#access;
    const answer = await this.#send(await orAborted(used, signal), call, signal);
    if (answer.statusCode !== UNAUTHORIZED) return answer;
    answer.resume();
    return this.#send(await orAborted(this.#afresh(used), signal), call, signal);
  };

  readonly close = (): void => {
    this.#secure.destroy();
    this.#plain.destroy();
  };

  /**
   * Reads the credentials again after a 401: a token may be cached, and the kubeconfig may have
   * been rewritten. A request that was refused with 401 had no effect, so it may be repeated.
   */
  #afresh(used: Promise<ApiServerAccess>): Promise<ApiServerAccess> {
    if (this.#access !== used) return this.#access;
    const next = this.reload();
    this.#access = next;
    // The file may be unreadable while it is written: keep the old credentials.
    void next.catch(() => {
      if (this.#access === next) this.#access = used;
    });
    return next;
  }

  async #send(
    access: ApiServerAccess,
    call: ApiRequest,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { headers, tls, proxy } = await orAborted(access.credentials(), signal);
    const { server } = access;
    const isSecure = server.protocol === 'https:';
    const options: RequestOptions = {
      ...tls,
      agent: proxy ?? (isSecure ? this.#secure : this.#plain),
      host: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port,
      path: `${server.pathname.replace(/\/$/, '')}${call.path}`,
      method: call.method,
      headers: { ...headers, ...headersOf(call) },
      signal,
    };
    return exchange(isSecure ? httpsRequest : httpRequest, options, call);
  }
}

function headersOf({ body }: ApiRequest): Readonly<Record<string, string | number>> {
  const general = { accept: 'application/json', 'user-agent': 'ai-model-service' };
  if (body === undefined) return general;
  const { type, text } = body;
  return { ...general, 'content-type': type, 'content-length': Buffer.byteLength(text) };
}

function exchange(
  ask: typeof httpRequest,
  options: RequestOptions,
  { method, path, body }: ApiRequest,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = ask(options, resolve);
    sent.on('error', (error) => reject(networkError(`${method} ${path}`, error)));
    sent.end(body?.text);
  });
}

/**
 * @param access credentials read at the start
 * @param reload reads them again when the server answers 401
 */
export function createTransport(
  access: ApiServerAccess,
  reload: () => Promise<ApiServerAccess>,
): Transport {
  return new Connections(access, reload);
}
