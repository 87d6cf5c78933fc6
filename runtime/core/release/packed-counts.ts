import type { RowEvidence } from './evidence';
import type { PackedCounts, RolloutCounts } from './rollout-state';

/** Counts as routers report and store them: the state of all models shares one small object. */

const packRow = ({ hundredths, trials, failed, early, slow, assigned }: RowEvidence): number[] => [
  hundredths,
  ...[trials, failed, early.trials, early.failed, slow.trials, slow.harmed, assigned].flatMap(
    ({ stable, candidate }) => [stable, candidate],
  ),
];

/** Numbers in a packed row. */
export const ROW_LENGTH = 15;

function unpackRow(row: readonly number[]): RowEvidence {
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

export function packCounts(counts: RolloutCounts): PackedCounts {
  const { model, rollout, rows, failing, isFull, seenCallers, unnamed, recent } = counts;
  const { stable, candidate, firstBytes } = recent;
  return {
    model,
    rollout,
    rows: rows.map(packRow),
    failing: failing.map(({ hash, arm, hundredths }) => [
      hash,
      arm === 'candidate' ? 1 : 0,
      hundredths,
    ]),
    full: isFull,
    seen: seenCallers,
    unnamed,
    stable: [stable.requests, stable.failures],
    candidate: [candidate.requests, candidate.failures],
    first_bytes: [firstBytes.requests, firstBytes.slow, firstBytes.p95Ms ?? null],
  };
}

export function unpackCounts(packed: PackedCounts): RolloutCounts {
  const { model, rollout, rows, failing, full, seen, unnamed, first_bytes: bytes } = packed;
  const failures = ([requests, failed]: readonly [number, number]) => ({
    requests,
    failures: failed,
  });
  return {
    model,
    rollout,
    rows: rows.map(unpackRow),
    failing: failing.map(([hash, arm, hundredths]) => ({
      hash,
      arm: arm === 1 ? 'candidate' : 'stable',
      hundredths,
    })),
    isFull: full,
    seenCallers: seen,
    unnamed,
    recent: {
      stable: failures(packed.stable),
      candidate: failures(packed.candidate),
      firstBytes: { requests: bytes[0], slow: bytes[1], p95Ms: bytes[2] ?? undefined },
    },
  };
}
