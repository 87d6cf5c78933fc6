import type { ModelRecord, Snapshot } from '../cluster/port';
import { overridesOf, sharesOf } from '../core/routing/build-table';

/** What a promotion has reached; undefined: none is under way. */
function reached(record: ModelRecord): string | undefined {
  const promote = overridesOf(record)?.promote;
  if (promote === undefined) return undefined;
  const shares = sharesOf(record).map(({ hundredths }) => hundredths);
  // Ready replicas do not count: their number changes while a new version keeps crashing.
  const updated = record.arms.map((arm) => arm.updated);
  return JSON.stringify([promote, shares, updated]);
}

/** Tracks for how long each promotion has been where it is, as far as this router has seen it. */
export class PromotionProgress {
  private seen: ReadonlyMap<string, { readonly at: string; readonly since: number }> = new Map();

  /** Seconds without progress, by model. @param now milliseconds since the epoch */
  observe({ models }: Snapshot, now: number): ReadonlyMap<string, number> {
    const next = new Map<string, { at: string; since: number }>();
    for (const [id, record] of models) {
      const at = reached(record);
      const before = this.seen.get(id);
      if (at !== undefined) next.set(id, { at, since: before?.at === at ? before.since : now });
    }
    this.seen = next;
    return new Map([...next].map(([id, { since }]) => [id, Math.max(0, now - since) / 1000]));
  }
}
