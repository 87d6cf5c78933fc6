import type { Server as HttpServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Server as TlsServer } from 'node:tls';

/** Time to accept the connections that wait in the kernel's backlog; milliseconds. */
const BACKLOG_MS = 50;
/** A turn of the event loop accepts one connection (libuv 1.45 and later); the kernel keeps so many. */
const MAX_TURNS = 511;
/** A connection without a request in this time is kept by a client for later use; milliseconds. */
const SILENT_MS = 1000;
/** Interval at which idle connections are closed; milliseconds. */
const SWEEP_MS = 20;

/**
 * Resolves when all connections of this moment are accepted, however long the event loop was
 * blocked.
 */
async function waitUntilAccepted(server: Server, limitMs: number): Promise<void> {
  let accepted = 0;
  const count = (): void => void (accepted += 1);
  server.on('connection', count);
  await sleep(Math.min(BACKLOG_MS, limitMs));
  let before = -1;
  for (let turns = 0; accepted !== before && turns < MAX_TURNS; turns += 1) {
    before = accepted;
    await nextTurn();
  }
  server.off('connection', count);
}

/** The connections of a server to be drained. */
export interface DrainedConnections {
  /** @param silent whether to close connections without any request, too */
  readonly closeIdle: (silent: boolean) => void;
  readonly cut: () => void;
}

/**
 * Calls back when all data that has arrived is read: a connection whose request is still in the
 * kernel is not idle, and closing it would reset it.
 */
const whenRead = (callback: () => void): void => void setImmediate(callback);

/**
 * Ends a server without breaking a request: refuses new connections, lets all requests that have
 * arrived be answered and resolves when the last connection is closed; after `limitMs` milliseconds
 * the remaining ones are cut. Responses should carry `Connection: close` meanwhile.
 */
export async function drain(
  server: Server,
  { closeIdle, cut }: DrainedConnections,
  limitMs: number,
): Promise<void> {
  await waitUntilAccepted(server, limitMs);
  let silent = false;
  const sweep = setInterval(() => whenRead(() => closeIdle(silent)), SWEEP_MS);
  const hush = setTimeout(() => void (silent = true), SILENT_MS);
  const late = setTimeout(cut, limitMs);
  await new Promise<void>((resolve) => whenRead(() => server.close(() => resolve())));
  clearInterval(sweep);
  clearTimeout(hush);
  clearTimeout(late);
}

/** Makes a server of Node drainable. To be called before it listens. */
export function drainable(server: HttpServer): (limitMs: number) => Promise<void> {
  const silent = new Set<Socket>();
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  server.prependListener('request', ({ socket }) => silent.delete(socket));
  const connections: DrainedConnections = {
    closeIdle: (alsoSilent) => {
      server.closeIdleConnections();
      if (alsoSilent) silent.forEach((socket) => socket.destroy());
    },
    cut: () => server.closeAllConnections(),
  };
  return (limitMs) => drain(server, connections, limitMs);
}
