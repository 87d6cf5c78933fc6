import { objectsOf } from '../../../../lib/objects';
import { definitionName } from '../../../../lib/objects/configmap';
import type { ModelSpec } from '../../../../lib/spec';
import { parseModel } from '../../../../lib/spec';
import type { Applied, ApplyOptions, ModelOverrides } from '../../port';
import { ClusterError, OWN_MANAGERS } from '../../port';
import type { ApplyOutcome, StoredModel } from '../../registry';
import { applyTo } from '../../registry';
import type { KubeObject } from '../client/api';
import { definitionText, withAppliedRevision } from './stored-definition';
import { withConfigMapFiles } from './config-files';
import { keepHistory } from './history';
import type { LiveModel } from './live-objects';
import { readLiveObjects, readWantedObjects, liveModelOf } from './live-objects';
import { definitionWriter, fieldManagerOf, isWrittenBy } from './field-owner';
import type { ApplyPlan } from './apply-plan';
import { isFullyApplied, planDetails, planOf } from './apply-plan';
import { isKeepable, checkPolicy } from './policy-check';
import { retryOnConflict } from '../client/request-retry';
import { RESOURCES } from '../client/resources';
import { replaced, withNext } from './overrides-state';
import { reconcileOverrides } from './reconcile-overrides';
import type { ApplyContext } from './apply-context';
import { mapApiError, readOnlyError } from './apply-context';
import type { ObjectWriter } from './object-writer';
import { claimName, applyObject, dryRun, deleteAll, takeOver } from './object-writer';

/** A change that applies a definition. */
interface ApplyTask {
  readonly context: ApplyContext;
  readonly spec: ModelSpec;
  readonly options: ApplyOptions;
  readonly live: LiveModel;
  readonly applying: ApplyOutcome;
  readonly plan: ApplyPlan;
  readonly writer: ObjectWriter;
  /** The field manager that the model is taken over from. */
  readonly former: string | undefined;
}

const isOwn = (manager: string): boolean => OWN_MANAGERS.has(manager);

/** The field manager that a model is taken over from; undefined when its owner does not change. */
function formerOf(
  { definition, objects }: LiveModel,
  { manager, force }: ApplyOptions,
): string | undefined {
  if (force !== true || objects.holder === undefined) return undefined;
  const former = definitionWriter(objects.holder)?.manager;
  const owner = definition?.manager ?? former;
  return owner === manager || former === fieldManagerOf(manager) ? undefined : former;
}

/** Names of the file ConfigMaps of revisions that a rollback may need. */
function keptNames({ files }: LiveModel, { history }: StoredModel): ReadonlySet<string> {
  const digests = new Set(history.flatMap(({ artifacts }) => Object.values(artifacts ?? {})));
  const kept = files.filter(({ sha256 }) => digests.has(sha256));
  return new Set(kept.map(({ configMap }) => `ConfigMap/${configMap}`));
}

/**
 * A damaged definition of the service is replaced; a damaged one of another manager is left to that
 * manager.
 */
function refuseBroken(
  { broken, objects }: LiveModel,
  { id }: ModelSpec,
  { manager, force }: ApplyOptions,
) {
  const writer =
    objects.holder === undefined ? undefined : definitionWriter(objects.holder)?.manager;
  if (broken === undefined || writer === undefined || force === true) return;
  if (writer === fieldManagerOf(manager)) return;
  throw readOnlyError(
    `model ${id} is written by ${writer}, and its definition cannot be read (${broken}); correct it there, or take it over with force=true`,
    [],
  );
}

/** The rules of the port; a refusal because of the owner contains the plan of the change. */
function decide(
  context: ApplyContext,
  live: LiveModel,
  proposal: Parameters<typeof applyTo>[1],
  plan: () => ApplyPlan,
) {
  const { stored } = live;
  const { spec } = proposal;
  try {
    const applying = applyTo(new Map(stored && [[stored.id, stored]]), proposal);
    const touches = applying.changed || applying.stored.manager !== stored?.manager;
    if (!context.gitops || !touches) return applying;
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'READ_ONLY') throw error;
    throw readOnlyError(error.message, planDetails(plan()));
  }
  throw readOnlyError(
    `definitions come from Git alone (kubernetes.mode: gitops); change model ${spec.id} there, the details say how`,
    planDetails(plan()),
  );
}

