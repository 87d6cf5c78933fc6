import type { ByArm } from './evidence';
import { isCompared, logMeanExp } from './evidence';

/**
 * Do the arms get the callers that the shares promise? A mismatch says that the comparison itself
 * is broken: callers are lost in one arm, or are drawn in another way than it is counted. A mixture
 * over odds ratios, after Lindon and Malek (2022, arXiv 2011.03567).
 */

/** How many times the odds of the candidate could be off. */
const ODDS = [1 / 3, 1 / 2, 1 / 1.5, 1 / 1.2, 1.2, 1.5, 2, 3] as const;
const ALL = 10_000;

/** Callers of one share by arm. */
export interface RatioCounts {
  readonly hundredths: number;
  readonly counts: ByArm;
}

/** ln E, H0: every caller was drawn with the probability of its row. */
export function logRatioEvidence(rows: readonly RatioCounts[]): number {
  const compared = rows.filter(isCompared);
  return logMeanExp(
    ODDS.map((odds) =>
      compared.reduce((sum, { hundredths, counts }) => {
        const share = hundredths / ALL;
        const wrong = (odds * share) / (1 - share + odds * share);
        const candidate = counts.candidate * Math.log(wrong / share);
        return sum + candidate + counts.stable * Math.log((1 - wrong) / (1 - share));
      }, 0),
    ),
  );
}
