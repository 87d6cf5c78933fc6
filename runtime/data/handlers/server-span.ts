import { STATUS_ABORTED } from '../../core/routing/error-codes';
import type { Span } from '../../shared/spans';
import type { RequestObserver } from '../http/exchange';
import type { Route } from '../routing/paths';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** The method, or HTTP for an unknown one: the number of span names must be bounded. */
export const spanNameOf = (method: string): string => (METHODS.has(method) ? method : 'HTTP');

function outcomeOf(status: number): string {
  if (status === STATUS_ABORTED) return 'aborted';
  if (status >= 500) return 'server_error';
  return status >= 400 ? 'client_error' : 'success';
}

/** Completes the server span of a request, and tells the audit line the same. */
class SpanObserver implements RequestObserver {
  constructor(
    private readonly span: Span,
    private readonly next: RequestObserver | undefined,
    private readonly isHttp: boolean,
  ) {}

  onIdentified(caller: string | undefined, model: string | undefined): void {
    if (model !== undefined) this.span.set('ai_model.id', model);
    this.next?.onIdentified(caller, model);
  }

  onRouted(arm: string, version: string): void {
    this.span.set('ai_model.arm', arm);
    this.span.set('ai_model.version', version);
    this.next?.onRouted(arm, version);
  }

  onFinished(status = STATUS_ABORTED): void {
    const { span } = this;
    if (this.isHttp) span.set('http.response.status_code', status);
    span.set('ai_model.outcome', outcomeOf(status));
    // A server's span does not fail by what is the fault of its caller.
    span.end(status >= 500 || status === STATUS_ABORTED ? String(status) : undefined);
    this.next?.onFinished(status);
  }
}

/**
 * The observer of a request that may be traced, and may have an audit line. The path is not in the
 * span: anything may stand there.
 */
export function observerOf(
  method: string,
  span: Span | undefined,
  line: RequestObserver | undefined,
): RequestObserver | undefined {
  if (span === undefined) return line;
  span.set('http.request.method', METHODS.has(method) ? method : '_OTHER');
  return new SpanObserver(span, line, true);
}

/** The same for a call over gRPC; `path`: service and method. */
export function rpcObserverOf(
  path: string,
  span: Span | undefined,
  line: RequestObserver | undefined,
): RequestObserver | undefined {
  if (span === undefined) return line;
  const [service = '', method = ''] = path.split('/');
  span.set('rpc.system', 'grpc');
  span.set('rpc.service', service);
  span.set('rpc.method', method);
  return new SpanObserver(span, line, false);
}

/** Names the span by its method and the template of its path. */
export function nameSpan(span: Span, method: string, template: string): void {
  span.rename(`${spanNameOf(method)} ${template}`);
  span.set('http.route', template);
}

/** The path of a route, with names in braces where the caller's stand. */
export function templateOf(route: Route): string {
  switch (route.kind) {
    case 'native':
      return '/api/v1/models/{model}/inference';
    case 'batch':
      return '/api/v1/models/{model}/batch_inference';
    case 'v2': {
      const version = route.version === undefined ? '' : '/versions/{version}';
      return `/v2/models/{model}${version}${route.call === 'metadata' ? '' : `/${route.call}`}`;
    }
    case 'v1':
      if (route.call === 'status') return '/v1/models/{model}';
      return `/v1/models/{model}${route.call === 'metadata' ? '/metadata' : `:${route.call}`}`;
    case 'v2_server':
      return SERVER_PATHS[route.call];
    case 'v1_server':
      return '/';
    case 'v1_list':
      return '/v1/models';
    case 'openai':
      return `/openai/v1/${route.call}`;
    case 'openai_list':
      return '/openai/v1/models';
    case 'openai_model':
      return '/openai/v1/models/{model}';
  }
}

const SERVER_PATHS = {
  metadata: '/v2',
  live: '/v2/health/live',
  ready: '/v2/health/ready',
  index: '/v2/repository/index',
} as const;
