import type { z } from 'zod';
import { hundredths, parseModel, updateModel } from '../../../lib/spec';
import type { ModelRecord, Revision } from '../../cluster/port';
import { ClusterError } from '../../cluster/port';
import type { CallResponse } from '../define-call';
import type { DesiredChange } from '../change';
import {
  accepted,
  changeRequestOf,
  changeModel,
  keptOverrides,
  requireNoPromotion,
  withoutShare,
} from '../change';
import type { ControlContext } from '../context';
import { invalidRequest, Problem } from '../problem';
import { overridesOf } from '../../core/routing/build-table';
import type { ChangeCallRequest } from './change-call';
import { defineChange, said } from './change-call';
import { changeOverrides } from '../overrides';
import { rollbackBody, trafficBody, updateBody } from '../schemas';
import { entryOf } from '../../../lib/spec/entry';

/** @throws Problem INVALID_REQUEST when a patch would rename the model */
function requireSameId(id: string, config: Readonly<Record<string, unknown>>): void {
  for (const field of ['model_id', 'id']) {
    const given = entryOf(config, field);
    if (given === undefined || given === id) continue;
    const message = `is not the id in the path (${id}); leave it out, or deploy a model of that name`;
    const path = `config.${field}`;
    throw invalidRequest([{ path, message, got: JSON.stringify(given).slice(0, 60), allowed: id }]);
  }
}

export const update = defineChange<z.output<typeof updateBody>>({
  method: 'put',
  path: '/api/v1/models/{id}',
  action: 'update',
  tag: 'Models',
  summary: 'Change a model: a rolling update',
  description:
    '`config` is a JSON merge patch (RFC 7386) on the stored definition; null removes a field.',
  body: updateBody,
  handle: async (context, request) => {
    const { id, body } = request;
    requireSameId(id, body.config);
    const result = await changeModel(context, id, changeRequestOf(request), (record) => {
      requireNoPromotion(record);
      return {
        spec: updateModel(record.spec.definition, body.config),
        state: keptOverrides(record),
      };
    });
    return accepted(id, result, said(result, `${id} is being updated`));
  },
});

function revisionOf(id: string, wanted: number, history: readonly Revision[]): Revision {
  const found = history.find(({ revision }) => revision === wanted);
  if (found !== undefined) return found;
  const kept = history.map(({ revision }) => revision).join(', ');
  throw new Problem('NOT_FOUND', `${id} has no revision ${wanted} any more; kept are ${kept}`);
}

export const rollback = defineChange<z.output<typeof rollbackBody>>({
  path: '/api/v1/models/{id}/rollback',
  action: 'rollback',
  tag: 'Models',
  summary: 'Apply an earlier definition again',
  description: 'As a new revision, by a rolling update.',
  body: rollbackBody,
  errors: ['NOT_FOUND'],
  handle: async (context, request) => {
    const { id, body } = request;
    const result = await changeModel(context, id, changeRequestOf(request), async (record) => {
      requireNoPromotion(record);
      const earlier = revisionOf(id, body.revision, await context.cluster.history(id));
      const spec = parseModel(earlier.definition);
      return { spec, state: keptOverrides(record), earlier: spec };
    });
    return accepted(id, result, said(result, `${id} goes back to revision ${body.revision}`));
  },
});

/** @throws Problem INVALID_REQUEST unless the candidate has a share that can be set */
function candidateIndex({ spec }: ModelRecord, name: string): number {
  const [, ...candidates] = spec.arms;
  const index = candidates.findIndex((arm) => arm.name === name);
  const role = candidates[index]?.role.kind;
  if (role === 'traffic') return index;
  const able = candidates.filter((arm) => arm.role.kind === 'traffic').map((arm) => arm.name);
  const allowed = able.length === 0 ? 'no candidate has traffic' : able.join(', ');
  const reasons = {
    shadow: `${name} is a shadow: it gets copies and its answers are thrown away; promote it, or give it traffic instead of shadow by PUT`,
    rollout: `${name} is rolled out by its own steps; abort stops that`,
    none: `${spec.id} has no candidate ${name} with a share; allowed: ${allowed}`,
  };
  const message = reasons[role ?? 'none'];
  throw invalidRequest([{ path: 'candidate', message, got: JSON.stringify(name), allowed }]);
}

/** The candidates of a definition with one share replaced. */
function withShare(record: ModelRecord, name: string, percent: number): object {
  const index = candidateIndex(record, name);
  const candidates = record.spec.definition['candidates'] as readonly object[];
  const changed = { ...candidates[index], traffic: percent };
  return { candidates: candidates.with(index, changed) };
}

type Traffic = ChangeCallRequest<z.output<typeof trafficBody>>;

/**
 * In an emergency a share may be lowered although another manager writes the definition: it is
 * stored as an override, until the next definition.
 * @throws the refusal of the definition's owner when the share would rise
 */
async function lower(
  context: ControlContext,
  request: Traffic,
  refusal: unknown,
): Promise<CallResponse> {
  const { id, body } = request;
  if (!(refusal instanceof ClusterError) || refusal.code !== 'READ_ONLY') throw refusal;
  const percent = hundredths(body.percent) / 100;
  const { revision } = await changeOverrides(context, id, changeRequestOf(request), (record) => {
    requireNoPromotion(record);
    const arm = record.spec.arms[candidateIndex(record, body.candidate) + 1];
    if (arm?.role.kind !== 'traffic' || percent > arm.role.percent) throw refusal;
    const { shares, ...rest } = withoutShare(record, body.candidate);
    return { ...rest, shares: { ...shares, [body.candidate]: percent } };
  });
  const message = `${body.candidate} gets ${percent} % of the traffic of ${id} until its next definition`;
  return accepted(id, { revision, warnings: [] }, message);
}

/** Is the share that is asked for not above the one in force? */
function isLower({ routingView }: ControlContext, { id, body }: Traffic): boolean {
  const record = routingView.snapshot().models.get(id);
  const role = record?.spec.arms.find(({ name }) => name === body.candidate)?.role;
  if (record === undefined || role?.kind !== 'traffic') return false;
  const inForce = entryOf(overridesOf(record)?.shares, body.candidate) ?? role.percent;
  return hundredths(body.percent) / 100 <= inForce;
}

export const traffic = defineChange<z.output<typeof trafficBody>>({
  path: '/api/v1/models/{id}/traffic',
  action: 'traffic',
  isRelief: isLower,
  tag: 'Traffic',
  summary: 'Set the share of a candidate',
  description:
    'Stable gets what is left. No replica restarts; in effect within milliseconds. The share of a model that others write (Git) can only be lowered, until its next definition.',
  body: trafficBody,
  handle: async (context, request) => {
    const { id, body } = request;
    const percent = hundredths(body.percent) / 100;
    const wanted = (record: ModelRecord): DesiredChange => {
      requireNoPromotion(record);
      const patch = withShare(record, body.candidate, percent);
      const state = withoutShare(record, body.candidate);
      return { spec: updateModel(record.spec.definition, patch), state };
    };
    const result = await changeModel(context, id, changeRequestOf(request), wanted).catch(
      (error: unknown) => lower(context, request, error),
    );
    if (!('changed' in result)) return result;
    return accepted(id, result, `${body.candidate} gets ${percent} % of the traffic of ${id}`);
  },
});
