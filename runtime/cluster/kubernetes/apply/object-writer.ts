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
  /** Takes fields that other managers own. */
  readonly force: boolean;
}

export async function applyObject(
  { api, manager, force }: ObjectWriter,
  object: KubeObject,
): Promise<KubeObject> {
  return mapApiError(kindNameOf(object), api.apply(object, { manager, force }));
}

/** All conflicts in one error. */
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
 * Applies all writes as a dry run, so that the API server refuses them before the first write.
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
 * Makes this writer the owner of all applied fields of an object; nothing else changes.
 * @throws KubeError a conflict when the object was changed meanwhile
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
 * Creates the ConfigMap that will hold a definition. Unlike an apply, a create fails when the
 * object exists, so that only one of two concurrent creations succeeds.
 * @throws KubeError a conflict when it exists
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

/** Deletes by uid, so that newer objects of the same names stay. */
export async function deleteAll(api: KubeApi, objects: readonly KubeObject[]): Promise<void> {
  for (const object of objects) {
    const { name, namespace = '', uid } = object.metadata;
    const options = uid === undefined ? {} : { uid };
    await mapApiError(kindNameOf(object), api.remove(resourceOf(object), namespace, name, options));
  }
}
