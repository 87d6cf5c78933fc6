import { observedSchema } from '../../../lib/plan/observed';
import type { Observed } from '../../../lib/plan/observed';
import { mayUse } from '../../auth';
import type { RouterLoad } from '../../core/lifecycle/peers';
import { armKey, isKnown } from '../../core/lifecycle/peers';
import type { ModelRecord } from '../../core/lifecycle/snapshot';
import { windowSeconds } from '../../core/routing/window';
import type { ControlContext } from '../context';
import { defineCall } from '../define-call';

/** Reports of all routers, and whether each of them has a current one. */
function currentLoads({ ownLoad, routers, clock }: ControlContext) {
  const others = routers.others();
  const known = (others ?? []).filter((one) => isKnown(one, clock.now()));
  const loads = [ownLoad(), ...known.flatMap(({ load }) => load ?? [])];
  return { loads, complete: others !== undefined && known.length === others.length };
}

/** Digits after the point: a request in a quarter of an hour counts. */
const RATE_DIGITS = 1e3;

/** Each router counts over its own window, by its own clock. */
function rateOf(loads: readonly RouterLoad[], model: string, arm: string): number {
  const rate = loads.reduce((sum, { at, startedAt, arms }) => {
    const { ended = 0 } = arms.get(armKey(model, arm)) ?? {};
    return sum + ended / windowSeconds(at, startedAt);
  }, 0);
  return Math.round(rate * RATE_DIGITS) / RATE_DIGITS;
}

function observedModel(
  { spec, arms }: ModelRecord,
  loads: readonly RouterLoad[],
): Observed['models'][number] {
  const counts = new Map(arms.map(({ name, current }) => [name, current]));
  const seen = spec.arms.map(({ name, role }) => ({
    arm: name,
    role: role.kind,
    replicas: counts.get(name) ?? 0,
    requests_per_second: rateOf(loads, spec.id, name),
  }));
  return { model_id: spec.id, arms: seen };
}

export const observed = defineCall<undefined, undefined>({
  method: 'get',
  path: '/api/v1/observed',
  access: 'read',
  tag: 'Models',
  summary: 'Replicas and request rates of all models',
  description:
    'Over the last minute and all routers, for `plan --observed`. Only models the key is for.',
  answers: { 200: observedSchema },
  errors: [],
  handle: (context, { caller }) => {
    const { loads, complete } = currentLoads(context);
    const now = context.clock.now();
    const models = context.routingView
      .findModels()
      .filter(({ spec }) => mayUse(caller, spec.id))
      .map((record) => observedModel(record, loads))
      .sort((a, b) => (a.model_id < b.model_id ? -1 : 1));
    const seconds = windowSeconds(now, context.startedAt);
    const time = new Date(now).toISOString();
    const body: Observed = { format: 1, time, seconds, complete, models };
    return { status: 200, body };
  },
});
