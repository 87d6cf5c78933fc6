import type { WireModel } from '../../../lib/spec';
import { sharesOf, overridesOf } from '../routing/build-table';
import { finishedDefinition, promotedDefinition } from './promoted-definition';
import type { ArmRecord, ModelRecord, ModelOverrides } from '../lifecycle/snapshot';

/** Active requests of an arm over all routers. */
export interface ActiveRequests {
  readonly inFlight: number;
  readonly queued: number;
}

/** By the name of the arm; a missing arm has none. */
export type ActiveRequestsByArm = ReadonlyMap<string, ActiveRequests>;

/**
 * What to do next for a promotion, and why in words for people. A tick acts on it in one call and
 * decides again when it has come true:
 * - `shift`, `return`: `cluster.setOverrides(id, state)`; the candidate's share is `percent` from
 * then   on
 * - `roll`, `finish`: `cluster.apply(parseModel(definition), { state, … })`: a new revision, with
 *   `state` beside it, so that a leader who comes after goes on from there
 * - `hold`: nothing; what it waits for
 *
 * Running a decision twice is harmless: the state it leads to is the same.
 */
export type PromoteDecision =
  | {
      readonly do: 'shift' | 'return';
      readonly reason: string;
      readonly percent: number;
      readonly state: ModelOverrides;
    }
  | {
      readonly do: 'roll' | 'finish';
      readonly reason: string;
      readonly definition: WireModel;
      readonly state: Omit<ModelOverrides, 'hash'>;
    }
  | { readonly do: 'hold'; readonly reason: string };

/** Usable part of the ready capacity; the rest absorbs bursts until the autoscaler reacts. */
const HEADROOM = 0.8;
/** A first step of a quarter, then doubling: 10, 25, 50, 100. A wrong measure costs one step. */
const FIRST_STEP_PERCENT = 25;
/** Enough to wake a candidate that sleeps at zero replicas. */
const WAKING_PERCENT = 1;

interface Promotion {
  readonly record: ModelRecord;
  readonly state: ModelOverrides;
  readonly candidate: ArmRecord;
  readonly stable: ArmRecord;
  /** The candidate's share in force, percent. */
  readonly share: number;
  readonly active: ActiveRequestsByArm;
}

const hold = (reason: string): PromoteDecision => ({ do: 'hold', reason });

/** Percent of the present load an arm could carry with the replicas that are ready. */
export function carriedPercent(
  record: ModelRecord,
  arm: ArmRecord,
  active: ActiveRequestsByArm,
): number {
  const load = [...active.values()].reduce((sum, one) => sum + one.inFlight + one.queued, 0);
  const capacity = arm.ready * record.spec.inference.maxConcurrency * HEADROOM;
  return load === 0 ? 100 : Math.min(100, Math.floor((100 * capacity) / load));
}

const isAsleep = ({ desired, current }: ArmRecord): boolean => desired === 0 && current === 0;

/** The same state with another share of the candidate. */
function withShare({ state, candidate }: Promotion, percent: number): ModelOverrides {
  return { ...state, shares: { ...state.shares, [candidate.name]: percent } };
}

const because = ({ why }: ArmRecord): string => (why === undefined ? '' : ` (${why.message})`);

function shifting(promotion: Promotion): PromoteDecision {
  const { candidate, share, record, state } = promotion;
  const { name, ready, version } = candidate;
  const shift = (percent: number, reason: string): PromoteDecision => ({
    do: 'shift',
    reason,
    percent,
    state: withShare(promotion, percent),
  });
  if (ready === 0) {
    return isAsleep(candidate) && share === 0
      ? shift(WAKING_PERCENT, `${name} sleeps; ${WAKING_PERCENT} % of the requests wake it`)
      : hold(`waiting for a ready replica of ${name}${because(candidate)}`);
  }
  if (share >= 100) {
    return {
      do: 'roll',
      reason: `${name} has all traffic; stable gets version ${version} and rolls`,
      definition: promotedDefinition(record.spec, name),
      state: { promote: { candidate: name, phase: 'rolling' }, ...lasting(state) },
    };
  }
  const room = carriedPercent(record, candidate, promotion.active);
  const next = Math.min(room, Math.max(FIRST_STEP_PERCENT, 2 * share));
  if (next > share) return shift(next, `${name} can carry ${room} % with ${ready} ready replicas`);
  const advice = 'wait for its autoscaler or raise its scaling';
  return hold(`${name} carries at most ${room} % with ${ready} ready replicas; ${advice}`);
}

