import type { Arm } from '../../lib/spec';
import type { ArmRecord, ModelRecord, Why } from '../cluster/port';
import { sharesOf, overridesOf } from '../core/routing/build-table';
import type { NamedCall } from '../core/routing/capabilities';
import { offersCall } from '../core/routing/capabilities';
import type { ArmStats } from '../core/routing/load';
import type { StatusSummary } from '../core/lifecycle/status';
import { statusOf } from '../core/lifecycle/status';
import { rolloutStateOf } from '../core/release/rollout';
import { isResting } from '../core/release/rollout-step';
import { usageOf } from '../metrics';
import type { BrokenFile } from './ports';
import type { HEALTHS } from './schemas';

type Health = (typeof HEALTHS)[number];

const iso = (at: number): string => new Date(at).toISOString();

/** Below this number of requests an error rate says little. */
const MIN_REQUESTS = 20;
/** A higher fraction of failures makes an arm degraded. */
const DEGRADED_FAILURES = 0.05;

function countsOf({ desired, current, ready }: ArmRecord): object {
  return { desired, current, ready };
}

const NO_ARM = { desired: 0, current: 0, ready: 0 };

/** A model in lists. Replicas are those of stable. */
export function summaryView(record: ModelRecord): object {
  const { spec, revision, createdAt, updatedAt, arms } = record;
  return {
    model_id: spec.id,
    name: spec.name,
    version: spec.version,
    status: statusOf(record).status,
    replicas: arms[0] === undefined ? NO_ARM : countsOf(arms[0]),
    model_type: spec.type,
    framework: spec.framework,
    revision,
    created_at: iso(createdAt),
    updated_at: iso(updatedAt),
  };
}

export function whyView(why: Why | undefined): object | undefined {
  return why === undefined ? undefined : { ...why, since: iso(why.since) };
}

/** Failed requests of the last minute as a fraction; undefined when there were too few. */
export function errorRate(stats: ArmStats | undefined): number | undefined {
  if (stats === undefined || stats.window.requests < MIN_REQUESTS) return undefined;
  return stats.window.failures / stats.window.requests;
}

/** Health of an arm, from its replicas and the results of its requests. */
export function healthOf(record: ModelRecord, arm: ArmRecord, stats: ArmStats | undefined): Health {
  if (overridesOf(record)?.stopped === true) return 'stopped';
  if (arm.desired === 0 && arm.current === 0) return 'healthy';
  const own = record.replicas.filter((replica) => replica.arm === arm.name);
  if (arm.ready === 0) {
    const failed = own.some(({ phase }) => phase === 'failed');
    return failed || arm.why !== undefined ? 'unhealthy' : 'starting';
  }
  const ejected = stats?.replicas.some(({ ejectedUntil }) => ejectedUntil !== undefined) === true;
  const failing = (errorRate(stats) ?? 0) > DEGRADED_FAILURES;
  return arm.ready < arm.desired || ejected || failing ? 'degraded' : 'healthy';
}

function roleOf({ name, role }: Arm): string {
  if (name === 'stable') return 'stable';
  return role.kind === 'traffic' ? 'candidate' : role.kind;
}

function armView(record: ModelRecord, arm: Arm, stats: ArmStats | undefined): object {
  const found = record.arms.find(({ name }) => name === arm.name);
  const share = sharesOf(record).find((one) => one.arm === arm.name)?.hundredths ?? 0;
  const why = whyView(found?.why);
  return {
    name: arm.name,
    version: arm.version,
    role: roleOf(arm),
    traffic: share / 100,
    ...(arm.role.kind === 'shadow' && { mirrored: arm.role.percent }),
    replicas: found === undefined ? NO_ARM : countsOf(found),
    health: found === undefined ? 'starting' : healthOf(record, found, stats),
    ...(why !== undefined && { why }),
  };
}

interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

const RESTING: ReadonlySet<string> = new Set(['running', 'stopped', 'failed']);

/** `True` while steps are taken. */
function rolloutCondition(record: ModelRecord): readonly Condition[] {
  const state = rolloutStateOf(record);
  if (state === undefined) return [];
  const { phase, candidate, verdict } = state;
  const message = `${candidate}: ${verdict?.reason ?? 'it has just begun'}`;
  return [{ type: 'Rollout', status: isResting(state) ? 'False' : 'True', reason: phase, message }];
}

