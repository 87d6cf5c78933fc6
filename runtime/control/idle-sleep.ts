import type { Arm } from '../../lib/spec';
import type { ModelRecord } from '../cluster/port';
import { ClusterError } from '../cluster/port';
import { messageOf } from '../core/lifecycle/fault';
import type { ArmUsage } from '../core/lifecycle/peers';
import { armKey, armUsageOf, armUsagesOf } from '../core/lifecycle/peers';
import type { SleepDecision, WakeDecision } from '../core/lifecycle/sleep';
import { decideSleep, decideWake } from '../core/lifecycle/sleep';
import { createAutomaticChanges } from './automatic-change';
import type { ControlContext, TickTask } from './context';
import { READ_YOUR_WRITES_MS } from './routing-view';

/** Pauses after the cluster rejected a change; waking is more urgent because a request waits. */
const SLEEP_PAUSE_MS = 30_000;
const WAKE_PAUSE_MS = 1_000;
/** Ticks come every second; after a longer gap, earlier observations are discarded. */
const MAX_GAP_MS = 5_000;

/** Scales idle arms to zero and wakes them when a request arrives. */
export interface IdleSleep {
  /** Run by the leader. */
  readonly sleep: TickTask;
  /** Run by every router. */
  readonly wake: TickTask;
  /** A request is held: wakes the arm without waiting for the next tick. */
  readonly onHeld: (model: string, arm: string) => void;
}

interface ArmRef {
  readonly record: ModelRecord;
  readonly arm: Arm;
}

/** Undefined when the current definition does not have the arm. */
function findArm({ routingView }: ControlContext, model: string, name: string): ArmRef | undefined {
  const record = routingView.snapshot().models.get(model);
  const arm = record?.spec.arms.find((one) => one.name === name);
  return record === undefined || arm === undefined ? undefined : { record, arm };
}

function allArms({ routingView }: ControlContext): readonly ArmRef[] {
  const records = [...routingView.snapshot().models.values()];
  return records.flatMap((record) => record.spec.arms.map((arm) => ({ record, arm })));
}

const isBusy = (use: ArmUsage | undefined): boolean =>
  use !== undefined && use.inFlight + use.queued > 0;

/** Usage of an arm per router; an extra undefined entry while the peers are unknown. */
function usageInAllRouters({ ownLoad, routers, clock }: ControlContext) {
  const own = ownLoad();
  const others = routers.others();
  return ({ record, arm }: ArmRef): readonly (ArmUsage | undefined)[] => {
    const of = { model: record.spec.id, arm: arm.name, now: clock.now() };
    return [...armUsagesOf(own, others ?? [], of), ...(others === undefined ? [undefined] : [])];
  };
}

/** Tracks how long each arm has been idle in all routers, as seen by this one. */
function createIdleTracker({ clock }: ControlContext) {
  const since = new Map<string, number>();
  let lookedAt = 0;
  return {
    look: (places: readonly ArmRef[], usesIn: ReturnType<typeof usageInAllRouters>): void => {
      // This router did not observe the time in which another one was the leader.
      if (clock.now() - lookedAt > MAX_GAP_MS) since.clear();
      lookedAt = clock.now();
      const keys = new Set(places.map(({ record, arm }) => armKey(record.spec.id, arm.name)));
      for (const key of since.keys()) if (!keys.has(key)) since.delete(key);
      for (const place of places) {
        const key = armKey(place.record.spec.id, place.arm.name);
        if (!since.has(key) || usesIn(place).some(isBusy)) since.set(key, clock.now());
      }
    },
    quietMs: (key: string): number => clock.now() - (since.get(key) ?? clock.now()),
  };
}

/** Runs one attempt at a time per key, and pauses after a failure. */
function createRetrier(context: ControlContext, pauseMs: number) {
  const { clock, log } = context;
  const busy = new Set<string>();
  const until = new Map<string, number>();
  const logged = new Map<string, string>();
  const tell = (key: string, what: string, { message }: Error): void => {
    if (logged.get(key) !== message) log.error(`${what} failed`, { arm: key, error: message });
    logged.set(key, message);
  };
  const attempt = async (key: string, what: string, work: () => Promise<void>): Promise<void> => {
    if (busy.has(key) || clock.now() < (until.get(key) ?? 0)) return;
    busy.add(key);
    try {
      await work();
      until.delete(key);
      logged.delete(key);
    } catch (error) {
      until.set(key, clock.now() + pauseMs);
      // Another writer was faster; the next tick sees the result.
      const isBeaten = error instanceof ClusterError && error.code === 'REVISION_CONFLICT';
      if (!isBeaten) tell(key, what, error as Error);
    } finally {
      busy.delete(key);
    }
  };
  return attempt;
}

