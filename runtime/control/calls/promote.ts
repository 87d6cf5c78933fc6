import type { z } from 'zod';
import type { ModelSpec } from '../../../lib/spec';
import { parseModel, updateModel } from '../../../lib/spec';
import type { ModelRecord, ModelOverrides, Revision } from '../../cluster/port';
import { OWN_MANAGERS } from '../../cluster/port';
import { overridesOf } from '../../core/routing/build-table';
import { promotedDefinition } from '../../core/release/promoted-definition';
import type { DesiredChange } from '../change';
import {
  accepted,
  changeRequestOf,
  changeModel,
  keptOverrides,
  requireNoPromotion,
  withoutShare,
} from '../change';
import { invalidRequest, Problem } from '../problem';
import { abortedRollout } from '../../core/release/rollout';
import { changeOverrides } from '../overrides';
import { abortBody, promoteBody } from '../schemas';
import { defineChange } from './change-call';

/** @throws Problem INVALID_REQUEST when the candidate is missing or ambiguous */
function candidateOf({ id, arms }: ModelSpec, wanted: string | undefined): string {
  const names = arms.slice(1).map(({ name }) => name);
  const [only] = names;
  const chosen = wanted ?? (names.length === 1 ? only : undefined);
  if (chosen !== undefined && names.includes(chosen)) return chosen;
  const allowed = names.length === 0 ? `${id} has no candidate` : names.join(', ');
  const got = wanted === undefined ? undefined : JSON.stringify(wanted);
  const message = `${got === undefined ? 'is missing' : `got ${got}`}, must be one of: ${allowed}; name one`;
  throw invalidRequest([
    { path: 'candidate', message, ...(got !== undefined && { got }), allowed },
  ]);
}

/** @throws Problem READ_ONLY: a promotion writes definitions, and Git owns this one */
function requireOwn({ spec, manager }: ModelRecord): void {
  if (OWN_MANAGERS.has(manager)) return;
  throw new Problem(
    'READ_ONLY',
    `${spec.id} is written by ${manager}: give the candidate traffic 100 and stable its version there, then remove the candidate`,
  );
}

function promoting(record: ModelRecord, candidate: string): Omit<ModelOverrides, 'hash'> {
  const state = overridesOf(record);
  if (state?.promote?.candidate === candidate) return state;
  requireNoPromotion(record);
  requireOwn(record);
  if (state?.stopped === true) {
    throw new Problem('FIELD_CONFLICT', `${record.spec.id} is stopped; scale it up, then promote`);
  }
  // The promoted definition is checked before any traffic moves.
  parseModel(promotedDefinition(record.spec, candidate));
  return { ...withoutShare(record, candidate), promote: { candidate, phase: 'shifting' } };
}

export const promote = defineChange<z.output<typeof promoteBody>>({
  path: '/api/v1/models/{id}/promote',
  action: 'promote',
  tag: 'Traffic',
  summary: 'Make a candidate stable',
  description:
    'In three steps, none of which moves a caller back: the candidate takes all traffic as its replicas allow, stable takes its version and rolls, traffic returns and the candidate goes. The status shows how far it is; abort works until traffic returns.',
  body: promoteBody,
  handle: async (context, request) => {
    const { id, body } = request;
    const candidate = candidateOf(context.routingView.findModel(id).spec, body.candidate);
    const record = await changeOverrides(context, id, changeRequestOf(request), (now) =>
      promoting(now, candidateOf(now.spec, candidate)),
    );
    const result = { revision: record.revision, warnings: [] };
    return accepted(id, result, `${candidate} becomes stable; GET …/status shows how far it is`);
  },
});

/** Candidates and shadows get no traffic, and a rollout ends. */
function abortedState(record: ModelRecord): Omit<ModelOverrides, 'hash'> {
  const candidates = record.spec.arms.slice(1).map(({ name }) => [name, 0] as const);
  const { rollout, ...rest } = keptOverrides(record) ?? {};
  const ended = rollout !== undefined && { rollout: abortedRollout(rollout) };
  const kept = { ...rest, ...ended };
  return candidates.length === 0 ? kept : { ...kept, shares: Object.fromEntries(candidates) };
}

/** The definition before stable took the candidate's version, with its current scaling. */
function before(record: ModelRecord, history: readonly Revision[]): DesiredChange | undefined {
  const { spec } = record;
  const earlier = history.find(({ version }) => version !== spec.version);
  if (earlier === undefined) return undefined;
  const scaling = spec.definition['scaling_config'];
  const patch = scaling === undefined ? {} : { scaling_config: scaling };
  return {
    spec: updateModel(earlier.definition, patch),
    state: abortedState(record),
    earlier: parseModel(earlier.definition),
  };
}

export const abort = defineChange<z.output<typeof abortBody>>({
  path: '/api/v1/models/{id}/abort',
  action: 'abort',
  isRelief: () => true,
  tag: 'Traffic',
  summary: 'Send everything to stable, at once',
  description:
    'Candidates and shadows get nothing until the next definition or /traffic. A promotion ends; if stable has begun to roll, it goes back to the definition before.',
  body: abortBody,
  handle: async (context, request) => {
    const { id } = request;
    const phase = overridesOf(context.routingView.findModel(id))?.promote?.phase;
    if (phase === 'returning') {
      throw new Problem(
        'FIELD_CONFLICT',
        `${id}: stable runs the new version and takes its traffic back; use POST …/rollback when that is done`,
      );
    }
    const message = `stable gets all traffic of ${id}`;
    if (phase !== 'rolling') {
      const { revision } = await changeOverrides(
        context,
        id,
        changeRequestOf(request),
        abortedState,
      );
      return accepted(id, { revision, warnings: [] }, message);
    }
    const result = await changeModel(context, id, changeRequestOf(request), async (record) => {
      const wanted = before(record, await context.cluster.history(id));
      return wanted ?? { spec: record.spec, state: abortedState(record) };
    });
    return accepted(id, result, `${message} and goes back to the version before`);
  },
});
