import type { ModelRecord, Snapshot } from '../cluster/port';
import type { RolloutDecision } from '../core/lifecycle/peers';
import { rolloutKeyOf } from '../core/release/rollout';
import type { RolloutState } from '../core/release/rollout-state';

type Decided = Pick<RolloutState, 'id' | 'phase' | 'step' | 'since' | 'thresholdMs'>;

const isSame = (one: Decided | undefined, other: Decided): boolean =>
  one !== undefined &&
  one.id === other.id &&
  one.phase === other.phase &&
  one.step === other.step &&
  one.since === other.since &&
  one.thresholdMs === other.thresholdMs;

/**
 * Decisions on rollouts that take effect before the cluster has stored them: an abort must not wait
 * for an API server that does not answer.
 */
export interface RolloutDecisions {
  /** As the leader has them, with counts that are not stored yet; empty in other routers. */
  readonly live: Map<string, RolloutState>;
  readonly pending: () => readonly RolloutDecision[];
  /** In force from the next table on. @returns false: it is in force already */
  readonly put: (decision: RolloutDecision) => boolean;
  /** The snapshot with what was decided; forgets what the cluster has stored by now. */
  readonly shownIn: (snapshot: Snapshot) => Snapshot;
}

interface Entry {
  readonly decision: RolloutDecision;
  /** The last record it was laid on, and the result: equal records keep their routes. */
  record?: ModelRecord;
  shown?: ModelRecord;
}

/** Is the decision older than what the record says, or about another rollout? */
function isVoid({ decision: { state } }: Entry, record: ModelRecord): boolean {
  const stored = record.state?.rollout;
  if (isSame(stored, state) || state.key !== rolloutKeyOf(record.spec)) return true;
  return stored?.key === state.key && stored.since > state.since;
}

function lay(entry: Entry, record: ModelRecord): ModelRecord {
  if (entry.record === record && entry.shown !== undefined) return entry.shown;
  const { state } = entry.decision;
  const before = record.state?.rollout;
  const kept = before?.id === state.id ? before : undefined;
  const counts = kept?.counts ?? [];
  const rollout: RolloutState = { ...kept, counts, ...state };
  entry.record = record;
  const overrides = record.state?.hash === record.hash ? record.state : undefined;
  entry.shown = { ...record, state: { ...overrides, hash: record.hash, rollout } };
  return entry.shown;
}

export function createRolloutDecisions(): RolloutDecisions {
  const entries = new Map<string, Entry>();
  return {
    live: new Map(),
    pending: () => [...entries.values()].map(({ decision }) => decision),
    put: (decision) => {
      const now = entries.get(decision.model)?.decision.state;
      if (now !== undefined && (isSame(now, decision.state) || now.since > decision.state.since)) {
        return false;
      }
      entries.set(decision.model, { decision });
      return true;
    },
    shownIn: (snapshot) => {
      if (entries.size === 0) return snapshot;
      const models = new Map(snapshot.models);
      for (const [id, entry] of entries) {
        const record = snapshot.models.get(id);
        if (record === undefined || isVoid(entry, record)) entries.delete(id);
        else models.set(id, lay(entry, record));
      }
      return { ...snapshot, models };
    },
  };
}
