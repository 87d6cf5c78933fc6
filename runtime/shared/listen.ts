import type { Server } from 'node:net';

/** An open port. */
export interface Listener {
  readonly port: number;
  /** From then on responses carry `Connection: close`; new connections are still accepted. */
  readonly beginClose: () => void;
  /** Resolves after the last response; after `graceMs` the remaining connections are cut. */
  readonly close: (graceMs: number) => Promise<void>;
}

export interface ListenAddress {
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
}

/**
 * Listens.
 * @param at an address, or the path of a socket
 * @param remedy the correction for a port in use; the end of a sentence
 * @returns the port
 * @throws an error with the address in its message
 */
export function listenOn(server: Server, at: ListenAddress | string, remedy = ''): Promise<number> {
  return new Promise((resolve, reject) => {
    // Stays attached: an accept that fails later (no file descriptors left) must not end the
    // process.
    server.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      const what = code === 'EADDRINUSE' ? `the port is in use${remedy}` : message;
      const where = typeof at === 'string' ? at : `${at.host}:${at.port}`;
      reject(new Error(`cannot listen on ${where}: ${what}`));
    });
    const place = typeof at === 'string' ? { path: at } : { host: at.host, port: at.port };
    server.listen(place, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
