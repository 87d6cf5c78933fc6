import { randomUUID } from 'node:crypto';
import type { ModelOverrides, ModelRecord } from '../cluster/port';
import { messageOf } from '../core/lifecycle/fault';
import type { RouterLoad } from '../core/lifecycle/peers';
import { overridesOf } from '../core/routing/build-table';
import { packCounts, unpackCounts } from '../core/release/packed-counts';
import { newestCounts, totalOf } from '../core/release/rollout-counts';
import {
  rolloutArmOf,
  rolloutKeyOf,
  rolloutRulesOf,
  rolloutStateOf,
} from '../core/release/rollout';
import type { RolloutState, RouterCounts } from '../core/release/rollout-state';
import { isResting, rolloutAfter, rolloutView, startedRollout } from '../core/release/rollout-step';
import type { Verdict } from '../core/release/verdict';
import { decideRollout } from '../core/release/verdict';
import { keyedHash } from '../shared/keyed-hash';
import { activeRequestsOf, allLoads } from './active-requests';
import { createAutomaticChanges } from './automatic-change';
import { MANAGER } from './change';
import type { ControlContext, TickTask } from './context';
import { storeOverrides } from './overrides';

/** A router that was not heard for this long is silent: nothing is decided, milliseconds. */
const SILENT_MS = 5_000;
/** Counts are stored at least this often while they grow, milliseconds. */
const STORE_MS = 5_000;

/** A new start of the rollout: other callers than the starts before. */
export function newRollout(record: ModelRecord, now: number): RolloutState | undefined {
  const { spec } = record;
  const [key, arm] = [rolloutKeyOf(spec), rolloutArmOf(spec)];
  if (key === undefined || arm === undefined) return undefined;
  const id = randomUUID();
  const base = spec.inference.cohort.salt ?? spec.id;
  const salt = `${id}-${keyedHash(base, id).toString(16)}`;
  return startedRollout({ key, id, salt, candidate: arm.name }, now);
}

/** What each run of a router counted, as far as it was heard. */
function heardCounts(loads: readonly RouterLoad[], id: string): readonly RouterCounts[] {
  return loads.flatMap(({ router, startedAt, rollouts }) =>
    rollouts
      .filter(({ rollout }) => rollout === id)
      .map((counts) => ({ boot: `${router}@${startedAt}`, counts })),
  );
}

function isEveryoneHeard({ routers, clock }: ControlContext): boolean {
  const others = routers.others();
  if (others === undefined || !routers.isSettled()) return false;
  const now = clock.now();
  return others.every(
    ({ peer, heardAt }) => !peer.ready || (heardAt !== undefined && now - heardAt <= SILENT_MS),
  );
}

const failingOf = ({ counts }: RolloutState): number =>
  counts.reduce((sum, one) => sum + one.counts.failing.length, 0);

/** What must survive this router: decisions, and callers that failed. */
const isUrgent = (before: RolloutState, after: RolloutState): boolean =>
  before.phase !== after.phase ||
  before.step !== after.step ||
  before.thresholdMs !== after.thresholdMs ||
  before.verdict?.do !== after.verdict?.do ||
  before.verdict?.gate !== after.verdict?.gate ||
  failingOf(before) !== failingOf(after);

/** The work of the leader on one rollout, and what it remembers between two ticks. */
interface Watched {
  state: RolloutState;
  stored: RolloutState;
  storedAt: number;
}

/** The share of the candidate does not rise: such a state may be in force before it is stored. */
const isRelief = ({ phase }: RolloutState): boolean => phase !== 'running' && phase !== 'done';

/**
 * Stores a state. One that holds, pauses or aborts is in force at once; a larger share waits until
 * the cluster has it, so that a refused change has changed nothing.
 */
export async function storeRollout(
  context: ControlContext,
  record: ModelRecord,
  state: RolloutState,
  before: Omit<ModelOverrides, 'hash'> | undefined = overridesOf(record),
): Promise<void> {
  const { rolloutDecisions, routingView } = context;
  const decision = { model: record.spec.id, state };
  if (isRelief(state) && rolloutDecisions.put(decision)) routingView.rebuild();
  const promotes = before?.promote === undefined && record.manager === MANAGER;
  const isDone = state.phase === 'done' && promotes;
  await storeOverrides(context, record, {
    ...before,
    rollout: state,
    // A model that others write stays at 100 %: its definition has to follow.
    ...(isDone && { promote: { candidate: state.candidate, phase: 'shifting' as const } }),
  });
}

/** The rollouts that the leader advances. */
class LedRollouts {
  private readonly watched = new Map<string, Watched>();

  private readonly change: ReturnType<typeof createAutomaticChanges>;

  constructor(private readonly context: ControlContext) {
    this.change = createAutomaticChanges(context);
  }

  /** Starts what is due now. */
  start(): readonly Promise<void>[] {
    const { routingView, locks, rolloutDecisions } = this.context;
    const due = [...routingView.snapshot().models.values()].filter(
      ({ spec, deleting, state }) =>
        !deleting && rolloutArmOf(spec) !== undefined && state?.promote === undefined,
    );
    for (const id of this.watched.keys()) {
      if (due.some(({ spec }) => spec.id === id)) continue;
      this.watched.delete(id);
      rolloutDecisions.live.delete(id);
    }
    if (due.length === 0) return [];
    const loads = allLoads(this.context);
    return due.map(({ spec: { id } }) => locks.run(id, () => this.advance(id, loads)));
  }

