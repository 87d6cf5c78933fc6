import * as fc from 'fast-check';
import {
  afterRefused,
  afterUnsplit,
  mayJoin,
  meaningOf,
  REFUSED_MOST,
  timeClass,
  waitMs,
} from '../../../runtime/core/routing/batching';
import type { Fruitless } from '../../../runtime/core/routing/batching';

const NOW = 1_000_000;

test.each([
  [200, 'split'],
  [299, 'split'],
  [302, 'shared'],
  [400, 'apart'],
  [404, 'apart'],
  [413, 'apart'],
  [429, 'shared'],
  [500, 'apart'],
  [501, 'apart'],
  [502, 'shared'],
  [503, 'shared'],
  [504, 'shared'],
])('a batched call with %i is %s', (status, meaning) => {
  expect(meaningOf(status)).toBe(meaning);
});

test('a graph that does not split is not batched again, until another version runs', () => {
  const known = afterUnsplit('v1');
  expect(mayJoin(known, 'v1', NOW * 1e6)).toBe(false);
  expect(mayJoin(known, 'v2', NOW)).toBe(true);
  expect(mayJoin(undefined, 'v1', NOW)).toBe(true);
});

function refusedTimes(times: number, version = 'v1'): Fruitless | undefined {
  let known: Fruitless | undefined;
  for (let at = 0; at < times; at += 1) known = afterRefused(known, version, NOW);
  return known;
}

test('one rejected batch points to a request; consecutive ones point to the server', () => {
  expect(mayJoin(refusedTimes(REFUSED_MOST - 1), 'v1', NOW)).toBe(true);
  expect(mayJoin(refusedTimes(REFUSED_MOST), 'v1', NOW + 999)).toBe(false);
  expect(mayJoin(refusedTimes(REFUSED_MOST), 'v1', NOW + 1_000)).toBe(true);
  expect(mayJoin(refusedTimes(REFUSED_MOST + 1), 'v1', NOW + 1_999)).toBe(false);
  expect(refusedTimes(99)?.until).toBe(NOW + 600_000);
  expect(afterRefused(refusedTimes(99), 'v2', NOW)).toMatchObject({ version: 'v2', refused: 1 });
});

test('requests with about the same time left are in one class', () => {
  const classes = [725, 1_000, 1_023, 1_024, 1_447, 1_449].map(timeClass);
  expect(classes).toEqual([19, 19, 19, 20, 20, 21]);
  expect([30_000, 29_500, 25_000].map(timeClass)).toEqual([29, 29, 29]);
  expect([0, -5, 1].map(timeClass)).toEqual([0, 0, 0]);
});

test('a request waits for others at most a quarter of the least time of its class', () => {
  const waits = [waitMs(5, timeClass(30_000)), waitMs(1_000, 20), waitMs(0, 20)];
  expect(waits).toEqual([5, 256, 0]);
});

test('a batched request loses at most half of its time to the others', () => {
  const part = fc.double({ min: 0, max: 0.999_999, noNaN: true });
  const member = fc.record({ came: part, more: part });
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 0, max: 1_000 }),
      fc.array(member, { minLength: 1, maxLength: 8 }),
      (group, maxDelayMs, members) => {
        const wait = waitMs(maxDelayMs, group);
        const times = members.map(({ came, more }, at) => {
          const remaining = 2 ** (group / 2) * (1 + 1e-9 + more * 0.4142);
          return { arrived: at === 0 ? 0 : came * wait, remaining };
        });
        for (const { remaining } of times) expect(timeClass(remaining)).toBe(group);
        const deadline = Math.min(...times.map(({ arrived, remaining }) => arrived + remaining));
        for (const { remaining } of times) {
          expect(deadline - wait).toBeGreaterThanOrEqual(remaining / 2);
        }
      },
    ),
  );
});
