import type { Rollout } from '../../../lib/spec';
import type { ArmRecord, ModelRecord } from '../lifecycle/snapshot';
import type { ActiveRequestsByArm } from './promotion';
import { carriedPercent } from './promotion';
import type { RolloutCounts, RolloutState, StoredCounts } from './rollout-state';
import type { RolloutView, Verdict } from './verdict';

/** Fewer first bytes of stable say little about its 95th percentile. */
const MIN_FIRST_BYTES = 200;
/** The threshold is stable's 95th percentile while 2 to 12 % of its first bytes are later. */
const FEWEST_SLOW = 0.02;
const MOST_SLOW = 0.12;
/** Restarts of one replica that make a crash loop. */
const CRASH_LOOP_RESTARTS = 3;

/** The rollout of a candidate that had none, or none with this key. */
export function startedRollout(
  known: Pick<RolloutState, 'key' | 'id' | 'salt' | 'candidate'>,
  now: number,
): RolloutState {
  const { key, id, salt, candidate } = known;
  const fresh = { phase: 'running', step: 0, mostReady: 0, counts: [] } as const;
  return { key, id, salt, candidate, ...fresh, startedAt: now, since: now };
}

/** Why the candidate cannot go on, whatever the evidence says. */
function crashOf(record: ModelRecord, arm: ArmRecord, state: RolloutState): string | undefined {
  const own = record.replicas.filter((replica) => replica.arm === arm.name);
  const looping = own.find(
    ({ phase, restarts }) => phase !== 'ready' && restarts >= CRASH_LOOP_RESTARTS,
  );
  const because = arm.why === undefined ? '' : `: ${arm.why.message}`;
  if (looping !== undefined) {
    return `a replica of ${arm.name} restarted ${looping.restarts} times${because}`;
  }
  const isLess = arm.desired >= state.mostReady && 2 * arm.ready < state.mostReady;
  if (!isLess || arm.why === undefined) return undefined;
  return `${arm.ready} of ${state.mostReady} replicas of ${arm.name} are left${because}`;
}

export interface RolloutFacts {
  readonly record: ModelRecord;
  readonly rules: Rollout;
  readonly state: RolloutState;
  readonly total: RolloutCounts | undefined;
  readonly active: ActiveRequestsByArm;
  /** Every router was heard. */
  readonly isComplete: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const NO_FAILURES = { requests: 0, failures: 0 };

/** What the verdict is made from; undefined: the cluster does not show the candidate yet. */
export function rolloutView(facts: RolloutFacts): RolloutView | undefined {
  const { record, rules, state, total, active, isComplete, now } = facts;
  const arm = record.arms.find(({ name }) => name === state.candidate);
  if (arm === undefined) return undefined;
  const crash = crashOf(record, arm, state);
  const carriesPercent = carriedPercent(record, arm, active);
  const assigned = (total?.rows ?? []).map((row) => row.assigned);
  const seenCallers = assigned.reduce((sum, one) => sum + one.stable + one.candidate, 0);
  const seconds = Math.max(1, (now - state.startedAt) / 1000);
  const stepMs = now - state.since;
  return {
    rollout: rules,
    step: state.step,
    stepMs,
    rows: total?.rows ?? [],
    recent: {
      stable: total?.recent.stable ?? NO_FAILURES,
      candidate: total?.recent.candidate ?? NO_FAILURES,
    },
    seenCallers,
    callersPerSecond: seenCallers / seconds,
    candidate: { carriesPercent, ...(crash !== undefined && { crash }) },
    isComplete,
    isFull: total?.isFull === true,
    held: state.phase === 'held',
  };
}

/** The threshold from now on, milliseconds. */
function thresholdOf({ thresholdMs }: RolloutState, total: RolloutCounts | undefined) {
  const { requests = 0, slow = 0, p95Ms } = total?.recent.firstBytes ?? {};
  if (p95Ms === undefined || requests < MIN_FIRST_BYTES) return thresholdMs;
  const part = slow / requests;
  const isRight = thresholdMs !== undefined && part >= FEWEST_SLOW && part <= MOST_SLOW;
  return isRight ? thresholdMs : p95Ms;
}

/** A phase that only a person, or another definition, ends. */
export const isResting = ({ phase }: RolloutState): boolean =>
  phase === 'paused' || phase === 'aborted' || phase === 'done';

function moved(state: RolloutState, verdict: Verdict, now: number): RolloutState {
  switch (verdict.do) {
    case 'hold':
      return state;
    case 'advance':
      return { ...state, step: verdict.toStep ?? state.step + 1, since: now };
    case 'pause':
      return { ...state, phase: 'paused', since: now };
    case 'abort':
      return { ...state, phase: 'aborted', since: now };
    case 'done':
      return { ...state, phase: 'done', since: now };
  }
}

const withoutFailing = ({ boot, counts }: StoredCounts): StoredCounts => ({
  boot,
  counts: { ...counts, failing: [] },
});

/** The state after a verdict. */
export function rolloutAfter(facts: RolloutFacts, verdict: Verdict): RolloutState {
  const { record, state, total, now } = facts;
  const ready = record.arms.find(({ name }) => name === state.candidate)?.ready ?? 0;
  const mostReady = Math.max(state.mostReady, ready);
  const next = moved({ ...state, mostReady, verdict }, verdict, now);
  const isOver = next.phase === 'aborted' || next.phase === 'done';
  // Who failed is needed only while evidence is counted.
  const counts = isOver ? state.counts.map(withoutFailing) : state.counts;
  return { ...next, counts, thresholdMs: thresholdOf(state, total) };
}
