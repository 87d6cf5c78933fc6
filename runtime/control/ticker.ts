import { parseModel } from '../../lib/spec';
import type { ModelRecord } from '../cluster/port';
import { overridesOf } from '../core/routing/build-table';
import { messageOf } from '../core/lifecycle/fault';
import type {
  ActiveRequests,
  ActiveRequestsByArm,
  PromoteDecision,
} from '../core/release/promotion';
import { decidePromote } from '../core/release/promotion';
import { MANAGER, seen } from './change';
import type { Context } from './context';
import { observe } from './observe';
import { remember } from './remember';
import { beginRemoval } from './removal';
import type { Sleeping } from './idle-sleep';

/** How long a removal may take without anything new before it is begun again, milliseconds. */
const REMOVAL_RETRY_MS = 60_000;

/** Who asks when nobody does: promotions and removals that go on by themselves. */
const BY = 'ai-model-service';

/** What the arms of a model have to do, over all routers; of a silent one as it was at last. */
export function holdingsOf({ ownLoad, routers }: Context, id: string): ActiveRequestsByArm {
  const heard = (routers.others() ?? []).flatMap(({ load }) => load ?? []);
  const holdings = new Map<string, ActiveRequests>();
  const all = [ownLoad(), ...heard].flatMap(({ arms }) => [...arms.values()]);
  for (const { arm, inFlight, queued } of all.filter(({ model }) => model === id)) {
    const sum = holdings.get(arm) ?? { inFlight: 0, queued: 0 };
    holdings.set(arm, { inFlight: sum.inFlight + inFlight, queued: sum.queued + queued });
  }
  return holdings;
}

async function act(
  context: Context,
  record: ModelRecord,
  decision: Exclude<PromoteDecision, { do: 'hold' }>,
): Promise<void> {
  // The fence: whoever lost the lead while it waited leaves this to the one that leads now. What a
  // decision leads to is one write, and the next leader decides on what it finds.
  if (!context.routers.isLeader()) return;
  switch (decision.do) {
    case 'shift':
    case 'return':
      return remember(context, record, decision.state);
    case 'roll':
    case 'finish': {
      const { revision } = await context.cluster.apply(parseModel(decision.definition), {
        by: BY,
        manager: MANAGER,
        ifRevision: record.revision,
        state: decision.state,
      });
      return seen(context, record.spec.id, revision);
    }
  }
}

export interface Ticker {
  /** One look at everything that goes on by itself. A second call while one runs waits for that. */
  readonly tick: () => Promise<void>;
}

/** One kind of thing that goes on by itself: what is to be done now, begun. */
export type Chore = () => readonly Promise<void>[];

function createPromotions(context: Context): Chore {
  const { world, locks, log } = context;
  const told = new Map<string, string>();
  const tell = (model: string, { do: what, reason }: PromoteDecision): void => {
    if (told.get(model) === reason) return;
    told.set(model, reason);
    log.info('promotion', { model, do: what, reason });
  };
  /** Looked at again inside the lock: a call may have changed the model meanwhile. */
  const promote = async (id: string): Promise<void> => {
    const record = world.snapshot().models.get(id);
    if (record === undefined || overridesOf(record)?.promote === undefined) return;
    const decision = decidePromote(record, holdingsOf(context, id));
    tell(id, decision);
    if (decision.do !== 'hold') await act(context, record, decision);
  };
  return () => {
    const due = [...world.snapshot().models.values()].filter(
      (record) => overridesOf(record)?.promote !== undefined,
    );
    for (const id of told.keys()) if (!due.some(({ spec }) => spec.id === id)) told.delete(id);
    return due.map(({ spec: { id } }) => locks.run(id, () => promote(id)));
  };
}

/** Removals that somebody else, or this service before it was restarted, did not bring to an end. */
function createRemovals(context: Context): Chore {
  const { world, clock, removing, routers } = context;
  const since = new Map<string, number>();
  return () => {
    const now = clock.now();
    const going = [...world.snapshot().models.values()].filter(({ deleting }) => deleting);
    for (const id of since.keys()) if (!going.some(({ spec }) => spec.id === id)) since.delete(id);
    for (const { spec } of going) if (!since.has(spec.id)) since.set(spec.id, now);
    const due = going.filter(
      ({ spec: { id } }) => now - (since.get(id) ?? now) >= REMOVAL_RETRY_MS && !removing.has(id),
    );
    return due.map(async ({ spec: { id }, manager }) => {
      if (!routers.isLeader()) return;
      since.set(id, now);
      await beginRemoval(context, id, { by: BY, manager });
    });
  };
}

/** What one chore throws at once is its own result; the other chores are done. */
function begun(chore: Chore): readonly Promise<void>[] {
  try {
    return chore();
  } catch (error) {
    return [Promise.reject(error)];
  }
}

function tryObserve(context: Context): void {
  try {
    observe(context);
  } catch (error) {
    context.log.error('metrics could not be observed', { error: messageOf(error) });
  }
}

export function createTicker(context: Context, { sleep, wake }: Sleeping): Ticker {
  const { log, lag, routers } = context;
  /** One router does these; each looks again whether it is still the one, before it writes. */
  const leaders = [createPromotions(context), createRemovals(context), sleep];
  let running: Promise<void> | undefined;

  const once = async (): Promise<void> => {
    lag.sample();
    tryObserve(context);
    const chores = routers.isLeader() ? [wake, ...leaders] : [wake];
    const results = await Promise.allSettled(chores.flatMap(begun));
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      // The next tick looks again; nothing is half-done that it would not see.
      log.error('a tick could not act', { error: messageOf(result.reason) });
    }
  };
  return {
    tick: () => {
      running ??= once().finally(() => {
        running = undefined;
      });
      return running;
    },
  };
}
