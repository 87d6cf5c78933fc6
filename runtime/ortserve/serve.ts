import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createEngine } from './engine';
import { ServeError } from './errors';
import type { Answer } from './http';
import { write } from './http';
import type { Metrics, Protocol } from './metrics';
import { createMetrics } from './metrics';
import type { Site } from './routes';
import { findRoute, servedOf } from './routes';
import type { ModelFile, Session } from './session';
import { loadSession } from './session';

export interface OnnxServerOptions {
  readonly models: readonly ModelFile[];
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  readonly intraOpThreads?: number | undefined;
  readonly interOpThreads?: number | undefined;
  readonly maxConcurrency?: number | undefined;
  readonly maxQueueDepth?: number | undefined;
  /** Also of an inflated body. Default 10 MiB. */
  readonly maxBodyBytes?: number | undefined;
  readonly batching?: { readonly maxSize: number; readonly maxDelayMs: number } | undefined;
  readonly requestTimeoutMs?: number | undefined;
}

export interface OnnxServer {
  readonly port: number;
  /** Running requests finish, new ones are refused; resolves when all is over. */
  readonly close: () => Promise<void>;
}

const MAX_CONCURRENCY = 8;
const MAX_QUEUE = 64;
const MAX_BODY_BYTES = 10 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** Longer than the idle time of clients that keep connections, so that they close first. */
const KEEP_ALIVE_MS = 75_000;
const DEADLINE = 'x-ai-model-deadline-ms';

/** Errors in the shape of the protocol that is spoken. */
function errorAnswer(error: unknown, protocol: Protocol | undefined): Answer {
  const known = error instanceof ServeError;
  const status = known ? error.status : 500;
  const message = known ? error.message : `the server failed: ${(error as Error).message}`;
  const body = protocol === 'native' ? { error: { message } } : { error: message };
  const headers = { 'content-type': 'application/json', ...(known ? error.headers : {}) };
  return { status, body: JSON.stringify(body), headers };
}

function protocolOf(path: string): Protocol | undefined {
  if (path.startsWith('/v2')) return 'v2';
  return path.startsWith('/v1') ? 'v1' : 'native';
}

function millisLeft(request: IncomingMessage, most: number): number {
  const given = Number(request.headers[DEADLINE] ?? NaN);
  return given > 0 ? Math.min(given, most) : most;
}

async function handle(
  site: Site,
  timeoutMs: number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const since = performance.now();
  const { method = 'GET', url = '/' } = request;
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const gone = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  let counted: Protocol | undefined;
  let answer: Answer;
  try {
    const found = findRoute(method, path);
    counted = found.protocol;
    const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark));
    const deadline = since + millisLeft(request, timeoutMs);
    answer = await found.answer(site, { request, query, run: { deadline, signal: gone.signal } });
  } catch (error) {
    answer = errorAnswer(error, counted ?? protocolOf(path));
  }
  if (site.isDraining())
    answer = { ...answer, headers: { ...answer.headers, connection: 'close' } };
  write(response, answer);
  if (counted !== undefined) {
    site.metrics.onRequest(counted, answer.status, (performance.now() - since) / 1000);
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

async function siteOf(options: OnnxServerOptions, isDraining: () => boolean): Promise<Site> {
  const sessions: Session[] = [];
  for (const file of options.models) sessions.push(await loadSession(file, options));
  const engines: ReturnType<typeof createEngine>[] = [];
  const waiting = (): number => engines.reduce((sum, engine) => sum + engine.waiting(), 0);
  const metrics: Metrics = createMetrics(waiting, sessions);
  const { maxConcurrency = MAX_CONCURRENCY, maxQueueDepth = MAX_QUEUE, batching } = options;
  const limits = { maxConcurrency, maxQueueDepth, batching };
  for (const session of sessions) engines.push(createEngine(session, limits, metrics));
  return {
    models: new Map(engines.map((engine) => [engine.session.name, servedOf(engine)])),
    metrics,
    maxBodyBytes: options.maxBodyBytes ?? MAX_BODY_BYTES,
    isDraining,
  };
}

/**
 * Loads models and serves them.
 * @throws UnservableModel with a sentence; nothing listens then
 */
export async function serveOnnx(options: OnnxServerOptions): Promise<OnnxServer> {
  let draining = false;
  const site = await siteOf(options, () => draining);
  const timeoutMs = options.requestTimeoutMs ?? TIMEOUT_MS;
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    void handle(site, timeoutMs, request, response);
  });
  const port = await listen(server, options.host, options.port);
  return {
    port,
    close: async () => {
      draining = true;
      const over = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      await over;
      for (const { session } of site.models.values()) await session.release();
    },
  };
}
