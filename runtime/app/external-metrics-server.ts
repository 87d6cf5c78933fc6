import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { Server } from 'node:https';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { drainable } from '../shared/drain';
import type { Listener } from './listener';
import { listenOn } from './listener';

/** Who may call: whoever shows a certificate of this authority, under one of these names. */
export interface FrontProxyTrust {
  /** PEM. */
  readonly ca: string;
  /** Common names; none: all. */
  readonly names: readonly string[];
}

export interface ExternalMetricsServerOptions {
  readonly host: string;
  readonly port: number;
  /** PEM files; read again when they change. */
  readonly cert: string;
  readonly key: string;
  /** Asked at the start and then now and then: authorities are exchanged while we run. */
  readonly trust: () => Promise<FrontProxyTrust>;
  readonly handle: RequestListener;
  /** Told when certificate or trust cannot be read; what was read before stays. */
  readonly warn: (message: string, fields: { readonly error: string }) => void;
  /** Calls once after `ms`; the answer cancels. */
  readonly after: (call: () => void, ms: number) => () => void;
}

/** Certificates live for days; a minute is soon enough. */
const REFRESH_MS = 60_000;
const HEADERS_MS = 10_000;

interface Refusal {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

/** Why a caller is not let in; undefined: it is the API server. */
function refusalOf(socket: TLSSocket, { names }: FrontProxyTrust): Refusal | undefined {
  if (!socket.authorized) {
    const message = 'show the client certificate of the API server’s aggregation layer';
    return { code: 401, reason: 'Unauthorized', message };
  }
  const { CN = [] } = socket.getPeerCertificate().subject;
  if (names.length === 0 || [CN].flat().some((name) => names.includes(name))) return undefined;
  const message = 'the client certificate’s name is not among requestheader-allowed-names';
  return { code: 403, reason: 'Forbidden', message };
}

interface Material {
  readonly cert: string;
  readonly key: string;
  readonly trust: FrontProxyTrust;
}

async function read({ cert, key, trust }: ExternalMetricsServerOptions): Promise<Material> {
  const text = (file: string): string => readFileSync(file, 'utf8');
  return { cert: text(cert), key: text(key), trust: await trust() };
}

const contextOf = ({ cert, key, trust }: Material) => ({ cert, key, ca: trust.ca });

/** Reads everything again every minute, and takes what is new for connections from then on. */
function keepFresh(
  options: ExternalMetricsServerOptions,
  server: Server,
  take: (material: Material) => void,
): () => void {
  let cancel = (): void => undefined;
  let stopped = false;
  const refresh = async (): Promise<void> => {
    try {
      const material = await read(options);
      server.setSecureContext(contextOf(material));
      take(material);
    } catch (error) {
      const message = 'certificate or trust of the metrics port could not be read again';
      options.warn(message, { error: (error as Error).message });
    }
    again();
  };
  const again = (): void => {
    if (!stopped) cancel = options.after(() => void refresh(), REFRESH_MS);
  };
  again();
  return () => {
    stopped = true;
    cancel();
  };
}

/**
 * Opens a port for the API server's aggregation layer, which has authenticated its caller and asked
 * whether the caller may do this before it comes here; so all that is left is to know it by its
 * certificate.
 * @throws when certificate, key or trust cannot be read, or the port is taken
 */
export async function listenForExternalMetrics(
  options: ExternalMetricsServerOptions,
): Promise<Listener> {
  let current = await read(options);
  let closing = false;
  const settings = { requestCert: true, rejectUnauthorized: false, headersTimeout: HEADERS_MS };
  const server = createServer({ ...contextOf(current), ...settings }, (request, response) => {
    if (closing) response.setHeader('connection', 'close');
    const refused = refusalOf(request.socket as TLSSocket, current.trust);
    if (refused === undefined) return options.handle(request, response);
    const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' };
    response.writeHead(refused.code, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ ...status, ...refused }));
  });
  const drain = drainable(server);
  await listenOn(server, { host: options.host, port: options.port });
  const stop = keepFresh(options, server, (material) => {
    current = material;
  });
  return {
    port: (server.address() as AddressInfo).port,
    beginClose: () => {
      closing = true;
    },
    close: async (graceMs) => {
      closing = true;
      stop();
      await drain(graceMs);
    },
  };
}
