import { ClusterError } from '../cluster/port';
import { messageOf } from '../core/lifecycle/fault';
import { RecentMap } from '../shared/recent-map';
import type { ControlContext } from './context';
import { internalProblem, statusOfProblem, tryProblemOf } from './problem';

/** Actor recorded for automatic changes. */
export const AUTOMATIC_ACTOR = 'ai-model-service';

/** A change that no caller asked for. */
export interface AutomaticChange {
  readonly action: 'promote' | 'rollout' | 'delete' | 'sleep' | 'wake';
  readonly model: string;
  readonly arm?: string | undefined;
  /** Why the service makes it, for people. */
  readonly reason: string;
}

/** Models whose last failure is remembered. */
const MAX_FAILURES = 1000;

/** HTTP status of a change that was made at once. */
const DONE = 200;

const isBeaten = (error: unknown): boolean =>
  error instanceof ClusterError && error.code === 'REVISION_CONFLICT';

/**
 * Makes automatic changes and records each, or that it failed. Nothing here asks whether the record
 * can be written: a candidate must lose its traffic, and a model must wake, also while it cannot.
 */
export function createAutomaticChanges({ audit, clock }: ControlContext) {
  /** A failed change is tried again every second; the record has each cause once. */
  const failures = new RecentMap<string, string>(MAX_FAILURES);
  return async (change: AutomaticChange, work: () => Promise<number | void>): Promise<void> => {
    const { action, model } = change;
    const key = `${action} ${model} ${change.arm ?? ''}`;
    const record = (status: number, revision?: number): void =>
      audit.record({ ...change, at: clock.now(), caller: AUTOMATIC_ACTOR, revision, status });
    try {
      const revision = await work();
      failures.delete(key);
      record(DONE, revision ?? undefined);
    } catch (error) {
      const cause = messageOf(error);
      // Another writer was faster: nothing was changed here.
      if (!isBeaten(error) && failures.get(key) !== cause) {
        failures.set(key, cause);
        record(statusOfProblem(tryProblemOf(error) ?? internalProblem('')));
      }
      throw error;
    }
  };
}
