import type { Turns } from '../../../shared/keyed-queue';
import { messageOf } from '../../../core/lifecycle/fault';
import type { Why } from '../../port';
import { OWN_MANAGERS } from '../../port';
import { finishModel } from './apply';
import type { Resident } from '../cache/namespace-cache';
import { renderedFrom } from './stored-definition';
import type { Remembered } from './overrides-state';
import { isSettled } from './overrides-state';
import { settleState } from './reconcile-overrides';
import type { Site } from './apply-context';
import { asked } from './apply-context';
import type { States } from './overrides-store';
import type { Timing } from '../client/timing';
import type { World } from '../cache/cluster-cache';

/** How often the world is looked at for what was left undone. */
const LOOK_MS = 5000;
/** Whoever is at it may take this long; then it was cut off. */
const PATIENCE_MS = 30_000;
/** Routers are equal: one of them will be first, and the others find it done. */
const SPREAD_MS = 15_000;
/** What failed is not tried again at once. */
const PAUSE_MS = 60_000;

/** What was left undone of a model. */
export type Chore = 'finish' | 'settle' | 'forget';

export interface Looked {
  readonly resident: Resident | undefined;
  readonly remembered: Remembered;
  readonly gitops: boolean;
}

/** Are the Deployments those of the definition? Only ours are for us to finish. */
function isFinished({ definition, deployments }: Resident): boolean {
  const { spec, hash, manager, deleting } = definition;
  if (deleting || !OWN_MANAGERS.has(manager)) return true;
  const current = deployments.filter((deployment) => renderedFrom(deployment) === hash);
  return current.length === spec.arms.length && deployments.length === current.length;
}

/** Pure: what there is to be done about a model, if anything. */
export function choreOf({ resident, remembered, gitops }: Looked): Chore | undefined {
  const isEmpty = remembered.states.length === 0 && remembered.starting !== true;
  if (resident === undefined) return isEmpty ? undefined : 'forget';
  if (!gitops && !isFinished(resident)) return 'finish';
  return isSettled(remembered, resident.definition.hash) ? undefined : 'settle';
}

export interface TenderOptions {
  readonly world: World;
  readonly timing: Timing;
  readonly turns: Turns;
  readonly states: States;
  readonly gitops: boolean;
  readonly siteOf: (slug: string) => Site;
  readonly tell: (message: string) => void;
}

async function act({ states, siteOf, world }: TenderOptions, slug: string, chore: Chore) {
  const resident = world.find(slug);
  if (chore === 'forget')
    await asked(
      'state',
      states.rewrite(slug, (now) => (world.find(slug) ? now : { states: [] })),
    );
  else if (chore === 'finish') await finishModel(siteOf(slug), slug);
  else if (resident !== undefined)
    await settleState(siteOf(slug), resident.definition.spec, resident.definition.hash);
}

/** A definition that is stored, and whose objects the cluster does not take. */
function unfinished(error: unknown, slug: string, since: number): Why {
  const message = `what the definition asks for could not be brought about: ${messageOf(error)}; correct the definition, or what it says is in the way; it is tried again`;
  return { cause: 'not-applied', message, object: `model ${slug}`, since };
}

/** Looks now and then for what somebody began and did not end, and ends it. */
export function createTender(options: TenderOptions): () => void {
  const { world, timing, turns, gitops, tell } = options;
  const due = new Map<string, number>();
  const look = (): void => {
    const slugs = new Set([...world.memories(), ...world.residents().map(({ slug }) => slug)]);
    for (const slug of due.keys()) if (!slugs.has(slug)) due.delete(slug);
    for (const slug of slugs) {
      try {
        lookAt(slug);
      } catch (error) {
        failed(slug, error);
      }
    }
  };
  const lookAt = (slug: string): void => {
    const looked = { resident: world.find(slug), remembered: world.remembered(slug), gitops };
    const chore = choreOf(looked);
    if (chore !== undefined) return consider(slug, chore);
    due.delete(slug);
    world.setFault(slug, undefined);
  };
  /** One model's fault is its status; the others are tended. */
  const failed = (slug: string, error: unknown): void => {
    world.setFault(slug, unfinished(error, slug, timing.now()));
    tell(`model ${slug}: ${messageOf(error)}`);
  };
  const consider = (slug: string, chore: Chore): void => {
    const now = timing.now();
    const since = due.get(slug) ?? now + PATIENCE_MS + timing.random() * SPREAD_MS;
    due.set(slug, since);
    if (now < since) return;
    due.set(slug, now + PAUSE_MS);
    turns
      .run(slug, () => act(options, slug, chore))
      .then(() => world.setFault(slug, undefined))
      .catch((error: unknown) => failed(slug, error));
  };
  let cancel = (): void => undefined;
  const again = (): void => {
    cancel = timing.after(() => {
      again();
      if (world.phase() === 'synced') look();
    }, LOOK_MS);
  };
  again();
  return () => cancel();
}
