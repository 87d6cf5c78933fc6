import type { ModelRecord, ReplicaRecord } from '../cluster/port';
import type { ArmStats, ReplicaStats } from '../core/routing/load';
import { statusOf } from '../core/lifecycle/status';
import type { ControlContext } from './context';
import { viewsOf } from './observe';
import { errorRate, healthOf, whyView } from './view';
import { wasRead } from './routing-view';

/** Startup counts as failed if the first read of the cluster takes longer, milliseconds. */
const STARTUP_MS = 120_000;

export type ServiceHealth = 'healthy' | 'degraded' | 'unhealthy';

const iso = (at: number): string => new Date(at).toISOString();
const seconds = (ms: number): number => Math.max(0, Math.round(ms) / 1000);

export function uptimeOf({ clock, startedAt }: ControlContext): number {
  return seconds(clock.now() - startedAt);
}

interface Check {
  readonly status: 'pass' | 'fail';
  readonly message: string;
}

/** Why requests are rejected; undefined: they are accepted. */
function refusalOf({ routers, shuttingDown }: ControlContext): string | undefined {
  if (shuttingDown()) return 'the service is shutting down';
  return routers.isSettled() ? undefined : 'the other routers are not known yet';
}

/** Readiness checks; independent of the health of models. */
export function readyChecks(context: ControlContext): Readonly<Record<string, Check>> {
  const snapshot = context.routingView.snapshot();
  const read = wasRead(snapshot);
  const refusal = refusalOf(context);
  return {
    cluster: {
      status: read ? 'pass' : 'fail',
      message: read
        ? `the view of the cluster is ${snapshot.phase}`
        : 'the cluster has not been read yet',
    },
    accepting: {
      status: refusal === undefined ? 'pass' : 'fail',
      message: refusal ?? 'requests are taken',
    },
  };
}

export function isReady(context: ControlContext): boolean {
  return Object.values(readyChecks(context)).every(({ status }) => status === 'pass');
}

export function startupOf({
  routingView,
  clock,
  startedAt,
}: ControlContext): 'started' | 'starting' | 'failed' {
  if (wasRead(routingView.snapshot())) return 'started';
  return clock.now() - startedAt > STARTUP_MS ? 'failed' : 'starting';
}

function isUnhealthy(record: ModelRecord): boolean {
  const { status, serving } = statusOf(record);
  return status === 'failed' || (!serving && (status === 'running' || status === 'updating'));
}

/**
 * unhealthy: nothing can be routed; degraded: a model is unhealthy, a definition has faults, the
 * view of the cluster is old, or the audit record cannot be written.
 */
export function overallHealth({ routingView, brokenFiles, audit }: ControlContext): ServiceHealth {
  const snapshot = routingView.snapshot();
  if (!wasRead(snapshot)) return 'unhealthy';
  if (snapshot.phase === 'stale' || (brokenFiles?.() ?? []).length > 0) return 'degraded';
  if (audit.status().fault !== undefined) return 'degraded';
  return [...snapshot.models.values()].some(isUnhealthy) ? 'degraded' : 'healthy';
}

const rounded = (value: number | undefined): number | null =>
  value === undefined ? null : Math.round(value * 1000) / 1000;

function replicaView(replica: ReplicaRecord, stats: ReplicaStats | undefined): object {
  const why = whyView(replica.why);
  return {
    id: replica.id,
    address: `${replica.host}:${replica.port}`,
    version: replica.version,
    phase: replica.phase,
    restarts: replica.restarts,
    since: iso(replica.since),
    in_flight: stats?.inFlight ?? 0,
    ejected_until: stats?.ejectedUntil === undefined ? null : iso(stats.ejectedUntil),
    ...(why !== undefined && { why }),
  };
}

function armView(
  record: ModelRecord,
  arm: ModelRecord['arms'][number],
  stats: ArmStats | undefined,
): object {
  const { window, lastFailure, lastRequestAt } = stats ?? {};
  const own = record.replicas.filter((replica) => replica.arm === arm.name);
  const byReplica = new Map(stats?.replicas.map((replica) => [replica.id, replica]));
  return {
    name: arm.name,
    version: arm.version,
    health: healthOf(record, arm, stats),
    desired: arm.desired,
    ready: arm.ready,
    in_flight: stats?.inFlight ?? 0,
    queue_depth: stats?.queued ?? 0,
    capacity: stats?.capacity ?? 0,
    requests: window?.requests ?? 0,
    error_rate: rounded(errorRate(stats)),
    latency_ms: { p50: rounded(window?.p50), p95: rounded(window?.p95), p99: rounded(window?.p99) },
    last_request_at: lastRequestAt === undefined ? null : iso(lastRequestAt),
    last_failure:
      lastFailure === undefined ? null : { at: iso(lastFailure.at), message: lastFailure.message },
    replicas: own.map((replica) => replicaView(replica, byReplica.get(replica.id))),
  };
}

