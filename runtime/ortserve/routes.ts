import type { IncomingMessage } from 'node:http';
import type { Engine, RunOptions } from './engine';
import { badRequest, listed, ServeError } from './errors';
import type { Answer } from './http';
import { inflated, json, readBody } from './http';
import type { Metrics, Protocol } from './metrics';
import type { NativeModel } from './native';
import {
  batchBody,
  feedsOfInput,
  nativeModel,
  padded,
  parseBatch,
  parseCall,
  resultBody,
} from './native';
import type { Tensors } from './tensor';
import { parsePredict, predictBody } from './v1';
import { inferAnswer, modelMetadata, parseInfer, SERVER_METADATA } from './v2';

/** A model with everything its calls need. */
export interface Served extends NativeModel {
  readonly engine: Engine;
}

export const servedOf = (engine: Engine): Served => ({ engine, ...nativeModel(engine.session) });

export interface Site {
  readonly models: ReadonlyMap<string, Served>;
  readonly metrics: Metrics;
  readonly maxBodyBytes: number;
  readonly isDraining: () => boolean;
}

/** One call: who asks, and how long it may take. */
export interface Call {
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
  readonly run: RunOptions;
}

interface Route {
  readonly method: 'GET' | 'POST';
  readonly pattern: RegExp;
  readonly protocol: Protocol | undefined;
  readonly answer: (
    site: Site,
    call: Call,
    part: (index: number) => string,
  ) => Promise<Answer> | Answer;
}

async function bodyOf({ request }: Call, { maxBodyBytes }: Site): Promise<Buffer> {
  const raw = await readBody(request, maxBodyBytes);
  return inflated(raw, request.headers['content-encoding'], maxBodyBytes);
}

function find({ models }: Site, name: string): Served {
  const found = models.get(name);
  if (found !== undefined) return found;
  throw new ServeError(
    404,
    `there is no model '${name}'; models are ${listed([...models.keys()])}`,
  );
}

/** A model with a version in the path: the one that is loaded, or 404. */
function findVersion(site: Site, name: string, version: string): Served {
  const served = find(site, name);
  const has = served.session.version;
  if (version === '' || version === has) return served;
  throw new ServeError(404, `model '${name}' has the version ${has}, not ${version}`);
}

/** The model a native call means; the only one needs no name. */
function nativeOf(site: Site, { query }: Call): Served {
  const name = query.get('model');
  if (name !== null) return find(site, name);
  const [only, ...more] = site.models.values();
  if (only !== undefined && more.length === 0) return only;
  throw badRequest(
    `several models are loaded; add ?model= with one of ${listed([...site.models.keys()])}`,
  );
}

const live = (site: Site): Answer =>
  json(JSON.stringify({ live: true, draining: site.isDraining() }));

function ready(site: Site): Answer {
  const up = !site.isDraining();
  return { ...json(JSON.stringify({ ready: up })), status: up ? 200 : 503 };
}

async function infer(site: Site, call: Call, part: (index: number) => string): Promise<Answer> {
  const { engine, session } = findVersion(site, part(1), part(2));
  const { request } = call;
  const length = request.headers['inference-header-content-length'];
  const body = await bodyOf(call, site);
  const wanted = parseInfer(body, typeof length === 'string' ? length : undefined, session);
  const outputs = await engine.run(wanted.feeds, call.run);
  const { body: text, headerLength } = inferAnswer(session, wanted, outputs);
  if (headerLength === undefined) return json(text as string);
  const headers = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(headerLength),
  };
  return { status: 200, body: text, headers };
}

async function predict(site: Site, call: Call, part: (index: number) => string): Promise<Answer> {
  const served = find(site, part(1));
  const wanted = parsePredict(served, await bodyOf(call, site));
  const outputs = await served.engine.run(wanted.feeds, call.run);
  return json(predictBody(served.session, wanted, outputs));
}

async function native(site: Site, call: Call): Promise<Answer> {
  const served = nativeOf(site, call);
  const { input_data: input } = parseCall(await bodyOf(call, site));
  const feeds = feedsOfInput(served, input);
  const since = performance.now();
  const outputs = await served.engine.run(feeds, call.run);
  return json(resultBody(served.session, outputs, performance.now() - since));
}

async function batch(site: Site, call: Call): Promise<Answer> {
  const served = nativeOf(site, call);
  const { session, engine } = served;
  const items = parseBatch(served, await bodyOf(call, site));
  const good = items.filter((one): one is Tensors => !(one instanceof ServeError));
  const done = await engine.runAll(padded(session, good), call.run);
  let next = 0;
  const results = items.map((one) =>
    one instanceof ServeError ? one : (done[next++] as Tensors | ServeError),
  );
  return json(batchBody(session, results));
}

function index({ models }: Site): Answer {
  const entries = [...models.values()].map(({ session: { name, version } }) => ({
    name,
    version,
    state: 'READY',
    reason: '',
  }));
  return json(JSON.stringify(entries));
}

const MODEL = '/v2/models/([^/]+)(?:/versions/([^/]+))?';

const route = (
  method: Route['method'],
  path: string,
  protocol: Protocol | undefined,
  answer: Route['answer'],
): Route => ({ method, pattern: new RegExp(`^${path}/?$`), protocol, answer });

const ROUTES: readonly Route[] = [
  route('POST', `${MODEL}/infer`, 'v2', infer),
  route('POST', '/inference', 'native', native),
  route('POST', '/batch_inference', 'native', batch),
  route('POST', '/v1/models/([^/:]+):predict', 'v1', predict),
  route('GET', `${MODEL}/ready`, undefined, (site, _, part) => {
    findVersion(site, part(1), part(2));
    return ready(site);
  }),
  route('GET', MODEL, undefined, (site, _, part) =>
    json(JSON.stringify(modelMetadata(findVersion(site, part(1), part(2)).session))),
  ),
  route('GET', '/v2/health/live', undefined, live),
  route('GET', '/v2/health/ready', undefined, ready),
  route('GET', '/health', undefined, ready),
  route('GET', '/v2', undefined, () => json(JSON.stringify(SERVER_METADATA))),
  route('POST', '/v2/repository/index', undefined, index),
  route('GET', '/v1/models', undefined, ({ models }) =>
    json(JSON.stringify({ models: [...models.keys()] })),
  ),
  route('GET', '/v1/models/([^/:]+)', undefined, (site, _, part) => {
    const { name } = find(site, part(1)).session;
    return json(JSON.stringify({ name, ready: !site.isDraining() }));
  }),
  route('GET', '/metrics', undefined, async ({ metrics }) => ({
    status: 200,
    body: await metrics.text(),
    headers: { 'content-type': metrics.contentType },
  })),
];

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export interface Found {
  readonly protocol: Protocol | undefined;
  readonly answer: (site: Site, call: Call) => Promise<Answer> | Answer;
}

/** @throws ServeError 404, 405 */
export function findRoute(method: string, path: string): Found {
  const allow: string[] = [];
  for (const one of ROUTES) {
    const match = one.pattern.exec(path);
    if (match === null) continue;
    if (one.method === method || (one.method === 'GET' && method === 'HEAD')) {
      const part = (at: number): string => decode(match[at] ?? '');
      return { protocol: one.protocol, answer: (site, call) => one.answer(site, call, part) };
    }
    allow.push(one.method);
  }
  if (allow.length === 0) throw new ServeError(404, `there is nothing at ${path}`);
  throw new ServeError(405, `${path} takes ${allow.join(', ')}, not ${method}`, {
    allow: allow.join(', '),
  });
}
