import type { ByArm, RowEvidence } from '../../runtime/core/release/evidence';
import { evidenceOf, harmFactors, logEvidence } from '../../runtime/core/release/evidence';
import { failedRows } from '../../runtime/core/release/gates';

/** Rules that the evidence is compared with. */

const NONE: ByArm = { stable: 0, candidate: 0 };

/** What Flagger and Argo Rollouts are mostly given: more than 1 % failed in an interval. */
export class ThresholdRule {
  private requests = 0;
  private failed = 0;
  private bad = 0;

  constructor(
    private readonly interval = 60,
    private readonly limit = 5,
  ) {}

  add(failed: boolean): void {
    this.requests += 1;
    if (failed) this.failed += 1;
  }

  /** Aborts after the fifth bad interval, as Flagger does by default. */
  aborts(second: number): boolean {
    if (second % this.interval !== 0 || this.requests === 0) return false;
    if (this.failed / this.requests > 0.01) this.bad += 1;
    [this.requests, this.failed] = [0, 0];
    return this.bad >= this.limit;
  }
}

const sumOf = (rows: readonly RowEvidence[], pick: (row: RowEvidence) => ByArm): ByArm => ({
  stable: rows.reduce((total, row) => total + pick(row).stable, 0),
  candidate: rows.reduce((total, row) => total + pick(row).candidate, 0),
});

/** Counts that are added up over the steps, at the mean share: what must not be done. */
export function pooledRows(rows: readonly RowEvidence[]): readonly RowEvidence[] {
  const trials = sumOf(rows, (row) => row.trials);
  const all = trials.stable + trials.candidate;
  const pooled: RowEvidence = {
    hundredths: all === 0 ? 0 : (10_000 * trials.candidate) / all,
    trials,
    failed: sumOf(rows, ({ failed }) => failed),
    early: { trials: NONE, failed: NONE },
    slow: { trials: NONE, harmed: NONE },
    assigned: trials,
  };
  return [pooled];
}

/** E of the gate `failed` alone, without the fast lane. */
export const failedEvidence = (rows: readonly RowEvidence[]): number =>
  evidenceOf(logEvidence(failedRows(rows), 0, harmFactors));