/** Isolates failures: a model whose decision throws stays as it is; the others are decided. */
function createGuard({ log }: ControlContext, what: string) {
  const logged = new Map<string, string>();
  return <Decision>(place: ArmRef, decide: () => Decision) => {
    const key = armKey(place.record.spec.id, place.arm.name);
    try {
      const decision = decide();
      logged.delete(key);
      return decision;
    } catch (error) {
      const reason = messageOf(error);
      if (logged.get(key) !== reason) log.error(`${what} failed`, { arm: key, error: reason });
      logged.set(key, reason);
      return { do: 'hold', reason } as const;
    }
  };
}

/** Scales an arm and waits until our view shows it. */
async function rescale(
  context: ControlContext,
  place: ArmRef,
  from: number,
  to: number,
): Promise<void> {
  const { cluster, routingView } = context;
  const { id } = place.record.spec;
  await cluster.scale(id, place.arm.name, { from, to });
  const shows = (): boolean => {
    const now = findArm(context, id, place.arm.name);
    return now === undefined || armOf(now)?.desired === to;
  };
  await routingView.until(shows, READ_YOUR_WRITES_MS);
}

const armOf = ({ record, arm }: ArmRef) => record.arms.find(({ name }) => name === arm.name);

function createSleep(context: ControlContext): TickTask {
  const { routers, locks, log, routingView, clock } = context;
  const quiet = createIdleTracker(context);
  const attempt = createRetrier(context, SLEEP_PAUSE_MS);
  const fence = createGuard(context, 'deciding whether an arm sleeps');
  const change = createAutomaticChanges(context);
  const decide = (place: ArmRef, usesIn: ReturnType<typeof usageInAllRouters>): SleepDecision => {
    const {
      record,
      arm: { name, scaling },
    } = place;
    const arm = armOf(place);
    if (arm === undefined) return { do: 'hold', reason: 'it is not there yet' };
    const { phase } = routingView.snapshot();
    const quietMs = quiet.quietMs(armKey(record.spec.id, name));
    const now = clock.now();
    return decideSleep({ phase, record, arm, scaling, uses: usesIn(place), quietMs, now });
  };
  /** Decides again under the lock, on the state of that moment. */
  const sleep = async (model: string, name: string): Promise<void> => {
    const place = findArm(context, model, name);
    if (place === undefined) return;
    const decision = decide(place, usageInAllRouters(context));
    if (decision.do === 'hold' || !routers.isLeader()) return;
    const { reason, from } = decision;
    log.info('sleep', { model, arm: name, reason });
    await change({ action: 'sleep', model, arm: name, reason }, () =>
      rescale(context, place, from, 0),
    );
  };
  return () => {
    const places = allArms(context).filter(({ arm }) => arm.scaling.minReplicas === 0);
    const usesIn = usageInAllRouters(context);
    quiet.look(places, usesIn);
    if (!routers.putsToSleep()) return [];
    const due = places.filter((place) => fence(place, () => decide(place, usesIn)).do === 'sleep');
    return due.map(
      ({
        record: {
          spec: { id },
        },
        arm: { name },
      }) =>
        attempt(armKey(id, name), 'putting an arm to sleep', () =>
          locks.run(id, () => sleep(id, name)),
        ),
    );
  };
}

function createWake(context: ControlContext): Pick<IdleSleep, 'wake' | 'onHeld'> {
  const { ownLoad, log } = context;
  const attempt = createRetrier(context, WAKE_PAUSE_MS);
  const fence = createGuard(context, 'deciding whether an arm wakes');
  const change = createAutomaticChanges(context);
  const decide = (place: ArmRef, own = ownLoad()): WakeDecision => {
    const {
      record,
      arm: { name, scaling },
    } = place;
    const arm = armOf(place);
    if (arm === undefined) return { do: 'hold', reason: 'it is not there yet' };
    return decideWake(record, arm, scaling, armUsageOf(own, record.spec.id, name));
  };
  const wake = (model: string, name: string): Promise<void> =>
    attempt(armKey(model, name), 'waking an arm', async () => {
      const place = findArm(context, model, name);
      const decision = place && decide(place);
      if (place === undefined || decision?.do !== 'wake') return;
      const { reason, replicas } = decision;
      log.info('wake', { model, arm: name, reason });
      await change({ action: 'wake', model, arm: name, reason }, () =>
        rescale(context, place, 0, replicas),
      );
    });
  return {
    wake: () => {
      const own = ownLoad();
      const due = allArms(context).filter(
        (place) => fence(place, () => decide(place, own)).do === 'wake',
      );
      return due.map(({ record, arm }) => wake(record.spec.id, arm.name));
    },
    onHeld: (model, arm) => void queueMicrotask(() => void wake(model, arm)),
  };
}

export function createIdleSleep(context: ControlContext): IdleSleep {
  return { sleep: createSleep(context), ...createWake(context) };
}
