import type { ModelRecord, ModelOverrides } from '../cluster/port';
import type { ChangeRequest } from './change';
import { decideOnNewest } from './change';
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
export const changeOverrides = (
  context: ControlContext,
  id: string,
  asker: Pick<ChangeRequest, 'ifMatch'>,
  want: (record: ModelRecord) => Omit<ModelOverrides, 'hash'>,
): Promise<ModelRecord> =>
  decideOnNewest(context, id, asker, async (record) => {
    await storeOverrides(context, record, want(record));
    return record;
  });
