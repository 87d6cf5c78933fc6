import { z } from 'zod';
import type { RowEvidence } from '../core/release/evidence';
import type { RolloutDecision } from '../core/lifecycle/peers';
import type { RolloutCounts } from '../core/release/rollout-state';

/** Rollouts as routers report them to each other (`GET /internal/load`). */

const count = z.int().min(0);
const name = z.string().min(1).max(253);
const time = z.number().min(0);
/** As many as the effective shares a rollout can have had; more does not come from a router. */
const MAX_ROWS = 10_000;
const MAX_FAILING = 512;
const ROW_LENGTH = 15;

const rowSchema = z.array(count).length(ROW_LENGTH);
const failuresSchema = z.object({ requests: count, failures: count });

const countsSchema = z.object({
  model: name,
  rollout: name,
  rows: z.array(rowSchema).max(MAX_ROWS),
  failing: z.array(z.tuple([count, z.enum(['stable', 'candidate']), count])).max(MAX_FAILING),
  is_full: z.boolean(),
  seen_callers: count,
  unnamed: count,
  stable: failuresSchema,
  candidate: failuresSchema,
  first_bytes: z.object({ requests: count, slow: count, p95_ms: z.number().min(0).optional() }),
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

type WireCounts = z.output<typeof countsSchema>;
type WireDecision = z.output<typeof decisionSchema>;

const wireRow = ({ hundredths, trials, failed, early, slow, assigned }: RowEvidence): number[] => [
  hundredths,
  ...[trials, failed, early.trials, early.failed, slow.trials, slow.harmed, assigned].flatMap(
    ({ stable, candidate }) => [stable, candidate],
  ),
];

function rowOf(row: readonly number[]): RowEvidence {
  const pair = (at: number) => ({ stable: row[at] ?? 0, candidate: row[at + 1] ?? 0 });
  return {
    hundredths: row[0] ?? 0,
    trials: pair(1),
    failed: pair(3),
    early: { trials: pair(5), failed: pair(7) },
    slow: { trials: pair(9), harmed: pair(11) },
    assigned: pair(13),
  };
}

export function wireCounts(counts: RolloutCounts): WireCounts {
  const { model, rollout, rows, failing, isFull, seenCallers, unnamed, recent } = counts;
  const { stable, candidate, firstBytes } = recent;
  const { requests, slow, p95Ms } = firstBytes;
  return {
    model,
    rollout,
    rows: rows.map(wireRow),
    failing: failing.map(({ hash, arm, hundredths }) => [hash, arm, hundredths]),
    is_full: isFull,
    seen_callers: seenCallers,
    unnamed,
    stable,
    candidate,
    first_bytes: { requests, slow, ...(p95Ms !== undefined && { p95_ms: p95Ms }) },
  };
}

export function countsOf(wire: WireCounts): RolloutCounts {
  const { model, rollout, unnamed, stable, candidate } = wire;
  const { requests, slow, p95_ms: p95Ms } = wire.first_bytes;
  return {
    model,
    rollout,
    rows: wire.rows.map(rowOf),
    failing: wire.failing.map(([hash, arm, hundredths]) => ({ hash, arm, hundredths })),
    isFull: wire.is_full,
    seenCallers: wire.seen_callers,
    unnamed,
    recent: { stable, candidate, firstBytes: { requests, slow, p95Ms } },
  };
}

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
