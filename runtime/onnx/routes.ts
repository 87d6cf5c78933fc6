import { HEAD_LENGTH } from '../shared/binary';
import { badRequest, ServeError } from './errors';
import { findModel, findNative } from './onnx-service';
import type { NativeResult } from './native-response';
import { modelStatus, signatureMetadata } from './v1-metadata';
import { modelMetadata, SERVER_METADATA } from './v2';
import type { IncomingHttpHeaders } from 'node:http';
import type { RequestLifetime } from './concurrency-limiter';
import type { Protocol } from './metrics';
import type { ServedModel, OnnxService } from './onnx-service';
import type { Tensors } from './tensor';

/** One response. */
export interface OnnxResponse {
  readonly status: number;
  readonly body: string | Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** One request as a handler sees it: its body is whole and inflated. */
export interface OnnxRequest {
  readonly headers: IncomingHttpHeaders;
  readonly query: string;
  readonly body: Buffer;
  readonly call: RequestLifetime;
  /** performance.now() when its head was there. */
  readonly started: number;
}

export type Handler = (request: OnnxRequest) => OnnxResponse | Promise<OnnxResponse>;

/** The handlers of a path, by method. */
export interface Endpoint {
  /** Counted and measured as this protocol; undefined for calls that are not inference. */
  readonly protocol: Protocol | undefined;
  readonly methods: Readonly<Partial<Record<'GET' | 'POST', Handler>>>;
}

const JSON_HEADERS = { 'content-type': 'application/json' };

export const jsonResponse = (body: string | Buffer, status = 200): OnnxResponse => ({
  status,
  body,
  headers: JSON_HEADERS,
});

const json = (value: unknown, status = 200): OnnxResponse =>
  jsonResponse(JSON.stringify(value), status);

const infer =
  (served: ServedModel): Handler =>
  async ({ body, headers, call }) => {
    const { codec } = served;
    const length = headers[HEAD_LENGTH];
    const wanted = await codec.readInfer(body, typeof length === 'string' ? length : undefined);
    const names = wanted.outputs.map(({ name }) => name);
    const { outputs } = await served.run(wanted.inputs, names, call);
    const answer = await codec.writeInfer(wanted, outputs);
    if (answer.kind === 'json') return jsonResponse(answer.body);
    return {
      status: 200,
      body: answer.body,
      headers: {
        'content-type': 'application/octet-stream',
        [HEAD_LENGTH]: String(answer.headerLength),
      },
    };
  };

const predict =
  (served: ServedModel): Handler =>
  async ({ body, call }) => {
    const { codec, executor, outputs } = served;
    const wanted = await codec.readPredict(body);
    if (wanted.kind === 'columns') {
      const ran = await served.run(wanted.inputs, outputs, call);
      return jsonResponse(await codec.writeColumns(ran.outputs));
    }
    const [only] = wanted.items;
    if (only !== undefined && wanted.items.length === 1) {
      const ran = await served.run(only, outputs, call);
      return jsonResponse(await codec.writeRows([ran.outputs]));
    }
    const rows = await executor.runAll(wanted.items, outputs, call);
    const failed = rows.findIndex((row) => row instanceof ServeError);
    const error = rows[failed];
    if (error instanceof ServeError) {
      throw new ServeError(error.status, `instances[${failed}]: ${error.message}`, error.headers);
    }
    return jsonResponse(await codec.writeRows(rows as Tensors[]));
  };

/** Reading it costs a system call, and it changes slowly. */
const MEMORY_MAX_AGE_MS = 1000;
let memory = { at: -Infinity, bytes: 0 };

function memoryBytes(now: number): number {
  if (now - memory.at > MEMORY_MAX_AGE_MS) memory = { at: now, bytes: process.memoryUsage.rss() };
  return memory.bytes;
}

const microseconds = (ms: number): number => Math.round(ms * 1000) / 1000;

const inference =
  (served: ServedModel): Handler =>
  async ({ body, call, started }) => {
    const inputs = await served.codec.readInference(body);
    const { outputs, shared } = await served.run(inputs, served.outputs, call);
    const now = performance.now();
    const usage = {
      duration_ms: microseconds(now - started),
      batch_size: shared,
      memory_bytes: memoryBytes(now),
    };
    return jsonResponse(await served.codec.writeInference({ inputs, outputs }, usage));
  };

const batchInference =
  (served: ServedModel): Handler =>
  async ({ body, call }) => {
    const { executor, outputs, codec } = served;
    const items = await codec.readBatch(body);
    const good = items.filter((item): item is Tensors => !(item instanceof ServeError));
    const ran = good.length === 0 ? [] : await executor.runAll(good, outputs, call);
    let next = 0;
    const answers = items.map((inputs): NativeResult | ServeError => {
      if (inputs instanceof ServeError) return inputs;
      next += 1;
      const own = ran[next - 1] as Tensors | ServeError;
      return own instanceof ServeError ? own : { inputs, outputs: own };
    });
    return jsonResponse(await codec.writeBatch(answers));
  };

const ready = (service: OnnxService, body: object): OnnxResponse =>
  json({ ...body, ready: !service.isDraining() }, service.isDraining() ? 503 : 200);

const get = (handler: Handler): Endpoint => ({ protocol: undefined, methods: { GET: handler } });
const post = (protocol: Protocol | undefined, handler: Handler): Endpoint => ({
  protocol,
  methods: { POST: handler },
});

function repositoryIndex({ models }: OnnxService): OnnxResponse {
  const entries = [...models.values()].map(({ model }) => ({
    name: model.name,
    version: model.version,
    state: 'READY',
    reason: '',
  }));
  return json(entries);
}

/** Models are loaded for the life of the process: loading one again is done, unloading is refused. */
function repositoryChange(service: OnnxService, name: string, change: string): OnnxResponse {
  findModel(service, name);
  if (change === 'load') return json({});
  throw new ServeError(400, `model '${name}' cannot be unloaded: end this server instead`);
}

/** Paths without a model in them. */
function fixedEndpoints(service: OnnxService): Map<string, Endpoint> {
  const native = (make: (served: ServedModel) => Handler): Handler => {
    const handlers = new Map([...service.models.values()].map((served) => [served, make(served)]));
    return (request) => {
      const name = request.query === '' ? null : new URLSearchParams(request.query).get('model');
      return (handlers.get(findNative(service, name)) as Handler)(request);
    };
  };
  const names = [...service.models.keys()];
  const metrics: Handler = () => ({
    status: 200,
    body: service.metrics.text(),
    headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
  });
  return new Map<string, Endpoint>([
    ['/v2', get(() => json(SERVER_METADATA))],
    ['/v2/health/live', get(() => json({ live: true }))],
    ['/v2/health/ready', get(() => ready(service, {}))],
    ['/v2/models', get(() => json({ models: names }))],
    ['/v2/repository/index', post(undefined, () => repositoryIndex(service))],
    ['/v1/models', get(() => json({ models: names }))],
    ['/inference', post('native', native(inference))],
    ['/batch_inference', post('native', native(batchInference))],
    [
      '/health',
      get(() => ready(service, { status: service.isDraining() ? 'draining' : 'healthy' })),
    ],
    ['/metrics', get(metrics)],
  ]);
}

/** The calls for inference by their usual paths: found without taking the path apart. */
function modelEndpoints(served: ServedModel): [string, Endpoint][] {
  const { name, version } = served.model;
  const inferEndpoint = post('v2', infer(served));
  return [
    [`/v2/models/${name}/infer`, inferEndpoint],
    [`/v2/models/${name}/versions/${version}/infer`, inferEndpoint],
    [`/v1/models/${name}:predict`, post('v1', predict(served))],
  ];
}

const V2_MODEL = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/;
const V1_MODEL = /^\/v1\/models\/([^/:]+)(?:\/versions\/([^/:]+))?(?:\/(metadata)|:([A-Za-z_]+))?$/;
const V2_CHANGE = /^\/v2\/repository\/models\/([^/]+)\/(load|unload)$/;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ServeError(400, `the path holds '${text}', which is not percent-encoded UTF-8`);
  }
}

