import type { ModelRecord, ModelOverrides } from '../cluster/port';
import type { Asker } from './change';
import { lost, MAX_ATTEMPTS, requireMatch, requireStaying } from './change';
import type { Context } from './context';
import { READ_YOUR_WRITES_MS } from './routing-view';

/** Replaces what is remembered beside a definition; the definition and its revision stay. */
export async function remember(
  { cluster, world }: Context,
  { spec, hash }: ModelRecord,
  state: Omit<ModelOverrides, 'hash'> | undefined,
): Promise<void> {
  const next = state === undefined ? undefined : { ...state, hash };
  const before = world.snapshot();
  await cluster.remember(spec.id, next);
  await world.until((now) => now !== before, READ_YOUR_WRITES_MS);
}

/** The same on a caller's behalf: after changes that are under way, on the condition the caller named. */
export function rememberModel(
  context: Context,
  id: string,
  { ifMatch }: Pick<Asker, 'ifMatch'>,
  want: (record: ModelRecord) => Omit<ModelOverrides, 'hash'>,
): Promise<ModelRecord> {
  const { world, locks } = context;
  return locks.run(id, async () => {
    for (let left = MAX_ATTEMPTS; ; left -= 1) {
      const record = world.findModel(id);
      requireStaying(record);
      requireMatch(ifMatch, record);
      try {
        await remember(context, record, want(record));
        return record;
      } catch (error) {
        if (!lost(error) || left <= 1) throw error;
        // Another router decided something at the same moment: look again, then decide.
        await world.until(({ models }) => models.get(id) !== record, READ_YOUR_WRITES_MS);
      }
    }
  });
}
