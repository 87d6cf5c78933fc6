import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import type { TLSSocket } from 'node:tls';
import { join } from 'node:path';
import type { Certificate } from './certificates';
import { createAuthority } from './certificates';

/** A request as the server got it. */
export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The client showed a certificate of the server's authority. */
  readonly isCertified: boolean;
}

/** A watch that stands; the test says what happens on it. */
export interface Stream {
  readonly ask: Ask;
  readonly send: (type: string, object: unknown) => void;
  /** The end as a server that means it sends it. */
  readonly end: () => void;
  readonly reset: () => void;
  readonly isOpen: () => boolean;
}

export type Reply =
  | {
      readonly kind: 'json';
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly value: unknown;
    }
  | { readonly kind: 'text'; readonly status: number; readonly text: string }
  | { readonly kind: 'stream'; readonly open?: (stream: Stream) => void }
  | { readonly kind: 'reset' }
  /** The request is read, an answer never comes. */
  | { readonly kind: 'silence' };

/** What the server says; the nth request counts from 1. */
export type Respond = (ask: Ask, nth: number) => Reply | Promise<Reply>;

/** Kubernetes' form of an error. */
export function failure(
  code: number,
  reason: string,
  message: string,
  details: object = {},
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return { kind: 'json', status: code, headers, value: statusOf(code, reason, message, details) };
}

export function statusOf(code: number, reason: string, message: string, details: object = {}) {
  const type = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' };
  return { ...type, code, reason, message, details };
}

export interface ApiServer {
  readonly url: string;
  readonly seen: readonly Ask[];
  /** Watches that were opened, the newest last. */
  readonly streams: readonly Stream[];
  /** Connections so far. */
  readonly accepted: () => number;
  readonly become: (respond: Respond) => void;
  /** A certificate of the server's authority. */
  readonly issue: () => Certificate;
  /** Tokens that are let in; until then everybody is. */
  readonly admit: (...tokens: readonly string[]) => void;
  /** Writes a kubeconfig and gives its path; `user` as in a kubeconfig. */
  readonly kubeconfig: (user?: object, cluster?: object) => string;
  /** A path in the folder of the kubeconfigs. */
  readonly file: (name: string) => string;
  /** Nobody listens any more, connections break; `start` brings it back on the same port. */
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
}

async function read(request: IncomingMessage): Promise<Ask> {
  let body = '';
  request.setEncoding('utf8');
  for await (const chunk of request as AsyncIterable<string>) body += chunk;
  const { method = '', url = '', headers } = request;
  const { pathname, searchParams } = new URL(url, 'https://localhost');
  const isCertified = (request.socket as TLSSocket).authorized;
  return { method, path: pathname, query: searchParams, headers, body, isCertified };
}

function streamOn(ask: Ask, response: ServerResponse): Stream {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  return {
    ask,
    send: (type, object) => response.write(`${JSON.stringify({ type, object })}\n`),
    end: () => response.end(),
    reset: () => response.socket?.destroy(),
    isOpen: () => !response.destroyed && !response.writableEnded,
  };
}

const isAdmitted = ({ headers }: Ask, tokens: readonly string[] | undefined): boolean =>
  tokens === undefined || tokens.some((token) => headers.authorization === `Bearer ${token}`);

/** An API server as far as TLS, tokens and HTTP go; what it says is the test's. */
class Scripted implements ApiServer {
  readonly seen: Ask[] = [];
  readonly streams: Stream[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'apiserver-'));
  readonly #authority = createAuthority();
  readonly #tls = {
    ...this.#authority.issue(),
    ca: this.#authority.cert,
    requestCert: true,
    rejectUnauthorized: false,
  };
  readonly #server = createServer(this.#tls, (request, response) => {
    // A client may leave while it speaks.
    void this.#answer(request, response).catch(() => response.destroy());
  });
  readonly #sockets = new Set<Socket>();
  #tokens: readonly string[] | undefined;
  #accepted = 0;
  #files = 0;
  #port = 0;

  constructor(private respond: Respond) {
    this.#server.on('connection', (socket: Socket) => {
      this.#accepted += 1;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  readonly accepted = (): number => this.#accepted;

  readonly become = (respond: Respond): void => {
    this.respond = respond;
  };

  readonly issue = (): Certificate => this.#authority.issue();

  readonly admit = (...tokens: readonly string[]): void => {
    this.#tokens = tokens;
  };

  readonly file = (name: string): string => join(this.#folder, name);

  readonly kubeconfig = (user: object = {}, cluster: object = {}): string => {
    const ca = Buffer.from(this.#authority.cert).toString('base64');
    const server = { server: this.url, 'certificate-authority-data': ca, ...cluster };
    this.#files += 1;
    const path = this.file(`kubeconfig-${this.#files}`);
    // JSON is YAML.
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: server }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'models' } }],
      'current-context': 'x',
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  };

  readonly start = (): Promise<void> =>
    new Promise((resolve) => {
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });

  readonly stop = (): Promise<void> =>
    new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });

  readonly forget = (): void => rmSync(this.#folder, { recursive: true, force: true });

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const ask = await read(request);
    this.seen.push(ask);
    const reply = isAdmitted(ask, this.#tokens)
      ? await this.respond(ask, this.seen.length)
      : failure(401, 'Unauthorized', 'Unauthorized');
    if (reply.kind === 'json') {
      const headers = { 'content-type': 'application/json', ...reply.headers };
      response.writeHead(reply.status ?? 200, headers).end(JSON.stringify(reply.value));
    } else if (reply.kind === 'text') response.writeHead(reply.status).end(reply.text);
    else if (reply.kind === 'reset') response.socket?.destroy();
    else if (reply.kind === 'stream') {
      const stream = streamOn(ask, response);
      this.streams.push(stream);
      reply.open?.(stream);
    }
  }
}

const running = new Set<Scripted>();

/** Ends all that tests started; for `afterEach`. */
export async function stopApiServers(): Promise<void> {
  const all = [...running];
  running.clear();
  await Promise.all(all.map((one) => one.stop()));
  all.forEach((one) => one.forget());
}

/** A real TLS server on 127.0.0.1, with an authority of its own. */
export async function startApiServer(respond: Respond): Promise<ApiServer> {
  const server = new Scripted(respond);
  running.add(server);
  await server.start();
  return server;
}
