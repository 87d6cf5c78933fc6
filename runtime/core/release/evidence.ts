/**
 * Evidence that holds at every look: test martingales by betting, the form of R. Lindon and A.
 * Malek, "Anytime-valid inference for multinomial count data" (2022, arXiv 2011.03567), with the
 * factors of I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
 * betting" (2020, arXiv 2010.09686). E is a mean of products of factors whose expectation is at
 * most 1 under the hypothesis, so P(E ever ≥ 1/α) ≤ α (J. Ville, 1939).
 */

export interface ByArm {
  readonly stable: number;
  readonly candidate: number;
}

/**
 * Closed trials of one effective share. Grow-only. Counts of one share add over routers, never over
 * shares: with a base rate that moves, pooled counts compare two times of day (Simpson's paradox).
 */
export interface RowEvidence {
  /** The candidate's share as it was when the arm was drawn, 1 to 10,000 hundredths of a percent. */
  readonly hundredths: number;
  readonly trials: ByArm;
  /** Failed ones among them, by the arm that was drawn. */
  readonly failed: ByArm;
  /**
   * Failures within two seconds of the start, of trials that are as old as that; of stable also
   * those that had not ended by then, which keeps the hypothesis of the gate.
   */
  readonly early: { readonly trials: ByArm; readonly failed: ByArm };
  readonly slow: { readonly trials: ByArm; readonly harmed: ByArm };
  /** Drawn at first sight, whether closed or not. */
  readonly assigned: ByArm;
}

/** Closed trials and the harmed ones among them at one share. */
export interface HarmCounts {
  readonly hundredths: number;
  readonly trials: ByArm;
  readonly harmed: ByArm;
}

/** Fractions of the largest bet; E is the mean over them. */
export const BETS = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9] as const;

const ALL = 10_000;

/** Only where both arms can be drawn there is something to compare. */
export const isCompared = ({ hundredths }: Pick<RowEvidence, 'hundredths'>): boolean =>
  hundredths > 0 && hundredths < ALL;

/** ln of the factor of one trial: candidate harmed, stable harmed, neither. */
export interface LogFactors {
  readonly candidate: number;
  readonly stable: number;
  readonly clean: number;
}

/** H0: the candidate's rate of harm is at most stable's + `margin`. `bet`: 0 to below 1. */
export function harmFactors(share: number, margin: number, bet: number): LogFactors {
  const lambda = bet / (1 / (1 - share) + margin);
  return {
    candidate: Math.log1p(lambda * (1 / share - margin)),
    stable: Math.log1p(-lambda * (1 / (1 - share) + margin)),
    clean: Math.log1p(-lambda * margin),
  };
}

/** H0: the candidate's rate of harm is at least stable's + `margin`. */
export function inferiorFactors(share: number, margin: number, bet: number): LogFactors {
  const lambda = bet / (1 / share - margin);
  return {
    candidate: Math.log1p(-lambda * (1 / share - margin)),
    stable: Math.log1p(lambda * (1 / (1 - share) + margin)),
    clean: Math.log1p(lambda * margin),
  };
}

/** ln of the mean of exp(logs); no overflow. */
export function logMeanExp(logs: readonly number[]): number {
  const most = Math.max(...logs);
  if (most === -Infinity) return most;
  const sum = logs.reduce((total, log) => total + Math.exp(log - most), 0);
  return most + Math.log(sum / logs.length);
}

/** Evidence larger than this says nothing more, and stays a number in JSON. */
const MAX_LOG_E = Math.log(1e12);

/** E from its logarithm, at most 1e12. */
export const evidenceOf = (log: number): number => Math.exp(Math.min(MAX_LOG_E, log));

type Factors = (share: number, margin: number, bet: number) => LogFactors;

/** ln E of all rows: factors of rows multiply. `margin`: a fraction, 0.01 is a point. */
export function logEvidence(rows: readonly HarmCounts[], margin: number, factors: Factors): number {
  const compared = rows.filter(isCompared);
  return logMeanExp(
    BETS.map((bet) =>
      compared.reduce((sum, { hundredths, trials, harmed }) => {
        const { candidate, stable, clean } = factors(hundredths / ALL, margin, bet);
        const rest = trials.stable + trials.candidate - harmed.stable - harmed.candidate;
        const harm = harmed.candidate * candidate + harmed.stable * stable;
        return sum + harm + (rest === 0 ? 0 : rest * clean);
      }, 0),
    ),
  );
}

/** ln E of one sample, H0: the rate is at most `rate`. */
export function logAbove(rate: number, trials: number, harmed: number): number {
  if (trials === 0) return 0;
  const most = Math.min(1, Math.max(1e-6, rate));
  return logMeanExp(
    BETS.map((bet) => {
      const lambda = bet / most;
      const clean = (trials - harmed) * Math.log1p(-lambda * most);
      return harmed * Math.log1p(lambda * (1 - most)) + clean;
    }),
  );
}

/**
 * The difference of the arms' rates, candidate − stable, of each row by itself; rows count by what
 * they can tell. 0 without trials of both arms.
 */
export function stratifiedDifference(rows: readonly HarmCounts[]): number {
  let weights = 0;
  let sum = 0;
  for (const { trials, harmed } of rows.filter(isCompared)) {
    if (trials.stable === 0 || trials.candidate === 0) continue;
    const weight = (trials.stable * trials.candidate) / (trials.stable + trials.candidate);
    const difference = harmed.candidate / trials.candidate - harmed.stable / trials.stable;
    weights += weight;
    sum += weight * difference;
  }
  return weights === 0 ? 0 : sum / weights;
}

/** Growth of ln E per trial when both arms have the rate `rate`: its mean and variance. */
export function growthPerTrial(
  factors: LogFactors,
  share: number,
  rate: number,
): { readonly mean: number; readonly variance: number } {
  const parts = [
    [rate * share, factors.candidate],
    [rate * (1 - share), factors.stable],
    [1 - rate, factors.clean],
  ] as const;
  const mean = parts.reduce((sum, [weight, value]) => sum + weight * value, 0);
  const square = parts.reduce((sum, [weight, value]) => sum + weight * value * value, 0);
  return { mean, variance: Math.max(0, square - mean * mean) };
}
