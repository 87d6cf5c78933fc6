import type { AlertInstance, AlertRow } from './rules';

/** The routers of one namespace. */
export interface WatchedService {
  /** Label of their series. */
  readonly namespace: string;
  /** Minimum number of routers. */
  readonly routers: number;
}

/** Above this p99, every caller notices the delay. */
const LAG_SECONDS = 0.1;
const STALE_SECONDS = 300;

const DAY_SECONDS = 86_400;
/** Days before its end at which a certificate should have been renewed long ago. */
const CERTIFICATE_DAYS = { warning: 14, critical: 2 } as const;

const of =
  (metric: string, more = '') =>
  ({ namespace }: WatchedService): string =>
    `${metric}{namespace="${namespace}"${more}}`;

const models = of('ai_model_models');
/** Counts a router once, even if two jobs scrape it. */
const running = (service: WatchedService): string =>
  `count(count by (instance) (${models(service)}))`;

/** An alert with one rule. */
const one =
  (expr: (service: WatchedService) => string, summary: string) =>
  (service: WatchedService): readonly AlertInstance[] => [{ expr: expr(service), summary }];

const grew =
  (metric: string, more = '') =>
  (service: WatchedService): string =>
    `sum(increase(${of(metric, more)(service)}[10m])) > 0`;

/** All fetches of the keys of the identity provider fail. */
function jwksUnreachable(service: WatchedService): readonly AlertInstance[] {
  const fetches = (result: string): string =>
    `sum(increase(${of('ai_model_auth_jwks_fetches_total', `,result="${result}"`)(service)}[15m])) > 0`;
  const summary = 'the keys that verify tokens cannot be fetched from the identity provider';
  return [{ expr: `${fetches('error')} unless ${fetches('success')}`, summary }];
}

function routersMissing(service: WatchedService): readonly AlertInstance[] {
  const { routers } = service;
  if (routers < 2) return [];
  const summary = `only {{ $value }} of at least ${routers} routers of the model service report`;
  return [{ expr: `${running(service)} < ${routers}`, summary }];
}

/** A router without TLS reports 0. */
function certificateEnds(service: WatchedService): readonly AlertInstance[] {
  const end = `min(${of('ai_model_tls_certificate_not_after_seconds')(service)} > 0)`;
  return (['warning', 'critical'] as const).map((severity) => {
    const days = CERTIFICATE_DAYS[severity];
    const summary = `the certificate of the routers ends in less than ${days} days`;
    return { expr: `${end} - time() < ${days * DAY_SECONDS}`, severity, summary };
  });
}

const DETAILED = 'Call `GET /api/v1/health/detailed` on each router.';

