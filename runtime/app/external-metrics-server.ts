import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { Server } from 'node:https';
import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { Listener } from '../shared/listen';
import { openListener } from './listener';

/** The aggregation layer's CA, and the common names it accepts. */
export interface FrontProxyTrust {
  /** PEM. */
  readonly ca: string;
  /** Common names; empty: all. */
  readonly names: readonly string[];
}

export interface ExternalMetricsServerOptions {
  readonly host: string;
  readonly port: number;
  /** PEM files; read again when they change. */
  readonly cert: string;
  readonly key: string;
  /** Called at start and every minute, since authorities are rotated. */
  readonly trust: () => Promise<FrontProxyTrust>;
  readonly handle: RequestListener;
  /** Logs that certificate or trust cannot be read; the previous ones stay in use. */
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

/** Why a caller is rejected; undefined: it is the API server. */
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

/** Reloads certificate, key and trust every minute; new connections use them. */
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
 * Opens a port for the API server's aggregation layer. The API server has authenticated and
 * authorized its caller, so this port only verifies the API server's certificate.
 * @throws when certificate, key or trust cannot be read, or the port is taken
 */
export async function listenForExternalMetrics(
  options: ExternalMetricsServerOptions,
): Promise<Listener> {
  let current = await read(options);
  const settings = { requestCert: true, rejectUnauthorized: false, headersTimeout: HEADERS_MS };
  const server = createServer({ ...contextOf(current), ...settings }, (request, response) => {
    const refused = refusalOf(request.socket as TLSSocket, current.trust);
    if (refused === undefined) return options.handle(request, response);
    const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' };
    response.writeHead(refused.code, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ ...status, ...refused }));
  });
  const listener = await openListener(server, options);
  const stop = keepFresh(options, server, (material) => {
    current = material;
  });
  return {
    ...listener,
    close: async (graceMs) => {
      stop();
      await listener.close(graceMs);
    },
  };
}
