import type { z } from 'zod';
import { mayUse } from '../../auth';
import type { Revision } from '../../cluster/port';
import { explainArm } from '../../core/routing/split';
import type { ModelRoute } from '../../core/routing/table';
import { statusOf } from '../../core/lifecycle/status';
import { defineCall } from '../define-call';
import { etagOf } from '../change';
import type { ControlContext } from '../context';
import { Problem } from '../problem';
import {
  definitionSchema,
  explainQuery,
  explainSchema,
  listQuery,
  listSchema,
  statusSchema,
  versionsSchema,
} from '../schemas';
import { statusView, summaryView } from '../view';

type ListQuery = z.output<typeof listQuery>;

const byId = (a: { spec: { id: string } }, b: { spec: { id: string } }): number =>
  a.spec.id < b.spec.id ? -1 : 1;

export const list = defineCall<undefined, ListQuery>({
  method: 'get',
  path: '/api/v1/models',
  access: 'read',
  tag: 'Models',
  summary: 'List models',
  description: 'Only models the key is for, by id.',
  query: listQuery,
  answers: { 200: listSchema },
  errors: ['CLUSTER_UNAVAILABLE'],
  handle: ({ routingView }, { caller, query }) => {
    const { status, model_type: type, framework, limit, offset } = query;
    const found = routingView
      .findModels()
      .filter(({ spec }) => mayUse(caller, spec.id))
      .filter((record) => status === undefined || statusOf(record).status === status)
      .filter(({ spec }) => type === undefined || spec.type === type)
      .filter(({ spec }) => framework === undefined || spec.framework === framework)
      .sort(byId);
    const models = found.slice(offset, offset + limit).map(summaryView);
    return { status: 200, body: { models, total: found.length, limit, offset } };
  },
});

export const get = defineCall<undefined, undefined>({
  method: 'get',
  path: '/api/v1/models/{id}',
  access: 'read',
  tag: 'Models',
  summary: 'The definition of a model',
  description: 'As its author wrote it, in wire form. `ETag` is the revision, for `If-Match`.',
  answers: { 200: definitionSchema },
  errors: [],
  handle: ({ routingView }, { id }) => {
    const { spec, revision } = routingView.findModel(id);
    return { status: 200, body: spec.definition, headers: { etag: etagOf(revision) } };
  },
});

export const status = defineCall<undefined, undefined>({
  method: 'get',
  path: '/api/v1/models/{id}/status',
  access: 'read',
  tag: 'Models',
  summary: 'Status of a model, with causes of failures',
  answers: { 200: statusSchema },
  errors: [],
  handle: ({ routingView, load, brokenFiles, healthHistory }, { id, origin }) => {
    const history = healthHistory.view(id);
    const sources = { all: load.arms(), origin, broken: brokenFiles?.() ?? [], history };
    return { status: 200, body: statusView(routingView.findModel(id), sources) };
  },
});

function revisionView(one: Revision, current: number): object {
  return {
    revision: one.revision,
    version: one.version,
    current: one.revision === current,
    hash: one.hash,
    by: one.by,
    manager: one.manager,
    applied_at: new Date(one.at).toISOString(),
    definition: one.definition,
  };
}

export const versions = defineCall<undefined, undefined>({
  method: 'get',
  path: '/api/v1/models/{id}/versions',
  access: 'read',
  tag: 'Models',
  summary: 'Definitions that were applied, newest first',
  description: 'At most 10 are kept.',
  answers: { 200: versionsSchema },
  errors: [],
  handle: async ({ routingView, cluster }, { id }) => {
    const { revision } = routingView.findModel(id);
    const history = await cluster.history(id);
    return {
      status: 200,
      body: { model_id: id, versions: history.map((one) => revisionView(one, revision)) },
    };
  },
});

function versionOf({ table }: ControlContext, id: string, arm: string): string {
  return table.current.models.get(id)?.arms.get(arm)?.version ?? '';
}

/** The evidence of its rollout counts requests: the arm of each is drawn, not that of its caller. */
const isDrawn = ({ rollout }: ModelRoute): boolean =>
  rollout?.unit === 'request' && rollout.hundredths > 0;

function likeliest({ shares }: ModelRoute): { readonly reason: 'drawn'; readonly arm: string } {
  const [largest] = [...shares].sort((one, other) => other.hundredths - one.hundredths);
  return { reason: 'drawn', arm: largest?.arm ?? '' };
}

export const explain = defineCall<undefined, z.output<typeof explainQuery>>({
  method: 'get',
  path: '/api/v1/models/{id}/explain',
  access: 'read',
  tag: 'Traffic',
  summary: 'Which arm a caller gets, and why',
  description: 'Replays the decision of every router: the same key gets the same arm everywhere.',
  query: explainQuery,
  answers: { 200: explainSchema },
  errors: [],
  handle: (context, { id, query: { key } }) => {
    context.routingView.findModel(id);
    const route = context.table.current.models.get(id);
    if (route === undefined) throw new Problem('MODEL_NOT_FOUND', `${id} has no routes yet`);
    const choice = isDrawn(route) ? likeliest(route) : explainArm(route, key);
    const shares = route.shares.map(({ arm, hundredths }) => [arm, hundredths / 100] as const);
    return {
      status: 200,
      body: {
        model_id: id,
        key,
        version: versionOf(context, id, choice.arm),
        ...choice,
        shares: Object.fromEntries(shares),
      },
    };
  },
});
