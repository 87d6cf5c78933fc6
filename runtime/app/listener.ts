import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { RequestListener, Server } from 'node:http';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drainable } from '../shared/drain';
import type { ListenAddress, Listener } from '../shared/listen';
import { listenOn } from '../shared/listen';

/** Time limit for the headers of a request, milliseconds. */
const HEADERS_MS = 10_000;
/** Longer than clients keep idle connections, so that they close first. */
const KEEP_ALIVE_MS = 75_000;
/** The same limits as the public port has. */
const MAX_HEADER_BYTES = 16_384;
const MAX_HEADERS = 100;

function serverOf(handle: RequestListener, requireHostHeader = true): Server {
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_MS,
      // Bodies have the request's own deadline.
      requestTimeout: 0,
      maxHeaderSize: MAX_HEADER_BYTES,
      requireHostHeader,
      noDelay: true,
    },
    handle,
  );
  server.maxHeadersCount = MAX_HEADERS;
  return server;
}

/**
 * Opens a port and closes it gracefully.
 * @throws with the address in its message when it cannot
 */
export async function openListener(server: Server, at: ListenAddress): Promise<Listener> {
  let closing = false;
  server.prependListener('request', (_, response) => {
    if (closing) response.setHeader('connection', 'close');
  });
  const drain = drainable(server);
  const port = await listenOn(server, at);
  return {
    port,
    beginClose: () => {
      closing = true;
    },
    close: async (graceMs) => {
      closing = true;
      await drain(graceMs);
    },
  };
}

/** Opens a port for probes and monitoring. @throws with the address in its message when it cannot */
export const listenForOps = (
  host: string,
  port: number,
  handle: RequestListener,
): Promise<Listener> => openListener(serverOf(handle), { host, port });

/** A listener that only this user's processes on this machine reach. */
export interface PrivateListener {
  readonly path: string;
  readonly close: (graceMs: number) => Promise<void>;
}

/** Names the process, so that the folder of one that was killed is known by a later one. */
const FOLDER = /^ai-model-service-(\d{1,10})-[A-Za-z0-9]{6}$/;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Removes what processes of this user left that ended without an end of their own (kill −9). */
export function removeStaleSockets(folder = tmpdir()): void {
  for (const name of readdirSync(folder)) {
    const pid = FOLDER.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const path = join(folder, name);
    try {
      const found = lstatSync(path);
      const isOurs = found.isDirectory() && found.uid === process.getuid?.();
      if (isOurs) rmSync(path, { recursive: true, force: true });
    } catch {
      // Another service that starts now was faster.
    }
  }
}

/** Opens a socket in the file system, in a folder of its own that other users may not enter. */
export async function listenPrivately(handle: RequestListener): Promise<PrivateListener> {
  // Made with mode 0700.
  removeStaleSockets();
  const folder = mkdtempSync(join(tmpdir(), `ai-model-service-${process.pid}-`));
  const path = join(folder, 'app.sock');
  // The public port has checked it; HTTP/1.0 has none.
  const server = serverOf(handle, false);
  const drain = drainable(server);
  await listenOn(server, path);
  chmodSync(path, 0o600);
  return {
    path,
    close: async (graceMs) => {
      await drain(graceMs);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Where a client of this machine finds a port. */
export function addressOf(given: string, port: number): string {
  const everywhere = given === '0.0.0.0' || given === '::';
  const host = everywhere ? '127.0.0.1' : given;
  const name = host.includes(':') ? `[${host.replace(/^\[|\]$/g, '')}]` : host;
  return `${name}:${port}`;
}
