import { z } from 'zod';
import type { ArmLoad, RouterLoad } from '../core/lifecycle/peers';
import type { PackedCounts } from '../core/release/rollout-state';
import { packCounts, unpackCounts } from '../core/release/packed-counts';
import { byKey } from '../core/lifecycle/peers';
import { countsListSchema, decisionOf, decisionsSchema, wireDecision } from './rollout-schema';

/**
 * The report of one router to another: `GET /internal/load`. During an update of the service two
 * versions of it run side by side; fields may be added, and readers ignore unknown ones. The
 * version changes when old readers would misread a report.
 */
const LOAD_VERSION = 1;

/** More than any router serves; a longer report does not come from a router. */
const MAX_ARMS = 100_000;

const count = z.int().min(0);
const name = z.string().min(1).max(253);
const time = z.number().min(0);

const armSchema = z.object({
  model: name,
  arm: name,
  in_flight: count,
  queued: count,
  capacity: count,
  ready: count,
  last_request_at: time.optional(),
  // Routers of earlier versions have none.
  ended: count.optional(),
});

const loadSchema = z.object({
  version: z.literal(LOAD_VERSION),
  router: name,
  at: time,
  started_at: time,
  arms: z.array(armSchema).max(MAX_ARMS),
  // Routers of earlier versions have none.
  rollouts: countsListSchema.default([]),
  decisions: decisionsSchema.default([]),
});

function wireArm({ inFlight, lastRequestAt, ...rest }: ArmLoad): z.input<typeof armSchema> {
  const last = lastRequestAt === undefined ? {} : { last_request_at: lastRequestAt };
  return { ...rest, in_flight: inFlight, ...last };
}

type WireLoad = Omit<z.input<typeof loadSchema>, 'rollouts'> & {
  readonly rollouts: readonly PackedCounts[];
};

export function wireLoad(load: RouterLoad): WireLoad {
  const { router, at, startedAt, arms, rollouts, decisions } = load;
  return {
    version: LOAD_VERSION,
    router,
    at,
    started_at: startedAt,
    arms: [...arms.values()].map(wireArm),
    rollouts: rollouts.map(packCounts),
    decisions: decisions.map(wireDecision),
  };
}

/** Undefined when the value is not a report of a router. */
export function parseLoad(value: unknown): RouterLoad | undefined {
  const { success, data } = loadSchema.safeParse(value);
  if (!success) return undefined;
  const arms = data.arms.map(
    ({ in_flight: inFlight, last_request_at: lastRequestAt, ...rest }): ArmLoad => ({
      ...rest,
      inFlight,
      lastRequestAt,
    }),
  );
  const { router, at, started_at: startedAt } = data;
  const rollouts = data.rollouts.map(unpackCounts);
  const decisions = data.decisions.map(decisionOf);
  return { router, at, startedAt, arms: byKey(arms), rollouts, decisions };
}
