import { definitionHash, parseModel } from '../../lib/spec';
import type { ModelInput } from '../../lib/spec';
import type {
  ArmRecord,
  ModelRecord,
  ModelOverrides,
  ReplicaPhase,
  ReplicaRecord,
  Snapshot,
} from '../../runtime/core/lifecycle/snapshot';

export const AT = 1_700_000_000_000;

export const IRIS: ModelInput = {
  id: 'iris',
  version: 'v1',
  framework: 'onnx',
  source: './iris.onnx',
};

export function replica(
  armName: string,
  version: string,
  index: number,
  phase: ReplicaPhase = 'ready',
  more: Partial<ReplicaRecord> = {},
): ReplicaRecord {
  return {
    id: `${armName}-${version}-${index}`,
    arm: armName,
    version,
    host: '127.0.0.1',
    port: 9000 + index,
    phase,
    restarts: 0,
    since: AT,
    ...more,
  };
}

export function arm(name: string, version: string, count: number, more: Partial<ArmRecord> = {}) {
  const counts = { desired: count, current: count, ready: count, updated: count };
  return { name, version, ...counts, ...more };
}

export interface Given {
  readonly input?: Partial<ModelInput>;
  readonly state?: Omit<ModelOverrides, 'hash'> | ModelOverrides;
  readonly record?: Partial<ModelRecord>;
}

/** A record as a cluster would hold it: two ready replicas of every arm unless said otherwise. */
export function recordOf({ input, state, record }: Given = {}): ModelRecord {
  const spec = parseModel({ ...IRIS, ...input });
  const hash = definitionHash(spec.definition);
  return {
    spec,
    hash,
    revision: 1,
    manager: 'rest',
    createdAt: AT,
    updatedAt: AT,
    deleting: false,
    arms: spec.arms.map((one) => arm(one.name, one.version, 2)),
    replicas: spec.arms.flatMap((one) => [0, 1].map((at) => replica(one.name, one.version, at))),
    ...(state === undefined ? {} : { state: { hash, ...state } }),
    ...record,
  };
}

export function snapshotOf(...records: readonly ModelRecord[]): Snapshot {
  return {
    phase: 'synced',
    at: AT,
    models: new Map(records.map((record) => [record.spec.id, record])),
  };
}
