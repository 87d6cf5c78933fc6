import { z } from 'zod';
import type { RolloutDecision } from '../core/lifecycle/peers';
import { ROW_LENGTH } from '../core/release/packed-counts';

/** Rollouts as routers report them to each other (`GET /internal/load`). */

const count = z.int().min(0);
const name = z.string().min(1).max(253);
const time = z.number().min(0);
/** As many as the effective shares a rollout can have had; more does not come from a router. */
const MAX_ROWS = 10_000;
const MAX_FAILING = 512;

const pair = z.tuple([count, count]);

/** `PackedCounts`. */
const countsSchema = z.object({
  model: name,
  rollout: name,
  rows: z.array(z.array(count).length(ROW_LENGTH)).max(MAX_ROWS),
  failing: z.array(z.tuple([count, count, count])).max(MAX_FAILING),
  full: z.boolean(),
  seen: count,
  unnamed: count,
  stable: pair,
  candidate: pair,
  first_bytes: z.tuple([count, count, time.nullable()]),
});

const decisionSchema = z.object({
  model: name,
  key: name,
  id: name,
  salt: name,
  candidate: name,
  phase: z.enum(['running', 'held', 'paused', 'aborted', 'done']),
  step: count,
  started_at: time,
  since: time,
  threshold_ms: z.number().min(0).optional(),
  most_ready: count,
});

export const countsListSchema = z.array(countsSchema).max(10_000);
export const decisionsSchema = z.array(decisionSchema).max(10_000);

type WireDecision = z.output<typeof decisionSchema>;

export function wireDecision({ model, state }: RolloutDecision): WireDecision {
  const { key, id, salt, candidate, phase, step, startedAt, since, thresholdMs, mostReady } = state;
  return {
    model,
    key,
    id,
    salt,
    candidate,
    phase,
    step,
    since,
    started_at: startedAt,
    ...(thresholdMs !== undefined && { threshold_ms: thresholdMs }),
    most_ready: mostReady,
  };
}

export function decisionOf(wire: WireDecision): RolloutDecision {
  const { model, key, id, salt, candidate, phase, step, since } = wire;
  const { started_at: startedAt, threshold_ms: thresholdMs, most_ready: mostReady } = wire;
  const state = { key, id, salt, candidate, phase, step, since, startedAt, thresholdMs, mostReady };
  return { model, state };
}
