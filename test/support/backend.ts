import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createSocketServer } from 'node:net';
import type { ReplicaRoute } from '../../runtime/core/routing/table';

/** A request as a model server got it, whole. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

/** What a model server does with a request. */
export type Behaviour =
  | {
      readonly kind: 'answer';
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: Buffer | string;
      /** The answer waits for it. */
      readonly after?: Promise<unknown>;
    }
  /** Head and parts, each when the one before was taken; ends after the last. */
  | {
      readonly kind: 'parts';
      readonly headers?: Readonly<Record<string, string>>;
      readonly parts: AsyncIterable<Buffer | string>;
    }
  /** The whole request was read; then the connection breaks without a byte. */
  | { readonly kind: 'reset' }
  /** A head that promises more than comes, then the connection breaks. */
  | { readonly kind: 'half'; readonly body: string }
  /** These bytes instead of HTTP, then the end. */
  | { readonly kind: 'garbage'; readonly bytes: string }
  /** These bytes, HTTP or not; then the end, a reset, or nothing more. */
  | { readonly kind: 'raw'; readonly bytes: string; readonly last: 'end' | 'reset' | 'stay' }
  /** These bytes, one after the other. */
  | { readonly kind: 'drip'; readonly bytes: string; readonly everyMs: number }
  /** Never an answer. */
  | { readonly kind: 'silence' };

export type Behave = (seen: Seen, nth: number) => Behaviour | Promise<Behaviour>;

/** A real HTTP server on 127.0.0.1 that misbehaves on demand. */
export interface Backend {
  readonly port: number;
  /** `127.0.0.1:port`, `[::1]:port` */
  readonly address: string;
  readonly seen: readonly Seen[];
  /** Requests begun and not ended. */
  readonly inFlight: () => number;
  /** Connections that stand. */
  readonly connections: () => number;
  /** Behave otherwise from now on. */
  readonly become: (behave: Behave) => void;
  /** As kill −9 does: every connection breaks, new ones are refused. */
  readonly kill: () => Promise<void>;
  readonly replica: (more?: Partial<ReplicaRoute>) => ReplicaRoute;
}

export function json(value: unknown, status = 200): Behaviour {
  const headers = { 'content-type': 'application/json' };
  return { kind: 'answer', status, headers, body: JSON.stringify(value) };
}

async function readSeen(request: IncomingMessage): Promise<Seen> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { method = '', url = '', headers, rawHeaders } = request;
  return { method, url, headers, rawHeaders, body: Buffer.concat(chunks) };
}

async function perform(behaviour: Behaviour, response: ServerResponse): Promise<void> {
  const socket = response.socket as Socket;
  switch (behaviour.kind) {
    case 'answer': {
      await behaviour.after;
      const body = behaviour.body ?? '';
      const length = String(Buffer.byteLength(body));
      response.writeHead(behaviour.status ?? 200, {
        'content-length': length,
        ...behaviour.headers,
      });
      response.end(body);
      return;
    }
    case 'parts':
      response.writeHead(200, behaviour.headers);
      response.flushHeaders();
      for await (const part of behaviour.parts) {
        if (response.destroyed) return;
        response.write(part);
      }
      response.end();
      return;
    case 'reset':
      socket.resetAndDestroy();
      return;
    case 'half': {
      const length = Buffer.byteLength(behaviour.body) + 100;
      const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
      socket.write(head + behaviour.body, () => socket.destroy());
      return;
    }
    case 'garbage':
      socket.end(behaviour.bytes);
      return;
    case 'raw': {
      const { bytes, last } = behaviour;
      if (last === 'end') socket.end(bytes, 'latin1');
      // A reset overtakes what is still on its way: until it is read there is none.
      else socket.write(bytes, 'latin1', () => last === 'reset' && resetLater(socket));
      return;
    }
    case 'drip':
      drip(socket, behaviour.bytes, behaviour.everyMs);
      return;
    case 'silence':
  }
}

function resetLater(socket: Socket): void {
  setTimeout(() => socket.resetAndDestroy(), 20);
}

function drip(socket: Socket, bytes: string, everyMs: number): void {
  let at = 0;
  const timer = setInterval(() => {
    socket.write(bytes.charAt(at), 'latin1');
    at += 1;
    if (at >= bytes.length) clearInterval(timer);
  }, everyMs);
  socket.once('close', () => clearInterval(timer));
}

function stop(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
  });
}

const running = new Set<Backend>();

/** Ends all that tests started; for `afterEach`. */
export async function stopBackends(): Promise<void> {
  await Promise.all([...running].map((one) => one.kill()));
}

export function startBackend(behave: Behave, host = '127.0.0.1'): Promise<Backend> {
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  let behaviour = behave;
  let inFlight = 0;
  const server = createServer((request, response) => {
    inFlight += 1;
    response.on('close', () => {
      inFlight -= 1;
    });
    void readSeen(request).then(
      async (one) => {
        seen.push(one);
        await perform(await behaviour(one, seen.length), response);
      },
      () => undefined,
    );
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  return new Promise((resolve) => {
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      const backend: Backend = {
        port,
        address,
        seen,
        inFlight: () => inFlight,
        connections: () => sockets.size,
        become: (next) => {
          behaviour = next;
        },
        kill: () => {
          running.delete(backend);
          return server.listening ? stop(server, sockets) : Promise.resolve();
        },
        replica: (more) => ({
          id: address,
          host,
          port,
          address,
          version: 'v1',
          terminating: false,
          ...more,
        }),
      };
      running.add(backend);
      resolve(backend);
    });
  });
}

/** A port of this machine on which nobody listens. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createSocketServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
