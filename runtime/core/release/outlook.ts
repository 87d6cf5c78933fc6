import type { HarmCounts } from './evidence';
import { BETS, growthPerTrial, inferiorFactors } from './evidence';

/** How long it takes until there is enough evidence. */

export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
}

/** Standard deviations of the 95th percentile. */
const P95 = 1.645;
/** One failure that may still come: a rate of zero is never known. */
const UNSEEN = 0.5;

function rateOf(rows: readonly HarmCounts[]): number {
  const trials = rows.reduce((sum, row) => sum + row.trials.stable, 0);
  const harmed = rows.reduce((sum, row) => sum + row.harmed.stable, 0);
  return (harmed + UNSEEN) / (trials + 1);
}

/** Trials after which a drifting sum has grown by `distance`: half of the time, and in 95 %. */
function trialsFor(distance: number, mean: number, variance: number): Quantiles {
  if (mean <= 0) return { p50: Infinity, p95: Infinity };
  const spread = P95 * Math.sqrt(variance);
  const root = (spread + Math.sqrt(spread * spread + 4 * mean * distance)) / (2 * mean);
  return { p50: distance / mean, p95: root * root };
}

export interface Missing {
  /** Logarithm of the evidence that is missing. */
  readonly logMissing: number;
  readonly share: number;
  /** A fraction. */
  readonly margin: number;
  readonly rows: readonly HarmCounts[];
}

/** Trials of both arms that are missing for non-inferiority, if the candidate equals stable. */
export function missingTrials({ logMissing, share, margin, rows }: Missing): Quantiles {
  if (share <= 0 || share >= 1) return { p50: Infinity, p95: Infinity };
  const rate = rateOf(rows);
  // The mean over the bets follows the best of them, at the cost of ln(number of bets).
  const distance = Math.max(0, logMissing);
  const all = BETS.map((bet) => {
    const { mean, variance } = growthPerTrial(inferiorFactors(share, margin, bet), share, rate);
    return trialsFor(distance, mean, variance);
  });
  return all.reduce((best, one) => (one.p50 < best.p50 ? one : best));
}

export const missingSeconds = ({ p50, p95 }: Quantiles, perSecond: number): Quantiles => ({
  p50: Math.round(p50 / perSecond),
  p95: Math.round(p95 / perSecond),
});

/** `90 s`, `12 min`, `5 h`. */
export function seconds(value: number): string {
  if (value < 120) return `${Math.ceil(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}
