import { parseModel } from '../../lib/spec';
import type { ModelRecord } from '../cluster/port';
import { overridesOf } from '../core/routing/build-table';
import { messageOf } from '../core/lifecycle/fault';
import type { PromoteDecision } from '../core/release/promotion';
import { decidePromote } from '../core/release/promotion';
import { activeRequestsOf, allLoads } from './active-requests';
import { AUTOMATIC_ACTOR, createAutomaticChanges } from './automatic-change';
import { MANAGER, waitForRevision } from './change';
import type { ControlContext, TickTask } from './context';
import { observe } from './observe';
import { storeOverrides } from './overrides';
import { beginRemoval } from './removal';
import { createRollouts, followDecisions } from './rollouts';
import type { IdleSleep } from './idle-sleep';

/** A removal without progress is started again after this long, milliseconds. */
const REMOVAL_RETRY_MS = 60_000;

/** @returns the revision it makes, if it makes one */
async function act(
  context: ControlContext,
  record: ModelRecord,
  decision: Exclude<PromoteDecision, { do: 'hold' }>,
): Promise<number | void> {
  switch (decision.do) {
    case 'shift':
    case 'return':
      return storeOverrides(context, record, decision.state);
    case 'roll':
    case 'finish': {
      const { revision } = await context.cluster.apply(parseModel(decision.definition), {
        by: AUTOMATIC_ACTOR,
        manager: MANAGER,
        ifRevision: record.revision,
        state: decision.state,
      });
      await waitForRevision(context, record.spec.id, revision);
      return revision;
    }
  }
}

export interface Ticker {
  /** Starts all due automatic work once. A call during a running tick waits for that tick. */
  readonly tick: () => Promise<void>;
}

function createPromotions(context: ControlContext): TickTask {
  const { routingView, locks, log, routers } = context;
  const change = createAutomaticChanges(context);
  const logged = new Map<string, string>();
  const tell = (model: string, { do: what, reason }: PromoteDecision): void => {
    if (logged.get(model) === reason) return;
    logged.set(model, reason);
    log.info('promotion', { model, do: what, reason });
  };
  /** Decides again under the lock: a call may have changed the model meanwhile. */
  const advance = async (id: string): Promise<void> => {
    const record = routingView.snapshot().models.get(id);
    const promote = record && overridesOf(record)?.promote;
    if (record === undefined || promote === undefined) return;
    const decision = decidePromote(record, activeRequestsOf(allLoads(context), id));
    tell(id, decision);
    // A router that lost leadership while it waited leaves this to the current leader. A decision is
    // one write, and the next leader decides on the state it finds.
    if (decision.do === 'hold' || !routers.isLeader()) return;
    const { reason } = decision;
    const promotion = { action: 'promote', model: id, arm: promote.candidate, reason } as const;
    await change(promotion, () => act(context, record, decision));
  };
  return () => {
    const due = [...routingView.snapshot().models.values()].filter(
      (record) => overridesOf(record)?.promote !== undefined,
    );
    for (const id of logged.keys()) if (!due.some(({ spec }) => spec.id === id)) logged.delete(id);
    return due.map(({ spec: { id } }) => locks.run(id, () => advance(id)));
  };
}

/** Removals that another router, or this one before a restart, did not finish. */
function createRemovals(context: ControlContext): TickTask {
  const { routingView, clock, removing, routers } = context;
  const change = createAutomaticChanges(context);
  const since = new Map<string, number>();
  return () => {
    const now = clock.now();
    const going = [...routingView.snapshot().models.values()].filter(({ deleting }) => deleting);
    for (const id of since.keys()) if (!going.some(({ spec }) => spec.id === id)) since.delete(id);
    for (const { spec } of going) if (!since.has(spec.id)) since.set(spec.id, now);
    const due = going.filter(
      ({ spec: { id } }) => now - (since.get(id) ?? now) >= REMOVAL_RETRY_MS && !removing.has(id),
    );
    return due.map(async ({ spec: { id }, manager }) => {
      if (!routers.isLeader()) return;
      since.set(id, now);
      const removal = { action: 'delete', model: id, reason: 'its removal was cut off' } as const;
      const options = { by: AUTOMATIC_ACTOR, manager };
      await change(removal, () => beginRemoval(context, id, options));
    });
  };
}

/** An exception of one task does not affect the others. */
function startTask(task: TickTask): readonly Promise<void>[] {
  try {
    return task();
  } catch (error) {
    return [Promise.reject(error)];
  }
}

function tryObserve(context: ControlContext): void {
  const { healthHistory, routingView, load, clock } = context;
  try {
    observe(context);
    healthHistory.observe(routingView.snapshot(), load.arms(), clock.now());
  } catch (error) {
    context.log.error('metrics and health could not be observed', { error: messageOf(error) });
  }
}

export function createTicker(context: ControlContext, { sleep, wake }: IdleSleep): Ticker {
  const { log, routers } = context;
  /** Only the leader runs these; each checks leadership again before it writes. */
  const leaders = [
    createRollouts(context),
    createPromotions(context),
    createRemovals(context),
    sleep,
  ];
  const follow: TickTask = () => {
    followDecisions(context);
    return [];
  };
  let running: Promise<void> | undefined;

  const once = async (): Promise<void> => {
    context.logLevel.tick();
    tryObserve(context);
    const tasks = routers.isLeader() ? [follow, wake, ...leaders] : [follow, wake];
    const results = await Promise.allSettled(tasks.flatMap(startTask));
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      // The next tick retries from the current state.
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
