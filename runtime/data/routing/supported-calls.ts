import type { Protocol } from '../../../lib/spec';
import type { CallNames } from '../../core/routing/capabilities';
import { hasCall, supportedBy, transcodedFor, V1_ACTIONS } from '../../core/routing/capabilities';
import type { ArmRoute, ModelRoute } from '../../core/routing/table';
import { Refusal } from '../transcode/refusal';
import type { ProxiedRoute } from '../upstream/relay';

// Which calls a server supports, as they are or transcoded.

/** The server supports this call without transcoding. */
export function supports(arm: ArmRoute, route: ProxiedRoute): boolean {
  return hasCall(supportedBy(arm.server), route);
}

/** The call can be transcoded to the server's protocol. */
export function canTranscode(arm: ArmRoute, route: ProxiedRoute): boolean {
  return hasCall(transcodedFor(arm.server), route);
}

/** The arms that may be chosen: the requested one, or those with a share. */
function eligibleArms(
  { arms, shares }: ModelRoute,
  named: string | undefined,
): readonly ArmRoute[] {
  const names = named === undefined ? shares.map(({ arm }) => arm) : [named];
  return names.flatMap((name) => arms.get(name) ?? []);
}

/** How many of the eligible arms support the call without transcoding. */
export type ArmSupport = 'all' | 'some' | 'none';

/**
 * @param named the requested arm
 * @throws Refusal when no eligible arm supports the call, even transcoded
 */
export function armSupport(model: ModelRoute, route: ProxiedRoute, named?: string): ArmSupport {
  const { shares, arms } = model;
  const speaksNamed = (name: string): boolean => {
    const arm = arms.get(name);
    return arm !== undefined && supports(arm, route);
  };
  // The usual case: allocate nothing.
  const all =
    named === undefined ? shares.every(({ arm }) => speaksNamed(arm)) : speaksNamed(named);
  if (all) return 'all';
  const inPlay = eligibleArms(model, named);
  if (inPlay.some((one) => supports(one, route))) return 'some';
  if (inPlay.some((one) => canTranscode(one, route))) return 'none';
  throw notOffered(model.id, inPlay[0], route);
}

/** An eligible arm uses this protocol. */
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

/** The refusal of an unsupported call, with the calls the model supports. */
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
