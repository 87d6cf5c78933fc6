import type { Caller } from '../../auth/port';
import { holds } from '../../auth/port';
import type { ModelRoute, RoutingTable, TableHolder } from '../../core/routing/table';
import { EMPTY_TABLE } from '../../core/routing/table';
import { Refusal } from '../transcode/refusal';
import type { IncomingRequest } from '../http/exchange';

// The model of a request, and the arm it names, if any.

/** Before the cluster was read, no model is known. @throws Refusal */
export function requireTable(table: RoutingTable): void {
  if (table !== EMPTY_TABLE) return;
  throw new Refusal('CLUSTER_UNAVAILABLE', 'the cluster has not been read yet; try again soon');
}

/** @throws Refusal */
export function modelOf(table: TableHolder, id: string): ModelRoute {
  const model = table.current.models.get(id);
  if (model !== undefined) return model;
  requireTable(table.current);
  throw new Refusal('MODEL_NOT_FOUND', `there is no model ${id}; GET /api/v1/models lists them`);
}

/** Choosing an arm needs a scope. @throws Refusal */
function requireArms(caller: Caller, what: string): void {
  if (holds(caller, 'arms')) return;
  throw new Refusal('FORBIDDEN', `${what} needs the scope arms; ${caller.name} lacks it`);
}

/** The arm that `x-ai-model-arm` names, for callers who may choose. @throws Refusal */
export function requestedArm(
  { fields }: Pick<IncomingRequest, 'fields'>,
  model: ModelRoute,
  caller: Caller,
): string | undefined {
  const arm = fields.get('x-ai-model-arm');
  if (arm === undefined) return undefined;
  requireArms(caller, 'x-ai-model-arm');
  if (model.arms.has(arm)) return arm;
  const arms = [...model.arms.keys()].join(', ');
  throw new Refusal('INVALID_REQUEST', `x-ai-model-arm: got "${arm}", must be one of ${arms}`);
}

/** The arm that runs a version named in a path. @throws Refusal */
function armOfVersion(model: ModelRoute, version: string, caller: Caller): string {
  requireArms(caller, 'a version by name');
  const all = [...model.arms.values()];
  const arm = all.find((one) => one.version === version);
  if (arm !== undefined) return arm.name;
  const versions = all.map((one) => one.version).join(', ');
  throw new Refusal(
    'MODEL_NOT_FOUND',
    `model ${model.id} has no version ${version}, it has ${versions}`,
  );
}

/** The requested arm, by name or by version. */
export interface ArmSelector {
  readonly arm: string | undefined;
  readonly version: string | undefined;
}

/**
 * The arm that a V2 call requests.
 * @param version the version in its path or message
 * @throws Refusal
 */
export function requestedTarget(
  incoming: Pick<IncomingRequest, 'fields'>,
  model: ModelRoute,
  caller: Caller,
  version: string | undefined,
): ArmSelector {
  if (version !== undefined) return { arm: armOfVersion(model, version, caller), version };
  return { arm: requestedArm(incoming, model, caller), version };
}
