import { objectsOf } from '../../../../lib/objects';
import { definitionName } from '../../../../lib/objects/configmap';
import type { ModelSpec } from '../../../../lib/spec';
import { parseModel } from '../../../../lib/spec';
import type { Applied, ApplyOptions, ModelOverrides } from '../../port';
import { ClusterError, OWN_MANAGERS } from '../../port';
import type { Applying, Stored } from '../../registry';
import { applyTo } from '../../registry';
import type { KubeObject } from '../client/api';
import { definitionText, stamped } from './stored-definition';
import { KubeError } from '../client/api-error';
import { withHeldFiles } from './config-files';
import { keepHistory } from './history';
import type { Sight } from './live-objects';
import { lookAt, lookFor, sightOf } from './live-objects';
import { definitionWriter, fieldManagerOf, isWrittenBy } from './field-owner';
import type { Plan } from './apply-plan';
import { isWhole, planDetails, planOf } from './apply-plan';
import { isKeepable, permit } from './policy-check';
import { RESOURCES } from '../client/resources';
import { replaced, withNext } from './overrides-state';
import { isRace, refusalOf } from './apply-refusal';
import { settleState } from './reconcile-overrides';
import type { Site } from './apply-context';
import { asked, readOnly } from './apply-context';
import type { Writer } from './object-writer';
import { claimName, put, rehearse, removeAll, takeOver } from './object-writer';

/** Each lost race means that another writer has won one: so many in a row are no accident. */
const TRIES = 6;

/** A definition on its way into the cluster. */
interface Work {
  readonly site: Site;
  readonly spec: ModelSpec;
  readonly options: ApplyOptions;
  readonly sight: Sight;
  readonly applying: Applying;
  readonly plan: Plan;
  readonly writer: Writer;
  /** The field manager it is taken over from. */
  readonly former: string | undefined;
}

const isOwn = (manager: string): boolean => OWN_MANAGERS.has(manager);

/** The field manager a model is taken over from; undefined when it stays where it is. */
function formerOf(
  { definition, there }: Sight,
  { manager, force }: ApplyOptions,
): string | undefined {
  if (force !== true || there.holder === undefined) return undefined;
  const former = definitionWriter(there.holder)?.manager;
  const owner = definition?.manager ?? former;
  return owner === manager || former === fieldManagerOf(manager) ? undefined : former;
}

/** Files of revisions that can still be gone back to. */
function keptNames({ files }: Sight, { history }: Stored): ReadonlySet<string> {
  const digests = new Set(history.flatMap(({ artifacts }) => Object.values(artifacts ?? {})));
  const kept = files.filter(({ sha256 }) => digests.has(sha256));
  return new Set(kept.map(({ configMap }) => `ConfigMap/${configMap}`));
}

/** A definition of ours that was damaged is simply replaced; somebody else's is theirs to mend. */
function refuseBroken(
  { broken, there }: Sight,
  { id }: ModelSpec,
  { manager, force }: ApplyOptions,
) {
  const writer = there.holder === undefined ? undefined : definitionWriter(there.holder)?.manager;
  if (broken === undefined || writer === undefined || force === true) return;
  if (writer === fieldManagerOf(manager)) return;
  throw readOnly(
    `model ${id} is written by ${writer}, and its definition cannot be read (${broken}); mend it there, or take it over with force=true`,
    [],
  );
}

/** The rules of the port; a refusal because of the owner says what would have been done. */
function decide(
  site: Site,
  sight: Sight,
  proposal: Parameters<typeof applyTo>[1],
  plan: () => Plan,
) {
  const { stored } = sight;
  const { spec } = proposal;
  try {
    const applying = applyTo(new Map(stored && [[stored.id, stored]]), proposal);
    const touches = applying.changed || applying.stored.manager !== stored?.manager;
    if (!site.gitops || !touches) return applying;
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'READ_ONLY') throw error;
    throw readOnly(error.message, planDetails(plan()));
  }
  throw readOnly(
    `definitions come from Git alone (kubernetes.mode: gitops); change model ${spec.id} there, the details say how`,
    planDetails(plan()),
  );
}

async function prepare(site: Site, given: ModelSpec, options: ApplyOptions): Promise<Work> {
  const { slug, id } = given;
  const remembered = await asked(id, site.states.read(slug));
  const sight = sightOf(slug, await asked(id, lookAt(site, slug)), remembered);
  refuseBroken(sight, given, options);
  const { spec, artifacts } = withHeldFiles(given, sight.stored, sight.files);
  const wanted = objectsOf(spec, site.environment) as readonly KubeObject[];
  const found = await asked(id, lookFor(site, sight.there, wanted));
  const former = formerOf(sight, options);
  const manager = fieldManagerOf(options.manager);
  const plan = (stored: Stored | undefined, ...managers: readonly (string | undefined)[]): Plan =>
    planOf({
      slug,
      wanted,
      found,
      managers: new Set(managers.filter((one) => one !== undefined)),
      kept: stored === undefined ? new Set() : keptNames(sight, stored),
    });
  const proposal = { spec, options, artifacts, now: site.now() };
  const { holder } = sight.there;
  const owner = holder && definitionWriter(holder)?.manager;
  // What a refusal shows is what the owner would have to do.
  const applying = decide(site, sight, proposal, () => plan(sight.stored, owner));
  const writer = { api: site.api, manager, force: options.force === true };
  return {
    site,
    spec,
    options,
    sight,
    applying,
    plan: plan(applying.stored, manager, former),
    writer,
    former,
  };
}

const isHolder = ({ spec }: Work, object: KubeObject): boolean =>
  object.kind === 'ConfigMap' && object.metadata.name === definitionName(spec.slug);

