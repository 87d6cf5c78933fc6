import * as fc from 'fast-check';
import type { HarmCounts, LogFactors } from '../../../runtime/core/release/evidence';
import {
  BETS,
  evidenceOf,
  growthPerTrial,
  harmFactors,
  inferiorFactors,
  logAbove,
  logEvidence,
  logMeanExp,
  stratifiedDifference,
} from '../../../runtime/core/release/evidence';
import { logRatioEvidence } from '../../../runtime/core/release/sample-ratio';

const shares = fc.double({ min: 0.0001, max: 0.9999, noNaN: true });
const margins = fc.double({ min: 0, max: 0.2, noNaN: true });
const bets = fc.constantFrom(...BETS);

/** Expectation of one factor when the arms have these rates. */
const expectation = (
  { candidate, stable, clean }: LogFactors,
  share: number,
  rates: { candidate: number; stable: number },
): number => {
  const harmed = [share * rates.candidate, (1 - share) * rates.stable] as const;
  const rest = 1 - harmed[0] - harmed[1];
  return harmed[0] * Math.exp(candidate) + harmed[1] * Math.exp(stable) + rest * Math.exp(clean);
};

describe('a bet', () => {
  test('has positive factors, whatever the share and the margin', () => {
    fc.assert(
      fc.property(shares, margins, bets, (share, margin, bet) => {
        const harm = harmFactors(share, margin, bet);
        const all = Object.values(harm);
        // The boldest bet against inferiority needs a share at which the margin can be seen.
        if (1 / share > margin) all.push(...Object.values(inferiorFactors(share, margin, bet)));
        expect(all.every(Number.isFinite)).toBe(true);
      }),
    );
  });

  test('has the expectation 1 at the border of each hypothesis, and at most 1 beyond it', () => {
    const rates = fc.double({ min: 0, max: 0.7, noNaN: true });
    fc.assert(
      fc.property(shares, margins, bets, rates, (share, margin, bet, rate) => {
        const border = { stable: rate, candidate: rate + margin };
        const harm = harmFactors(share, margin, bet);
        const inferior = inferiorFactors(share, margin, bet);
        expect(expectation(harm, share, border)).toBeCloseTo(1, 9);
        expect(expectation(inferior, share, border)).toBeCloseTo(1, 9);
        const better = { stable: rate, candidate: rate * 0.5 };
        expect(expectation(harm, share, better)).toBeLessThanOrEqual(1 + 1e-9);
        const worse = { stable: rate, candidate: Math.min(1, rate + margin + 0.1) };
        expect(expectation(inferior, share, worse)).toBeLessThanOrEqual(1 + 1e-9);
      }),
    );
  });

  test('grows for a candidate that is worse, and is not moved by harmless trials', () => {
    const row = (failed: number, more = 0): HarmCounts => ({
      hundredths: 500,
      trials: { stable: 950 + more, candidate: 50 },
      harmed: { stable: 5, candidate: failed },
    });
    const e = (one: HarmCounts): number => evidenceOf(logEvidence([one], 0, harmFactors));
    expect(e(row(0))).toBeLessThan(1);
    expect(e(row(10))).toBeGreaterThan(1e4);
    expect(e(row(10, 10_000))).toBe(e(row(10)));
  });

  test('multiplies over shares: counts that are added up tell another story', () => {
    // By day half of the callers, of whom many fail; by night few, of whom hardly one does.
    const day = { hundredths: 5000, trials: { stable: 500, candidate: 500 } };
    const night = { hundredths: 100, trials: { stable: 9900, candidate: 100 } };
    const rows = [
      { ...day, harmed: { stable: 50, candidate: 50 } },
      { ...night, harmed: { stable: 10, candidate: 0 } },
    ];
    expect(evidenceOf(logEvidence(rows, 0, harmFactors))).toBeLessThan(2);
    expect(stratifiedDifference(rows)).toBeLessThan(0.001);
    const pooled = {
      hundredths: (10_000 * 600) / 11_000,
      trials: { stable: 10_400, candidate: 600 },
      harmed: { stable: 60, candidate: 50 },
    };
    expect(evidenceOf(logEvidence([pooled], 0, harmFactors))).toBeGreaterThan(1e6);
  });

  test('does not compare where one arm has everything', () => {
    const alone = {
      hundredths: 10_000,
      trials: { stable: 0, candidate: 100 },
      harmed: { stable: 0, candidate: 100 },
    };
    expect(logEvidence([alone], 0, harmFactors)).toBeCloseTo(0, 12);
    expect(evidenceOf(logAbove(0.01, 100, 100))).toBeGreaterThan(1e6);
    expect(evidenceOf(logAbove(0.01, 1000, 5))).toBeLessThan(1);
    expect(logAbove(0.01, 0, 0)).toBe(0);
  });

  test('stays a number that JSON can hold', () => {
    const huge = {
      hundredths: 1,
      trials: { stable: 0, candidate: 1e6 },
      harmed: { stable: 0, candidate: 1e6 },
    };
    expect(evidenceOf(logEvidence([huge], 0, harmFactors))).toBeCloseTo(1e12, -3);
    expect(logMeanExp([-Infinity, -Infinity])).toBe(-Infinity);
  });

  test('against inferiority grows per trial by what the formula says', () => {
    const factors = inferiorFactors(0.5, 0.01, 0.5);
    const { mean, variance } = growthPerTrial(factors, 0.5, 0);
    expect(mean).toBeCloseTo(factors.clean, 12);
    expect(variance).toBeCloseTo(0, 12);
    // Without failures 1,450 trials of both arms show one point at a half, as the design states.
    const trials = (count: number): HarmCounts[] => [
      {
        hundredths: 5000,
        trials: { stable: count / 2, candidate: count / 2 },
        harmed: { stable: 0, candidate: 0 },
      },
    ];
    const e = (count: number) => evidenceOf(logEvidence(trials(count), 0.01, inferiorFactors));
    expect(e(1200)).toBeLessThan(100);
    expect(e(1700)).toBeGreaterThan(100);
  });
});

describe('the sample ratio', () => {
  const ratio = (candidate: number, stable: number): number =>
    evidenceOf(logRatioEvidence([{ hundredths: 2000, counts: { candidate, stable } }]));

  test('is silent while callers arrive as drawn, and loud when some are lost', () => {
    expect(ratio(200, 800)).toBeLessThan(1);
    expect(ratio(230, 770)).toBeLessThan(10);
    expect(ratio(400, 600)).toBeGreaterThan(1e6);
    expect(ratio(90, 910)).toBeGreaterThan(1e6);
  });
});
