import type { z } from 'zod';
import { removeQuery, removedSchema } from '../schemas';
import { defineCall } from '../define-call';
import { MANAGER, requireMatch } from '../change';
import { withRefusedPlan } from '../change-plan';
import { beginRemoval } from '../removal';

/** Drains and removes a model. */
export const remove = defineCall<undefined, z.output<typeof removeQuery>>({
  method: 'delete',
  path: '/api/v1/models/{id}',
  access: 'write',
  action: 'delete',
  tag: 'Models',
  summary: 'Delete a model',
  description: 'New requests are refused at once, running ones finish. `force` does not wait.',
  query: removeQuery,
  conditional: true,
  answers: { 202: removedSchema },
  errors: ['READ_ONLY', 'REVISION_CONFLICT'],
  handle: async (context, { id, caller, ifMatch, query: { force } }) => {
    const record = context.routingView.findModel(id);
    requireMatch(ifMatch, record);
    const begun = beginRemoval(context, id, { by: caller.name, manager: MANAGER, force });
    await withRefusedPlan(context, { id, spec: undefined }, begun);
    const message = force ? `${id} is being deleted` : `${id} drains and is then deleted`;
    return { status: 202, body: { model_id: id, message }, model: id, revision: record.revision };
  },
});
