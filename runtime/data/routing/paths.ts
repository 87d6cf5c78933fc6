import { OPENAI_CALLS, V1_ACTIONS } from '../../core/routing/capabilities';

/** A parsed inference path. `model` and `version` are decoded. */
export type Route =
  | { readonly kind: 'native'; readonly model: string }
  | { readonly kind: 'batch'; readonly model: string }
  | {
      readonly kind: 'v2';
      readonly model: string;
      readonly version: string | undefined;
      readonly call: 'infer' | 'ready' | 'metadata';
    }
  | { readonly kind: 'v2_server'; readonly call: 'metadata' | 'live' | 'ready' | 'index' }
  | {
      readonly kind: 'v1';
      readonly model: string;
      readonly call: 'predict' | 'classify' | 'regress' | 'explain' | 'status' | 'metadata';
    }
  | { readonly kind: 'v1_list' }
  | { readonly kind: 'v1_server' }
  | { readonly kind: 'openai'; readonly call: string }
  | { readonly kind: 'openai_list' }
  | { readonly kind: 'openai_model'; readonly model: string };

export type RouteKind = Route['kind'];

interface Rule {
  readonly method: 'GET' | 'POST';
  readonly pattern: RegExp;
  readonly route: (part: (index: number) => string) => Route;
}

const ID = '([^/:]+)';

function rule(method: Rule['method'], pattern: string, route: Rule['route']): Rule {
  return { method, pattern: new RegExp(`^${pattern}/?$`), route };
}

type V2Call = Extract<Route, { kind: 'v2' }>['call'];
type V1Call = Extract<Route, { kind: 'v1' }>['call'];

const v2 =
  (call: V2Call): Rule['route'] =>
  (part) => ({ kind: 'v2', model: part(1), version: part(2) || undefined, call });

/** The allow-list: other paths are not reachable through the router. */
const RULES: readonly Rule[] = [
  rule('POST', `/api/v1/models/${ID}/inference`, (part) => ({ kind: 'native', model: part(1) })),
  rule('POST', `/api/v1/models/${ID}/batch_inference`, (part) => ({
    kind: 'batch',
    model: part(1),
  })),
  rule('POST', `/v2/models/${ID}(?:/versions/([^/]+))?/infer`, v2('infer')),
  rule('GET', `/v2/models/${ID}(?:/versions/([^/]+))?/ready`, v2('ready')),
  rule('GET', `/v2/models/${ID}(?:/versions/([^/]+))?`, v2('metadata')),
  rule('GET', '/v2', () => ({ kind: 'v2_server', call: 'metadata' })),
  rule('GET', '/v2/health/live', () => ({ kind: 'v2_server', call: 'live' })),
  rule('GET', '/v2/health/ready', () => ({ kind: 'v2_server', call: 'ready' })),
  rule('POST', '/v2/repository/index', () => ({ kind: 'v2_server', call: 'index' })),
  // Liveness check of KServe's V1 client.
  rule('GET', '', () => ({ kind: 'v1_server' })),
  rule('GET', '/v1/models', () => ({ kind: 'v1_list' })),
  rule('POST', `/v1/models/${ID}:(${V1_ACTIONS.join('|')})`, (part) => ({
    kind: 'v1',
    model: part(1),
    call: part(2) as V1Call,
  })),
  rule('GET', `/v1/models/${ID}/metadata`, (part) => ({
    kind: 'v1',
    model: part(1),
    call: 'metadata',
  })),
  rule('GET', `/v1/models/${ID}`, (part) => ({ kind: 'v1', model: part(1), call: 'status' })),
  rule('GET', '/openai/v1/models', () => ({ kind: 'openai_list' })),
  rule('GET', `/openai/v1/models/${ID}`, (part) => ({ kind: 'openai_model', model: part(1) })),
  rule('POST', `/openai/v1/(${OPENAI_CALLS.join('|')})`, (part) => ({
    kind: 'openai',
    call: part(1),
  })),
];

export type Matched =
  | { readonly found: 'route'; readonly route: Route }
  /** The path exists, but not with this method. */
  | { readonly found: 'method'; readonly allow: readonly string[] }
  | { readonly found: 'nothing' };

/** All paths below these belong to the data plane, known or not. */
const DATA_PLANE = /^\/(?:v1|v2|openai\/v1)(?:\/|$)/;

/** The protocol of a path, known or not, which decides the format of errors. */
export function protocolOfPath(path: string): RouteKind | undefined {
  const [, first] = /^\/(v1|v2|openai)(?:\/|$)/.exec(path) ?? [];
  return first as RouteKind | undefined;
}

function decoded(match: RegExpExecArray): (index: number) => string {
  return (index) => {
    const text = match[index] ?? '';
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
}

/** The routes of a path, by method. */
interface PathRoutes {
  readonly isOurs: boolean;
  readonly routes: ReadonlyMap<string, Matched & { found: 'route' }>;
}

/** Caches matched paths: every rule is a regular expression, and most requests use few paths. */
const KNOWN_PATHS = 4096;
const known = new Map<string, PathRoutes>();

function routesAt(path: string): PathRoutes {
  const found = known.get(path);
  if (found !== undefined) return found;
  const routes = new Map<string, Matched & { found: 'route' }>();
  for (const { method, pattern, route } of RULES) {
    const match = pattern.exec(path);
    if (match === null || routes.has(method)) continue;
    routes.set(method, { found: 'route', route: route(decoded(match)) });
  }
  const offered = { isOurs: routes.size > 0 || DATA_PLANE.test(path), routes };
  // Requests for many paths clear the cache instead of growing it.
  if (known.size >= KNOWN_PATHS) known.clear();
  // Copy the path: as a slice it would keep the text of the whole request in memory.
  known.set(Buffer.from(path).toString(), offered);
  return offered;
}

export function matchPath(method: string, path: string): Matched {
  const { routes } = routesAt(path);
  // HEAD is routed as GET; the HTTP engine omits the body.
  const route = routes.get(method === 'HEAD' ? 'GET' : method);
  if (route !== undefined) return route;
  if (routes.size === 0) return { found: 'nothing' };
  const allow = [...routes.keys()].flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one]));
  return { found: 'method', allow };
}

/** The path belongs to the data plane, not to the management plane. */
export function isDataPlanePath(path: string): boolean {
  return routesAt(path).isOurs;
}
