import { parseModel } from '../../lib/spec';
import type { ArmStats } from '../../runtime/core/routing/load';
import type { Outcome } from '../../runtime/core/routing/outcome';
import type { ModelRecord, Snapshot } from '../../runtime/core/lifecycle/snapshot';
import type { ModelRoute, RoutingTable } from '../../runtime/core/routing/table';
import type { Metrics, Observation } from '../../runtime/metrics';
import { loadOfStats } from '../support/load';

/** A model with a stable arm and a candidate, as the cluster shows it. */
export function recordOf(id: string, version = 'v1'): ModelRecord {
  const spec = parseModel({
    id,
    version,
    framework: 'onnx',
    source: './a.onnx',
    candidates: [{ name: 'next', version: 'w2', traffic: 10 }],
  });
  return {
    spec,
    revision: 1,
    hash: 'h',
    manager: 'rest',
    createdAt: 0,
    updatedAt: 0,
    deleting: false,
    arms: spec.arms.map(({ name, version: runs }) => ({
      name,
      version: runs,
      desired: 1,
      current: 1,
      ready: 1,
      updated: 1,
    })),
    replicas: [
      {
        id: `${id}-1`,
        arm: 'stable',
        version,
        host: '127.0.0.1',
        port: 9,
        phase: 'ready',
        restarts: 0,
        since: 0,
        usage: { cpuCores: 0.5, memoryBytes: 1000 },
      },
    ],
  };
}

function routeOf({ spec }: ModelRecord): ModelRoute {
  return {
    id: spec.id,
    slug: spec.slug,
    inference: spec.inference,
    cohort: spec.inference.cohort,
    salt: spec.id,
    stopped: false,
    deleting: false,
    shares: [
      { arm: 'stable', hundredths: 9000 },
      { arm: 'next', hundredths: 1000 },
    ],
    shadows: [],
    arms: new Map(),
  };
}

export const statsOf = (model: string, more: Partial<ArmStats> = {}): ArmStats => ({
  model,
  arm: 'stable',
  version: 'v1',
  inFlight: 0,
  queued: 0,
  capacity: 8,
  window: { requests: 0, failures: 0 },
  replicas: [],
  shed: {},
  ...more,
});

export function observationOf(
  records: readonly ModelRecord[],
  stats: readonly ArmStats[] = [],
): Observation {
  const snapshot: Snapshot = {
    phase: 'synced',
    at: 1000,
    models: new Map(records.map((record) => [record.spec.id, record])),
  };
  const table: RoutingTable = {
    generation: 1,
    models: new Map(records.map((record) => [record.spec.id, routeOf(record)])),
  };
  const load = loadOfStats(stats);
  const views = [
    { name: 'local', at: 1000 },
    { name: 'routers', at: undefined },
  ];
  const service = {
    promotions: new Map<string, number>(),
    lagSeconds: 0.002,
    isLeader: true,
    peers: 2,
    views,
  };
  return { snapshot, table, load, now: 3500, ...service };
}

export const outcome = (more: Partial<Outcome> = {}): Outcome => ({
  model: 'iris',
  arm: 'stable',
  version: 'v1',
  status: 200,
  durationMs: 20,
  queuedMs: 0,
  firstByteMs: 10,
  tries: 1,
  ...more,
});

/** The whole exposition. */
export async function textOf(metrics: Metrics, accept?: string): Promise<string> {
  let text = '';
  for await (const slice of metrics.text(accept)) text += slice;
  return text;
}