  /** The state to go on from: of this leader, else what is stored, else a new start. */
  private entryOf(record: ModelRecord): Watched | undefined {
    const { id } = record.spec;
    const now = this.context.clock.now();
    const stored = rolloutStateOf(record);
    const known = this.watched.get(id);
    const isKnown = known !== undefined && known.state.key === rolloutKeyOf(record.spec);
    if (isKnown && (stored === undefined || stored.id === known.state.id)) {
      // A person may have changed the phase meanwhile.
      const isNewer = stored !== undefined && stored.since > known.state.since;
      if (isNewer) known.state = { ...stored, counts: known.state.counts };
      return known;
    }
    const state = stored ?? newRollout(record, now);
    if (state === undefined) return undefined;
    const entry = { state, stored: state, storedAt: stored === undefined ? 0 : now };
    this.watched.set(id, entry);
    return entry;
  }

  private async advance(id: string, loads: readonly RouterLoad[]): Promise<void> {
    const { context } = this;
    const record = context.routingView.snapshot().models.get(id);
    if (record === undefined || record.deleting || !context.routers.isLeader()) return;
    const entry = this.entryOf(record);
    if (entry === undefined) return;
    const before = entry.state;
    if (!isResting(before) || before.phase === 'paused') {
      entry.state = decideOn(context, record, before, loads);
    }
    context.rolloutDecisions.live.set(id, entry.state);
    tell(context, id, before, entry.state);
    const now = context.clock.now();
    if (!isToStore(record, entry, now)) return;
    const { state } = entry;
    const store = (): Promise<void> => storeRollout(context, record, state);
    const reason = decisionIn(entry);
    if (reason === undefined) await store();
    else await this.change({ action: 'rollout', model: id, arm: state.candidate, reason }, store);
    Object.assign(entry, { stored: state, storedAt: now });
  }
}

/** Why the record gets a line: for a start, a step or an end, but not for counts alone. */
function decisionIn({ state, stored, storedAt }: Watched): string | undefined {
  if (storedAt === 0) return `the rollout of ${state.candidate} begins`;
  if (stored.phase === state.phase && stored.step === state.step) return undefined;
  return `${state.verdict?.do ?? state.phase}: ${state.verdict?.reason ?? ''}`;
}

function isToStore(
  record: ModelRecord,
  { state, stored, storedAt }: Watched,
  now: number,
): boolean {
  // A definition that was written without the state of its rollout has lost it.
  const isLost = rolloutStateOf(record) === undefined;
  if (storedAt === 0 || isLost || isUrgent(stored, state)) return true;
  return !isResting(state) && now - storedAt >= STORE_MS;
}

/** What the definition of a model that others write needs after a rollout. */
function toCommit({ spec, manager }: ModelRecord, verdict: Verdict): Verdict {
  const arm = rolloutArmOf(spec);
  if (verdict.do !== 'done' || arm === undefined) return verdict;
  const { name, version } = arm;
  const reason = `${verdict.reason}; ${manager} writes this model: give stable the version ${version} there and ${name} traffic 100 in place of rollout, then remove ${name} when stable has rolled`;
  return { ...verdict, reason };
}

/** The state after what all routers have counted by now. */
function decideOn(
  context: ControlContext,
  record: ModelRecord,
  state: RolloutState,
  loads: readonly RouterLoad[],
): RolloutState {
  const rules = rolloutRulesOf(record.spec);
  if (rules === undefined) return state;
  const known = state.counts.map(({ boot, counts }) => ({ boot, counts: unpackCounts(counts) }));
  const all = newestCounts(known, heardCounts(loads, state.id));
  const counts = all.map((one) => ({ boot: one.boot, counts: packCounts(one.counts) }));
  const facts = {
    record,
    rules,
    state: { ...state, counts },
    total: totalOf(all.map((one) => one.counts)),
    active: activeRequestsOf(loads, record.spec.id),
    isComplete: isEveryoneHeard(context),
    now: context.clock.now(),
  };
  const view = rolloutView(facts);
  if (view === undefined) return state;
  const verdict = decideRollout(view);
  // Trials that began before a pause may still prove harm; anything else is for a person.
  if (state.phase === 'paused' && verdict.do !== 'abort') return { ...state, counts };
  return rolloutAfter(facts, record.manager === MANAGER ? verdict : toCommit(record, verdict));
}

function tell(
  { log }: ControlContext,
  id: string,
  before: RolloutState,
  after: RolloutState,
): void {
  if (before.phase === after.phase && before.step === after.step) return;
  const { phase, step, verdict } = after;
  log.info('rollout', {
    model: id,
    phase,
    step: step + 1,
    do: verdict?.do,
    reason: verdict?.reason,
  });
}

/** Advances the rollouts of all models; to be run by the leader. */
export function createRollouts(context: ControlContext): TickTask {
  const rollouts = new LedRollouts(context);
  return () => rollouts.start();
}

/** Puts decisions of other routers in force before the cluster has stored them. */
export function followDecisions(context: ControlContext): void {
  const { routers, rolloutDecisions, routingView, log } = context;
  const heard = (routers.others() ?? []).flatMap(({ load }) => load?.decisions ?? []);
  const news = heard.filter((decision) => rolloutDecisions.put(decision));
  if (news.length === 0) return;
  try {
    routingView.rebuild();
  } catch (error) {
    log.error('a decision of another router could not be put in force', {
      error: messageOf(error),
    });
  }
}
