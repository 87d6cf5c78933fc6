import { readFileSync } from 'node:fs';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Exchange } from '../exchange';
import { waitUntilAccepted } from '../../../shared/backlog';
import type { HeldBytes } from '../../../shared/held-bytes';
import type { ConnectionsByAddress } from './connections-by-address';
import { HttpFault } from '../fields';
import type { WriteRefusal } from './early-refusal';
import { refusalText } from './early-refusal';
import type { CallerLimits } from './server-connection';
import { DEFAULT_CALLER_LIMITS, ServerConnection } from './server-connection';

/** A connection without a request for this time counts as a spare of its client; milliseconds. */
const SILENT_MS = 1000;
/** A connection that is refused is kept for so long, so that its caller can read why; milliseconds. */
const LINGER_MS = 1000;
/** With so many refused ones that are still open, others are closed without a word. */
const MAX_LINGERING = 100;
/** How often connections that became idle are closed; milliseconds. */
const SWEEP_MS = 20;

export interface HttpServerOptions {
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Files with certificate and key, PEM. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly maxConnections: number;
  /** By the address they come from; absent: one address may have all of them. */
  readonly callers?: ConnectionsByAddress | undefined;
  /** Memory for all requests; absent: without a bound. */
  readonly held?: HeldBytes | undefined;
  readonly limits?: CallerLimits | undefined;
  /** Never rejects; every exchange is answered. */
  readonly handle: (exchange: Exchange) => Promise<void> | void;
  /** Writes the refusal of a malformed or late request. */
  readonly refuse: WriteRefusal;
}

export interface HttpServer {
  readonly port: number;
  /** Answers say `Connection: close` from here on; new connections are still taken. */
  readonly beginClose: () => void;
  /** Resolves when the last response is sent; remaining connections are cut after `graceMs`. */
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

const TOO_MANY = new HttpFault(
  503,
  'too many connections from your address (server.max_connections_per_address); use those that are open, or wait',
);

/** Ends connections that are over the limit of their address. */
class ConnectionRefuser {
  private lingering = 0;

  constructor(private readonly refuse: WriteRefusal) {}

  end(socket: Socket, secure: boolean): void {
    // A handshake costs more than the rest of a connection.
    if (secure || this.lingering >= MAX_LINGERING) return void socket.destroy();
    this.lingering += 1;
    const late = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.lingering -= 1;
      clearTimeout(late);
    });
    const seen = { path: undefined, requestId: undefined };
    socket.end(refusalText(TOO_MANY, this.refuse(TOO_MANY, seen)));
    // Unread input would cause a reset, which destroys the response.
    socket.resume();
  }
}

function serverOf(
  { tls, limits = DEFAULT_CALLER_LIMITS, callers, refuse }: HttpServerOptions,
  connections: Connections,
  onSocket: (socket: Socket, secure: boolean) => void,
): Server {
  const refusing = new ConnectionRefuser(refuse);
  const isAdmitted = (socket: Socket): boolean => {
    if (callers?.admit(socket) !== false) return true;
    refusing.end(socket, tls !== undefined);
    return false;
  };
  if (tls === undefined) {
    return createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      if (isAdmitted(socket)) onSocket(socket, false);
    });
  }
  const server = createTlsServer(
    {
      cert: readFileSync(tls.cert),
      key: readFileSync(tls.key),
      handshakeTimeout: limits.headMs,
      allowHalfOpen: true,
    },
    (socket) => onSocket(socket, true),
  );
  // Until the handshake is done there is only the raw one.
  server.on('connection', (socket: Socket) => {
    if (isAdmitted(socket)) connections.add(socket);
  });
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return server;
}

function listening(server: Server, { host, port }: HttpServerOptions): Promise<void> {
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
  const callbacks = {
    handle: (exchange: Exchange): void => void options.handle(exchange),
    refuse: options.refuse,
    limits: options.limits ?? DEFAULT_CALLER_LIMITS,
    ...(options.held !== undefined && { held: options.held }),
    isClosing: () => connections.isClosing,
  };
  const server = serverOf(options, connections, (socket, secure) =>
    connections.add(socket, new ServerConnection(socket, secure, callbacks)),
  );
  server.maxConnections = options.maxConnections;
  server.on('drop', () => options.callers?.makeRoom());
  await listening(server, options);
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
  await waitUntilAccepted(server, graceMs);
  // When everything that has arrived is read, so that no connection counts as idle whose request lies
  // in the kernel: closing the connection then would reset it.
  const sweep = (): void =>
    void setImmediate(() => connections.closeIdle(performance.now() - began >= SILENT_MS));
  const timer = setInterval(sweep, SWEEP_MS);
  const late = setTimeout(() => connections.cut(), graceMs);
  await new Promise((resolve) => server.close(resolve));
  clearInterval(timer);
  clearTimeout(late);
}