/** The alerts of the service itself. */
export const SERVICE_ALERTS: readonly AlertRow<WatchedService>[] = [
  {
    alert: 'AiModelServiceDown',
    severity: 'critical',
    for: '5m',
    instances: one(
      (service) => `absent(${models(service)})`,
      'no router of the model service is up and scraped',
    ),
    meaning:
      'Prometheus has had no series of any router in this namespace for five minutes. If the routers are down, calls through them fail; the models keep serving direct calls.',
    diagnosis: [
      'Check the pods: `kubectl get pods -l app=ai-model-service`.',
      'Check the targets in Prometheus: the routers are listed, and their scrapes succeed.',
    ],
    mitigation: [
      'If the service ends at startup, the last line of its log names the wrong field of the configuration.',
      'If the routers run, correct the scrape: selector of the PodMonitor, network policy, port 9090.',
    ],
  },
  {
    alert: 'AiModelServiceRouterMissing',
    severity: 'warning',
    for: '10m',
    instances: routersMissing,
    meaning: 'Fewer routers report than the minimum. The others carry the load.',
    diagnosis: [
      'Check the pods: `kubectl get pods -l app=ai-model-service -o wide`, then `kubectl describe pod`.',
    ],
    mitigation: [
      'Resolve what `kubectl describe pod` names: room on the nodes, the image, or the node itself.',
    ],
  },
  {
    alert: 'AiModelServicePeersLost',
    severity: 'warning',
    for: '10m',
    instances: one(
      (service) =>
        `min(${of('ai_model_service_peers')(service)}) < scalar(${running(service)}) - 1`,
      'a router does not hear from all other routers',
    ),
    meaning:
      'A router hears from fewer routers than report to Prometheus. It knows only a part of the load: replicas may get more concurrent requests than intended, and models do not scale to zero.',
    diagnosis: [`${DETAILED} \`routers.peers\` lists the routers it hears from.`],
    mitigation: [
      'Allow routers to reach each other on the ops port 9090 (network policy, service mesh, firewall).',
    ],
  },
  {
    alert: 'AiModelServiceWithoutLeader',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) => `max(${of('ai_model_service_leader')(service)}) == 0`,
      'no router leads: promotion, removal and scale to zero are paused',
    ),
    meaning:
      'No router has held the Lease for five minutes. Inference continues; automatic changes wait.',
    diagnosis: [
      'Read the holder: `kubectl get lease ai-model-service -o yaml`.',
      'Read the log of the routers: the API server may be unreachable, or may forbid updates of the Lease.',
    ],
    mitigation: [
      'Restore the Role that `ModelService` renders, or the connection to the API server.',
    ],
  },
  {
    alert: 'AiModelServiceStale',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) =>
        `max by (watch) (${of('ai_model_watch_age_seconds')(service)}) > ${STALE_SECONDS}`,
      'the watch {{ $labels.watch }} of a router is more than five minutes old',
    ),
    meaning:
      'A router works with an old view of the cluster or of the other routers. It may send requests to replicas that are gone.',
    diagnosis: [
      `${DETAILED} \`watches\` has the age of each view.`,
      'Read the log of that router for errors of the API server.',
    ],
    mitigation: ['Restore the connection. If only one router is affected, delete its pod.'],
  },
  {
    alert: 'AiModelServiceAuditFailing',
    severity: 'critical',
    for: '1m',
    instances: one(
      (service) => `max by (instance) (${of('ai_model_audit_failing')(service)}) == 1`,
      'the router {{ $labels.instance }} cannot write its audit record',
    ),
    meaning:
      'A router cannot write its audit record: a full disk, a read-only folder, a pipe without a reader. It keeps lines in memory and drops those that do not fit. With `audit.on_failure: refuse` it refuses changes by REST (503 `AUDIT_UNAVAILABLE`). Inference continues.',
    diagnosis: [
      'Read `failing` of the section `audit` in `GET /api/v1/health/detailed`, or the error in the log.',
      'Check `ai_model_audit_waiting_lines`: lines in memory that are not written yet.',
    ],
    mitigation: [
      'Free or enlarge the volume of `audit.file`, or restart the reader of the pipe. The router retries every second and writes the waiting lines first.',
    ],
  },
  {
    alert: 'AiModelServiceAuditDropped',
    severity: 'critical',
    for: '0m',
    instances: one(
      grew('ai_model_audit_dropped_lines_total'),
      'lines of the audit record are lost',
    ),
    meaning: 'Lines of the audit record had no room in memory while they could not be written.',
    diagnosis: ['Check `AiModelServiceAuditFailing`; its cause is the cause of the loss.'],
    mitigation: [
      'Make the record writable again. It then has a line with `action: dropped` and the number of lost lines.',
    ],
  },
  {
    alert: 'AiModelServiceCertificateEnds',
    severity: 'warning',
    for: '1h',
    instances: certificateEnds,
    meaning:
      'The certificate in `server.tls` ends in less than 14 days (warning) or 2 days (critical). After that, callers refuse to connect.',
    diagnosis: [
      'Find out why it was not renewed: for cert-manager, `kubectl describe certificate`.',
      'If the files are new, check `AiModelServiceCertificateFaulty`.',
    ],
    mitigation: ['Renew the certificate. The routers read changed files on their own.'],
  },
  {
    alert: 'AiModelServiceCertificateFaulty',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) => `max(${of('ai_model_tls_certificate_faulty')(service)}) == 1`,
      'the newest certificate cannot be used: the routers keep the previous one',
    ),
    meaning: 'A router cannot use the newest files of `server.tls` and keeps the previous pair.',
    diagnosis: ['Read the log of the routers: it names the file and the fault.'],
    mitigation: ['Replace certificate and key together; they must belong to each other.'],
  },
  {
    alert: 'AiModelServiceKeysFaulty',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) => `max(${of('ai_model_auth_keys_file_faulty')(service)}) == 1`,
      'the keys file has a fault: changes of keys are not in force',
    ),
    meaning:
      'A router cannot use the newest `auth.keys_file`. The last good keys remain in force: a new key does not work, and a revoked key still does.',
    diagnosis: ['Read the log of the routers: it names the line and the fault.'],
    mitigation: ['Correct the file or its Secret; the routers read it again on their own.'],
  },
  {
    alert: 'AiModelServiceJwksUnreachable',
    severity: 'warning',
    for: '5m',
    instances: jwksUnreachable,
    meaning:
      'For 15 minutes every fetch of the keys that verify tokens (`auth.jwt`) has failed. Tokens signed with a new key are refused.',
    diagnosis: [
      'Read the log of the routers: it has the error of the fetch.',
      'Call the URL of the keys from a pod of the service.',
    ],
    mitigation: ['Restore the identity provider or the way to it (DNS, egress policy, proxy).'],
  },
  {
    alert: 'AiModelServiceEventLoopHeld',
    severity: 'warning',
    for: '5m',
    instances: one(
      (service) =>
        `max by (instance) (${of('ai_model_event_loop_lag_seconds')(service)}) > ${LAG_SECONDS}`,
      'the event loop of the router {{ $labels.instance }} is delayed, and with it all its requests',
    ),
    meaning:
      'The p99 delay of the event loop of a router has been above 100 ms for five minutes: it has more work than one core can do, or it does not get a whole core.',
    diagnosis: [
      'Check the CPU of the router: `rate(process_cpu_seconds_total[5m])`, and throttling by a CPU limit.',
      'Check `ai_model_held_bytes` for very large bodies.',
    ],
    mitigation: [
      'Add routers (`minReplicas` and `maxReplicas` of `ModelService`); remove CPU limits.',
    ],
  },
  {
    alert: 'AiModelServiceMemoryFull',
    severity: 'warning',
    for: '5m',
    instances: one(
      grew('ai_model_memory_refused_total', ',share="service"'),
      'routers refuse requests because bodies in memory have reached their limit',
    ),
    meaning:
      'Requests get 503 `QUEUE_FULL`, because the bodies of requests and responses have reached `server.max_held_bytes`.',
    diagnosis: [
      'Check `ai_model_held_bytes`; look for models with large responses or slow callers.',
    ],
    mitigation: ['Give the routers more memory and raise `server.max_held_bytes`, or add routers.'],
  },
  {
    alert: 'AiModelServiceConnectionsRefused',
    severity: 'warning',
    for: '5m',
    instances: one(
      grew('ai_model_connections_refused_total'),
      'routers refuse connections: too many in total, or from one address',
    ),
    meaning:
      'Connections have reached `server.max_connections`, or those from one address `server.max_connections_per_address`.',
    diagnosis: [
      'Find the clients. The usual cause is a client that opens a connection for each request.',
    ],
    mitigation: [
      'Reuse connections in the client; raise the limit; behind a proxy, set `server.trusted_proxies`.',
    ],
  },
];
