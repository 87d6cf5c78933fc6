import { leastOfTwo, leastRequest, ours, plain, roundRobin, summaryOf } from './experiment';

// `bench/balance/bench.ts` prints the table. Virtual time: only a loaded machine makes it slow.
jest.setTimeout(60_000);

test.each([1, 2, 3])(
  'one of eleven replicas is slow for 30 s: fewer requests wait for it than with simpler rules (seed %i)',
  (seed) => {
    const late = 1 - summaryOf(ours(seed)).belowSecond;
    expect(late).toBeLessThanOrEqual(0.001);
    for (const rule of [roundRobin, leastRequest, leastOfTwo]) {
      const theirs = summaryOf(plain(seed, rule));
      // Four of five of those who would wait do not.
      expect(late).toBeLessThanOrEqual(0.2 * (1 - theirs.belowSecond));
    }
  },
);

test('the same seed gives the same result', () => {
  expect(summaryOf(ours(7))).toEqual(summaryOf(ours(7)));
});
