import * as fc from 'fast-check';
import type { ScoreInputs } from '../../../runtime/core/routing/balance';
import {
  busyAfter,
  costAfter,
  costAt,
  upperBoundOf,
  pickTwo,
  rampAt,
  score,
  spreadAfter,
} from '../../../runtime/core/routing/balance';
import { seeded } from '../simulator';

const NOW = 1_000_000;
const well: ScoreInputs = {
  cost: { ms: 20, at: NOW },
  itemsInFlight: 0,
  waitingSince: undefined,
  busyUntil: NOW,
  joinedAt: NOW - 60_000,
};

describe('the latency estimate', () => {
  test('takes a slower sample at once, and a faster one with τ = 10 s', () => {
    expect(costAfter({ ms: 20, at: NOW }, 500, NOW + 1)).toEqual({ ms: 500, at: NOW + 1 });
    const later = costAfter({ ms: 500, at: NOW }, 20, NOW + 10_000);
    expect(later.ms).toBeCloseTo(20 + 480 / Math.E, 6);
  });

  test('of an untried replica starts like its siblings', () => {
    expect(costAt({ ms: 2_000, at: NOW }, 20, NOW)).toBe(2_000);
    expect(costAt({ ms: 2_000, at: NOW }, 20, NOW + 60_000)).toBeCloseTo(25, 0);
  });

  test('survives a clock that goes back', () => {
    expect(costAfter({ ms: 20, at: NOW }, 10, NOW - 5_000).ms).toBe(20);
    expect(costAt({ ms: 20, at: NOW }, 10, NOW - 5_000)).toBe(20);
  });

  test('learns mean and deviation of a spread', () => {
    const random = seeded(1);
    let spread = spreadAfter(undefined, 20);
    for (let index = 0; index < 2_000; index += 1) spread = spreadAfter(spread, 10 + 20 * random());
    expect(spread.mean).toBeGreaterThan(17);
    expect(spread.mean).toBeLessThan(23);
    expect(upperBoundOf(spread)).toBeGreaterThan(25);
    expect(upperBoundOf(spread)).toBeLessThan(36);
  });
});

describe('the score', () => {
  test('is expected milliseconds times items in flight plus one', () => {
    expect(score({ ...well, itemsInFlight: 3 }, 20, NOW)).toBe(80);
  });

  test('counts an overdue response before it arrives', () => {
    expect(score({ ...well, itemsInFlight: 1, waitingSince: NOW - 400 }, 20, NOW)).toBe(800);
  });

  test('does not favour replicas that fail fast', () => {
    let busyUntil = NOW;
    for (let index = 0; index < 4; index += 1) busyUntil = busyAfter(busyUntil, 1, 20, NOW);
    expect(score({ ...well, busyUntil }, 20, NOW)).toBeCloseTo(20 * (4 * (19 / 20) + 1));
    expect(score({ ...well, busyUntil }, 20, NOW + 1_000)).toBeCloseTo(20);
  });

  test('gives a new replica a tenth of its share, and all of it after 30 s', () => {
    expect(rampAt(NOW, NOW)).toBeCloseTo(0.1);
    expect(rampAt(NOW, NOW + 15_000)).toBeCloseTo(0.55);
    expect(rampAt(NOW, NOW + 90_000)).toBe(1);
    expect(score({ ...well, joinedAt: NOW }, 20, NOW)).toBeCloseTo(200);
  });
});

describe('power of two choices', () => {
  test('never picks the worst of all, and picks every other', () => {
    const random = seeded(5);
    const counts = [0, 0, 0, 0, 0];
    for (let index = 0; index < 5_000; index += 1) {
      const picked = pickTwo([0, 1, 2, 3, 4], (one) => one, random) ?? -1;
      counts[picked] = (counts[picked] ?? 0) + 1;
    }
    expect(counts[4]).toBe(0);
    expect(counts.slice(0, 4).every((count) => count > 300)).toBe(true);
  });

  const chances = fc.double({ min: 0, max: 1, noNaN: true });

  test('picks one of the given replicas, whatever the numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.double()), chances, (costs, chance) => {
        const picked = pickTwo(
          costs.map((cost, at) => ({ cost, at })),
          ({ cost }) => cost,
          () => chance,
        );
        expect(picked === undefined).toBe(costs.length === 0);
      }),
    );
  });

  test('gives equal replicas equal parts', () => {
    const random = seeded(9);
    const counts = [0, 0, 0];
    for (let index = 0; index < 9_000; index += 1) {
      const picked = pickTwo([0, 1, 2], () => 1, random) ?? -1;
      counts[picked] = (counts[picked] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 3_000)).toBeLessThan(200);
  });
});
