import { MANAGER } from '../../../../lib/objects';
import type { RemoveOptions } from '../../port';
import { ClusterError } from '../../port';
import { findStored, removing } from '../../registry';
import type { KubeObject } from '../client/api';
import { DELETING_ANNOTATION } from './stored-definition';
import { KubeError } from '../client/api-error';
import type { Sight } from './live-objects';
import { lookAt, sightOf } from './live-objects';
import { fieldManagerOf, isWrittenBy } from './field-owner';
import { planDetails } from './apply-plan';
import { isRace, refusalOf } from './apply-refusal';
import { RESOURCES } from '../client/resources';
import type { Site } from './apply-context';
import { asked, readOnly } from './apply-context';
import { removeAll } from './object-writer';

const TRIES = 6;

/** A model that has been marked as on its way out. */
export interface Leaving {
  readonly slug: string;
  readonly id: string;
  /** Of the definition: another one is another life of the model. */
  readonly uid: string | undefined;
  /** The longest that its pods may take to end, milliseconds. */
  readonly graceMs: number;
}

/** Pods that ended within their grace are reported a little later. */
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

/** What the service has written of a model; what others have put beside it stays theirs. */
function objectsIn({ there }: Sight, manager: string): readonly KubeObject[] {
  return [...there.found.values()].filter(
    (object) => object !== there.holder && isWrittenBy(object, manager),
  );
}

async function look(site: Site, slug: string): Promise<Sight> {
  return sightOf(slug, await asked(slug, lookAt(site, slug)), { states: [] });
}

async function markOnce(
  site: Site,
  slug: string,
  id: string,
  options: RemoveOptions,
): Promise<Leaving> {
  const sight = await look(site, slug);
  const { stored, there, broken } = sight;
  if (broken !== undefined) throw unreadable(id, broken);
  const known = new Map(stored && [[stored.id, stored]]);
  const found = findStored(known, id);
  refuse(site, sight, () => void removing(found, options));
  const { holder } = there;
  if (holder === undefined) throw new Error('what was read is there');
  const { name, resourceVersion, uid } = holder.metadata;
  const annotations = { [DELETING_ANNOTATION]: new Date(site.now()).toISOString() };
  const patch = { metadata: { resourceVersion, annotations } };
  const { namespace } = site;
  if (!found.deleting)
    await site.api.patch(RESOURCES.ConfigMap, namespace, name, patch, { manager: MANAGER });
  const graces = [...there.found.values()].filter(isDeployment).map(graceSeconds);
  return { slug, id, uid, graceMs: Math.max(0, ...graces) * 1000 + SLACK_MS };
}

function unreadable(id: string, broken: string): ClusterError {
  return new ClusterError(
    'INVALID_MODEL_CONFIG',
    `the definition of ${id} cannot be read (${broken}); deploy it again, or remove its objects with kubectl`,
  );
}

/** A removal that only Git may do is answered with what it would take away. */
function refuse(site: Site, sight: Sight, rules: () => void): void {
  const prunes = [...sight.there.found.values()];
  const plan = (): readonly object[] => planDetails({ writes: [], prunes });
  try {
    rules();
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'READ_ONLY') throw error;
    throw readOnly(error.message, plan());
  }
  if (!site.gitops) return;
  throw readOnly(
    'definitions come from Git alone (kubernetes.mode: gitops); remove the model there',
    plan(),
  );
}

/**
 * Marks a model as on its way out, so that routers send it nothing any more.
 * @throws ClusterError
 */
export async function markLeaving(
  site: Site,
  model: { readonly slug: string; readonly id: string },
  options: RemoveOptions,
): Promise<Leaving> {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await markOnce(site, model.slug, model.id, options);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (!isRace(error) || left <= 1) throw refusalOf(`model ${model.id}`, error);
    }
  }
}

/** What is there of the very model that leaves; undefined when that is gone, or came again. */
async function stillLeaving(site: Site, { slug, uid }: Leaving): Promise<Sight | undefined> {
  const sight = await look(site, slug);
  const { there, stored } = sight;
  return there.holder?.metadata.uid === uid && stored?.deleting === true ? sight : undefined;
}

/** Ends its pods: they finish what they are at, for as long as their grace lasts. */
export async function endPods(site: Site, leaving: Leaving, manager: string): Promise<void> {
  const sight = await stillLeaving(site, leaving);
  if (sight === undefined) return;
  const objects = objectsIn(sight, fieldManagerOf(manager));
  // The autoscaler first: it would look for what it scales.
  await removeAll(site.api, objects.filter(isAutoscaler));
  await removeAll(site.api, objects.filter(isDeployment));
}

/** Takes away all that is left, the definition last. */
export async function removeRest(site: Site, leaving: Leaving, manager: string): Promise<void> {
  const sight = await stillLeaving(site, leaving);
  if (sight === undefined) return;
  const { holder, revisions } = sight.there;
  await removeAll(site.api, objectsIn(sight, fieldManagerOf(manager)));
  await removeAll(site.api, revisions);
  await asked(
    'state',
    site.states.rewrite(leaving.slug, () => ({ states: [] })),
  );
  if (holder !== undefined) await removeAll(site.api, [holder]);
}
