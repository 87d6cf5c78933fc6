import { HARMLESS, harmful, NEEDED, NOT_PROMOTED } from '../../../bench/release/scenarios';
import { simulate } from '../../../bench/release/simulate';

/** bench/release runs many hours of each; here one seed of each, with real trials and verdicts. */
const HOUR = 3600;

test.each(HARMLESS.map((scenario) => [scenario.name, scenario] as const))(
  'a candidate that equals stable is not aborted: %s',
  (name, scenario) => {
    const { abort, isFull, rows } = simulate(scenario, HOUR, 5);
    expect(abort).toBeUndefined();
    // A set that is full ends the counting, and nothing would be tested from then on.
    expect(isFull).toBe(name === 'a full set');
    expect(rows.every(({ trials }) => trials.stable > 0 && trials.candidate > 0)).toBe(true);
  },
);

test.each(NEEDED)('a rule without which it would be: %s', (rule, seconds, scenario) => {
  const aborts = (without?: typeof rule): boolean =>
    [2, 5].some((seed) => simulate(scenario, seconds, seed, without).abort !== undefined);
  expect(aborts()).toBe(false);
  expect(aborts(rule)).toBe(true);
});

test.each(NOT_PROMOTED.map((scenario) => [scenario.name, scenario] as const))(
  'nothing promotes %s',
  (_, scenario) => {
    expect(simulate(scenario, 300, 5).advance).toBeUndefined();
  },
);

test('enough good trials raise the share in the same simulator', () => {
  const [quick] = NOT_PROMOTED;
  if (quick === undefined) throw new Error('the list of scenarios is empty');
  expect(simulate({ ...quick, isUnnamed: false }, 300, 5).advance).toBeGreaterThan(60);
});

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
  const drift = HARMLESS.find(({ name }) => name === 'drift, by request');
  if (drift === undefined) throw new Error('scenario drift, by request is not in the list');
  const { abort, threshold, pooled } = simulate(drift, HOUR, 5);
  expect(abort).toBeUndefined();
  expect(threshold).toBeLessThan(HOUR);
  expect(pooled).toBeLessThan(HOUR);
});
