import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Exchange } from '../exchange';
import { drain } from '../../../shared/drain';
import type { HeldBytes } from '../../../shared/held-bytes';
import type { CertificateSource } from '../../../shared/server-certificate';
import { clientVerification } from '../../../shared/server-certificate';
import type { ListenAddress, Listener } from '../../../shared/listen';
import { listenOn } from '../../../shared/listen';
import type { CallerLimits } from './caller-limits';
import { DEFAULT_CALLER_LIMITS } from './caller-limits';
import { ShownCertificates } from './client-certificate';
import type { ConnectionsByAddress } from './connections-by-address';
import { HttpFault } from '../fields';
import type { WriteRefusal } from './early-refusal';
import { refusalText } from './early-refusal';
import { ServerConnection } from './server-connection';

/** A connection that is refused is kept for so long, so that its caller can read why; milliseconds. */
const LINGER_MS = 1000;
/** With so many refused ones that are still open, others are closed without a word. */
const MAX_LINGERING = 100;

/** A port whose connections are bounded. */
export interface PortOptions extends ListenAddress {
  readonly tls?: CertificateSource | undefined;
  readonly maxConnections: number;
  /** By the address they come from; absent: one address may have all of them. */
  readonly callers?: ConnectionsByAddress | undefined;
}

export interface HttpServerOptions extends PortOptions {
  /** Memory for all requests; absent: without a bound. */
  readonly held?: HeldBytes | undefined;
  readonly limits?: CallerLimits | undefined;
  /** Never rejects; every exchange is answered. */
  readonly handle: (exchange: Exchange) => Promise<void> | void;
  /** Writes the refusal of a malformed or late request. */
  readonly refuse: WriteRefusal;
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

  readonly closeIdle = (silent: boolean): void => {
    for (const one of this.all) if (silent || one.hasAsked) one.closeIdle();
  };

  readonly cut = (): void => {
    for (const socket of this.sockets) socket.destroy();
  };
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
  certificates: ShownCertificates | undefined,
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
      ...tls.pair(),
      ...clientVerification(tls.pair()),
      handshakeTimeout: limits.headMs,
      allowHalfOpen: true,
    },
    (socket) => onSocket(socket, true),
  );
  // Connections that are open keep theirs; certificates of clients are checked again.
  server.once(
    'close',
    tls.onChange((pair) => server.setSecureContext(pair)),
  );
  // Until the handshake is done there is only the raw one.
  server.on('connection', (socket: Socket) => {
    if (!isAdmitted(socket)) return;
    connections.add(socket);
    certificates?.add(socket);
  });
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return server;
}

/** Opens a port for HTTP/1.1. @throws with the address in its message when it cannot */
export async function openHttpServer(options: HttpServerOptions): Promise<Listener> {
  const connections = new Connections();
  const certificates = options.tls && new ShownCertificates(options.tls);
  const callbacks = {
    handle: (exchange: Exchange): void => void options.handle(exchange),
    refuse: options.refuse,
    limits: options.limits ?? DEFAULT_CALLER_LIMITS,
    ...(options.held !== undefined && { held: options.held }),
    ...(certificates && { certificates }),
    isClosing: () => connections.isClosing,
  };
  const accept = (socket: Socket, secure: boolean): void =>
    connections.add(socket, new ServerConnection(socket, secure, callbacks));
  const server = serverOf(options, connections, accept, certificates);
  server.maxConnections = options.maxConnections;
  server.on('drop', () => options.callers?.makeRoom());
  const port = await listenOn(server, options, '; choose another --port');
  return {
    port,
    beginClose: () => {
      connections.isClosing = true;
    },
    close: (graceMs) => {
      connections.isClosing = true;
      return drain(server, connections, graceMs);
    },
  };
}
