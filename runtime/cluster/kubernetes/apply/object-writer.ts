import { MODEL_LABEL } from '../../../../lib/objects';
import { ClusterError } from '../../port';
import type { KubeApi, KubeObject } from '../client/api';
import { takenOver } from './field-owner';
import type { ApplyPlan } from './apply-plan';
import { kindNameOf } from './apply-plan';
import { resourceOf } from '../client/resources';
import { mapApiError } from './apply-context';

export interface ObjectWriter {
  readonly api: KubeApi;
  readonly manager: string;
  /** Takes fields that others own. */
  readonly force: boolean;
}

export async function applyObject(
  { api, manager, force }: ObjectWriter,
  object: KubeObject,
): Promise<KubeObject> {
  return mapApiError(kindNameOf(object), api.apply(object, { manager, force }));
}

/** All conflicts in one answer, so that nobody mends them one by one. */
function mergedConflicts(refusals: readonly unknown[]): unknown {
  const conflicts = refusals.filter(
    (one) => one instanceof ClusterError && one.code === 'FIELD_CONFLICT',
  ) as readonly ClusterError[];
  const other = refusals.find((one) => !conflicts.includes(one as ClusterError));
  if (other !== undefined || conflicts.length < 2) return other ?? conflicts[0];
  return new ClusterError(
    'FIELD_CONFLICT',
    conflicts.map(({ message }) => message).join('\n'),
    conflicts.flatMap(({ details = [] }) => details),
  );
}

/**
 * Asks the API server for everything without having anything done: what it refuses, it refuses
 * before the first write.
 * @throws ClusterError
 */
export async function dryRun(writer: ObjectWriter, { writes }: ApplyPlan): Promise<void> {
  const { api, manager, force } = writer;
  const results = await Promise.allSettled(
    writes.map(({ object }) =>
      mapApiError(kindNameOf(object), api.apply(object, { manager, force, dryRun: true })),
    ),
  );
  const refusals = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  if (refusals.length > 0) throw mergedConflicts(refusals);
}

/**
 * Makes this writer the owner of what others have applied of an object; nothing else changes.
 * @throws KubeError a conflict when it was changed meanwhile
 */
export async function takeOver(
  { api, manager }: ObjectWriter,
  object: KubeObject,
): Promise<KubeObject> {
  const managedFields = takenOver(object, manager);
  if (managedFields === undefined) return object;
  const { name, namespace = '', resourceVersion } = object.metadata;
  const patch = { metadata: { resourceVersion, managedFields } };
  return api.patch(resourceOf(object), namespace, name, patch, { manager });
}

/**
 * Makes the ConfigMap that will hold a definition. An apply cannot say "only if it is not there";
 * this can, so that of two creations at the same moment one is first.
 * @throws KubeError a conflict when it is there
 */
export function claimName(
  { api, manager }: ObjectWriter,
  { metadata }: KubeObject,
): Promise<KubeObject> {
  const { name, namespace, labels = {} } = metadata;
  const own = { [MODEL_LABEL]: labels[MODEL_LABEL] ?? '' };
  const object = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace, labels: own },
  };
  return api.create(object, { manager });
}

/** Only these very objects, not what has their names by then. */
export async function deleteAll(api: KubeApi, objects: readonly KubeObject[]): Promise<void> {
  for (const object of objects) {
    const { name, namespace = '', uid } = object.metadata;
    const options = uid === undefined ? {} : { uid };
    await mapApiError(kindNameOf(object), api.remove(resourceOf(object), namespace, name, options));
  }
}