function conditionsOf(record: ModelRecord, { status, serving, why }: StatusSummary): Condition[] {
  const state = overridesOf(record);
  const progressing = !RESTING.has(status);
  const { promote, shares } = state ?? {};
  return [
    {
      type: 'Available',
      status: serving ? 'True' : 'False',
      reason: serving ? 'serving' : (why?.cause ?? status),
      message: serving ? 'requests are answered' : (why?.message ?? `the model is ${status}`),
    },
    {
      type: 'Progressing',
      status: progressing ? 'True' : 'False',
      reason: status,
      message: progressing ? (why?.message ?? `the model is ${status}`) : 'nothing is under way',
    },
    ...(promote === undefined
      ? []
      : [
          {
            type: 'Promoting',
            status: 'True' as const,
            reason: promote.phase,
            message: `${promote.candidate} becomes stable`,
          },
        ]),
    ...rolloutCondition(record),
    ...(shares === undefined || promote !== undefined
      ? []
      : [
          {
            type: 'Overridden',
            status: 'True' as const,
            reason: 'shares',
            message: 'shares differ from the definition until the next one is applied',
          },
        ]),
  ];
}

/** Calls by which clients of each protocol begin, where the model supports them. */
const ENDPOINTS: readonly (NamedCall & {
  readonly type: string;
  readonly path: (id: string) => string;
})[] = [
  {
    type: 'inference',
    kind: 'native',
    call: 'inference',
    path: (id) => `/api/v1/models/${id}/inference`,
  },
  {
    type: 'batch',
    kind: 'native',
    call: 'batch_inference',
    path: (id) => `/api/v1/models/${id}/batch_inference`,
  },
  { type: 'v2', kind: 'v2', call: 'infer', path: (id) => `/v2/models/${id}/infer` },
  { type: 'v1', kind: 'v1', call: 'predict', path: (id) => `/v1/models/${id}:predict` },
  { type: 'openai', kind: 'openai', call: 'chat/completions', path: () => '/openai/v1' },
];

function endpointsOf({ spec }: ModelRecord, origin: string): object[] {
  const { id, server } = spec;
  return ENDPOINTS.filter((one) => offersCall(server, one)).map(({ type, path }) => ({
    type,
    url: `${origin}${path(id)}`,
  }));
}

function usageView(record: ModelRecord, stats: readonly ArmStats[]): object {
  const used = usageOf(record.replicas);
  return {
    cpu_cores: used?.cpuCores ?? null,
    memory_bytes: used?.memoryBytes ?? null,
    replicas: record.replicas.length,
    requests_in_flight: stats.reduce((sum, { inFlight }) => sum + inFlight, 0),
    requests_queued: stats.reduce((sum, { queued }) => sum + queued, 0),
  };
}

/** Sources of a status beside the record. */
export interface StatusSources {
  /** The traffic of all arms. */
  readonly all: readonly ArmStats[];
  readonly origin: string;
  readonly broken: readonly BrokenFile[];
  /** The last changes of its health. */
  readonly history: readonly object[];
}

function brokenFileOf(id: string, broken: readonly BrokenFile[]): object | null {
  const found = broken.find((one) => one.id === id);
  return found === undefined ? null : { file: found.file, message: found.message };
}

/** Complete status of a model. */
export function statusView(
  record: ModelRecord,
  { all, origin, broken, history }: StatusSources,
): object {
  const { spec, arms, revision, manager, createdAt, updatedAt } = record;
  const stats = all.filter(({ model }) => model === spec.id);
  const status = statusOf(record);
  return {
    model_id: spec.id,
    name: spec.name,
    version: spec.version,
    status: status.status,
    serving: status.serving,
    revision,
    manager,
    replicas: arms[0] === undefined ? NO_ARM : countsOf(arms[0]),
    endpoints: endpointsOf(record, origin),
    arms: spec.arms.map((arm) =>
      armView(
        record,
        arm,
        stats.find((one) => one.arm === arm.name),
      ),
    ),
    resource_usage: usageView(record, stats),
    conditions: conditionsOf(record, status),
    history,
    why: whyView(status.why) ?? null,
    broken_file: brokenFileOf(spec.id, broken),
    created_at: iso(createdAt),
    updated_at: iso(updatedAt),
  };
}
