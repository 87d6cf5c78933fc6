import { MODEL_LABEL } from '../../../../lib/objects';
import type { KubeObject } from '../client/api';
import { labelOf, textAt } from '../client/object-fields';
import { entryOf } from '../../../../lib/spec/entry';

export const slugByLabel = (object: KubeObject): string => labelOf(object, MODEL_LABEL) ?? '';

/** Names that Kubernetes puts behind a Deployment's: of a ReplicaSet one part, of a pod two. */
const PARTS_BEHIND: Readonly<Record<string, number>> = { Pod: 2, ReplicaSet: 1 };

/**
 * The model an event is about. Its objects are not looked up: they may be gone, and their names say
 * it, `<slug>[--<candidate>]-<ReplicaSet>-<pod>`.
 */
export function slugOfEvent(event: KubeObject): string {
  const about = event['involvedObject'];
  const parts = (textAt(about, 'name') ?? '').split('-');
  const behind = entryOf(PARTS_BEHIND, textAt(about, 'kind') ?? '') ?? 0;
  const name = parts.slice(0, parts.length - behind).join('-');
  return name.split('--')[0] ?? '';
}
