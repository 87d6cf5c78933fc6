import { MANAGER } from '../../../../lib/objects';
import type { RemoveOptions } from '../../port';
import { ClusterError } from '../../port';
import { findStored, markDeleted } from '../../registry';
import type { KubeObject } from '../client/api';
import { DELETING_ANNOTATION } from './stored-definition';
import type { LiveModel } from './live-objects';
import { readLiveObjects, liveModelOf } from './live-objects';
import { fieldManagerOf, isWrittenBy } from './field-owner';
import { planDetails } from './apply-plan';
import { retryOnConflict } from '../client/request-retry';
import { RESOURCES } from '../client/resources';
import type { ApplyContext } from './apply-context';
import { mapApiError, readOnlyError } from './apply-context';
import { deleteAll } from './object-writer';

/** A model that is marked as being deleted. */
export interface DeletingModel {
  readonly slug: string;
  readonly id: string;
  /** Uid of the definition: a new definition of this name has another. */
  readonly uid: string | undefined;
  /** Longest grace period of its pods, milliseconds. */
  readonly graceMs: number;
}

/** Delay until pods that ended within their grace period are reported. */
const SLACK_MS = 30_000;
/** Kubernetes' own default. */
const DEFAULT_GRACE_SECONDS = 30;

const isDeployment = ({ kind }: KubeObject): boolean => kind === 'Deployment';
const isAutoscaler = ({ kind }: KubeObject): boolean => kind === 'HorizontalPodAutoscaler';

function graceSeconds(deployment: KubeObject): number {
  const spec = deployment['spec'] as
    { template?: { spec?: { terminationGracePeriodSeconds?: number } } } | undefined;
  return spec?.template?.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
}

/** Objects that the service wrote; objects of other writers stay. */
function objectsIn({ objects }: LiveModel, manager: string): readonly KubeObject[] {
  return [...objects.found.values()].filter(
    (object) => object !== objects.holder && isWrittenBy(object, manager),
  );
}

async function look(context: ApplyContext, slug: string): Promise<LiveModel> {
  return liveModelOf(slug, await mapApiError(slug, readLiveObjects(context, slug)), { states: [] });
}

async function markOnce(
  context: ApplyContext,
  slug: string,
  id: string,
  options: RemoveOptions,
): Promise<DeletingModel> {
  const live = await look(context, slug);
  const { stored, objects, broken } = live;
  if (broken !== undefined) throw unreadable(id, broken);
  const known = new Map(stored && [[stored.id, stored]]);
  const found = findStored(known, id);
  refuse(context, live, () => void markDeleted(found, options));
  const { holder } = objects;
  if (holder === undefined) throw new Error('what was read is there');
  const { name, resourceVersion, uid } = holder.metadata;
  const annotations = { [DELETING_ANNOTATION]: new Date(context.now()).toISOString() };
  const patch = { metadata: { resourceVersion, annotations } };
  const { namespace } = context;
  if (!found.deleting)
    await context.api.patch(RESOURCES.ConfigMap, namespace, name, patch, { manager: MANAGER });
  const graces = [...objects.found.values()].filter(isDeployment).map(graceSeconds);
  return { slug, id, uid, graceMs: Math.max(0, ...graces) * 1000 + SLACK_MS };
}

function unreadable(id: string, broken: string): ClusterError {
  return new ClusterError(
    'INVALID_MODEL_CONFIG',
    `the definition of ${id} cannot be read (${broken}); deploy it again, or remove its objects with kubectl`,
  );
}

/** Refuses a removal that only Git may do; the refusal lists the objects that would be deleted. */
function refuse(context: ApplyContext, live: LiveModel, rules: () => void): void {
  const prunes = [...live.objects.found.values()];
  const plan = (): readonly object[] => planDetails({ writes: [], prunes });
  try {
    rules();
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'READ_ONLY') throw error;
    throw readOnlyError(error.message, plan());
  }
  if (!context.gitops) return;
  throw readOnlyError(
    'definitions come from Git alone (kubernetes.mode: gitops); remove the model there',
    plan(),
  );
}

/**
 * Marks a model as being deleted, so that routers send it no requests.
 * @throws ClusterError
 */
export async function markDeleting(
  context: ApplyContext,
  model: { readonly slug: string; readonly id: string },
  options: RemoveOptions,
): Promise<DeletingModel> {
  const attempt = (): Promise<DeletingModel> => markOnce(context, model.slug, model.id, options);
  return mapApiError(`model ${model.id}`, retryOnConflict(attempt));
}

/**
 * The objects of the model that is being deleted; undefined when it is gone, or was created again.
 */
async function stillLeaving(
  context: ApplyContext,
  { slug, uid }: DeletingModel,
): Promise<LiveModel | undefined> {
  const live = await look(context, slug);
  const { objects, stored } = live;
  return objects.holder?.metadata.uid === uid && stored?.deleting === true ? live : undefined;
}

/** Deletes its workloads; pods finish their requests within their grace period. */
export async function deleteWorkloads(
  context: ApplyContext,
  removal: DeletingModel,
  manager: string,
): Promise<void> {
  const live = await stillLeaving(context, removal);
  if (live === undefined) return;
  const objects = objectsIn(live, fieldManagerOf(manager));
  // The autoscaler first, since it would report a missing target.
  await deleteAll(context.api, objects.filter(isAutoscaler));
  await deleteAll(context.api, objects.filter(isDeployment));
}

/** Deletes the remaining objects, the definition last. */
export async function deleteRemaining(
  context: ApplyContext,
  removal: DeletingModel,
  manager: string,
): Promise<void> {
  const live = await stillLeaving(context, removal);
  if (live === undefined) return;
  const { holder, revisions } = live.objects;
  await deleteAll(context.api, objectsIn(live, fieldManagerOf(manager)));
  await deleteAll(context.api, revisions);
  await mapApiError(
    'state',
    context.overrides.update(removal.slug, () => ({ states: [] })),
  );
  if (holder !== undefined) await deleteAll(context.api, [holder]);
}
