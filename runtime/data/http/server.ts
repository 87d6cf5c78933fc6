import { readFileSync } from 'node:fs';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import type { Exchange } from '../exchange';
import type { WriteRefusal } from './refusal';
import type { CallerLimits } from './serverconnection';
import { DEFAULT_CALLER_LIMITS, ServerConnection } from './serverconnection';

/** What the kernel has connected but nobody has accepted yet is accepted in this time; milliseconds. */
const BACKLOG_MS = 50;
/** A connection that asked nothing in this time is one that a client keeps in store; milliseconds. */
const SILENT_MS = 1000;
/** How often connections that became idle are closed; milliseconds. */
const SWEEP_MS = 20;

export interface HttpServerOptions {
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Files with certificate and key, PEM. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly maxConnections: number;
  readonly limits?: CallerLimits | undefined;
  /** Never rejects; every exchange is answered. */
  readonly handle: (exchange: Exchange) => Promise<void> | void;
  /** What is no request of HTTP/1.1, or does not come in time, is refused so. */
  readonly refuse: WriteRefusal;
}

export interface HttpServer {
  readonly port: number;
  /** Answers say `Connection: close` from here on; new connections are still taken. */
  readonly beginClose: () => void;
  /** Resolves when the last answer is out; after `graceMs` what is left is cut. */
  readonly close: (graceMs: number) => Promise<void>;
}

/** Open connections, and the end of all of them. */
class Connections {
  private readonly sockets = new Set<Socket>();
  private readonly all = new Set<ServerConnection>();
  isClosing = false;

  add(socket: Socket, connection?: ServerConnection): void {
    this.sockets.add(socket);
    if (connection !== undefined) this.all.add(connection);
    socket.on('close', () => {
      this.sockets.delete(socket);
      if (connection !== undefined) this.all.delete(connection);
    });
  }

  closeIdle(isOver: boolean): void {
    for (const one of this.all) if (isOver || one.hasAsked) one.closeIdle();
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

function serverOf(
  { tls, limits = DEFAULT_CALLER_LIMITS }: HttpServerOptions,
  connections: Connections,
  onSocket: (socket: Socket, secure: boolean) => void,
): Server {
  if (tls === undefined)
    return createServer({ noDelay: true }, (socket) => onSocket(socket, false));
  const server = createTlsServer(
    { cert: readFileSync(tls.cert), key: readFileSync(tls.key), handshakeTimeout: limits.headMs },
    (socket) => onSocket(socket, true),
  );
  // Until the handshake is done there is only the raw one.
  server.on('connection', (socket: Socket) => connections.add(socket));
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return server;
}

function opened(server: Server, { host, port }: HttpServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const what = taken ? 'something listens there already; choose another --port' : error.message;
      reject(new Error(`cannot listen on ${host}:${port}: ${what}`));
    });
    server.listen(port, host, () => resolve());
  });
}

/** Opens a port for HTTP/1.1. @throws with the address in its message when it cannot */
export async function openHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const connections = new Connections();
  const hooks = {
    handle: (exchange: Exchange): void => void options.handle(exchange),
    refuse: options.refuse,
    limits: options.limits ?? DEFAULT_CALLER_LIMITS,
    isClosing: () => connections.isClosing,
  };
  const server = serverOf(options, connections, (socket, secure) =>
    connections.add(socket, new ServerConnection(socket, secure, hooks)),
  );
  server.maxConnections = options.maxConnections;
  await opened(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    beginClose: () => {
      connections.isClosing = true;
    },
    close: (graceMs) => end(server, connections, graceMs),
  };
}

/** Every request that has arrived is answered; resolves when the last connection is closed. */
async function end(server: Server, connections: Connections, graceMs: number): Promise<void> {
  connections.isClosing = true;
  const began = performance.now();
  await sleep(Math.min(BACKLOG_MS, graceMs));
  // When everything that has arrived is read, so that nobody is taken for idle whose request lies in
  // the kernel: closing the connection then would reset it.
  const sweep = (): void =>
    void setImmediate(() => connections.closeIdle(performance.now() - began >= SILENT_MS));
  const timer = setInterval(sweep, SWEEP_MS);
  const late = setTimeout(() => connections.cut(), graceMs);
  await new Promise((resolve) => server.close(resolve));
  clearInterval(timer);
  clearTimeout(late);
}