/** What follows from a definition that is in place, in order; what it no longer has goes last. */
async function follow(work: Work, holder: KubeObject): Promise<void> {
  const { site, spec, plan, writer, applying } = work;
  const later = plan.writes.filter(
    ({ object }) => object['immutable'] !== true && !isHolder(work, object),
  );
  for (const { object } of later) await put(writer, object);
  await removeAll(site.api, plan.prunes);
  const { stored } = applying;
  const isKept = isKeepable(site, work.sight);
  const history = stored.history.filter((one) => one.hash === stored.hash || isKept(one));
  if (site.history)
    await asked('history', keepHistory(site.api, holder, history, work.sight.there.revisions));
  await settleState(site, spec, applying.stored.hash);
}

/** Where definitions are replaced one after the other, whoever does it. */
async function claim(work: Work): Promise<KubeObject> {
  const { plan, writer, applying, sight, former } = work;
  const object = plan.writes.find((write) => isHolder(work, write.object))?.object;
  if (object === undefined) throw new Error('a model has a definition');
  let holder = sight.there.holder ?? (await claimName(writer, object));
  if (former !== undefined) holder = await takeOver(writer, holder);
  const { resourceVersion } = holder.metadata;
  const definition = stamped(object, applying.stored);
  const metadata = { ...definition.metadata, resourceVersion };
  return writer.api.apply({ ...definition, metadata }, writer);
}

function stateOf({ options, applying }: Work): ModelOverrides | undefined {
  const { state } = options;
  return state === undefined ? undefined : { ...state, hash: applying.stored.hash };
}

/** From here on the new definition holds; whatever is left undone is finished by a later look. */
async function proceed(work: Work, holder: KubeObject): Promise<void> {
  try {
    await follow(work, holder);
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    const { revision, id } = work.applying.stored;
    throw new ClusterError(
      error.code,
      `${error.message}; revision ${revision} of ${id} is stored, and the service goes on trying to finish it`,
      error.details,
    );
  }
}

/** The way in whose callers are not those who own the cluster. */
const REST = 'rest';

async function change(work: Work): Promise<Applied> {
  const { site, spec, sight, applying, plan, writer, former } = work;
  const { revision, hash } = applying.stored;
  if (work.options.manager === REST) permit(site, sight, spec);
  await rehearse(writer, plan);
  const state = stateOf(work);
  await asked(
    'state',
    site.states.rewrite(spec.slug, (now) => withNext(now, sight.stored?.hash, state, hash)),
  );
  if (former !== undefined) await takeOverAll(work, former);
  for (const { object } of plan.writes.filter((write) => write.object['immutable'] === true))
    await put(writer, object);
  const holder = await claim(work);
  await proceed(work, holder);
  await overtaken(work, holder);
  return { revision, changed: true };
}

/** All but the definition, which comes last: cut off before, the model is still the other's. */
async function takeOverAll(work: Work, former: string): Promise<void> {
  const { sight, writer } = work;
  const theirs = [...sight.there.found.values()].filter(
    (object) => !isHolder(work, object) && isWrittenBy(object, former),
  );
  for (const object of theirs) await takeOver(writer, object);
}

/** Our later writes may have come after those of a newer definition: then that one has the last word. */
async function overtaken({ site, spec }: Work, holder: KubeObject): Promise<void> {
  const now = await asked(
    spec.id,
    site.api.get(RESOURCES.ConfigMap, site.namespace, holder.metadata.name),
  );
  if (now === undefined || definitionText(now) === definitionText(holder)) return;
  await finishModel(site, spec.slug);
}

/** The definition is there already: at most its owner, what is remembered, or an end that was cut off. */
async function keep(work: Work, isJudged: boolean): Promise<Applied> {
  const { site, spec, sight, applying, plan, writer, former, options } = work;
  const { revision, hash, manager } = applying.stored;
  const { holder } = sight.there;
  const owns = fieldManagerOf(manager) === writer.manager;
  const isUndone = !site.gitops && owns && holder !== undefined && !isWhole(plan);
  if (isUndone && isJudged) permit(site, sight, spec);
  if (former !== undefined && holder !== undefined) {
    await takeOverAll(work, former);
    await claim(work);
  }
  if (options.state !== undefined) {
    const state = stateOf(work);
    await asked(
      'state',
      site.states.rewrite(spec.slug, (now) => replaced(now, hash, state)),
    );
    await settleState(site, spec, hash);
  }
  if (isUndone) await proceed(work, holder);
  return { revision, changed: false };
}

/**
 * Brings a definition into the cluster: everything is rehearsed, then the definition is replaced on
 * the condition that it still is what was looked at, then the rest follows from it.
 * @throws ClusterError, DefinitionError
 */
export async function applyModel(
  site: Site,
  spec: ModelSpec,
  options: ApplyOptions,
): Promise<Applied> {
  const isByRest = options.manager === REST;
  for (let left = TRIES; ; left -= 1) {
    const work = await prepare(site, spec, options);
    try {
      return work.applying.changed ? await change(work) : await keep(work, isByRest);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (!isRace(error) || left <= 1) throw refusalOf(`model ${spec.id}`, error);
    }
  }
}

/**
 * Finishes a definition of ours that was stored and not followed to its end.
 * @throws ClusterError, DefinitionError
 */
export async function finishModel(site: Site, slug: string): Promise<void> {
  const sight = sightOf(slug, await asked(slug, lookAt(site, slug)), { states: [] });
  const { stored } = sight;
  if (stored === undefined || stored.deleting || !isOwn(stored.manager)) return;
  const options = { by: stored.history[0]?.by ?? '', manager: stored.manager };
  const work = await prepare(site, parseModel(stored.definition), options);
  // What is stored may have been written past us: our rights are lent to it as little as to REST.
  if (!work.applying.changed) await keep(work, true);
}
