import type { z } from 'zod';
import type { ModelSpec } from '../../../lib/spec';
import { parseModel } from '../../../lib/spec';
import { objectsOf } from '../../../lib/objects';
import type { Warning } from '../admit';
import { admit } from '../admit';
import type { CallResponse, CallRequest } from '../define-call';
import { defineCall } from '../define-call';
import { accepted, changeRequestOf, MANAGER, forcesOwnership, waitForRevision } from '../change';
import { changePlan, withRefusedPlan } from '../change-plan';
import type { ControlContext } from '../context';
import { entryOf } from '../../../lib/spec/entry';
import { changedSchema, deployBody, deployQuery, dryRunSchema } from '../schemas';

type Deploy = CallRequest<z.output<typeof deployBody>, z.output<typeof deployQuery>>;

async function create(
  context: ControlContext,
  request: Deploy,
  spec: ModelSpec,
  warnings: readonly Warning[],
): Promise<CallResponse> {
  const applied = context.cluster.apply(spec, {
    by: request.caller.name,
    manager: MANAGER,
    create: true,
    force: forcesOwnership(changeRequestOf(request)),
  });
  const { revision, changed } = await withRefusedPlan(context, { id: spec.id, spec }, applied);
  await waitForRevision(context, spec.id, revision);
  const message = changed
    ? `${spec.id} is being deployed; GET /api/v1/models/${spec.id}/status shows how far it is`
    : `${spec.id} is deployed with this definition already; nothing was changed`;
  return accepted(spec.id, { revision, warnings }, message);
}

async function render(
  context: ControlContext,
  spec: ModelSpec,
  warnings: readonly Warning[],
): Promise<CallResponse> {
  const { environment, withArtifacts = async (given) => given } = context;
  const whole = await withArtifacts(spec);
  const objects = objectsOf(whole, environment);
  const plan = changePlan(context, spec.id, whole);
  return {
    status: 200,
    body: { model_id: spec.id, dry_run: true, objects, warnings, plan },
    model: spec.id,
  };
}

/** Creates a model. The identical definition again is the same deployment. */
export const deploy = defineCall<Deploy['body'], Deploy['query']>({
  method: 'post',
  path: '/api/v1/models/deploy',
  access: 'write',
  action: 'deploy',
  recordOf: ({ config }) => ({ model: entryOf(config, 'model_id') ?? entryOf(config, 'id') }),
  tag: 'Models',
  summary: 'Deploy a model',
  description:
    'The identical definition again is the same deployment; a different one for an id that exists is refused (use PUT). REST speaks a smaller language than Git: `overrides`, `command`, `service_account_annotations` and what docs/rest-api.md names beside them are refused, whatever the key.',
  body: deployBody,
  query: deployQuery,
  answers: { 200: dryRunSchema, 202: changedSchema },
  errors: [
    'INVALID_MODEL_CONFIG',
    'MODEL_ALREADY_EXISTS',
    'READ_ONLY',
    'FIELD_CONFLICT',
    'CLUSTER_UNAVAILABLE',
  ],
  handle: async (context, request) => {
    const spec = parseModel(request.body.config);
    const previous = context.routingView.snapshot().models.get(spec.id)?.spec;
    const warnings = admit(context, request.caller, { spec, previous });
    if (request.query.dry_run) return render(context, spec, warnings);
    return context.locks.run(spec.id, () => create(context, request, spec, warnings));
  },
});
