import type { Environment } from '../../../../lib/spec';
import { MODEL_LABEL } from '../../../../lib/objects';
import { definitionName } from '../../../../lib/objects/configmap';
import type { StoredModel } from '../../registry';
import type { KubeApi, KubeList, KubeObject } from '../client/api';
import type { Definition } from './stored-definition';
import { definitionText, presentRevision, readDefinition } from './stored-definition';
import { filesInUse, filesOf } from './config-files';
import type { ConfigMapFile } from './config-files';
import { historyOf } from './history';
import type { ObjectsByKindName } from './apply-plan';
import { kindNameOf } from './apply-plan';
import type { OverridesState } from './overrides-state';
import { overridesFor } from './overrides-state';
import type { Resource } from '../client/resources';
import { RESOURCES, resourceOf } from '../client/resources';

/** The kinds that `objectsOf` renders. */
const KINDS: readonly Resource[] = [
  RESOURCES.ServiceAccount,
  RESOURCES.ConfigMap,
  RESOURCES.NetworkPolicy,
  RESOURCES.Service,
  RESOURCES.PersistentVolumeClaim,
  RESOURCES.Job,
  RESOURCES.Deployment,
  RESOURCES.HorizontalPodAutoscaler,
  RESOURCES.PodDisruptionBudget,
];

/** Only where the Prometheus operator is installed. */
const MONITORING: readonly Resource[] = [RESOURCES.PodMonitor, RESOURCES.PrometheusRule];

export function kindsOf({ monitoring }: Environment): readonly Resource[] {
  return monitoring.style === 'operator' ? [...KINDS, ...MONITORING] : KINDS;
}

const PAGE = 500;

/** All objects of a model in the cluster. */
export interface LiveObjects {
  /** The model's ConfigMap, with or without a definition. */
  readonly holder: KubeObject | undefined;
  readonly found: ObjectsByKindName;
  readonly revisions: readonly KubeObject[];
}

async function listAll(
  api: KubeApi,
  resource: Resource,
  namespace: string,
  labelSelector: string,
): Promise<readonly KubeObject[]> {
  const all: KubeObject[] = [];
  let next: string | undefined;
  do {
    const options = { labelSelector, limit: PAGE, ...(next !== undefined && { continue: next }) };
    const page: KubeList = await api.list(resource, namespace, options);
    all.push(...page.items);
    next = page.continue;
  } while (next !== undefined);
  return all;
}

export interface LiveQuery {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly kinds: readonly Resource[];
  /** False in gitops mode: Git has the history, and the Role does not allow the list. */
  readonly history: boolean;
}

export async function readLiveObjects(options: LiveQuery, slug: string): Promise<LiveObjects> {
  const { api, namespace, kinds, history } = options;
  const selector = `${MODEL_LABEL}=${slug}`;
  const [holder, revisions, ...lists] = await Promise.all([
    api.get(RESOURCES.ConfigMap, namespace, definitionName(slug)),
    history ? listAll(api, RESOURCES.ControllerRevision, namespace, selector) : [],
    ...kinds.map((kind) => listAll(api, kind, namespace, selector)),
  ]);
  const found = new Map(lists.flat().map((object) => [kindNameOf(object), object]));
  // The definition is read by name, because without its label the list does not contain it.
  if (holder !== undefined) found.set(kindNameOf(holder), holder);
  return { holder, found, revisions };
}

/** Adds objects of other owners that have the name of a wanted object. */
export async function readWantedObjects(
  { api, namespace }: LiveQuery,
  { found }: LiveObjects,
  wanted: readonly KubeObject[],
): Promise<ObjectsByKindName> {
  const unknown = wanted.filter((object) => !found.has(kindNameOf(object)));
  const live = await Promise.all(
    unknown.map((object) => api.get(resourceOf(object), namespace, object.metadata.name)),
  );
  const more = live.filter((object) => object !== undefined);
  return new Map([...found, ...more.map((object) => [kindNameOf(object), object] as const)]);
}

/** The live objects of a model, parsed. */
export interface LiveModel {
  readonly objects: LiveObjects;
  /** Undefined: there is none, or its ConfigMap was created without a text. */
  readonly definition: Definition | undefined;
  /** Reason why the stored definition is invalid. */
  readonly broken: string | undefined;
  readonly files: readonly ConfigMapFile[];
  readonly stored: StoredModel | undefined;
}

function storedOf(
  definition: Definition,
  objects: LiveObjects,
  files: readonly ConfigMapFile[],
  state: OverridesState,
) {
  const { spec, hash, revision, manager, createdAt, updatedAt, deleting, object } = definition;
  const present = presentRevision(definition, filesInUse(spec, objects.found, files));
  const stored: StoredModel = {
    id: spec.id,
    definition: spec.definition,
    revision,
    hash,
    manager,
    createdAt,
    updatedAt,
    deleting,
    state: overridesFor(state, hash),
    history: historyOf(present, objects.revisions, object.metadata.uid),
  };
  return stored;
}

/** Parses the live objects. Never throws: an invalid definition is reported as `broken`. */
export function liveModelOf(
  slug: string,
  objects: LiveObjects,
  overrides: OverridesState,
): LiveModel {
  const files = filesOf(slug, objects.found.values());
  const nothing = { objects, files, definition: undefined, stored: undefined, broken: undefined };
  const { holder } = objects;
  if (holder === undefined || definitionText(holder) === undefined) return nothing;
  try {
    const definition = readDefinition(holder);
    return { ...nothing, definition, stored: storedOf(definition, objects, files, overrides) };
  } catch (error) {
    return { ...nothing, broken: (error as Error).message };
  }
}
