import type { Arm } from '../../../lib/spec';
import { overridesOf } from '../routing/build-table';
import type { ArmUsage } from './peers';
import type { ArmRecord, ModelRecord, WatchPhase } from './snapshot';

/**
 * Minimum idle time before sleep, whatever the definition says: reports of other routers are some
 * seconds old, and loading a model for each single request is useless.
 */
const LEAST_IDLE_MS = 10_000;

/** A request this recent is waiting, or another arm served it instead. */
const WANTED_MS = 3_000;

/** Inputs of `decideSleep`. Times in milliseconds. */
export interface SleepInputs {
  readonly phase: WatchPhase;
  readonly record: ModelRecord;
  readonly arm: ArmRecord;
  readonly scaling: Arm['scaling'];
  /** One entry per router, this one included; undefined: not known. */
  readonly uses: readonly (ArmUsage | undefined)[];
  /** Time since this router saw any router use the arm. */
  readonly quietMs: number;
  readonly now: number;
}

export type SleepDecision =
  | { readonly do: 'sleep'; readonly reason: string; readonly from: number }
  | { readonly do: 'hold'; readonly reason: string };

const hold = (reason: string): SleepDecision => ({ do: 'hold', reason });

const isAsleep = ({ desired }: ArmRecord): boolean => desired === 0;

/** Idle time after which an arm sleeps: the scale-down window. */
export function idleLimitMs({ scaleDownWindowSeconds }: Arm['scaling']): number {
  return Math.max(LEAST_IDLE_MS, scaleDownWindowSeconds * 1000);
}

/** Time since it was deployed or woken. */
function awakeMs({ record, arm, now }: SleepInputs): number {
  const own = record.replicas.filter((replica) => replica.arm === arm.name);
  const since = Math.max(record.updatedAt, ...own.map((replica) => replica.since));
  return Math.max(0, now - since);
}

function obstacle({ phase, record, arm, scaling }: SleepInputs): string | undefined {
  if (phase !== 'synced') return 'the view of the cluster is old';
  if (scaling.minReplicas > 0) return `it keeps ${scaling.minReplicas} replicas`;
  if (isAsleep(arm)) return 'it sleeps';
  if (arm.ready === 0) return 'none of its replicas is ready';
  const state = overridesOf(record);
  if (record.deleting || state?.stopped === true) return 'it is being stopped';
  return state?.promote === undefined ? undefined : 'a promotion is under way';
}

/**
 * May an arm sleep? Only when every router reports it idle for the time of the definition; a silent
 * router may have requests.
 */
export function decideSleep(sleeper: SleepInputs): SleepDecision {
  const { uses, scaling, quietMs, arm } = sleeper;
  const against = obstacle(sleeper);
  if (against !== undefined) return hold(against);
  const known = uses.filter((use) => use !== undefined);
  const unknown = uses.length - known.length;
  if (unknown > 0) return hold(`${unknown} of ${uses.length} routers do not report their load`);
  const busy = known.reduce((sum, { inFlight, queued }) => sum + inFlight + queued, 0);
  if (busy > 0) return hold(`${busy} requests are under way`);
  const idleMs = Math.min(awakeMs(sleeper), quietMs, ...known.map((use) => use.idleMs));
  const limitMs = idleLimitMs(scaling);
  if (idleMs < limitMs) return hold(`idle for ${Math.floor(idleMs / 1000)} of ${limitMs / 1000} s`);
  const reason = `idle for ${Math.floor(idleMs / 1000)} s in all routers`;
  return { do: 'sleep', reason, from: arm.desired };
}

export type WakeDecision =
  | { readonly do: 'wake'; readonly reason: string; readonly replicas: number }
  | { readonly do: 'hold'; readonly reason: string };

/** Does this router need a sleeping arm? `own`: its usage in this router. */
export function decideWake(
  record: ModelRecord,
  arm: ArmRecord,
  { minReplicas }: Arm['scaling'],
  own: ArmUsage,
): WakeDecision {
  if (!isAsleep(arm)) return { do: 'hold', reason: 'it does not sleep' };
  if (record.deleting || overridesOf(record)?.stopped === true)
    return { do: 'hold', reason: 'it is stopped on purpose' };
  const replicas = Math.max(1, minReplicas);
  if (own.queued > 0) return { do: 'wake', reason: `${own.queued} requests wait`, replicas };
  if (own.idleMs < WANTED_MS) return { do: 'wake', reason: 'a request arrived for it', replicas };
  return { do: 'hold', reason: 'no request arrived for it' };
}
