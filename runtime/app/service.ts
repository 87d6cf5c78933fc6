import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Authentication } from '../auth';
import { clock, startTicks } from '../shared/clock';
import type { Cluster, Snapshot } from '../cluster/port';
import type { Control, ControlOptions } from '../control';
import { createControl } from '../control';
import type { TableHolder } from '../core/routing/table';
import { EMPTY_TABLE } from '../core/routing/table';
import {
  createDataPlane,
  createDispatcher,
  createHttpClient,
  createManagement,
  openHttpServer,
} from '../data';
import type { Exchange } from '../data/http/exchange';
import type * as Grpc from '../data/grpc';
import type { Listener } from '../shared/listen';
import { addressOf, listenForOps, listenPrivately } from './listener';
import { createLagMeter } from '../shared/event-loop-lag';
import type { Log } from '../shared/log';
import { createMetrics, observeProcess } from '../metrics';
import type { ModelsFolder } from './models-folder';
import { openModelsFolder } from './models-folder';
import { chainKeyOf, openAudit, payloadSamplerOf } from './open-audit';
import { openAuth } from './open-auth';
import type { Guards } from './open-limits';
import { openLimits, reloadAll } from './open-limits';
import { brokenTlsFiles, openTls } from './open-tls';
import { openTraces } from './open-traces';
import { environmentOf, openCluster, policyRulesOf, withArtifacts } from './open-cluster';
import { openRouters } from './open-routers';
import type { ServiceOptions } from './service-options';
import {
  callerLimitsOf,
  clientOptionsOf,
  edgeOptionsOf,
  grpcOptionsOf,
  hostOf,
  opsHostOf,
  limitsOf,
  shadowLogMsOf,
  tuningOf,
} from './config-mapping';
import { reportBatchedCalls, reportShadows } from './shadow-log';

/** What is added to the longest timeout of a model when the service drains, milliseconds. */
const DRAIN_EXTRA_MS = 5000;

/** The service as it runs. */
export interface Service {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  /** `127.0.0.1:8081`, when there is a port for gRPC. */
  readonly grpcAddress: string | undefined;
  /** An admin key, when one was made because nothing was configured. To be shown once. */
  readonly generatedKey: string | undefined;
  readonly snapshot: () => Snapshot;
  /** Reads again what may change while it runs (SIGHUP); never rejects. */
  readonly reload: () => Promise<void>;
  /** Drains and ends everything; nothing is left behind. */
  readonly close: () => Promise<void>;
}

/** Where a request failed inside; never what was sent. */
const faultsOf =
  (log: Log) =>
  (requestId: string, error: unknown): void => {
    const place = error instanceof Error ? error.stack?.split('\n').slice(1, 6) : undefined;
    log.error('a request failed with an internal error', {
      requestId,
      name: (error as Error).name,
      place,
    });
  };

function openData(options: ServiceOptions, guards: Guards, control: () => Control) {
  const { config, version, log } = options;
  const { auth, audit, tls, traces } = guards;
  const table: TableHolder = { current: EMPTY_TABLE };
  const bounds = openLimits(config, guards);
  const tellFault = (model: string, error: string): void =>
    log.error('metrics of a model cannot be shown', { model, error });
  const metrics = createMetrics(observeProcess(), tellFault, bounds.counts);
  const lag = createLagMeter();
  const { dispatcher, load, onTableSwap } = createDispatcher({
    table,
    clock,
    random: Math.random,
    onOutcome: (outcome) => metrics.onOutcome(outcome, outcome.traceId),
    lagMs: lag.lagMs,
    tuning: tuningOf(config),
    onHeld: (model, arm) => control().onHeld(model, arm),
  });
  const upstream = createHttpClient(clientOptionsOf(config));
  const data = createDataPlane({
    table,
    dispatcher,
    authenticate: auth.authenticate,
    quotas: auth.quotas,
    upstream,
    clock,
    random: Math.random,
    newId: randomUUID,
    tracer: traces?.tracer,
    ...edgeOptionsOf(config),
    version,
    limits: limitsOf(config),
    held: bounds.held,
    thread: bounds.thread,
    isReady: () => control().isReady(),
    audit: config.audit.inference ? audit.recordSoon : undefined,
    payload: payloadSamplerOf(options, Math.random),
    onBatch: metrics.onBatch,
    onJoined: reportBatchedCalls(metrics.onJoined, log),
    onShadow: reportShadows(metrics.onShadow, log, clock.now, shadowLogMsOf(config)),
    onFault: faultsOf(log),
  });
  const end = (): void => {
    for (const part of [upstream, bounds.thread, auth, tls]) part?.close();
    lag.stop();
  };
  return { table, load, metrics, data, auth, onTableSwap, lag, tls, end, ...bounds };
}

/** The longest a request of any model may still take. */
function drainMs(table: TableHolder): number {
  const timeouts = [...table.current.models.values()].map(
    ({ inference }) => inference.timeoutSeconds,
  );
  return Math.max(0, ...timeouts) * 1000 + DRAIN_EXTRA_MS;
}

type Data = ReturnType<typeof openData> & Awaited<ReturnType<typeof openRouters>>;

function openControl(
  options: ServiceOptions,
  cluster: Cluster,
  { table, load, metrics, onTableSwap, routers, lag, tls }: Data,
  auth: Authentication,
  folder: ModelsFolder,
  more: Pick<ControlOptions, 'audit' | 'environment'>,
): Control {
  const { config, log, version, docsAssets } = options;
  return createControl({
    ...more,
    authenticate: auth.authenticate,
    brokenFiles: () => [...folder.broken(), ...auth.brokenFiles(), ...brokenTlsFiles(tls, config)],
    cluster,
    table,
    load,
    config,
    policy: policyRulesOf(config),
    metrics,
    clock,
    log,
    logLevel: log.level,
    version,
    routers,
    lagMs: lag.lagMs,
    onTableSwap,
    withArtifacts: withArtifacts(options),
    ...(docsAssets !== undefined && { docsAssets }),
  });
}

