import { HEAD_LENGTH } from '../shared/binary';
import { badRequest, ServeError } from './errors';
import { findModel, findNative } from './site';
import type { Answered } from './native-answer';
import { modelStatus, signatureMetadata } from './v1-about';
import { modelMetadata, SERVER_METADATA } from './v2';
import type { IncomingHttpHeaders } from 'node:http';
import type { Call } from './gate';
import type { Protocol } from './metrics';
import type { Served, Site } from './site';
import type { Tensors } from './tensor';

/** What is sent back. */
export interface Answer {
  readonly status: number;
  readonly body: string | Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** One request as a handler sees it: its body is whole and inflated. */
export interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly query: string;
  readonly body: Buffer;
  readonly call: Call;
  /** performance.now() when its head was there. */
  readonly started: number;
}

export type Handler = (asked: Asked) => Answer | Promise<Answer>;

/** What a path offers, by method. */
export interface Endpoint {
  /** Counted and measured as this protocol; undefined for all that is no inference. */
  readonly protocol: Protocol | undefined;
  readonly methods: Readonly<Partial<Record<'GET' | 'POST', Handler>>>;
}

const JSON_HEADERS = { 'content-type': 'application/json' };

export const jsonAnswer = (body: string | Buffer, status = 200): Answer => ({
  status,
  body,
  headers: JSON_HEADERS,
});

const json = (value: unknown, status = 200): Answer => jsonAnswer(JSON.stringify(value), status);

