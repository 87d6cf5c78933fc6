import type { ModelSpec } from '../../../lib/spec';
import { faultedArms, faultWhy, messageOf } from '../../core/lifecycle/fault';
import type { ModelRecord, Why } from '../../core/lifecycle/snapshot';
import type { StoredModel } from '../registry';
import { registryFields } from '../registry';
import type { ModelRunner } from './runner';

export interface RecordsOptions {
  readonly specOf: (stored: StoredModel) => ModelSpec;
  readonly runnerOf: (id: string) => Pick<ModelRunner, 'arms' | 'replicas'> | undefined;
  readonly now: () => number;
  readonly warn: (message: string) => void;
}

/**
 * The records of all models. An error while one model is changed becomes that model's status and
 * does not affect the others.
 */
export class Records {
  /** Current records; a changed model has none. */
  private readonly known = new Map<string, ModelRecord>();
  private readonly faults = new Map<string, Why>();

  constructor(private readonly options: RecordsOptions) {}

  /** Makes the record again at the next snapshot. */
  drop(id: string): void {
    this.known.delete(id);
  }

  /** The model is gone. */
  forget(id: string): void {
    this.known.delete(id);
    this.faults.delete(id);
  }

  /** Runs work on one model; an error becomes its status. */
  fenced(id: string, work: () => void): void {
    try {
      work();
      this.faults.delete(id);
    } catch (error) {
      this.fault(id, error);
    }
  }

  fault(id: string, error: unknown): void {
    const why = faultWhy(error, `model ${id}`, this.options.now());
    if (this.faults.get(id)?.message !== why.message) {
      this.options.warn(`model ${id}: ${why.message}`);
    }
    this.faults.set(id, why);
    this.known.delete(id);
  }

  /** All records; a model whose record fails is left out and logged. */
  of(all: Iterable<StoredModel>): ReadonlyMap<string, ModelRecord> {
    const records = new Map<string, ModelRecord>();
    for (const stored of all) {
      const record = this.known.get(stored.id) ?? this.look(stored);
      if (record !== undefined) records.set(stored.id, record);
    }
    return records;
  }

  private look(stored: StoredModel): ModelRecord | undefined {
    const { specOf } = this.options;
    try {
      const record = this.record(stored, specOf(stored));
      this.known.set(stored.id, record);
      return record;
    } catch (error) {
      this.options.warn(`model ${stored.id} cannot be shown: ${messageOf(error)}`);
      return undefined;
    }
  }

  private record(stored: StoredModel, spec: ModelSpec): ModelRecord {
    const fixed = { ...registryFields(stored), spec };
    const { arms, replicas } = this.live(stored.id);
    const fault = this.faults.get(stored.id);
    if (fault === undefined) return { ...fixed, arms, replicas };
    return { ...fixed, arms: faultedArms(spec, arms, fault), replicas };
  }

  private live(id: string): Pick<ModelRecord, 'arms' | 'replicas'> {
    const runner = this.options.runnerOf(id);
    try {
      return { arms: runner?.arms() ?? [], replicas: runner?.replicas() ?? [] };
    } catch (error) {
      this.fault(id, error);
      return { arms: [], replicas: [] };
    }
  }
}