/** `/` redirects browsers to the documentation; other clients get the V1 answer. */
const wantsPage = ({ path, fields }: Pick<Exchange, 'path' | 'fields'>): boolean =>
  path === '/' && fields.get('accept')?.includes('text/html') === true;

/** The public port: inference to the data plane, the rest to the management app behind it. */
async function openPublic(
  { config }: ServiceOptions,
  { data, held, callers, auth, tls }: Data,
  { app }: Control,
): Promise<Listener> {
  const { server } = config;
  const inner = await listenPrivately(app);
  const client = createHttpClient();
  // The app behind it authenticates the request itself.
  const plane = { ...data.plane, authenticate: auth.recognize };
  const place = { path: inner.path };
  const manage = createManagement({ client, place, plane, handOver: auth.handOver });
  const end = async (): Promise<void> => {
    client.close();
    await inner.close(0);
  };
  try {
    const opened = await openHttpServer({
      ...server,
      tls,
      host: hostOf(config),
      limits: callerLimitsOf(config),
      held,
      callers,
      refuse: data.refuse,
      handle: (exchange) =>
        data.matches(exchange.path) && !wantsPage(exchange)
          ? data.handle(exchange)
          : manage(exchange),
    });
    const close = async (graceMs: number): Promise<void> => {
      await opened.close(graceMs);
      await end();
    };
    return { ...opened, close };
  } catch (error) {
    await end();
    throw error;
  }
}

/** The gRPC port; its library is loaded only when it is configured. */
async function openGrpc(
  { config }: ServiceOptions,
  { data, callers, tls }: Data,
): Promise<Listener | undefined> {
  const options = grpcOptionsOf(config);
  if (options === undefined) return undefined;
  const { openGrpcServer } = require('../data/grpc') as typeof Grpc;
  return openGrpcServer({ ...options, tls, callers, plane: data.plane });
}

interface Addresses {
  readonly url: string;
  readonly grpcAddress: string | undefined;
}

async function openPorts(
  options: ServiceOptions,
  data: Data,
  control: Control,
  opened: Listener[],
): Promise<Addresses> {
  const { server } = options.config;
  const http = await openPublic(options, data, control);
  opened.push(http);
  if (server.opsPort !== undefined) {
    opened.push(await listenForOps(opsHostOf(options.config), server.opsPort, control.opsApp));
  }
  const grpc = await openGrpc(options, data);
  if (grpc !== undefined) opened.push(grpc);
  const scheme = server.tls === undefined ? 'http' : 'https';
  return {
    url: `${scheme}://${addressOf(server.host, http.port)}`,
    grpcAddress: grpc && addressOf(server.host, grpc.port),
  };
}

/** Interval of the warning while the cluster does not answer, milliseconds. */
const FIRST_ANSWER_MS = 10_000;

/** Logs while the cluster does not answer, so that the service does not seem to hang. */
async function warnWhileWaiting(synced: Promise<unknown>, { kind }: Cluster, log: Log) {
  const say = (): void =>
    log.warn('the cluster has not answered yet: calls are refused (503) until it does', { kind });
  const timer = setInterval(say, FIRST_ANSWER_MS);
  await synced.finally(() => clearInterval(timer));
}

/**
 * Starts the service: cluster, both planes, the models folder, then the ports, which refuse calls
 * until the cluster has answered for the first time.
 * @throws ConfigError, DefinitionError, ClusterError with a message for people; nothing is left
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { config, log } = options;
  const traces = openTraces(options);
  const auth = await openAuth(options);
  const tls = openTls(options);
  const [environment, chainKey] = [await environmentOf(options), chainKeyOf(options)];
  const cluster = await openCluster(options, environment);
  const opened = await openRouters(options, environment);
  const audit = openAudit(options, chainKey);
  const guards: Guards = { auth, audit, tls, traces };
  const data: Data = { ...openData(options, guards, () => control), ...opened };
  const folder = openModelsFolder(options, cluster, audit);
  const more = { audit, environment };
  const control: Control = openControl(options, cluster, data, auth, folder, more);
  const listeners: Listener[] = [];
  const stopTicks = startTicks(control.tick, log);
  const end = async (): Promise<void> => {
    await folder.stop();
    stopTicks();
    await Promise.all(listeners.map((one) => one.close(drainMs(data.table))));
    control.stop();
    data.end();
    await Promise.all([opened.close(), cluster.close()]);
    await Promise.all([audit.close(), traces?.close()]);
  };
  const drain = async (): Promise<void> => {
    control.beginShutdown();
    for (const one of listeners) one.beginClose();
    await sleep(config.server.acceptSeconds * 1000);
    await end();
  };
  try {
    control.start();
    await folder.ready;
    await folder.sync();
    const addresses = await openPorts(options, data, control, listeners);
    await warnWhileWaiting(Promise.all([control.whenSynced(), opened.ready()]), cluster, log);
    listeners.push(...(await data.openMetrics(control)));
    return {
      ...addresses,
      generatedKey: auth.generatedKey,
      snapshot: () => snapshotOf(cluster),
      reload: () => reloadAll({ auth, tls }),
      close: drain,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

function snapshotOf(cluster: Cluster): Snapshot {
  const watch = cluster.watch(() => undefined);
  watch.stop();
  return watch.snapshot();
}
