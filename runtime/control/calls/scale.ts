import type { z } from 'zod';
import { updateModel } from '../../../lib/spec';
import type { ModelRecord, ModelOverrides } from '../../cluster/port';
import { overridesOf } from '../../core/routing/build-table';
import type { CallResponse } from '../define-call';
import type { DesiredChange } from '../change';
import { accepted, changeRequestOf, changeModel } from '../change';
import type { ControlContext } from '../context';
import { invalidRequest } from '../problem';
import { changeOverrides } from '../overrides';
import { scaleBody, scaledSchema } from '../schemas';
import type { ChangeCallRequest } from './change-call';
import { defineChange, said } from './change-call';

type Scale = ChangeCallRequest<z.output<typeof scaleBody>>;

const currentOf = ({ arms }: ModelRecord): number => arms[0]?.current ?? 0;

/**
 * An autoscaler would undo any count but its minimum; a fixed model gets the count. A count that is
 * in force already leaves the definition unchanged.
 * @throws Problem INVALID_REQUEST above the maximum
 */
function scalingPatch({ spec }: ModelRecord, replicas: number): object {
  const { minReplicas, maxReplicas } = spec.scaling;
  if (replicas === minReplicas) return {};
  const isFixed = minReplicas === maxReplicas;
  const bounds = { min_replicas: replicas, ...(isFixed && { max_replicas: replicas }) };
  if (isFixed || replicas <= maxReplicas) return { scaling_config: bounds };
  const message = `got ${replicas}, must be ≤ max_replicas (${maxReplicas}): ${spec.id} is autoscaled and this sets its floor; raise scaling_config.max_replicas by PUT first`;
  throw invalidRequest([
    { path: 'replicas', message, got: String(replicas), allowed: `≤ ${maxReplicas}` },
  ]);
}

/** Keeps all overrides (an abort, a promotion) but "stopped". */
function runningState(record: ModelRecord): Omit<ModelOverrides, 'hash'> {
  const { hash: _, stopped: __, ...rest } = overridesOf(record) ?? { hash: '' };
  return rest;
}

function wanted(record: ModelRecord, replicas: number): DesiredChange {
  const spec = updateModel(record.spec.definition, scalingPatch(record, replicas));
  return { spec, state: runningState(record) };
}

async function stop(context: ControlContext, request: Scale): Promise<CallResponse> {
  const { id } = request;
  const record = await changeOverrides(context, id, changeRequestOf(request), (now) => ({
    ...runningState(now),
    stopped: true,
  }));
  const counts = { current_replicas: currentOf(record), target_replicas: 0 };
  const result = { revision: record.revision, warnings: [] };
  return accepted(id, result, `${id} is being stopped; scale it up to start it again`, counts);
}

export const scale = defineChange<Scale['body']>({
  path: '/api/v1/models/{id}/scale',
  action: 'scale',
  tag: 'Models',
  summary: 'Change the number of replicas',
  description:
    'Autoscaled models: the fewest replicas; others: the number of replicas. 0 stops the model.',
  body: scaleBody,
  answers: { 202: scaledSchema },
  handle: async (context, request) => {
    const { id, body } = request;
    if (body.replicas === 0) return stop(context, request);
    const result = await changeModel(context, id, changeRequestOf(request), (record) =>
      wanted(record, body.replicas),
    );
    const current = currentOf(result.record);
    const counts = { current_replicas: current, target_replicas: body.replicas };
    const scales = `${id} scales from ${current} to ${body.replicas}`;
    // A stopped model starts again with the same count.
    const isStarted = overridesOf(result.record)?.stopped === true;
    return accepted(id, result, isStarted ? scales : said(result, scales), counts);
  },
});
