import { createServer } from 'node:http';
import { drainable } from '../shared/drain';
import { listenOn } from '../shared/listen';
import { crossOrigin, isLocalHost, isLoopback } from '../shared/origins';
import { badRequest, ServeError, shown, UnservableModel } from './errors';
import { bodyOf } from './body';
import { RequestLifetime } from './concurrency-limiter';
import { loadModel } from './model';
import { cpusAvailable } from './ort';
import { jsonResponse, routerOf } from './routes';
import { createOnnxService } from './onnx-service';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Batching } from './batcher';
import type { Model, ModelSource } from './model';
import type { OnnxResponse, Endpoint, Router } from './routes';
import type { OnnxService } from './onnx-service';
import { entryOf } from '../../lib/spec/entry';

export interface OnnxServerOptions {
  readonly models: ModelSource | readonly ModelSource[];
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Threads within one operator. Default: the CPUs this process may use. */
  readonly intraOpThreads?: number | undefined;
  /** Threads across operators. Default 1. */
  readonly interOpThreads?: number | undefined;
  /** Requests whose graph runs at a time. Default 8. */
  readonly maxConcurrency?: number | undefined;
  /** Requests that may wait; more get 503. Default 256. */
  readonly maxQueueDepth?: number | undefined;
  /** Of a body as sent, and as inflated. Default 10 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Joins requests of different callers in one run. Default: off. */
  readonly batching?: Batching | undefined;
  /**
   * The author states that each row's answer depends on that row alone. Default: the graph must
   * prove it.
   */
  readonly rowsIndependent?: boolean | undefined;
  /** Milliseconds from the head of a request to its answer. Default 30,000. */
  readonly requestTimeoutMs?: number | undefined;
}

export interface OnnxServer {
  readonly port: number;
  /** Refuses new connections, finishes running requests, then resolves. */
  readonly close: () => Promise<void>;
}

const MAX_CONCURRENCY = 8;
const MAX_QUEUE = 256;
const MAX_BODY_BYTES = 10 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** Longer than clients keep idle connections, so that they are the ones who close: no request is lost. */
const KEEP_ALIVE_MS = 75_000;
const DEADLINE_HEADER = 'x-ai-model-deadline-ms';

/** State shared by all requests of one server. */
interface Host {
  readonly site: OnnxService;
  readonly router: Router;
  readonly maxBodyBytes: number;
  readonly timeoutMs: number;
  /** Only this machine is meant to call: its browser must not do so for pages of others. */
  readonly isLocal: boolean;
}

/** @throws ServeError for a host name that a foreign DNS record points here, and for pages of other origins */
function requireLocal({ method = '', headers }: IncomingMessage): void {
  const { host } = headers;
  if (host !== undefined && !isLocalHost(host)) {
    throw new ServeError(
      403,
      'this server listens on loopback: call it as localhost or by address',
    );
  }
  const get = (name: string): string | undefined => entryOf(headers, name)?.toString();
  const refused = crossOrigin({ method, headers: { get }, host, allowedOrigins: [] });
  if (refused !== undefined) throw new ServeError(403, refused.message);
}

/** An error in the shape of the protocol that is spoken on the path. */
function errorAnswer(error: ServeError, path: string): OnnxResponse {
  const isNative = !path.startsWith('/v2') && !path.startsWith('/v1');
  const { message, status, headers } = error;
  const body = isNative ? { error: { message } } : { error: message };
  const answer = jsonResponse(JSON.stringify(body), status);
  return { ...answer, headers: { ...answer.headers, ...headers } };
}

function callOf(request: IncomingMessage, started: number, timeoutMs: number): RequestLifetime {
  const given = request.headers[DEADLINE_HEADER];
  if (given === undefined) return new RequestLifetime(started + timeoutMs);
  const left = Number(given);
  if (given === '' || Number.isNaN(left)) {
    throw badRequest(`${DEADLINE_HEADER} is ${shown(given)}; it must be milliseconds`);
  }
  return new RequestLifetime(started + Math.min(left, timeoutMs));
}

const NO_BODY: Buffer = Buffer.alloc(0);

