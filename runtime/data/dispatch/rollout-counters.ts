import type { FailingHash, RolloutCounts } from '../../core/release/rollout-state';
import type { FailingCaller } from '../../core/release/trials';
import { createTrials } from '../../core/release/trials';
import type { AttemptResult } from '../../core/routing/outcome';
import { explainArm } from '../../core/routing/split';
import type { RolloutRoute } from '../../core/routing/table';
import { addToWindow, createWindow, windowStats } from '../../core/routing/window';
import { keyedHash } from '../../shared/keyed-hash';
import type { ArmState, DispatchState, EndpointState, RolloutCounters } from './arm-state';
import type { JobProgress } from './outcomes';
import type { QueuedRequest } from './queue';

/** A replica that this router knows for less long is warming up, milliseconds. */
const WARM_MS = 60_000;

type Model = DispatchState<QueuedRequest>;

function countersOf(model: Model, route: RolloutRoute, random: () => number): RolloutCounters {
  const { id, unit, closeMs } = route;
  if (model.rollout?.id === id) return model.rollout;
  const trials = createTrials({ unit, closeMs, random });
  model.rollout = { id, trials, firstBytes: createWindow(), failing: [], unnamed: 0 };
  return model.rollout;
}

/** The arm that chance gave the request; undefined: it was not chance, or not one of the two. */
function assignedArm(
  { route }: Model,
  { rollout, progress }: { rollout: RolloutRoute; progress: JobProgress },
  chosen: string,
): 'stable' | 'candidate' | undefined {
  const { job } = progress;
  if (job.arm !== undefined || progress.spilled !== undefined) return undefined;
  if (job.planned !== undefined) {
    // A batch goes where its first part went, which may be stable in place of a full candidate.
    if (job.cohortKey === undefined || rollout.unit === 'request') return undefined;
    if (explainArm(route, job.cohortKey).arm !== chosen) return undefined;
  }
  if (chosen === rollout.candidate) return 'candidate';
  return chosen === route.shares[0]?.arm ? 'stable' : undefined;
}

/** Begins the trial of a request whose arm was drawn. */
export function beginTrial(
  model: Model,
  progress: JobProgress,
  chosen: ArmState<QueuedRequest>,
  now: number,
  random: () => number,
): void {
  const { rollout } = model.route;
  const { job } = progress;
  if (rollout === undefined || rollout.hundredths === 0) return;
  if (job.isBatchCall === true || progress.tries > 0) return;
  const arm = assignedArm(model, { rollout, progress }, chosen.route.name);
  if (arm === undefined) return;
  const counters = countersOf(model, rollout, random);
  const key = job.cohortKey;
  if (key === undefined && rollout.unit === 'caller') counters.unnamed += 1;
  const { hundredths } = rollout;
  progress.trial = counters.trials.begin({ key, by: undefined, arm, hundredths }, now);
}

/**
 * Was the first byte of a first attempt slow? One that had not come by the threshold was, however
 * the attempt ended. Undefined: no threshold is known yet, or the replica is warming up.
 */
export function isSlowFirst(
  arm: ArmState<QueuedRequest>,
  { joinedAt }: EndpointState,
  { kind }: AttemptResult,
  elapsedMs: number,
  now: number,
): boolean | undefined {
  const { route, rollout: counters } = arm.model;
  const { rollout, shares } = route;
  if (rollout === undefined || now - joinedAt < WARM_MS) return undefined;
  const isStable = arm.route.name === shares[0]?.arm;
  const isSlow = rollout.thresholdMs === undefined ? undefined : elapsedMs > rollout.thresholdMs;
  if (isStable && kind === 'answered' && counters !== undefined) {
    addToWindow(counters.firstBytes, now, elapsedMs, isSlow === true);
  }
  return isSlow;
}

function hashOf(id: string, { key, arm, hundredths }: FailingCaller): FailingHash {
  return { hash: keyedHash(id, key), arm, hundredths };
}

/** The list only grows. */
function failingHashes({ id, trials, failing }: RolloutCounters): readonly FailingHash[] {
  for (const caller of trials.failing().slice(failing.length)) failing.push(hashOf(id, caller));
  return [...failing];
}

const NONE = { requests: 0, failures: 0 };

function recentOf(model: Model, name: string, now: number): { requests: number; failures: number } {
  const arm = model.arms.get(name);
  if (arm === undefined) return NONE;
  const { requests, failures } = windowStats(arm.window, now);
  return { requests, failures };
}

/** Closes the trials that are due, and reports the counts; undefined: no rollout. */
export function rolloutCounts(
  model: Model,
  now: number,
  random: () => number,
): RolloutCounts | undefined {
  const { id: name, rollout, shares } = model.route;
  if (rollout === undefined) {
    model.rollout = undefined;
    return undefined;
  }
  const counters = countersOf(model, rollout, random);
  const { id, trials, firstBytes, unnamed } = counters;
  trials.close(now);
  const bytes = windowStats(firstBytes, now);
  return {
    model: name,
    rollout: id,
    rows: trials.rows(),
    failing: failingHashes(counters),
    isFull: trials.isFull(),
    seenCallers: trials.seenCallers(),
    unnamed,
    recent: {
      stable: recentOf(model, shares[0]?.arm ?? '', now),
      candidate: recentOf(model, rollout.candidate, now),
      firstBytes: { requests: bytes.requests, slow: bytes.failures, p95Ms: bytes.p95 },
    },
  };
}
