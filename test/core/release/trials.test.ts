import type { Trial, Trials, TrialsOptions } from '../../../runtime/core/release/trials';
import { createTrials } from '../../../runtime/core/release/trials';
import { seeded } from '../simulator';

const T0 = 1_000_000;
const trialsOf = (more: Partial<TrialsOptions> = {}): Trials =>
  createTrials({ unit: 'caller', closeMs: 30_000, random: seeded(3), ...more });

type Arm = 'stable' | 'candidate';
const begin = (
  trials: Trials,
  key: string | undefined,
  at = T0,
  arm: Arm = 'candidate',
  hundredths = 500,
): Trial | undefined => trials.begin({ key, by: undefined, arm, hundredths }, at);

const GOOD = { failed: false, slow: false };
const FAILED = { failed: true, slow: undefined };
const firstRow = (trials: Trials) => trials.rows()[0];

describe('a caller', () => {
  test('enters once, a minute after its first request', () => {
    const trials = trialsOf();
    begin(trials, 'a')?.end(GOOD, T0 + 5);
    begin(trials, 'a', T0 + 30_000)?.end(GOOD, T0 + 30_005);
    trials.close(T0 + 60_999);
    expect(firstRow(trials)?.trials).toEqual({ stable: 0, candidate: 0 });
    trials.close(T0 + 61_000);
    expect(firstRow(trials)?.trials).toEqual({ stable: 0, candidate: 1 });
    expect(begin(trials, 'a', T0 + 62_000)).toBeUndefined();
    expect(trials.seenCallers()).toBe(1);
  });

  test('with a thousand failed requests is one failing caller', () => {
    const trials = trialsOf();
    for (let index = 0; index < 1000; index += 1) begin(trials, 'a')?.end(FAILED, T0 + index);
    trials.close(T0 + 61_000);
    expect(firstRow(trials)?.failed).toEqual({ stable: 0, candidate: 1 });
    expect(trials.failing()).toEqual([
      { key: 'a', arm: 'candidate', hundredths: 500, by: undefined },
    ]);
  });

  test('counts by the part of its requests that failed, on average', () => {
    const trials = trialsOf();
    for (let caller = 0; caller < 2000; caller += 1) {
      for (let index = 0; index < 10; index += 1) {
        begin(trials, `c${caller}`)?.end(index === 0 ? FAILED : GOOD, T0 + 5);
      }
    }
    trials.close(T0 + 61_000);
    expect(firstRow(trials)?.trials.candidate).toBe(2000);
    expect(firstRow(trials)?.failed.candidate).toBeGreaterThan(150);
    expect(firstRow(trials)?.failed.candidate).toBeLessThan(250);
  });

  test('that a new share moves to the other arm stays in the row it began in', () => {
    const trials = trialsOf();
    begin(trials, 'a', T0, 'stable', 500)?.end(GOOD, T0 + 5);
    expect(begin(trials, 'a', T0 + 10, 'candidate', 5000)).toBeUndefined();
    trials.close(T0 + 61_000);
    expect(trials.rows()).toHaveLength(1);
    expect(firstRow(trials)).toMatchObject({
      hundredths: 500,
      trials: { stable: 1, candidate: 0 },
    });
  });

  test('without a name does not count', () => {
    expect(begin(trialsOf(), undefined)).toBeUndefined();
  });
});

