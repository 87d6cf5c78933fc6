/** Fewer requests are not significant. */
const MIN_REQUESTS = 20;
/** One false alarm in a thousand comparisons. */
const MAX_CHANCE = 0.001;
/** Proven but harmless: less than 5 points worse is left alone. */
const MIN_EXCESS = 0.05;

/** Coefficients of Stirling's series for ln Γ, good to 1e-9 from 7 upwards. */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260] as const;

/** ln Γ(x) for x > 0. */
export function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 7; at += 1) shift -= Math.log(at);
  const [a, b, c] = STIRLING;
  const series = a / at + b / at ** 3 + c / at ** 5;
  return shift + (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series;
}

const logBeta = (a: number, b: number): number => logGamma(a) + logGamma(b) - logGamma(a + b);

/**
 * P(K ≥ k) of a Beta-Binomial: n tries whose rate of failure is itself only known as Beta(a, b).
 * Exact: the first term by ln Γ, the others by their ratio.
 */
export function betaBinomialTail(k: number, n: number, a: number, b: number): number {
  if (k <= 0) return 1;
  const choose = logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
  let term = Math.exp(choose + logBeta(k + a, n - k + b) - logBeta(a, b));
  let sum = term;
  for (let at = k; at < n && term > sum * 1e-12; at += 1) {
    term *= ((n - at) / (at + 1)) * ((at + a) / (n - at - 1 + b));
    sum += term;
  }
  return Math.min(1, sum);
}

export interface FailureCounts {
  readonly requests: number;
  readonly failures: number;
}

/**
 * Does `own` fail more often than chance explains, given how often its siblings fail? The siblings'
 * rate is uncertain too: Beta(failures + 1, successes + 1). 9 of 20 against 0 of 20 is worse, 8 of
 * 20 not yet.
 */
export function isWorse(own: FailureCounts, others: FailureCounts): boolean {
  if (own.requests < MIN_REQUESTS || others.requests === 0) return false;
  const excess = own.failures / own.requests - others.failures / others.requests;
  if (excess < MIN_EXCESS) return false;
  const a = others.failures + 1;
  const b = others.requests - others.failures + 1;
  // Below the siblings' mean the tail is large and its terms rise: nothing to compute.
  if (own.failures / own.requests <= a / (a + b)) return false;
  return betaBinomialTail(own.failures, own.requests, a, b) < MAX_CHANCE;
}