async function prepare(
  context: ApplyContext,
  given: ModelSpec,
  options: ApplyOptions,
): Promise<ApplyTask> {
  const { slug, id } = given;
  const overrides = await mapApiError(id, context.overrides.read(slug));
  const live = liveModelOf(slug, await mapApiError(id, readLiveObjects(context, slug)), overrides);
  refuseBroken(live, given, options);
  const { spec, artifacts } = withConfigMapFiles(given, live.stored, live.files);
  const wanted = objectsOf(spec, context.environment) as readonly KubeObject[];
  const found = await mapApiError(id, readWantedObjects(context, live.objects, wanted));
  const former = formerOf(live, options);
  const manager = fieldManagerOf(options.manager);
  const plan = (
    stored: StoredModel | undefined,
    ...managers: readonly (string | undefined)[]
  ): ApplyPlan =>
    planOf({
      slug,
      wanted,
      found,
      managers: new Set(managers.filter((one) => one !== undefined)),
      kept: stored === undefined ? new Set() : keptNames(live, stored),
    });
  const proposal = { spec, options, artifacts, now: context.now() };
  const { holder } = live.objects;
  const owner = holder && definitionWriter(holder)?.manager;
  // A refusal shows the plan that the owner would have to apply.
  const applying = decide(context, live, proposal, () => plan(live.stored, owner));
  const writer = { api: context.api, manager, force: options.force === true };
  return {
    context,
    spec,
    options,
    live,
    applying,
    plan: plan(applying.stored, manager, former),
    writer,
    former,
  };
}

const isHolder = ({ spec }: ApplyTask, object: KubeObject): boolean =>
  object.kind === 'ConfigMap' && object.metadata.name === definitionName(spec.slug);

/**
 * Applies the rest of a stored definition, in order; objects that it no longer has are deleted
 * last.
 */
async function follow(task: ApplyTask, holder: KubeObject): Promise<void> {
  const { context, spec, plan, writer, applying } = task;
  const later = plan.writes.filter(
    ({ object }) => object['immutable'] !== true && !isHolder(task, object),
  );
  for (const { object } of later) await applyObject(writer, object);
  await deleteAll(context.api, plan.prunes);
  const { stored } = applying;
  const isKept = isKeepable(context, task.live);
  const history = stored.history.filter((one) => one.hash === stored.hash || isKept(one));
  if (context.history)
    await mapApiError(
      'history',
      keepHistory(context.api, holder, history, task.live.objects.revisions),
    );
  await reconcileOverrides(context, spec, applying.stored.hash);
}

/** Replaces the definition; concurrent changes are serialized by it. */
async function claim(task: ApplyTask): Promise<KubeObject> {
  const { plan, writer, applying, live, former } = task;
  const object = plan.writes.find((write) => isHolder(task, write.object))?.object;
  if (object === undefined) throw new Error('a model has a definition');
  let holder = live.objects.holder ?? (await claimName(writer, object));
  if (former !== undefined) holder = await takeOver(writer, holder);
  const { resourceVersion } = holder.metadata;
  const definition = withAppliedRevision(object, applying.stored);
  const metadata = { ...definition.metadata, resourceVersion };
  return writer.api.apply({ ...definition, metadata }, writer);
}

function stateOf({ options, applying }: ApplyTask): ModelOverrides | undefined {
  const { state } = options;
  return state === undefined ? undefined : { ...state, hash: applying.stored.hash };
}

/** The new definition is stored; the reconciler finishes work that fails here. */
async function proceed(task: ApplyTask, holder: KubeObject): Promise<void> {
  try {
    await follow(task, holder);
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    const { revision, id } = task.applying.stored;
    throw new ClusterError(
      error.code,
      `${error.message}; revision ${revision} of ${id} is stored, and the service goes on trying to finish it`,
      error.details,
    );
  }
}

