import { HARMLESS, harmful } from '../../../bench/release/scenarios';
import { simulate } from '../../../bench/release/simulate';

/** bench/release runs many hours of each; here one seed of each, with real trials and verdicts. */
const HOUR = 3600;

test.each(HARMLESS.map((scenario) => [scenario.name, scenario] as const))(
  'a candidate that equals stable is not aborted: %s',
  (_, scenario) => {
    expect(simulate(scenario, HOUR, 5, 20).abort).toBeUndefined();
  },
);

test.each([
  [200, 500, 1, 3],
  [20, 500, 1, 12],
  [200, 500, 0.1, 20],
  [200, 500, 0.025, 160],
])('at %i per second and %i hundredths, %f failing is aborted by second %i', (...what) => {
  const [perSecond, hundredths, rate, by] = what;
  const { abort } = simulate(harmful(perSecond, hundredths, rate), by, 5);
  expect(abort?.verdict.gate).toBe('failed');
});

test('the same requests give the same verdict', () => {
  const run = () => simulate(harmful(50, 500, 0.05), 120, 9);
  expect(run()).toEqual(run());
});

test('a threshold and pooled counts abort what evidence does not', () => {
  const drift = HARMLESS.find(({ name }) => name === 'drift of both arms, by request');
  if (drift === undefined) throw new Error('no such scenario');
  const { abort, threshold, pooled } = simulate(drift, HOUR, 5, 10);
  expect(abort).toBeUndefined();
  expect(threshold).toBeLessThan(HOUR);
  expect(pooled).toBeLessThan(HOUR);
});
