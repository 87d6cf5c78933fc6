import type { Protocol } from '../../../lib/spec';
import type { CallNames } from '../../core/routing/capabilities';
import { hasCall, supportedBy, transcodedFor, V1_ACTIONS } from '../../core/routing/capabilities';
import type { ArmRoute, ModelRoute } from '../../core/routing/table';
import { Refusal } from '../transcode/refusal';
import type { ProxiedRoute } from '../upstream/relay';

// Which calls reach which servers: as they are, or in other words.

/** Does the server understand this very call as it is? */
export function supports(arm: ArmRoute, route: ProxiedRoute): boolean {
  return hasCall(supportedBy(arm.server), route);
}

/** Can the call be put in the server's words? */
export function canTranscode(arm: ArmRoute, route: ProxiedRoute): boolean {
  return hasCall(transcodedFor(arm.server), route);
}

/** The arms that may be chosen: the one named, or those with a share. */
function eligibleArms(
  { arms, shares }: ModelRoute,
  named: string | undefined,
): readonly ArmRoute[] {
  const names = named === undefined ? shares.map(({ arm }) => arm) : [named];
  return names.flatMap((name) => arms.get(name) ?? []);
}

/** Whether some, all or none of the arms that may be chosen understand the call as it is. */
export type ArmSupport = 'all' | 'some' | 'none';

/**
 * @param named the arm asked for by name
 * @throws Refusal when no arm that may be chosen can be told the call
 */
export function armSupport(model: ModelRoute, route: ProxiedRoute, named?: string): ArmSupport {
  const { shares, arms } = model;
  const speaksNamed = (name: string): boolean => {
    const arm = arms.get(name);
    return arm !== undefined && supports(arm, route);
  };
  // Nearly always, so nothing is gathered for it.
  const all =
    named === undefined ? shares.every(({ arm }) => speaksNamed(arm)) : speaksNamed(named);
  if (all) return 'all';
  const inPlay = eligibleArms(model, named);
  if (inPlay.some((one) => supports(one, route))) return 'some';
  if (inPlay.some((one) => canTranscode(one, route))) return 'none';
  throw notOffered(model.id, inPlay[0], route);
}

/** Does an arm that may be chosen speak this protocol? */
export function hasProtocol(model: ModelRoute, protocol: Protocol, named?: string): boolean {
  return eligibleArms(model, named).some((arm) => arm.protocol === protocol);
}

const ACTIONS: ReadonlySet<string> = new Set(V1_ACTIONS);

function describeCalls(id: string, { native = [], v2 = [], v1 = [], openai = [] }: CallNames) {
  return [
    ...native.map((call) => `POST /api/v1/models/${id}/${call}`),
    ...v2.map((call) =>
      call === 'infer' ? `POST /v2/models/${id}/infer` : `GET /v2/models/${id}`,
    ),
    ...v1.map((call) => {
      if (ACTIONS.has(call)) return `POST /v1/models/${id}:${call}`;
      return call === 'status' ? `GET /v1/models/${id}` : `GET /v1/models/${id}/metadata`;
    }),
    ...openai.map((call) => `POST /openai/v1/${call}`),
  ];
}

/** What a model does not offer, and what it does. */
export function notOffered(id: string, arm: ArmRoute | undefined, route: ProxiedRoute): Refusal {
  const { kind, call } = route;
  if (arm === undefined) {
    return new Refusal('INVALID_REQUEST', `model ${id} has no arm that could answer ${call}`);
  }
  const { server, protocol } = arm;
  const own = describeCalls(id, supportedBy(arm.server));
  const more = describeCalls(id, transcodedFor(arm.server)).filter((text) => !own.includes(text));
  const what = server.kind === 'custom' ? `a server that speaks ${protocol}` : server.kind;
  return new Refusal(
    'INVALID_REQUEST',
    `model ${id} runs on ${what}, which has no ${call} (${kind}); it has ${[...own, ...more].join(', ')}`,
  );
}