function v2Endpoint(
  service: OnnxService,
  [, name = '', version, verb]: readonly string[],
): Endpoint {
  const id = version === undefined ? undefined : decoded(version);
  const served = findModel(service, decoded(name), id);
  if (verb === 'infer') return post('v2', infer(served));
  if (verb === 'ready') return get(() => ready(service, { name: served.model.name }));
  return get(() => json(modelMetadata(served.model)));
}

function v1Endpoint(service: OnnxService, match: readonly string[]): Endpoint {
  const [, name = '', version, about, verb] = match;
  const id = version === undefined ? undefined : decoded(version);
  const served = findModel(service, decoded(name), id);
  if (verb === 'predict') return post('v1', predict(served));
  if (verb !== undefined) {
    const path = `/v1/models/${served.model.name}`;
    throw badRequest(
      `an ONNX graph has no ${verb}; there is POST ${path}:predict, GET ${path} (its status), GET ${path}/metadata`,
    );
  }
  if (about !== undefined) return get(() => json(signatureMetadata(served.model)));
  return get(() => json(modelStatus(served.model, !service.isDraining())));
}

/** Listed in the 404 for an unknown path. */
const KNOWN_PATHS: readonly string[] = [
  '/v2/models/{model}[/infer|/ready]',
  '/v2/health/(live|ready)',
  '/v2/repository/index',
  '/v1/models/{model}[:predict|/metadata]',
  '/inference',
  '/batch_inference',
  '/metrics',
];

/** Finds the endpoint of a path. Throws ServeError 404, or 400 for a malformed path. */
export type Router = (path: string) => Endpoint;

export function routerOf(service: OnnxService): Router {
  const exact = fixedEndpoints(service);
  for (const served of service.models.values()) {
    for (const [path, endpoint] of modelEndpoints(served)) exact.set(path, endpoint);
  }
  return (path) => {
    const known = exact.get(path) ?? exact.get(path.replace(/\/$/, ''));
    if (known !== undefined) return known;
    const trimmed = path.replace(/\/$/, '');
    const v2 = V2_MODEL.exec(trimmed);
    if (v2 !== null) return v2Endpoint(service, v2);
    const v1 = V1_MODEL.exec(trimmed);
    if (v1 !== null) return v1Endpoint(service, v1);
    const change = V2_CHANGE.exec(trimmed);
    if (change !== null) {
      const [, name = '', what = ''] = change;
      return post(undefined, () => repositoryChange(service, decoded(name), what));
    }
    throw new ServeError(
      404,
      `there is nothing at ${path.slice(0, 200)}; the calls are ${KNOWN_PATHS.join(', ')}`,
    );
  };
}
