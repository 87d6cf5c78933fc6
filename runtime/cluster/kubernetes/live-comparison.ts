import type { Environment, ModelSpec } from '../../../lib/spec';
import type { KubeObject as PlannedObject } from '../../../lib/objects';
import { MANAGER, objectsOf, PREFIX } from '../../../lib/objects';
import { clusterErrorOf } from './apply/apply-refusal';
import { kindNameOf } from './apply/apply-plan';
import { definitionWriter, isWrittenBy, unionOfFields } from './apply/field-owner';
import type { LiveQuery } from './apply/live-objects';
import { kindsOf, readLiveObjects, readWantedObjects } from './apply/live-objects';
import { ownedObject } from './apply/owned-fields';
import { readDefinition } from './apply/stored-definition';
import type { AccessOptions } from './client/access';
import type { KubeApi, KubeObject } from './client/api';
import { KubeError } from './client/api-error';
import { openKubernetes } from './client/client';

/** A model in the cluster, and as an apply would leave it; only the fields that its writer owns. */
export interface LiveComparison {
  /** The stored definition; undefined: there is none that can be read. */
  readonly spec: ModelSpec | undefined;
  readonly before: readonly PlannedObject[];
  readonly after: readonly PlannedObject[];
  /** Why the API server refuses objects. */
  readonly refusals: readonly string[];
}

export interface LiveReader {
  /** @throws ClusterError when the cluster cannot be asked */
  readonly compare: (spec: ModelSpec, environment: Environment) => Promise<LiveComparison>;
  readonly close: () => void;
}

type Fields = Readonly<Record<string, unknown>>;

/** Fields of a manager, without those of subresources, which others set. */
function fieldsOf(object: KubeObject, manager: string): Fields {
  return (object.metadata.managedFields ?? [])
    .filter((one) => one.manager === manager && one.subresource === undefined)
    .reduce<Fields>((all, { fieldsV1 = {} }) => unionOfFields(all, fieldsV1), {});
}

/** Annotations by which the service remembers who applied what. */
function withoutNotes(object: KubeObject): PlannedObject {
  const { name, namespace, labels = {}, annotations = {} } = object.metadata;
  const kept = Object.entries(annotations).filter(([key]) => !key.startsWith(`${PREFIX}/`));
  const own = kept.length > 0 && { annotations: Object.fromEntries(kept) };
  return { ...object, metadata: { name, namespace, labels, ...own } };
}

interface Sides {
  readonly before: PlannedObject | undefined;
  readonly after: PlannedObject;
}

/** Both sides of one object, with the fields that the manager owns on either. */
function ownedSides(live: KubeObject | undefined, applied: KubeObject, manager: string): Sides {
  const had = live === undefined ? {} : fieldsOf(live, manager);
  const fields = unionOfFields(had, fieldsOf(applied, manager));
  return {
    before: live && withoutNotes(ownedObject(live, fields)),
    after: withoutNotes(ownedObject(applied, fields)),
  };
}

interface Asked {
  readonly api: KubeApi;
  readonly manager: string;
  readonly refusals: string[];
}

/** What a server-side apply would leave; a refused object as it was rendered. */
async function sidesOf(
  { api, manager, refusals }: Asked,
  wanted: KubeObject,
  live: KubeObject | undefined,
): Promise<Sides> {
  try {
    const applied = await api.apply(wanted, { manager, force: true, dryRun: true });
    return ownedSides(live, applied, manager);
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    const refusal = clusterErrorOf(kindNameOf(wanted), error);
    if (refusal.code === 'CLUSTER_UNAVAILABLE') throw refusal;
    refusals.push(refusal.message);
    const before = live && withoutNotes(ownedObject(live, fieldsOf(live, manager)));
    return { before, after: withoutNotes(wanted) };
  }
}

function storedSpec(holder: KubeObject | undefined): ModelSpec | undefined {
  try {
    return holder && readDefinition(holder).spec;
  } catch {
    return undefined;
  }
}

async function compareModel(
  api: KubeApi,
  spec: ModelSpec,
  environment: Environment,
): Promise<LiveComparison> {
  const { namespace } = environment;
  const query: LiveQuery = { api, namespace, kinds: kindsOf(environment), history: false };
  const wanted = objectsOf(spec, environment) as readonly KubeObject[];
  const live = await readLiveObjects(query, spec.slug);
  const found = await readWantedObjects(query, live, wanted);
  const manager = (live.holder && definitionWriter(live.holder)?.manager) ?? MANAGER;
  const refusals: string[] = [];
  const sides = await Promise.all(
    wanted.map((object) =>
      sidesOf({ api, manager, refusals }, object, found.get(kindNameOf(object))),
    ),
  );
  const names = new Set(wanted.map(kindNameOf));
  const gone = [...found.values()]
    .filter((object) => !names.has(kindNameOf(object)) && isWrittenBy(object, manager))
    .map((object) => withoutNotes(ownedObject(object, fieldsOf(object, manager))));
  return {
    spec: storedSpec(live.holder),
    before: [...sides.flatMap(({ before }) => before ?? []), ...gone],
    after: sides.map(({ after }) => after),
    refusals: refusals.sort(),
  };
}

/**
 * Compares definitions with a cluster by server-side dry runs; nothing is changed.
 * @throws ClusterError when there is no access to a cluster
 */
export async function openLiveReader(options: AccessOptions): Promise<LiveReader> {
  const asked = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw error instanceof KubeError ? clusterErrorOf('kubernetes', error) : error;
    }
  };
  const { api } = await asked(openKubernetes(options));
  return {
    compare: (spec, environment) => asked(compareModel(api, spec, environment)),
    close: () => api.close(),
  };
}
