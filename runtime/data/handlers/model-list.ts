import type { Caller } from '../../auth/port';
import { mayUse } from '../../auth/port';
import { offersCall } from '../../core/routing/capabilities';
import type { ModelRoute, RoutingTable } from '../../core/routing/table';
import { requireTable } from '../routing/target';
import { Refusal } from '../transcode/refusal';
import type { Route } from '../routing/paths';

// Calls that the router answers itself; lists contain only models the caller may use.

/** Name and extensions in `/v2`; binary tensors pass through. */
const SERVER = { name: 'ai-model-service', extensions: ['binary_tensor_data', 'model_repository'] };

function visible(table: RoutingTable, caller: Caller): readonly ModelRoute[] {
  requireTable(table);
  return [...table.models.values()].filter(({ id, deleting }) => !deleting && mayUse(caller, id));
}

/** Can a request be answered now, by an arm with a share, or by the requested arm or version? */
export function isServing(
  { arms, shares, stopped, deleting }: ModelRoute,
  named?: string,
  version?: string,
): boolean {
  const taking =
    named === undefined ? shares.filter(({ hundredths }) => hundredths > 0) : [{ arm: named }];
  const up = (arm: string): boolean =>
    arms.get(arm)?.replicas.some((one) => (version ?? one.version) === one.version) === true;
  return !stopped && !deleting && taking.some(({ arm }) => up(arm));
}

const stableOf = ({ arms, shares }: ModelRoute) => arms.get(shares[0]?.arm ?? '');

function indexEntry(model: ModelRoute): object {
  const ready = isServing(model);
  const reason = ready ? '' : model.stopped ? 'stopped' : 'no ready replica';
  const version = stableOf(model)?.version ?? '';
  return { name: model.id, version, state: ready ? 'READY' : 'UNAVAILABLE', reason };
}

export type RouterRoute = Extract<
  Route,
  { kind: 'v2_server' | 'v1_server' | 'v1_list' | 'openai_list' | 'openai_model' }
>;

const CHAT = { kind: 'openai', call: 'chat/completions' } as const;

/** Does an arm with a share offer chat completions? */
const hasChat = ({ arms, shares }: ModelRoute): boolean =>
  shares.some(({ arm }) => {
    const server = arms.get(arm)?.server;
    return server !== undefined && offersCall(server, CHAT);
  });

/** @throws Refusal when the list has no such model */
function openaiModel(table: RoutingTable, id: string): ModelRoute {
  const model = table.models.get(id);
  if (model !== undefined && !model.deleting && hasChat(model)) return model;
  requireTable(table);
  throw new Refusal(
    'MODEL_NOT_FOUND',
    `there is no model ${id} that answers OpenAI calls; GET /openai/v1/models lists them`,
  );
}

const openaiEntry = ({ id }: ModelRoute): object => ({
  id,
  object: 'model',
  created: 0,
  owned_by: SERVER.name,
});

/** State of the router itself. */
export interface RouterInfo {
  readonly version: string;
  /** Is the router ready for requests? */
  readonly isReady: () => boolean;
}

export function routerAnswer(
  route: RouterRoute,
  table: RoutingTable,
  caller: Caller,
  { version, isReady }: RouterInfo,
): object {
  if (route.kind === 'v1_server') return { status: 'alive' };
  if (route.kind === 'v1_list') return { models: visible(table, caller).map(({ id }) => id) };
  if (route.kind === 'openai_list') {
    const data = visible(table, caller).filter(hasChat).map(openaiEntry);
    return { object: 'list', data };
  }
  if (route.kind === 'openai_model') return openaiEntry(openaiModel(table, route.model));
  switch (route.call) {
    case 'live':
      return { live: true };
    case 'ready':
      return { ready: isReady() };
    case 'index':
      return visible(table, caller).map(indexEntry);
    default:
      return { ...SERVER, version };
  }
}
