import type { Server as SocketServer, Socket } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Listener } from '../../shared/listen';
import { listenOn } from '../../shared/listen';
import type { CertificateSource } from '../../shared/server-certificate';
import { clientVerification } from '../../shared/server-certificate';
import type { Plane } from '../handlers/request';
import { ShownCertificates } from '../http/server/client-certificate';
import type { PortOptions } from '../http/server/server';
import { RunningCalls } from './grpc-call';
import { admissionInterceptor, serviceOf } from './service';

/** Calls of one connection at the same time; a client queues the others itself. */
const MAX_STREAMS = 1000;
/** Clients keep connections for days: a ping finds those whose other end is gone, milliseconds. */
const PING_MS = 60_000;
const PING_ANSWER_MS = 20_000;

export interface GrpcServerOptions extends PortOptions {
  readonly plane: Plane;
  /** A connection that sends nothing for so long is closed; milliseconds. */
  readonly firstByteMs?: number | undefined;
  readonly maxMetadataBytes: number;
  /** Of a message, inflated; the limit of a model holds below it. */
  readonly maxMessageBytes: number;
}

/** TLS with a certificate that changes; connections that are open keep theirs. */
class ReloadedCredentials extends ServerCredentials {
  /** To be called at the end. */
  readonly stop: () => void;

  constructor(tls: CertificateSource) {
    super(clientVerification(tls.pair()), { ...tls.pair() });
    this.stop = tls.onChange((pair) => this.updateSecureContextOptions({ ...pair }));
  }

  // oxlint-disable-next-line no-underscore-dangle -- so the library calls it
  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

function serverOf(
  options: GrpcServerOptions,
  running: RunningCalls,
  certificates: ShownCertificates | undefined,
): Server {
  const { plane, maxMetadataBytes } = options;
  const context = { plane, certificates, maxMetadataBytes, running };
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc.keepalive_time_ms': PING_MS,
    'grpc.keepalive_timeout_ms': PING_ANSWER_MS,
    // Unused, and they cost time on every call.
    'grpc.enable_channelz': 0,
    interceptors: [admissionInterceptor(context)],
  });
  const { definition, methods } = serviceOf(context);
  server.addService(definition, methods);
  return server;
}

/** Closes a connection of which nothing came. */
function watchFirstByte(socket: Socket, ms: number): void {
  const late = setTimeout(() => {
    if (socket.bytesRead === 0) socket.destroy();
  }, ms);
  socket.once('close', () => clearTimeout(late));
}

/** Opens a port for gRPC. @throws with the address in its message when it cannot */
export async function openGrpcServer(options: GrpcServerOptions): Promise<Listener> {
  const running = new RunningCalls();
  const certificates = options.tls && new ShownCertificates(options.tls);
  const server = serverOf(options, running, certificates);
  // The sockets are our own, so that they are bounded, and cut when it is time.
  const secure = options.tls && new ReloadedCredentials(options.tls);
  const injector = server.createConnectionInjector(secure ?? ServerCredentials.createInsecure());
  const open = new Set<Socket>();
  const { callers, firstByteMs } = options;
  const sockets = createServer({ noDelay: true }, (socket) => {
    if (callers?.admit(socket) === false) return void socket.destroy();
    if (firstByteMs !== undefined) watchFirstByte(socket, firstByteMs);
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    certificates?.add(socket);
    injector.injectConnection(socket);
  });
  sockets.maxConnections = options.maxConnections;
  sockets.on('drop', () => callers?.makeRoom());
  const port = await listenOn(sockets, options, '; choose another server.grpc_port');
  return {
    port,
    // A caller learns from ServerReady, and from GOAWAY when it is time.
    beginClose: () => undefined,
    close: async (graceMs) => {
      await end(server, sockets, open, running, graceMs);
      secure?.stop();
    },
  };
}

/** Time for the last responses to reach the kernel; milliseconds. */
const FLUSH_MS = 50;
/** A caller that has its answer closes its side in this time; milliseconds. */
const LAST_WORDS_MS = 1000;

/** Resolves when the last connection is closed. */
async function end(
  server: Server,
  sockets: SocketServer,
  open: ReadonlySet<Socket>,
  running: RunningCalls,
  graceMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => sockets.close(() => resolve()));
  const cut = (): void => {
    server.forceShutdown();
    for (const socket of open) socket.destroy();
  };
  // Waiting for the library instead would be shorter, but on Node 24 it drops calls that run.
  const late = setTimeout(cut, graceMs);
  await Promise.race([running.whenIdle(), closed]);
  await sleep(Math.min(FLUSH_MS, graceMs));
  server.tryShutdown(() => undefined);
  // Last words are still on their way, and some never became a connection of HTTP/2.
  for (const socket of open) socket.end();
  const silent = setTimeout(cut, LAST_WORDS_MS);
  await closed;
  clearTimeout(late);
  clearTimeout(silent);
}
