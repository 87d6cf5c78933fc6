import type { AlertInstance, AlertRow } from './rules';

/** Inputs of the alerts of the routers. */
export interface WatchedService {
  /** The namespace in which they are scraped. */
  readonly namespace: string;
  /** Fewest expected routers. */
  readonly routers: number;
}

/** Every caller notices a p99 of the event loop above this. */
const LAG_SECONDS = 0.1;
const STALE_SECONDS = 300;

const of =
  (metric: string, more = '') =>
  ({ namespace }: WatchedService): string =>
    `${metric}{namespace="${namespace}"${more}}`;

const models = of('ai_model_models');
/** Two jobs may scrape the same router. */
const running = (service: WatchedService): string =>
  `count(count by (instance) (${models(service)}))`;

/** An alert with one instance. */
const one =
  (expr: (service: WatchedService) => string, summary: string) =>
  (service: WatchedService): readonly AlertInstance[] => [{ expr: expr(service), summary }];

const grew =
  (metric: string, more = '') =>
  (service: WatchedService): string =>
    `sum(increase(${of(metric, more)(service)}[10m])) > 0`;

function routersMissing(service: WatchedService): readonly AlertInstance[] {
  const { routers } = service;
  if (routers < 2) return [];
  const summary = `{{ $value }} of at least ${routers} routers of the model service report`;
  return [{ expr: `${running(service)} < ${routers}`, summary }];
}

const DETAILED = '`GET /api/v1/health/detailed` of each router.';

/** The alerts of the service itself. */
export const SERVICE_ALERTS: readonly AlertRow<WatchedService>[] = [
  {
    alert: 'AiModelServiceDown',
    severity: 'critical',
    for: '5m',
    instances: one(
      (service) => `absent(${models(service)})`,
      'no router of the model service is up, or none is scraped',
    ),
    meaning:
      'Prometheus has had no series of any router in this namespace for five minutes. Models that are called directly keep serving; calls through the routers fail if they are really down.',
    look: [
      '`kubectl get pods -l app=ai-model-service`: do they run, are they ready, why did they restart?',
      'Targets in Prometheus: are the routers listed, and what does the scrape answer?',
    ],
    mend: [
      'A bad configuration ends the service at its start: the last line of the log names the field.',
      'They run: mend the scrape (PodMonitor selector, network policy, port 9090).',
    ],
  },
  {
    alert: 'AiModelServiceRouterMissing',
    severity: 'warning',
    for: '10m',
    instances: routersMissing,
    meaning: 'Fewer routers report than there should be at least. The others carry the load.',
    look: [
      '`kubectl get pods -l app=ai-model-service -o wide`, and `kubectl describe` of the one.',
    ],
    mend: [
      'Room on the nodes, the image, or the node of that router; then it comes back by itself.',
    ],
  },
  {
    alert: 'AiModelServicePeersLost',
    severity: 'warning',
    for: '10m',
    instances: one(
      (service) =>
        `min(${of('ai_model_service_peers')(service)}) < scalar(${running(service)}) - 1`,
      'a router does not hear all other routers',
    ),
    meaning:
      'A router hears fewer others than report to Prometheus. It then knows a part of the load only: replicas may get more requests at a time than they should, and models do not go to sleep.',
    look: [
      `${DETAILED} \`routers\` lists the routers that it hears, and why it does not hear the others.`,
    ],
    mend: ['Let routers reach each other on the ops port (9090): network policy, mesh, firewall.'],
  },
  {
    alert: 'AiModelServiceWithoutLeader',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) => `max(${of('ai_model_service_leader')(service)}) == 0`,
      'no router leads: promotions, removals and sleep stand still',
    ),
    meaning:
      'No router has had the Lease for five minutes. Inference goes on; automatic changes wait.',
    look: [
      '`kubectl get lease ai-model-service -o yaml`: who holds it, since when?',
      'The log of the routers: is the API server reachable, is the right to update the Lease there?',
    ],
    mend: ['Give the right back (Role of `ModelService`), or mend the way to the API server.'],
  },
  {
    alert: 'AiModelServiceStale',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) =>
        `max by (watch) (${of('ai_model_watch_age_seconds')(service)}) > ${STALE_SECONDS}`,
      'a router has heard nothing of {{ $labels.watch }} for more than five minutes',
    ),
    meaning:
      'A router works with an old view: of the cluster (replicas that came or went), or of the other routers.',
    look: [
      `${DETAILED} \`watches\` has the age of each view.`,
      'Is the API server reachable from it?',
    ],
    mend: [
      'Mend the connection; a router that stays blind alone is deleted, and a new one starts.',
    ],
  },
  {
    alert: 'AiModelServiceEventLoopHeld',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) =>
        `max by (instance) (${of('ai_model_event_loop_lag_seconds')(service)}) > ${LAG_SECONDS}`,
      'the event loop of the router {{ $labels.instance }} is held up: all its callers wait',
    ),
    meaning:
      'The 99th percentile of the event-loop delay of a router is above 100 ms for five minutes: it has more work than one core can do, or the core is not its own.',
    look: [
      'CPU of the router (`rate(process_cpu_seconds_total[5m])`), and throttling by a CPU limit.',
      'Very large bodies or answers: `ai_model_held_bytes`.',
    ],
    mend: ['More routers (`minReplicas`, `maxReplicas` of `ModelService`); no CPU limit.'],
  },
  {
    alert: 'AiModelServiceMemoryFull',
    severity: 'warning',
    for: '5m',
    instances: one(
      grew('ai_model_memory_refused_total', ',share="service"'),
      'routers refuse requests, since bodies and answers take all the memory they may',
    ),
    meaning:
      'Requests get 503 `QUEUE_FULL`, since bodies and answers together take `server.max_held_bytes`.',
    look: ['`ai_model_held_bytes`, and which models have large answers or slow callers.'],
    mend: ['More memory for the routers and a larger `server.max_held_bytes`, or more routers.'],
  },
  {
    alert: 'AiModelServiceConnectionsRefused',
    severity: 'warning',
    for: '5m',
    instances: one(
      grew('ai_model_connections_refused_total'),
      'routers refuse connections: there are too many, or too many from one address',
    ),
    meaning:
      'Connections are above `server.max_connections`, or those of one address above `server.max_connections_per_address`.',
    look: ['Which clients? A client that opens a connection for each request is the usual cause.'],
    mend: ['Let clients keep connections; raise the limit; behind a proxy set `trusted_proxies`.'],
  },
];
