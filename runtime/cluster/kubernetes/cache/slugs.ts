import { MODEL_LABEL } from '../../../../lib/objects';
import type { KubeObject } from '../client/api';
import { labelOf, textAt } from '../client/object-fields';
import { entryOf } from '../../../../lib/spec/entry';

export const slugByLabel = (object: KubeObject): string => labelOf(object, MODEL_LABEL) ?? '';

/**
 * Number of parts that Kubernetes appends to a Deployment's name: one for a ReplicaSet, two for a
 * pod.
 */
const PARTS_BEHIND: Readonly<Record<string, number>> = { Pod: 2, ReplicaSet: 1 };

/**
 * The model of an event. Its object may be gone, so the model is read from the object's name,
 * `<slug>[--<candidate>]-<ReplicaSet>-<pod>`.
 */
export function slugOfEvent(event: KubeObject): string {
  const about = event['involvedObject'];
  const parts = (textAt(about, 'name') ?? '').split('-');
  const behind = entryOf(PARTS_BEHIND, textAt(about, 'kind') ?? '') ?? 0;
  const name = parts.slice(0, parts.length - behind).join('-');
  return name.split('--')[0] ?? '';
}