/** Callers of REST do not have the rights of the service account. */
const REST = 'rest';

async function change(task: ApplyTask): Promise<Applied> {
  const { context, spec, live, applying, plan, writer, former } = task;
  const { revision, hash } = applying.stored;
  if (task.options.manager === REST) checkPolicy(context, live, spec);
  await dryRun(writer, plan);
  const state = stateOf(task);
  await mapApiError(
    'state',
    context.overrides.update(spec.slug, (now) => withNext(now, live.stored?.hash, state, hash)),
  );
  if (former !== undefined) await takeOverAll(task, former);
  for (const { object } of plan.writes.filter((write) => write.object['immutable'] === true))
    await applyObject(writer, object);
  const holder = await claim(task);
  await proceed(task, holder);
  await overtaken(task, holder);
  return { revision, changed: true };
}

/**
 * Takes over all objects but the definition, which comes last: after an interruption the model
 * still belongs to the former manager.
 */
async function takeOverAll(task: ApplyTask, former: string): Promise<void> {
  const { live, writer } = task;
  const theirs = [...live.objects.found.values()].filter(
    (object) => !isHolder(task, object) && isWrittenBy(object, former),
  );
  for (const object of theirs) await takeOver(writer, object);
}

/**
 * Another definition may have been stored before our last writes: then that one is applied again.
 */
async function overtaken({ context, spec }: ApplyTask, holder: KubeObject): Promise<void> {
  const now = await mapApiError(
    spec.id,
    context.api.get(RESOURCES.ConfigMap, context.namespace, holder.metadata.name),
  );
  if (now === undefined || definitionText(now) === definitionText(holder)) return;
  await finishModel(context, spec.slug);
}

/**
 * The definition is stored already: writes at most its owner, its overrides, and unfinished work.
 */
async function keep(task: ApplyTask, isPolicyChecked: boolean): Promise<Applied> {
  const { context, spec, live, applying, plan, writer, former, options } = task;
  const { revision, hash, manager } = applying.stored;
  const { holder } = live.objects;
  const owns = fieldManagerOf(manager) === writer.manager;
  const isUndone = !context.gitops && owns && holder !== undefined && !isFullyApplied(plan);
  if (isUndone && isPolicyChecked) checkPolicy(context, live, spec);
  if (former !== undefined && holder !== undefined) {
    await takeOverAll(task, former);
    await claim(task);
  }
  if (options.state !== undefined) {
    const state = stateOf(task);
    await mapApiError(
      'state',
      context.overrides.update(spec.slug, (now) => replaced(now, hash, state)),
    );
    await reconcileOverrides(context, spec, hash);
  }
  if (isUndone) await proceed(task, holder);
  return { revision, changed: false };
}

/**
 * Applies a definition: checks everything by a dry run, replaces the definition on the condition
 * that it is unchanged, then applies the rest.
 * @throws ClusterError, DefinitionError
 */
export async function applyModel(
  context: ApplyContext,
  spec: ModelSpec,
  options: ApplyOptions,
): Promise<Applied> {
  const attempt = async (): Promise<Applied> => {
    const task = await prepare(context, spec, options);
    return task.applying.changed ? change(task) : keep(task, options.manager === REST);
  };
  return mapApiError(`model ${spec.id}`, retryOnConflict(attempt));
}

/**
 * Finishes a definition that the service stored and did not apply completely.
 * @throws ClusterError, DefinitionError
 */
export async function finishModel(context: ApplyContext, slug: string): Promise<void> {
  const live = liveModelOf(slug, await mapApiError(slug, readLiveObjects(context, slug)), {
    states: [],
  });
  const { stored } = live;
  if (stored === undefined || stored.deleting || !isOwn(stored.manager)) return;
  const options = { by: stored.history[0]?.by ?? '', manager: stored.manager };
  const task = await prepare(context, parseModel(stored.definition), options);
  // The stored definition may have been written past the service, so the policy of REST holds for
  // it, too.
  if (!task.applying.changed) await keep(task, true);
}
