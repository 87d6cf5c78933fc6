import type { ModelRecord } from '../../cluster/port';
import { overridesOf } from '../../core/routing/build-table';
import { rolloutRulesOf, rolloutPercent, rolloutStateOf } from '../../core/release/rollout';
import { unpackCounts } from '../../core/release/packed-counts';
import { totalOf } from '../../core/release/rollout-counts';
import type { RolloutState } from '../../core/release/rollout-state';
import { isResting } from '../../core/release/rollout-step';
import {
  accepted,
  changeRequestOf,
  decideOnNewest,
  requireNoPromotion,
  withoutShare,
} from '../change';
import type { ApiCall, ChangeAction } from '../define-call';
import { defineCall } from '../define-call';
import type { ControlContext } from '../context';
import { Problem } from '../problem';
import { newRollout, storeRollout } from '../rollouts';
import { rolloutSchema } from '../schemas';
import { defineChange } from './change-call';

const iso = (at: number): string => new Date(at).toISOString();

/** @throws Problem NOT_FOUND where no rollout was ever seen */
function stateOf(record: ModelRecord): RolloutState {
  const state = rolloutStateOf(record) ?? record.state?.rollout;
  if (state !== undefined) return state;
  const { spec } = record;
  const advice =
    rolloutRulesOf(spec) === undefined
      ? 'give a candidate `rollout` in place of `traffic`'
      : 'it begins within seconds, when a router leads';
  throw new Problem('NOT_FOUND', `${spec.id} has no rollout; ${advice}`);
}

/** What the API says of a rollout. After its end it keeps the final verdict. */
function rolloutViewOf(record: ModelRecord, live: RolloutState | undefined): object {
  const stored = stateOf(record);
  const isNewer = live !== undefined && live.id === stored.id && live.since >= stored.since;
  const state = isNewer ? live : stored;
  const rules = rolloutRulesOf(record.spec);
  const { verdict, counts, candidate, phase, step, by } = state;
  const total = totalOf(counts.map((one) => unpackCounts(one.counts)));
  const isCurrent = rules !== undefined && rolloutStateOf(record) !== undefined;
  const percent = isCurrent ? rolloutPercent(rules, state) : phase === 'done' ? 100 : 0;
  return {
    candidate,
    id: state.id,
    phase,
    step: step + 1,
    steps: isCurrent ? rules.steps : [],
    percent,
    started_at: iso(state.startedAt),
    since: iso(state.since),
    ...(by !== undefined && { by }),
    verdict:
      verdict === undefined
        ? null
        : {
            do: verdict.do,
            gate: verdict.gate ?? null,
            reason: verdict.reason,
            e: verdict.e,
            need: verdict.need ?? null,
          },
    gates: verdict?.gates ?? [],
    callers: total?.seenCallers ?? 0,
    uncounted: total?.unnamed ?? 0,
  };
}

const read = defineCall<undefined, undefined>({
  method: 'get',
  path: '/api/v1/models/{id}/rollout',
  access: 'read',
  tag: 'Traffic',
  summary: 'How far a rollout is, and on which evidence',
  description:
    'After its end it keeps the final verdict, until a definition with another rollout arrives.',
  answers: { 200: rolloutSchema },
  errors: ['NOT_FOUND'],
  handle: ({ routingView, rolloutDecisions, routers }, { id }) => {
    const record = routingView.findModel(id);
    const live = routers.isLeader() ? rolloutDecisions.live.get(id) : undefined;
    return { status: 200, body: { model_id: id, ...rolloutViewOf(record, live) } };
  },
});

type Step = 'hold' | 'resume' | 'advance' | 'abort';

function conflict({ spec }: ModelRecord, { phase }: RolloutState, what: string): Problem {
  return new Problem('FIELD_CONFLICT', `${spec.id}: the rollout is ${phase}; ${what}`);
}

/** @throws Problem FIELD_CONFLICT unless the definition still has the rollout of this state */
function requireCurrent(record: ModelRecord): RolloutState {
  const state = stateOf(record);
  if (rolloutStateOf(record) !== undefined) return state;
  throw conflict(record, state, 'the definition has none any more');
}

type Next = (record: ModelRecord, state: RolloutState, now: number) => RolloutState;

/** The state that a person asks for. */
const NEXT: Readonly<Record<Step, Next>> = {
  hold: (record, state) => {
    if (isResting(state)) throw conflict(record, state, 'resume it first');
    return { ...state, phase: 'held' };
  },
  resume: (record, state, now) => {
    if (state.phase === 'done') throw conflict(record, state, 'there is nothing left to resume');
    // The evidence of an aborted start stays with it: other callers, from the first step.
    if (state.phase === 'aborted') return newRollout(record, now) ?? state;
    return { ...state, phase: 'running' };
  },
  advance: (record, state) => {
    if (isResting(state)) throw conflict(record, state, 'resume it first');
    const last = (rolloutRulesOf(record.spec)?.steps.length ?? 1) - 1;
    if (state.step >= last) return { ...state, phase: 'done' };
    return { ...state, phase: 'running', step: state.step + 1 };
  },
  abort: (record, state) => {
    if (state.phase === 'done') throw conflict(record, state, 'use POST …/abort or …/rollback');
    return { ...state, phase: 'aborted' };
  },
};

/** The newest state that a person wants; clocks of routers differ, and the later one counts. */
function rolloutByHand(
  { clock }: Pick<ControlContext, 'clock'>,
  record: ModelRecord,
  step: Step,
  by: string,
): RolloutState {
  const state = requireCurrent(record);
  const now = Math.max(clock.now(), state.since + 1);
  return { ...NEXT[step](record, state, now), since: now, by };
}

const TEXTS: Readonly<Record<Step, { summary: string; description: string; said: string }>> = {
  hold: {
    summary: 'Keep the step of a rollout',
    description:
      'The share stays; evidence is still counted, and an abort by evidence still comes.',
    said: 'keeps its share until it is resumed',
  },
  resume: {
    summary: 'Go on with a rollout',
    description:
      'One that was held or paused goes on at its step; an aborted one starts anew with other callers.',
    said: 'goes on',
  },
  advance: {
    summary: 'Go to the next step without waiting for evidence',
    description: 'From the last step the candidate is promoted.',
    said: 'is at its next step',
  },
  abort: {
    summary: 'Send everything to stable, at once',
    description: 'In effect in the routers before the cluster has stored it.',
    said: 'gets no traffic any more',
  },
};

function changeOf(step: Step): ApiCall {
  const { summary, description, said } = TEXTS[step];
  return defineChange<undefined>({
    path: `/api/v1/models/{id}/rollout/${step}`,
    action: `rollout_${step}` satisfies ChangeAction,
    isRelief: () => step === 'hold' || step === 'abort',
    tag: 'Traffic',
    summary,
    description,
    errors: ['NOT_FOUND'],
    handle: async (context, request) => {
      const { id, caller } = request;
      const record = await decideOnNewest(context, id, changeRequestOf(request), async (now) => {
        requireNoPromotion(now);
        const next = rolloutByHand(context, now, step, caller.name);
        // A general abort took its share away; a rollout that goes on gets it back.
        const state = step === 'resume' ? withoutShare(now, next.candidate) : overridesOf(now);
        await storeRollout(context, now, next, state);
        return now;
      });
      const { candidate } = stateOf(record);
      return accepted(id, { revision: record.revision, warnings: [] }, `${candidate} ${said}`);
    },
  });
}

export const rolloutCalls: readonly ApiCall[] = [
  read,
  ...(['hold', 'resume', 'advance', 'abort'] as const).map(changeOf),
];
