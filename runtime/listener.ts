import { readFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Config } from './config';
import type { DataPlane } from './data';
import { drainable } from './drain';

/** A request with more headers than this is an attack or a mistake. */
const MAX_HEADERS = 100;

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** No new connections; answers say `Connection: close` from here on. */
  readonly beginClose: () => void;
  /** Resolves when the last answer is out; after `graceMs` what is left is cut. */
  readonly close: (graceMs: number) => Promise<void>;
}

export interface ListenerOptions {
  readonly server: Pick<
    Config['server'],
    'host' | 'tls' | 'maxConnections' | 'headersSeconds' | 'keepAliveSeconds' | 'maxHeaderBytes'
  >;
  readonly port: number;
  readonly handle: RequestListener;
}

function serverOf({ server }: ListenerOptions, handle: RequestListener): Server {
  const headersMs = server.headersSeconds * 1000;
  const options = {
    keepAliveTimeout: server.keepAliveSeconds * 1000,
    headersTimeout: headersMs,
    // Bodies have the request's own deadline.
    requestTimeout: 0,
    maxHeaderSize: server.maxHeaderBytes,
    requireHostHeader: true,
    noDelay: true,
  };
  const { tls } = server;
  if (tls === undefined) return createServer(options, handle);
  return createTlsServer(
    {
      ...options,
      handshakeTimeout: headersMs,
      cert: readFileSync(tls.cert),
      key: readFileSync(tls.key),
    },
    handle,
  );
}

/** Opens a port. @throws with the address in its message when it cannot */
export async function listen(options: ListenerOptions): Promise<Listener> {
  let closing = false;
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    if (closing) response.setHeader('connection', 'close');
    options.handle(request, response);
  };
  const server = serverOf(options, handle);
  const drain = drainable(server);
  server.maxConnections = options.server.maxConnections;
  server.maxHeadersCount = MAX_HEADERS;
  const { host } = options.server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const what = taken ? 'something listens there already; choose another --port' : error.message;
      reject(new Error(`cannot listen on ${host}:${options.port}: ${what}`));
    });
    server.listen(options.port, host, () => resolve());
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    beginClose: () => {
      closing = true;
    },
    close: async (graceMs) => {
      closing = true;
      await drain(graceMs);
    },
  };
}

type NodeExchange = (
  request: IncomingMessage,
  response: ServerResponse,
) => Parameters<DataPlane['handle']>[0];

/** Inference paths to the data plane, everything else to the management app. */
export function dispatchTo(
  data: DataPlane,
  exchangeOf: NodeExchange,
  app: RequestListener,
): RequestListener {
  return (request, response) => {
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    if (data.matches(mark < 0 ? url : url.slice(0, mark))) {
      void data.handle(exchangeOf(request, response));
    } else app(request, response);
  };
}