const infer =
  (served: Served): Handler =>
  async ({ body, headers, call }) => {
    const { words } = served;
    const length = headers[HEAD_LENGTH];
    const wanted = await words.readInfer(body, typeof length === 'string' ? length : undefined);
    const names = wanted.outputs.map(({ name }) => name);
    const { outputs } = await served.run(wanted.inputs, names, call);
    const answer = await words.writeInfer(wanted, outputs);
    if (answer.kind === 'json') return jsonAnswer(answer.body);
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
  (served: Served): Handler =>
  async ({ body, call }) => {
    const { words, executor, outputs } = served;
    const wanted = await words.readPredict(body);
    if (wanted.kind === 'columns') {
      const ran = await served.run(wanted.inputs, outputs, call);
      return jsonAnswer(await words.writeColumns(ran.outputs));
    }
    const [only] = wanted.items;
    if (only !== undefined && wanted.items.length === 1) {
      const ran = await served.run(only, outputs, call);
      return jsonAnswer(await words.writeRows([ran.outputs]));
    }
    const rows = await executor.runAll(wanted.items, outputs, call);
    const failed = rows.findIndex((row) => row instanceof ServeError);
    const error = rows[failed];
    if (error instanceof ServeError) {
      throw new ServeError(error.status, `instances[${failed}]: ${error.message}`, error.headers);
    }
    return jsonAnswer(await words.writeRows(rows as Tensors[]));
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
  (served: Served): Handler =>
  async ({ body, call, started }) => {
    const inputs = await served.words.readInference(body);
    const { outputs, shared } = await served.run(inputs, served.outputs, call);
    const now = performance.now();
    const usage = {
      duration_ms: microseconds(now - started),
      batch_size: shared,
      memory_bytes: memoryBytes(now),
    };
    return jsonAnswer(await served.words.writeInference({ inputs, outputs }, usage));
  };

const batchInference =
  (served: Served): Handler =>
  async ({ body, call }) => {
    const { executor, outputs, words } = served;
    const items = await words.readBatch(body);
    const good = items.filter((item): item is Tensors => !(item instanceof ServeError));
    const ran = good.length === 0 ? [] : await executor.runAll(good, outputs, call);
    let next = 0;
    const answers = items.map((inputs): Answered | ServeError => {
      if (inputs instanceof ServeError) return inputs;
      next += 1;
      const own = ran[next - 1] as Tensors | ServeError;
      return own instanceof ServeError ? own : { inputs, outputs: own };
    });
    return jsonAnswer(await words.writeBatch(answers));
  };

const ready = (site: Site, body: object): Answer =>
  json({ ...body, ready: !site.isDraining() }, site.isDraining() ? 503 : 200);

const get = (handler: Handler): Endpoint => ({ protocol: undefined, methods: { GET: handler } });
const post = (protocol: Protocol | undefined, handler: Handler): Endpoint => ({
  protocol,
  methods: { POST: handler },
});

function repositoryIndex({ models }: Site): Answer {
  const entries = [...models.values()].map(({ model }) => ({
    name: model.name,
    version: model.version,
    state: 'READY',
    reason: '',
  }));
  return json(entries);
}

/** Models are loaded for the life of the process: loading one again is done, unloading is refused. */
function repositoryChange(site: Site, name: string, change: string): Answer {
  findModel(site, name);
  if (change === 'load') return json({});
  throw new ServeError(400, `model '${name}' cannot be unloaded: end this server instead`);
}

/** Paths without a model in them. */
function fixedEndpoints(site: Site): Map<string, Endpoint> {
  const native = (make: (served: Served) => Handler): Handler => {
    const handlers = new Map([...site.models.values()].map((served) => [served, make(served)]));
    return (asked) => {
      const name = asked.query === '' ? null : new URLSearchParams(asked.query).get('model');
      return (handlers.get(findNative(site, name)) as Handler)(asked);
    };
  };
  const names = [...site.models.keys()];
  const metrics: Handler = () => ({
    status: 200,
    body: site.metrics.text(),
    headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
  });
  return new Map<string, Endpoint>([
    ['/v2', get(() => json(SERVER_METADATA))],
    ['/v2/health/live', get(() => json({ live: true }))],
    ['/v2/health/ready', get(() => ready(site, {}))],
    ['/v2/models', get(() => json({ models: names }))],
    ['/v2/repository/index', post(undefined, () => repositoryIndex(site))],
    ['/v1/models', get(() => json({ models: names }))],
    ['/inference', post('native', native(inference))],
    ['/batch_inference', post('native', native(batchInference))],
    ['/health', get(() => ready(site, { status: site.isDraining() ? 'draining' : 'healthy' }))],
    ['/metrics', get(metrics)],
  ]);
}

/** The calls for inference by their usual paths: found without taking the path apart. */
function modelEndpoints(served: Served): [string, Endpoint][] {
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

function v2Endpoint(site: Site, [, name = '', version, verb]: readonly string[]): Endpoint {
  const id = version === undefined ? undefined : decoded(version);
  const served = findModel(site, decoded(name), id);
  if (verb === 'infer') return post('v2', infer(served));
  if (verb === 'ready') return get(() => ready(site, { name: served.model.name }));
  return get(() => json(modelMetadata(served.model)));
}

function v1Endpoint(site: Site, match: readonly string[]): Endpoint {
  const [, name = '', version, about, verb] = match;
  const id = version === undefined ? undefined : decoded(version);
  const served = findModel(site, decoded(name), id);
  if (verb === 'predict') return post('v1', predict(served));
  if (verb !== undefined) {
    const path = `/v1/models/${served.model.name}`;
    throw badRequest(
      `an ONNX graph has no ${verb}; there is POST ${path}:predict, GET ${path} (its status), GET ${path}/metadata`,
    );
  }
  if (about !== undefined) return get(() => json(signatureMetadata(served.model)));
  return get(() => json(modelStatus(served.model, !site.isDraining())));
}

/** What a wrong path is told. */
const CALLS: readonly string[] = [
  '/v2/models/{model}[/infer|/ready]',
  '/v2/health/(live|ready)',
  '/v2/repository/index',
  '/v1/models/{model}[:predict|/metadata]',
  '/inference',
  '/batch_inference',
  '/metrics',
];

/** Finds what a path offers. Throws ServeError 404, or 400 for a path that cannot be read. */
export type Router = (path: string) => Endpoint;

export function routerOf(site: Site): Router {
  const exact = fixedEndpoints(site);
  for (const served of site.models.values()) {
    for (const [path, endpoint] of modelEndpoints(served)) exact.set(path, endpoint);
  }
  return (path) => {
    const known = exact.get(path) ?? exact.get(path.replace(/\/$/, ''));
    if (known !== undefined) return known;
    const trimmed = path.replace(/\/$/, '');
    const v2 = V2_MODEL.exec(trimmed);
    if (v2 !== null) return v2Endpoint(site, v2);
    const v1 = V1_MODEL.exec(trimmed);
    if (v1 !== null) return v1Endpoint(site, v1);
    const change = V2_CHANGE.exec(trimmed);
    if (change !== null) {
      const [, name = '', what = ''] = change;
      return post(undefined, () => repositoryChange(site, decoded(name), what));
    }
    throw new ServeError(
      404,
      `there is nothing at ${path.slice(0, 200)}; the calls are ${CALLS.join(', ')}`,
    );
  };
}
