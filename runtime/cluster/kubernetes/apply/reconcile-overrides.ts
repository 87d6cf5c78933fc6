import { MODEL_LABEL } from '../../../../lib/objects';
import type { ModelSpec } from '../../../../lib/spec';
import type { OverridesState } from './overrides-state';
import { reconciled, started, overridesFor } from './overrides-state';
import { RESOURCES } from '../client/resources';
import { scaleTo, starting, stopping } from '../scale/scale';
import type { ApplyContext } from './apply-context';
import { mapApiError } from './apply-context';

/**
 * Applies the overrides: drops those of earlier definitions, scales a stopped model to 0 and
 * restores the replicas of a started one. Idempotent; may be interrupted anywhere.
 * @throws ClusterError
 */
export async function reconcileOverrides(
  context: ApplyContext,
  spec: ModelSpec,
  hash: string,
): Promise<void> {
  const { api, namespace, overrides } = context;
  const now = await mapApiError(
    'state',
    overrides.update(spec.slug, (before) => reconciled(before, hash)),
  );
  const isStopped = overridesFor(now, hash)?.stopped === true;
  if (!isStopped && now.starting !== true) return;
  const labelSelector = `${MODEL_LABEL}=${spec.slug}`;
  const list = api.list(RESOURCES.Deployment, namespace, { labelSelector });
  const { items } = await mapApiError(spec.id, list);
  const wanted = isStopped ? stopping(items) : starting(spec, items);
  await mapApiError(spec.id, scaleTo(api, namespace, wanted));
  if (now.starting === true)
    await mapApiError('state', overrides.update(spec.slug, startedOf(hash)));
}

/** Unless the model was stopped again meanwhile. */
const startedOf =
  (hash: string) =>
  (now: OverridesState): OverridesState =>
    overridesFor(now, hash)?.stopped === true ? now : started(now);
