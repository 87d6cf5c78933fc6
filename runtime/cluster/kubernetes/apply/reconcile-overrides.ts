import { MODEL_LABEL } from '../../../../lib/objects';
import type { ModelSpec } from '../../../../lib/spec';
import type { Remembered } from './overrides-state';
import { settled, started, stateFor } from './overrides-state';
import { RESOURCES } from '../client/resources';
import { scaleTo, starting, stopping } from '../scale/scale';
import type { Site } from './apply-context';
import { asked } from './apply-context';

/**
 * Makes what is remembered true: what belongs to earlier definitions goes, a stopped model has no
 * replicas, one that was stopped gets them back. May be repeated, and be cut off anywhere.
 * @throws ClusterError
 */
export async function settleState(site: Site, spec: ModelSpec, hash: string): Promise<void> {
  const { api, namespace, states } = site;
  const now = await asked(
    'state',
    states.rewrite(spec.slug, (before) => settled(before, hash)),
  );
  const isStopped = stateFor(now, hash)?.stopped === true;
  if (!isStopped && now.starting !== true) return;
  const labelSelector = `${MODEL_LABEL}=${spec.slug}`;
  const list = api.list(RESOURCES.Deployment, namespace, { labelSelector });
  const { items } = await asked(spec.id, list);
  const wanted = isStopped ? stopping(items) : starting(spec, items);
  await asked(spec.id, scaleTo(api, namespace, wanted));
  if (now.starting === true) await asked('state', states.rewrite(spec.slug, startedOf(hash)));
}

/** Unless it was stopped again meanwhile. */
const startedOf =
  (hash: string) =>
  (now: Remembered): Remembered =>
    stateFor(now, hash)?.stopped === true ? now : started(now);
