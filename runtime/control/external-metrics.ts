import type { IncomingMessage, RequestListener } from 'node:http';
import { ARM_LABEL, MODEL_LABEL } from '../../lib/objects';
import { CONCURRENCY_METRIC, QUEUE_METRIC } from '../../lib/objects/autoscaler';
import { METRICS_GROUP, METRICS_VERSION } from '../../lib/objects/metricsapi';
import type { Demand } from '../core/lifecycle/demand';
import { demandOf } from '../core/lifecycle/demand';
import type { Requirement } from '../core/lifecycle/label-selector';
import { parseSelector, selects } from '../core/lifecycle/label-selector';
import type { ControlContext } from './context';
import { wasRead } from './routing-view';

// external.metrics.k8s.io for autoscalers:
// https://github.com/kubernetes/metrics/blob/master/pkg/apis/external_metrics/v1beta1/types.go

const ROOT = `/apis/${METRICS_GROUP}`;
const API_VERSION = `${METRICS_GROUP}/${METRICS_VERSION}`;
const VALUES = new RegExp(`^${ROOT}/${METRICS_VERSION}/namespaces/([^/]+)/([^/]+)$`);

const METRICS: ReadonlyMap<string, (demand: Demand) => number> = new Map([
  [CONCURRENCY_METRIC, ({ concurrency }: Demand) => concurrency],
  [QUEUE_METRIC, ({ queued }: Demand) => queued],
]);

interface MetricsResponse {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

const found = (body: object): MetricsResponse => ({ status: 200, body });

/** An error in Kubernetes' form. */
function refusal(status: number, reason: string, message: string): MetricsResponse {
  const type = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' };
  return { status, body: { ...type, reason, message, code: status } };
}

const VERSION = { groupVersion: API_VERSION, version: METRICS_VERSION };

/** Discovery: the resources of the group. */
const GROUP = {
  kind: 'APIGroup',
  apiVersion: 'v1',
  name: METRICS_GROUP,
  versions: [VERSION],
  preferredVersion: VERSION,
};

const RESOURCE_LIST = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: API_VERSION,
  resources: [...METRICS.keys()].map((name) => ({
    name,
    singularName: '',
    namespaced: true,
    kind: 'ExternalMetricValueList',
    verbs: ['get'],
  })),
};

/** Times of Kubernetes have whole seconds. */
const timeOf = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');

/** One value for each arm of the namespace that the labels select; counts are whole quantities. */
function itemsOf(
  context: ControlContext,
  namespace: string,
  metricName: string,
  requirements: readonly Requirement[],
): readonly object[] {
  const { routingView, clock, ownLoad, routers, environment } = context;
  const read = METRICS.get(metricName);
  const now = clock.now();
  const own = ownLoad();
  const others = routers.others() ?? [];
  const arms = [...routingView.snapshot().models.values()]
    .filter((record) => (record.namespace ?? environment.namespace) === namespace)
    .flatMap(({ spec }) => spec.arms.map(({ name }) => ({ spec, name })));
  return arms.flatMap(({ spec, name }) => {
    const metricLabels = { [MODEL_LABEL]: spec.slug, [ARM_LABEL]: name };
    if (read === undefined || !selects(requirements, metricLabels)) return [];
    const value = String(read(demandOf(own, others, { model: spec.id, arm: name, now })));
    return [{ metricName, metricLabels, timestamp: timeOf(now), value }];
  });
}

function valuesOf(
  context: ControlContext,
  namespace: string,
  metric: string,
  selector: string,
): MetricsResponse {
  const { routingView, routers } = context;
  if (!METRICS.has(metric)) {
    const known = [...METRICS.keys()].join(', ');
    return refusal(404, 'NotFound', `there is no metric ${metric}; there are: ${known}`);
  }
  const parsed = parseSelector(selector);
  if (!parsed.ok) return refusal(400, 'BadRequest', `labelSelector: ${parsed.message}`);
  // A missing value is better than a wrong one: without it an autoscaler keeps the current count.
  if (!wasRead(routingView.snapshot()) || routers.others() === undefined)
    return refusal(503, 'ServiceUnavailable', 'the cluster has not been read yet');
  const items = itemsOf(context, namespace, metric, parsed.requirements);
  const list = { kind: 'ExternalMetricValueList', apiVersion: API_VERSION, metadata: {} };
  return found({ ...list, items });
}

/** @throws URIError for a name that is badly encoded */
function answerTo(
  context: ControlContext,
  { method = '', url = '' }: IncomingMessage,
): MetricsResponse {
  const { pathname, searchParams } = new URL(url, 'https://localhost');
  if (method !== 'GET' && method !== 'HEAD') {
    const { status, body } = refusal(
      405,
      'MethodNotAllowed',
      `${method} is not supported; use GET`,
    );
    return { status, body, headers: { allow: 'GET, HEAD' } };
  }
  if (pathname === ROOT) return found(GROUP);
  if (pathname === `${ROOT}/${METRICS_VERSION}`) return found(RESOURCE_LIST);
  const [, namespace, metric] = VALUES.exec(pathname)?.map(decodeURIComponent) ?? [];
  if (namespace === undefined || metric === undefined)
    return refusal(404, 'NotFound', `there is nothing at ${pathname}`);
  return valuesOf(context, namespace, metric, searchParams.get('labelSelector') ?? '');
}

function safely(context: ControlContext, request: IncomingMessage): MetricsResponse {
  try {
    return answerTo(context, request);
  } catch (error) {
    if (error instanceof URIError || error instanceof TypeError)
      return refusal(400, 'BadRequest', 'the path cannot be read');
    throw error;
  }
}

/** Serves the metrics API to autoscalers; the listener has authenticated the caller. */
export function createExternalMetrics(context: ControlContext): RequestListener {
  return (request, response) => {
    const { status, body, headers } = safely(context, request);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
}
