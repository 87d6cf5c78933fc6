import { MANAGER, MODEL_LABEL } from '../../../../lib/objects';
import type { Artifacts, StoredRevision } from '../../registry';
import { HISTORY_LIMIT } from '../../registry';
import type { KubeApi, KubeObject } from '../client/api';
import { isWriteConflict } from '../client/api-error';
import { at, numberAt, textAt } from '../client/object-fields';
import { retryOnConflict } from '../client/request-retry';
import { RESOURCES } from '../client/resources';

/** The ControllerRevision of a stored revision. It is deleted with the definition. */
function revisionObject(definition: KubeObject, entry: StoredRevision): KubeObject {
  const { name, namespace, uid = '', labels = {} } = definition.metadata;
  const slug = labels[MODEL_LABEL] ?? '';
  return {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: `${slug}--revision-${entry.revision}`,
      namespace,
      labels: { [MODEL_LABEL]: slug, 'app.kubernetes.io/part-of': MANAGER },
      ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid }],
    },
    revision: entry.revision,
    data: { ...entry },
  };
}

/** Undefined for an object that is not a revision of this service. */
function entryIn(object: KubeObject): StoredRevision | undefined {
  const data = object['data'];
  const revision = numberAt(data, 'revision');
  const hash = textAt(data, 'hash');
  const definition = at(data, 'definition');
  if (revision === undefined || hash === undefined || typeof definition !== 'object')
    return undefined;
  return {
    revision,
    hash,
    version: textAt(data, 'version') ?? '',
    by: textAt(data, 'by') ?? '',
    manager: textAt(data, 'manager') ?? '',
    at: numberAt(data, 'at') ?? 0,
    definition: definition as StoredRevision['definition'],
    artifacts: at(data, 'artifacts') as Artifacts | undefined,
  };
}

const isOwnedBy =
  (uid: string | undefined) =>
  ({ metadata }: KubeObject): boolean =>
    metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;

/** The stored revisions, in no order. */
export function entriesOf(kept: readonly KubeObject[]): readonly StoredRevision[] {
  return kept.map(entryIn).filter((entry) => entry !== undefined);
}

/**
 * The applied revisions, newest first. The present one comes first even if it is not stored:
 * another manager applied it, or the service was interrupted.
 */
export function historyOf(
  present: StoredRevision,
  kept: readonly KubeObject[],
  uid: string | undefined,
): readonly StoredRevision[] {
  // Others belong to an earlier model of this name, or to another owner.
  const earlier = entriesOf(kept.filter(isOwnedBy(uid)))
    .filter(({ revision }) => revision < present.revision)
    .sort((a, b) => b.revision - a.revision);
  return [present, ...earlier].slice(0, HISTORY_LIMIT);
}

/** The name may be taken by a revision of an earlier model, which is replaced. */
async function keepOne(api: KubeApi, object: KubeObject): Promise<void> {
  const { name, namespace = '', ownerReferences } = object.metadata;
  const owner = ownerReferences?.[0]?.uid;
  await retryOnConflict(async () => {
    try {
      await api.create(object, { manager: MANAGER });
    } catch (error) {
      if (!isWriteConflict(error)) throw error;
      const found = await api.get(RESOURCES.ControllerRevision, namespace, name);
      if (found?.metadata.ownerReferences?.some(({ uid }) => uid === owner) === true) return;
      await api.remove(RESOURCES.ControllerRevision, namespace, name, { uid: found?.metadata.uid });
      throw error;
    }
  });
}

/** Stores every missing revision, and deletes those that are too old. */
export async function keepHistory(
  api: KubeApi,
  definition: KubeObject,
  history: readonly StoredRevision[],
  kept: readonly KubeObject[],
): Promise<void> {
  const { namespace = '' } = definition.metadata;
  const wanted = history.map((entry) => revisionObject(definition, entry));
  const names = new Set(wanted.map(({ metadata }) => metadata.name));
  const there = new Set(kept.map(({ metadata }) => metadata.name));
  for (const object of wanted.toReversed())
    if (!there.has(object.metadata.name)) await keepOne(api, object);
  for (const { metadata } of kept.filter((object) => !names.has(object.metadata.name))) {
    const { name, uid } = metadata;
    await api.remove(
      RESOURCES.ControllerRevision,
      namespace,
      name,
      uid === undefined ? {} : { uid },
    );
  }
}
