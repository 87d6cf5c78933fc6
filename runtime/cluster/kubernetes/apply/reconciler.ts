import type { KeyedQueue } from '../../../shared/keyed-queue';
import { messageOf } from '../../../core/lifecycle/fault';
import type { Why } from '../../port';
import { OWN_MANAGERS } from '../../port';
import { finishModel } from './apply';
import type { CachedModel } from '../cache/namespace-cache';
import { renderedFrom } from './stored-definition';
import type { OverridesState } from './overrides-state';
import { isReconciled } from './overrides-state';
import { reconcileOverrides } from './reconcile-overrides';
import type { ApplyContext } from './apply-context';
import { mapApiError } from './apply-context';
import type { OverridesStore } from './overrides-store';
import type { Timing } from '../client/timing';
import type { ClusterCache } from '../cache/cluster-cache';

/** Interval of the search for unfinished changes. */
const LOOK_MS = 5000;
/** A change that takes longer counts as interrupted. */
const PATIENCE_MS = 30_000;
/** Jitter, so that one router is first and the others find the work done. */
const SPREAD_MS = 15_000;
/** Pause before a failed change is retried. */
const PAUSE_MS = 60_000;

/** The unfinished work of a model. */
export type ReconcileAction = 'finish' | 'reconcile' | 'forget';

export interface ReconcileInput {
  readonly model: CachedModel | undefined;
  readonly overrides: OverridesState;
  readonly gitops: boolean;
}

/** True when the Deployments match the definition, or another manager owns it. */
function isFinished({ definition, deployments }: CachedModel): boolean {
  const { spec, hash, manager, deleting } = definition;
  if (deleting || !OWN_MANAGERS.has(manager)) return true;
  const current = deployments.filter((deployment) => renderedFrom(deployment) === hash);
  return current.length === spec.arms.length && deployments.length === current.length;
}

/** The work to do for a model, if any. Pure. */
export function reconcileActionOf({
  model,
  overrides,
  gitops,
}: ReconcileInput): ReconcileAction | undefined {
  const isEmpty = overrides.states.length === 0 && overrides.starting !== true;
  if (model === undefined) return isEmpty ? undefined : 'forget';
  if (!gitops && !isFinished(model)) return 'finish';
  return isReconciled(overrides, model.definition.hash) ? undefined : 'reconcile';
}

export interface ReconcilerOptions {
  readonly cache: ClusterCache;
  readonly timing: Timing;
  readonly turns: KeyedQueue;
  readonly overrides: OverridesStore;
  readonly gitops: boolean;
  readonly contextOf: (slug: string) => ApplyContext;
  readonly warn: (message: string) => void;
}

async function act(
  { overrides, contextOf, cache }: ReconcilerOptions,
  slug: string,
  action: ReconcileAction,
) {
  const model = cache.find(slug);
  if (action === 'forget')
    await mapApiError(
      'state',
      overrides.update(slug, (now) => (cache.find(slug) ? now : { states: [] })),
    );
  else if (action === 'finish') await finishModel(contextOf(slug), slug);
  else if (model !== undefined)
    await reconcileOverrides(contextOf(slug), model.definition.spec, model.definition.hash);
}

/** Status of a stored definition whose objects could not be applied. */
function unfinished(error: unknown, slug: string, since: number): Why {
  const message = `the definition could not be applied in full: ${messageOf(error)}; correct the definition or that cause; the service tries again`;
  return { cause: 'not-applied', message, object: `model ${slug}`, since };
}

/** Periodically finishes changes that were interrupted. */
export function startReconciler(options: ReconcilerOptions): () => void {
  const { cache, timing, turns, gitops, warn } = options;
  const due = new Map<string, number>();
  const reconcileAll = (): void => {
    const slugs = new Set([
      ...cache.slugsWithOverrides(),
      ...cache.models().map(({ slug }) => slug),
    ]);
    for (const slug of due.keys()) if (!slugs.has(slug)) due.delete(slug);
    for (const slug of slugs) {
      try {
        reconcileModel(slug);
      } catch (error) {
        reportFailure(slug, error);
      }
    }
  };
  const reconcileModel = (slug: string): void => {
    const input = { model: cache.find(slug), overrides: cache.overrides(slug), gitops };
    const action = reconcileActionOf(input);
    if (action !== undefined) return runWhenDue(slug, action);
    due.delete(slug);
    cache.setFault(slug, undefined);
  };
  /** An error of one model becomes its status; the others go on. */
  const reportFailure = (slug: string, error: unknown): void => {
    cache.setFault(slug, unfinished(error, slug, timing.now()));
    warn(`model ${slug}: ${messageOf(error)}`);
  };
  const runWhenDue = (slug: string, action: ReconcileAction): void => {
    const now = timing.now();
    const since = due.get(slug) ?? now + PATIENCE_MS + timing.random() * SPREAD_MS;
    due.set(slug, since);
    if (now < since) return;
    due.set(slug, now + PAUSE_MS);
    turns
      .run(slug, () => act(options, slug, action))
      .then(() => cache.setFault(slug, undefined))
      .catch((error: unknown) => reportFailure(slug, error));
  };
  let cancel = (): void => undefined;
  const again = (): void => {
    cancel = timing.after(() => {
      again();
      if (cache.phase() === 'synced') reconcileAll();
    }, LOOK_MS);
  };
  again();
  return () => cancel();
}