async function answerOf(
  host: Host,
  endpoint: Endpoint,
  request: IncomingMessage,
  query: string,
  call: RequestLifetime,
  started: number,
): Promise<OnnxResponse> {
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const { methods } = endpoint;
  const handler = entryOf(methods, method ?? '');
  if (handler === undefined) {
    const allow = methods.GET === undefined ? 'POST' : 'GET, HEAD';
    throw new ServeError(405, `${request.method} is not supported here; use ${allow}`, { allow });
  }
  const body = method === 'POST' ? await bodyOf(request, host.maxBodyBytes) : NO_BODY;
  return handler({ headers: request.headers, query, body, call, started });
}

/** What an operator should know: our own failures, and why requests are not joined. */
const tellOperator = (text: string): void => void process.stderr.write(`${text}\n`);

function failureOf(error: unknown): ServeError {
  if (error instanceof ServeError) return error;
  tellOperator(String(error));
  return new ServeError(500, 'internal error of the server; its log has the cause');
}

function send(
  response: ServerResponse,
  { status, body, headers }: OnnxResponse,
  last: boolean,
): void {
  if (response.destroyed || response.headersSent) return;
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  const own = { ...headers, 'content-length': length, ...(last && { connection: 'close' }) };
  response.writeHead(status, own).end(body);
}

async function handle(
  host: Host,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now();
  const { url = '/' } = request;
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  const query = mark === -1 ? '' : url.slice(mark + 1);
  let endpoint: Endpoint | undefined;
  let answer: OnnxResponse;
  try {
    if (host.isLocal) requireLocal(request);
    const call = callOf(request, started, host.timeoutMs);
    // Also emitted after the response, when no listener is left.
    response.on('close', () => call.abandon());
    endpoint = host.router(path);
    answer = await answerOf(host, endpoint, request, query, call, started);
  } catch (error) {
    answer = errorAnswer(failureOf(error), path);
  }
  send(response, answer, host.site.isDraining());
  if (endpoint?.protocol !== undefined) {
    const seconds = (performance.now() - started) / 1000;
    host.site.metrics.onRequest(endpoint.protocol, answer.status, seconds);
  }
}

async function loadAll(options: OnnxServerOptions): Promise<Model[]> {
  const sources: readonly ModelSource[] =
    'name' in options.models ? [options.models] : options.models;
  if (sources.length === 0) throw new UnservableModel('no model is given to serve');
  const names = new Set<string>();
  for (const { name } of sources) {
    if (names.has(name)) throw new UnservableModel(`model '${name}' is given twice`);
    names.add(name);
  }
  const threads = {
    intraOpThreads: options.intraOpThreads ?? cpusAvailable(),
    interOpThreads: options.interOpThreads ?? 1,
  };
  const models: Model[] = [];
  for (const source of sources) models.push(await loadModel(source, threads));
  return models;
}

/**
 * Loads models and serves them over HTTP: Open Inference Protocol V2, V1 predict and native.
 * Rejects with an Error that names the model when one cannot be served; nothing listens then.
 */
export async function serveOnnx(options: OnnxServerOptions): Promise<OnnxServer> {
  const models = await loadAll(options);
  let draining = false;
  const limits = {
    maxConcurrency: options.maxConcurrency ?? MAX_CONCURRENCY,
    maxQueueDepth: options.maxQueueDepth ?? MAX_QUEUE,
    batching: options.batching,
    rowsIndependent: options.rowsIndependent ?? false,
  };
  const site = createOnnxService(models, limits, () => draining, tellOperator);
  const host: Host = {
    site,
    router: routerOf(site),
    maxBodyBytes: options.maxBodyBytes ?? MAX_BODY_BYTES,
    timeoutMs: options.requestTimeoutMs ?? TIMEOUT_MS,
    isLocal: isLoopback(options.host),
  };
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    void handle(host, request, response);
  });
  const drain = drainable(server);
  const port = await listenOn(server, options, '; choose another --port');
  return {
    port,
    close: async () => {
      draining = true;
      await drain(host.timeoutMs);
      site.thread.close();
      for (const model of models) await model.close();
    },
  };
}
