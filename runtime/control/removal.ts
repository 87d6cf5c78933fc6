import type { RemoveOptions } from '../cluster/port';
import type { ControlContext } from './context';

/** How long a caller waits for the start of a removal, milliseconds; it continues after that. */
const BEGIN_MS = 2000;

/**
 * Begins to remove a model and resolves as soon as its status shows it, not when the last replica
 * is gone: draining takes as long as the longest request. A tick finishes work that fails later.
 * @throws ClusterError when the cluster refuses
 */
export async function beginRemoval(
  context: ControlContext,
  id: string,
  options: RemoveOptions,
): Promise<void> {
  const { cluster, routingView, log, removing } = context;
  let begun = false;
  removing.add(id);
  const work = cluster
    .remove(id, options)
    .catch((error: unknown) => {
      if (!begun) throw error;
      log.error('removal was cut off', { model: id, error: (error as Error).message });
    })
    .finally(() => removing.delete(id));
  const shows = routingView.until(({ models }) => models.get(id)?.deleting !== false, BEGIN_MS);
  await Promise.race([work, shows]);
  begun = true;
}
