import type { ModelRecord, ModelOverrides } from '../cluster/port';
import type { ChangeRequest } from './change';
import { isRevisionConflict, MAX_ATTEMPTS, requireMatch, requireNotDeleting } from './change';
import type { ControlContext } from './context';
import { READ_YOUR_WRITES_MS } from './routing-view';

/** Replaces the overrides of a definition; the definition and its revision stay. */
export async function storeOverrides(
  { cluster, routingView }: ControlContext,
  { spec, hash }: ModelRecord,
  state: Omit<ModelOverrides, 'hash'> | undefined,
): Promise<void> {
  const next = state === undefined ? undefined : { ...state, hash };
  const before = routingView.snapshot();
  await cluster.setOverrides(spec.id, next);
  await routingView.until((now) => now !== before, READ_YOUR_WRITES_MS);
}

/** Replaces the overrides for a caller: after running changes, on the caller's condition. */
export function changeOverrides(
  context: ControlContext,
  id: string,
  { ifMatch }: Pick<ChangeRequest, 'ifMatch'>,
  want: (record: ModelRecord) => Omit<ModelOverrides, 'hash'>,
): Promise<ModelRecord> {
  const { routingView, locks } = context;
  return locks.run(id, async () => {
    for (let left = MAX_ATTEMPTS; ; left -= 1) {
      const record = routingView.findModel(id);
      requireNotDeleting(record);
      requireMatch(ifMatch, record);
      try {
        await storeOverrides(context, record, want(record));
        return record;
      } catch (error) {
        if (!isRevisionConflict(error) || left <= 1) throw error;
        // Another router wrote at the same moment: wait for its change, then decide again.
        await routingView.until(({ models }) => models.get(id) !== record, READ_YOUR_WRITES_MS);
      }
    }
  });
}
