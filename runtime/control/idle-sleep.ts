import type { Arm } from '../../lib/spec';
import type { ModelRecord } from '../cluster/port';
import { ClusterError } from '../cluster/port';
import { messageOf } from '../core/lifecycle/fault';
import type { ArmUsage } from '../core/lifecycle/peers';
import { armKey, armUsageOf, armUsagesOf } from '../core/lifecycle/peers';
import type { SleepDecision, WakeDecision } from '../core/lifecycle/sleep';
import { decideSleep, decideWake } from '../core/lifecycle/sleep';
import type { Context } from './context';
import type { Chore } from './ticker';
import { READ_YOUR_WRITES_MS } from './routing-view';

/** What the cluster refused is not asked for again at once; a request that waits is more urgent. */
const SLEEP_PAUSE_MS = 30_000;
const WAKE_PAUSE_MS = 1_000;
/** Ticks come every second; after a longer gap nothing is known of the time between. */
const MAX_GAP_MS = 5_000;

/** Arms that nobody wants go to sleep, and wake when somebody does. */
export interface Sleeping {
  /** For the one that leads. */
  readonly sleep: Chore;
  /** For every router. */
  readonly wake: Chore;
  /** A request is held: not to wait for the next tick. */
  readonly onHeld: (model: string, arm: string) => void;
}

interface Place {
  readonly record: ModelRecord;
  readonly arm: Arm;
}

/** Undefined: a new definition has no such arm. */
function placeOf({ world }: Context, model: string, name: string): Place | undefined {
  const record = world.snapshot().models.get(model);
  const arm = record?.spec.arms.find((one) => one.name === name);
  return record === undefined || arm === undefined ? undefined : { record, arm };
}

function placesOf({ world }: Context): readonly Place[] {
  const records = [...world.snapshot().models.values()];
  return records.flatMap((record) => record.spec.arms.map((arm) => ({ record, arm })));
}

const isBusy = (use: ArmUsage | undefined): boolean =>
  use !== undefined && use.inFlight + use.queued > 0;

/** The use of an arm in every router; one that is not known when it is not known who there is. */
function everyUse({ ownLoad, routers, clock }: Context, own = ownLoad()) {
  const others = routers.others();
  return ({ record, arm }: Place): readonly (ArmUsage | undefined)[] => {
    const of = { model: record.spec.id, arm: arm.name, now: clock.now() };
    return [...armUsagesOf(own, others ?? [], of), ...(others === undefined ? [undefined] : [])];
  };
}

/** Since when an arm has had nothing to do anywhere, as far as it was seen from here. */
function createQuiet({ clock }: Context) {
  const since = new Map<string, number>();
  let lookedAt = 0;
  return {
    look: (places: readonly Place[], usesIn: ReturnType<typeof everyUse>): void => {
      // What happened while another one led was not seen.
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

/** Tries one thing at a time for each key, and none again before a pause when it failed. */
function createTries(context: Context, pauseMs: number) {
  const { clock, log } = context;
  const busy = new Set<string>();
  const until = new Map<string, number>();
  const told = new Map<string, string>();
  const tell = (key: string, what: string, { message }: Error): void => {
    if (told.get(key) !== message) log.error(`${what} failed`, { arm: key, error: message });
    told.set(key, message);
  };
  const attempt = async (key: string, what: string, work: () => Promise<void>): Promise<void> => {
    if (busy.has(key) || clock.now() < (until.get(key) ?? 0)) return;
    busy.add(key);
    try {
      await work();
      until.delete(key);
      told.delete(key);
    } catch (error) {
      until.set(key, clock.now() + pauseMs);
      // Somebody else was faster; the next look sees what came of it.
      const isBeaten = error instanceof ClusterError && error.code === 'REVISION_CONFLICT';
      if (!isBeaten) tell(key, what, error as Error);
    } finally {
      busy.delete(key);
    }
  };
  return attempt;
}

/** A model about which nothing can be decided stays as it is, and keeps no others from theirs. */
function createFence({ log }: Context, what: string) {
  const told = new Map<string, string>();
  return <Decision>(place: Place, decide: () => Decision) => {
    const key = armKey(place.record.spec.id, place.arm.name);
    try {
      const decision = decide();
      told.delete(key);
      return decision;
    } catch (error) {
      const reason = messageOf(error);
      if (told.get(key) !== reason) log.error(`${what} failed`, { arm: key, error: reason });
      told.set(key, reason);
      return { do: 'hold', reason } as const;
    }
  };
}

/** Gives an arm another number of replicas and waits until that shows. */
async function rescale(context: Context, place: Place, from: number, to: number): Promise<void> {
  const { cluster, world } = context;
  const { id } = place.record.spec;
  await cluster.scale(id, place.arm.name, { from, to });
  const shows = (): boolean => {
    const now = placeOf(context, id, place.arm.name);
    return now === undefined || armOf(now)?.desired === to;
  };
  await world.until(shows, READ_YOUR_WRITES_MS);
}

const armOf = ({ record, arm }: Place) => record.arms.find(({ name }) => name === arm.name);

function createSleep(context: Context): Chore {
  const { routers, locks, log, world, clock } = context;
  const quiet = createQuiet(context);
  const attempt = createTries(context, SLEEP_PAUSE_MS);
  const fence = createFence(context, 'deciding whether an arm sleeps');
  const decide = (place: Place, usesIn: ReturnType<typeof everyUse>): SleepDecision => {
    const {
      record,
      arm: { name, scaling },
    } = place;
    const arm = armOf(place);
    if (arm === undefined) return { do: 'hold', reason: 'it is not there yet' };
    const { phase } = world.snapshot();
    const quietMs = quiet.quietMs(armKey(record.spec.id, name));
    const now = clock.now();
    return decideSleep({ phase, record, arm, scaling, uses: usesIn(place), quietMs, now });
  };
  /** Decided again inside the lock, on what is known by then. */
  const sleep = async (model: string, name: string): Promise<void> => {
    const place = placeOf(context, model, name);
    if (place === undefined) return;
    const decision = decide(place, everyUse(context));
    if (decision.do === 'hold' || !routers.isLeader()) return;
    log.info('sleep', { model, arm: name, reason: decision.reason });
    await rescale(context, place, decision.from, 0);
  };
  return () => {
    const places = placesOf(context).filter(({ arm }) => arm.scaling.minReplicas === 0);
    const usesIn = everyUse(context);
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

function createWake(context: Context): Pick<Sleeping, 'wake' | 'onHeld'> {
  const { ownLoad, log } = context;
  const attempt = createTries(context, WAKE_PAUSE_MS);
  const fence = createFence(context, 'deciding whether an arm wakes');
  const decide = (place: Place, own = ownLoad()): WakeDecision => {
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
      const place = placeOf(context, model, name);
      const decision = place && decide(place);
      if (place === undefined || decision?.do !== 'wake') return;
      log.info('wake', { model, arm: name, reason: decision.reason });
      await rescale(context, place, 0, decision.replicas);
    });
  return {
    wake: () => {
      const own = ownLoad();
      const due = placesOf(context).filter(
        (place) => fence(place, () => decide(place, own)).do === 'wake',
      );
      return due.map(({ record, arm }) => wake(record.spec.id, arm.name));
    },
    onHeld: (model, arm) => void queueMicrotask(() => void wake(model, arm)),
  };
}

export function createSleeping(context: Context): Sleeping {
  return { sleep: createSleep(context), ...createWake(context) };
}
