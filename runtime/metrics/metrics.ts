import type { ArmStats, Load } from '../core/load';
import type { Outcome } from '../core/outcome';
import type { Snapshot } from '../core/snapshot';
import type { RoutingTable } from '../core/table';
import type { ShadowResult } from './arm';
import type { Family } from './families';
import { MODEL_FAMILIES, SERVICE_FAMILIES } from './families';
import type { BatchStatus, ModelMetrics } from './model';
import { createModelMetrics } from './model';
import { createSet } from './set';
import type { Group } from './text';
import { printGroups, textTypeOf } from './text';
import type { Metric } from 'prom-client';

/** What the gauges are made of. */
export interface Observation {
  readonly snapshot: Snapshot;
  readonly table: RoutingTable;
  readonly load: Load;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Event-loop delay, seconds. */
  readonly lagSeconds: number;
}

/** The registry of the service. Only models of the last observation have series. */
export interface Metrics {
  /** One finished request. `traceId` (32 hex digits) becomes an exemplar. */
  readonly onOutcome: (outcome: Outcome, traceId?: string) => void;
  readonly onBatch: (model: string, status: BatchStatus) => void;
  readonly onShadow: (model: string, arm: string, result: ShadowResult) => void;
  readonly onDeployment: (action: string, status: 'success' | 'error') => void;
  /** Takes in the world as it is now: gauges, new models, models that are gone. */
  readonly observe: (observation: Observation) => void;
  readonly removeModel: (id: string) => void;
  /** The exposition, in the format `accept` asks for; see `textTypeOf`. */
  readonly text: (accept?: string) => Promise<string>;
}

function statsByModel(load: Load): ReadonlyMap<string, ReadonlyMap<string, ArmStats>> {
  const all = new Map<string, Map<string, ArmStats>>();
  for (const stats of load.arms()) {
    const arms = all.get(stats.model) ?? new Map<string, ArmStats>();
    all.set(stats.model, arms.set(stats.arm, stats));
  }
  return all;
}

const NO_STATS: ReadonlyMap<string, ArmStats> = new Map();

function metricsOf(models: Iterable<ModelMetrics>, key: string): Metric[] {
  return [...models].flatMap(({ set, arms }) => {
    const own = (set as Readonly<Record<string, Metric>>)[key];
    if (own !== undefined) return [own];
    return [...arms.values()].flatMap((arm) => {
      const metric = (arm.set as Readonly<Record<string, Metric>>)[key];
      return metric === undefined ? [] : [metric];
    });
  });
}

function observeProcess(set: ReturnType<typeof createSet<typeof SERVICE_FAMILIES>>): void {
  const { user, system } = process.cpuUsage();
  set.cpu.reset();
  set.cpu.inc((user + system) / 1e6);
  set.memory.set(process.memoryUsage.rss());
  set.start.set(performance.timeOrigin / 1000);
}

export function createMetrics(): Metrics {
  const service = createSet(SERVICE_FAMILIES);
  const models = new Map<string, ModelMetrics>();

  function observeModels({ snapshot, table, load }: Observation): void {
    const stats = statsByModel(load);
    for (const id of models.keys()) if (!snapshot.models.has(id)) models.delete(id);
    for (const [id, record] of snapshot.models) {
      const model = models.get(id) ?? createModelMetrics(id);
      models.set(id, model);
      model.observe(record, table.models.get(id), stats.get(id) ?? NO_STATS);
    }
  }
  function groups(): readonly Group[] {
    const own = Object.entries(SERVICE_FAMILIES).map(([key, family]) => ({
      family: family as Family,
      metrics: [service[key as keyof typeof SERVICE_FAMILIES] as Metric],
    }));
    const all = Object.entries(MODEL_FAMILIES).map(([key, family]) => ({
      family: family as Family,
      metrics: metricsOf(models.values(), key),
    }));
    return [...own, ...all];
  }

  return {
    // A name that is no model of ours came from a caller: it must not become a label.
    onOutcome: (outcome, traceId) =>
      models.get(outcome.model)?.arms.get(outcome.arm)?.onOutcome(outcome, traceId),
    onBatch: (model, status) => models.get(model)?.onBatch(status),
    onShadow: (model, arm, result) => models.get(model)?.arms.get(arm)?.onShadow(result),
    onDeployment: (action, status) => service.deployments.inc({ action, status }),
    observe: (observation) => {
      const { snapshot, now, lagSeconds } = observation;
      service.watchAge.set(Math.max(0, now - snapshot.at) / 1000);
      service.watchSynced.set(snapshot.phase === 'synced' ? 1 : 0);
      service.models.set(snapshot.models.size);
      service.lag.set(lagSeconds);
      observeModels(observation);
    },
    removeModel: (id) => void models.delete(id),
    text: (accept) => {
      observeProcess(service);
      return printGroups(groups(), textTypeOf(accept));
    },
  };
}