function modelView(
  record: ModelRecord,
  all: readonly ArmStats[],
  history: readonly object[],
): object {
  const { status, serving, why } = statusOf(record);
  const stats = all.filter(({ model }) => model === record.spec.id);
  return {
    model_id: record.spec.id,
    version: record.spec.version,
    status,
    serving,
    why: whyView(why) ?? null,
    history,
    arms: record.arms.map((arm) =>
      armView(
        record,
        arm,
        stats.find((one) => one.arm === arm.name),
      ),
    ),
  };
}

const ageOf = ({ clock }: ControlContext, at: number | undefined): number | null =>
  at === undefined ? null : seconds(clock.now() - at);

/** The routers and the leader. */
function routersView(context: ControlContext): object {
  const { routers } = context;
  const peers = routers.others();
  return {
    self: routers.self,
    leader: routers.leader() ?? null,
    ready: routers.count(),
    peers:
      peers?.map(({ peer, heardAt }) => ({
        id: peer.id,
        ready: peer.ready,
        age_seconds: ageOf(context, heardAt),
      })) ?? null,
  };
}

/** A file that never held a model is visible to callers with access to all models. */
function brokenView(
  { brokenFiles }: ControlContext,
  mayUse: (id: string) => boolean,
): readonly object[] {
  return (brokenFiles?.() ?? [])
    .filter(({ id = '' }) => mayUse(id))
    .map(({ file, message, id = null }) => ({ file, message, model_id: id }));
}

function auditView({ audit }: ControlContext): object | null {
  const { isOn, fault, waitingLines, droppedLines, head } = audit.status();
  if (!isOn) return null;
  return {
    failing: fault === undefined ? null : { since: iso(fault.since), message: fault.message },
    refuses_changes: audit.refusal() !== undefined,
    waiting_lines: waitingLines,
    dropped_lines: droppedLines,
    chain: head === undefined ? null : { lines: head.n, mac: head.mac },
  };
}

/** Complete state for operators. Models that the caller may not see are left out. */
export function detailedHealth(context: ControlContext, mayUse: (id: string) => boolean): object {
  const { routingView, load, clock, version, lagMs } = context;
  const snapshot = routingView.snapshot();
  const stats = load.arms().filter(({ model }) => mayUse(model));
  const memory = process.memoryUsage();
  const ejected = stats.flatMap(({ model, arm, replicas }) =>
    replicas
      .filter(({ ejectedUntil }) => ejectedUntil !== undefined)
      .map(({ id, address, ejectedUntil }) => ({
        model_id: model,
        arm,
        replica: id,
        address,
        until: iso(ejectedUntil ?? 0),
      })),
  );
  return {
    status: overallHealth(context),
    version,
    uptime: uptimeOf(context),
    timestamp: iso(clock.now()),
    ready: isReady(context),
    watches: viewsOf(context).map(({ name, phase, at }) => ({
      name,
      phase,
      age_seconds: ageOf(context, at),
    })),
    routers: routersView(context),
    models: [...snapshot.models.values()]
      .filter(({ spec }) => mayUse(spec.id))
      .sort((a, b) => (a.spec.id < b.spec.id ? -1 : 1))
      .map((record) => modelView(record, stats, context.healthHistory.view(record.spec.id))),
    broken_files: brokenView(context, mayUse),
    audit: auditView(context),
    queue_depth: stats.reduce((sum, { queued }) => sum + queued, 0),
    in_flight: stats.reduce((sum, { inFlight }) => sum + inFlight, 0),
    ejected,
    event_loop_lag_ms: rounded(lagMs()),
    memory: {
      rss_bytes: memory.rss,
      heap_used_bytes: memory.heapUsed,
      heap_total_bytes: memory.heapTotal,
      external_bytes: memory.external,
    },
  };
}
