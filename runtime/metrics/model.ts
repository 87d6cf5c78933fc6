import type { ArmStats } from '../core/load';
import type { ModelRecord, ReplicaRecord } from '../core/snapshot';
import type { ModelRoute } from '../core/table';
import type { ArmMetrics } from './arm';
import { createArmMetrics } from './arm';
import { MODEL_FAMILIES } from './families';
import type { MetricSet } from './set';
import { createSet } from './set';

const { batch, usage } = MODEL_FAMILIES;
const OWN_FAMILIES = { batch, usage };

/** What became of a batch: every item answered, some, or none. */
export type BatchStatus = 'success' | 'partial' | 'error';

/** The series of one model and its arms. */
export interface ModelMetrics {
  readonly set: MetricSet<typeof OWN_FAMILIES>;
  readonly arms: ReadonlyMap<string, ArmMetrics>;
  readonly onBatch: (status: BatchStatus) => void;
  readonly observe: (
    record: ModelRecord,
    route: ModelRoute | undefined,
    stats: ReadonlyMap<string, ArmStats>,
  ) => void;
}

type Usage = NonNullable<ReplicaRecord['usage']>;

/** What all replicas use together; undefined when no replica's use is known. */
export function usageOf(replicas: readonly ReplicaRecord[]): Usage | undefined {
  const known = replicas.flatMap((replica) => (replica.usage === undefined ? [] : [replica.usage]));
  if (known.length === 0) return undefined;
  return {
    cpuCores: known.reduce((sum, { cpuCores }) => sum + cpuCores, 0),
    memoryBytes: known.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
  };
}

export function createModelMetrics(model: string): ModelMetrics {
  const set = createSet(OWN_FAMILIES);
  const arms = new Map<string, ArmMetrics>();

  function observeUsage(replicas: readonly ReplicaRecord[]): void {
    const used = usageOf(replicas);
    const ready = replicas.filter(({ phase }) => phase === 'ready').length;
    set.usage.reset();
    set.usage.set({ model_id: model, resource: 'replicas', unit: 'count' }, ready);
    if (used === undefined) return;
    set.usage.set({ model_id: model, resource: 'cpu', unit: 'cores' }, used.cpuCores);
    set.usage.set({ model_id: model, resource: 'memory', unit: 'bytes' }, used.memoryBytes);
  }
  function armOf(name: string): ArmMetrics {
    const arm = arms.get(name) ?? createArmMetrics(model, name);
    arms.set(name, arm);
    return arm;
  }

  return {
    set,
    arms,
    onBatch: (status) => set.batch.inc({ model_id: model, status }),
    observe: (record, route, stats) => {
      const names = new Set(record.arms.map(({ name }) => name));
      for (const name of arms.keys()) if (!names.has(name)) arms.delete(name);
      for (const arm of record.arms) {
        const share = route?.shares.find((one) => one.arm === arm.name)?.hundredths ?? 0;
        armOf(arm.name).observe(arm, stats.get(arm.name), share);
      }
      observeUsage(record.replicas);
    },
  };
}