describe('a trial', () => {
  test('counts when all that began in its second have ended, for both arms together', () => {
    const trials = trialsOf({ unit: 'request' });
    begin(trials, 'a', T0, 'candidate')?.end(FAILED, T0 + 5);
    const late = begin(trials, 'b', T0 + 500, 'stable');
    trials.close(T0 + 10_000);
    expect(firstRow(trials)?.trials).toEqual({ stable: 0, candidate: 0 });
    late?.end(FAILED, T0 + 10_500);
    trials.close(T0 + 11_000);
    expect(firstRow(trials)?.failed).toEqual({ stable: 1, candidate: 1 });
  });

  test('waits for those of the seconds before it, so that a late failure delays both arms', () => {
    const trials = trialsOf({ unit: 'request' });
    const late = begin(trials, 'a', T0, 'stable');
    begin(trials, 'b', T0 + 1000, 'candidate')?.end(FAILED, T0 + 1005);
    trials.close(T0 + 10_000);
    expect(firstRow(trials)?.trials).toEqual({ stable: 0, candidate: 0 });
    late?.end(FAILED, T0 + 10_500);
    trials.close(T0 + 11_000);
    expect(firstRow(trials)?.failed).toEqual({ stable: 1, candidate: 1 });
  });

  test('that has not ended by then has failed', () => {
    const trials = trialsOf({ unit: 'request' });
    begin(trials, 'a');
    begin(trials, 'b')?.end(GOOD, T0 + 5);
    trials.close(T0 + 30_999);
    expect(firstRow(trials)?.trials.candidate).toBe(0);
    trials.close(T0 + 31_000);
    expect(firstRow(trials)).toMatchObject({
      trials: { candidate: 2 },
      failed: { candidate: 1 },
    });
  });

  test('ends once', () => {
    const trials = trialsOf({ unit: 'request' });
    const trial = begin(trials, 'a');
    trial?.end(FAILED, T0 + 5);
    trial?.end(GOOD, T0 + 6);
    trials.close(T0 + 1000);
    expect(firstRow(trials)?.failed.candidate).toBe(1);
  });

  test('in the fast lane: a stable that has not ended yet is not taken for a good one', () => {
    const trials = trialsOf({ unit: 'request' });
    begin(trials, 'a', T0, 'stable');
    begin(trials, 'e', T0, 'stable')?.end(FAILED, T0 + 2500);
    begin(trials, 'b', T0, 'candidate');
    begin(trials, 'c', T0, 'candidate')?.end(FAILED, T0 + 100);
    begin(trials, 'd', T0, 'candidate')?.end(FAILED, T0 + 2500);
    trials.close(T0 + 3000);
    expect(firstRow(trials)?.early).toEqual({
      trials: { stable: 2, candidate: 3 },
      failed: { stable: 2, candidate: 1 },
    });
  });

  test('is judged for slowness only where it can be', () => {
    const trials = trialsOf({ unit: 'request' });
    begin(trials, 'a')?.end({ failed: false, slow: true }, T0 + 5);
    begin(trials, 'b')?.end({ failed: false, slow: false }, T0 + 5);
    begin(trials, 'c')?.end({ failed: false, slow: undefined }, T0 + 5);
    trials.close(T0 + 1000);
    expect(firstRow(trials)?.slow).toEqual({
      trials: { stable: 0, candidate: 2 },
      harmed: { stable: 0, candidate: 1 },
    });
  });

  test('keeps the share with which it was drawn', () => {
    const trials = trialsOf({ unit: 'request' });
    const trial = begin(trials, 'a', T0, 'candidate', 500);
    begin(trials, 'b', T0 + 10, 'candidate', 900)?.end(GOOD, T0 + 20);
    trial?.end(FAILED, T0 + 30);
    trials.close(T0 + 1000);
    expect(trials.rows().map(({ hundredths, failed }) => [hundredths, failed.candidate])).toEqual([
      [500, 1],
      [900, 0],
    ]);
  });
});

describe('bounds', () => {
  test('at 512 failing callers both arms count no more', () => {
    const trials = trialsOf();
    for (let index = 0; index < 600; index += 1) {
      begin(trials, `s${index}`, T0, 'stable')?.end(FAILED, T0 + 5);
    }
    begin(trials, 'good', T0 + 1000)?.end(GOOD, T0 + 1005);
    trials.close(T0 + 62_000);
    expect(trials.isFull()).toBe(true);
    expect(trials.failing()).toHaveLength(512);
    expect(firstRow(trials)?.trials).toEqual({ stable: 512, candidate: 0 });
    expect(begin(trials, 'new', T0 + 63_000)).toBeUndefined();
  });

  test('open trials are bounded, of either arm', () => {
    const trials = trialsOf({ maxOpen: 2 });
    expect([begin(trials, 'a'), begin(trials, 'b')]).not.toContain(undefined);
    expect(begin(trials, 'c')).toBeUndefined();
    trials.close(T0 + 100_000);
    expect(begin(trials, 'd', T0 + 100_000)).toBeDefined();
  });

  test('a clock that is set back loses nothing', () => {
    const trials = trialsOf({ unit: 'request' });
    begin(trials, 'a', T0 + 60_000)?.end(GOOD, T0 + 60_001);
    begin(trials, 'b', T0)?.end(GOOD, T0 + 1);
    trials.close(T0 + 61_000);
    expect(firstRow(trials)?.trials.candidate).toBe(2);
  });
});