/** What outlives a definition: a stop by hand, and how the rollout before the promotion ended. */
const lasting = ({ stopped, rollout }: ModelOverrides): Omit<ModelOverrides, 'hash'> => ({
  ...(stopped === true && { stopped }),
  ...(rollout !== undefined && { rollout }),
});

function rolling(promotion: Promotion): PromoteDecision {
  const { stable, state, candidate } = promotion;
  const { current, updated, ready, desired } = stable;
  const done = updated >= desired && ready >= desired && current === updated;
  if (!done) {
    return hold(`stable has rolled ${updated} of ${desired}, ${ready} are ready${because(stable)}`);
  }
  return {
    do: 'return',
    reason: `stable runs ${stable.version}; traffic returns to it`,
    percent: 100,
    state: {
      ...state,
      promote: { candidate: candidate.name, phase: 'returning' },
      shares: { [candidate.name]: 100 },
    },
  };
}

function returning(promotion: Promotion): PromoteDecision {
  const { stable, share, record, candidate, state } = promotion;
  if (share === 0) {
    return {
      do: 'finish',
      reason: `stable has all traffic; ${candidate.name} goes`,
      definition: finishedDefinition(record.spec, candidate.name),
      state: lasting(state),
    };
  }
  // One that sleeps is woken by the first request, which is held meanwhile.
  const room = isAsleep(stable) ? 100 : carriedPercent(record, stable, promotion.active);
  if (stable.ready === 0 && !isAsleep(stable)) {
    return hold(`waiting for a ready replica of stable${because(stable)}`);
  }
  const halved = share > FIRST_STEP_PERCENT ? Math.floor(share / 2) : 0;
  const next = Math.max(100 - room, halved);
  if (next >= share) return hold(`stable carries at most ${room} % with ${stable.ready} ready`);
  return {
    do: 'return',
    reason: `stable can carry ${room} % with ${stable.ready} ready replicas`,
    percent: next,
    state: withShare(promotion, next),
  };
}

/**
 * The next step of a promotion (design: kubernetes.md): (1) the candidate's share rises to 100 as
 * its ready capacity allows, (2) stable gets the version and rolls while receiving nothing, (3)
 * traffic returns to stable as its capacity allows, and the candidate goes. Holds when none is
 * under way.
 */
export function decidePromote(record: ModelRecord, active: ActiveRequestsByArm): PromoteDecision {
  const state = overridesOf(record);
  const promote = state?.promote;
  if (state === undefined || promote === undefined) return hold('no promotion is under way');
  if (record.deleting) return hold('the model is being deleted');
  if (state.stopped === true) return hold('the model is stopped; scale it up first');
  const candidate = record.arms.find(({ name }) => name === promote.candidate);
  const stable = record.arms.find(({ name }) => name === record.spec.arms[0].name);
  if (candidate === undefined || stable === undefined) {
    return hold(`waiting for the arms of this revision (stable and ${promote.candidate})`);
  }
  const own = sharesOf(record).find(({ arm }) => arm === promote.candidate);
  const share = (own?.hundredths ?? 0) / 100;
  const promotion = { record, state, candidate, stable, share, active };
  switch (promote.phase) {
    case 'shifting':
      return shifting(promotion);
    case 'rolling':
      return rolling(promotion);
    case 'returning':
      return returning(promotion);
  }
}
