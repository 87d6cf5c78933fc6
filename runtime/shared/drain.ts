import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { waitUntilAccepted } from './backlog';

/** A connection that asked nothing in this time is one that a client keeps in store; milliseconds. */
const SILENT_MS = 1000;
/** How often connections that became idle are closed; milliseconds. */
const SWEEP_MS = 20;

/**
 * Calls back when everything that has arrived by now is read, so that a connection is not taken for
 * idle while its request lies in the kernel: closing it then would reset it.
 */
const whenRead = (callback: () => void): void => void setImmediate(callback);

/**
 * Makes a server one that can be ended without breaking a request. Call it before it listens.
 *
 * The function it gives refuses new connections, lets every request that has arrived be answered
 * and resolves when the last connection is closed; after `limitMs` milliseconds what is left is
 * cut. The answers themselves should say `Connection: close` from then on.
 */
export function drainable(server: Server): (limitMs: number) => Promise<void> {
  const silent = new Set<Socket>();
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  server.prependListener('request', ({ socket }) => silent.delete(socket));

  return async (limitMs) => {
    await waitUntilAccepted(server, limitMs);
    await new Promise<void>((resolve) => {
      const sweep = setInterval(() => whenRead(() => server.closeIdleConnections()), SWEEP_MS);
      const hush = setTimeout(() => {
        whenRead(() => silent.forEach((socket) => socket.destroy()));
      }, SILENT_MS);
      const limit = setTimeout(() => server.closeAllConnections(), limitMs);
      whenRead(() =>
        server.close(() => {
          clearInterval(sweep);
          clearTimeout(hush);
          clearTimeout(limit);
          resolve();
        }),
      );
    });
  };
}
