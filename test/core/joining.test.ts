import {
  afterRefused,
  afterUnsplit,
  mayJoin,
  meaningOf,
  REFUSED_MOST,
  waitMs,
} from '../../runtime/core/joining';
import type { Fruitless } from '../../runtime/core/joining';

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
])('a joined call with %i is %s', (status, meaning) => {
  expect(meaningOf(status)).toBe(meaning);
});

test('a graph that does not split is not asked again, until another version runs', () => {
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

test('one refused call tells of a request; several in a row tell of the server', () => {
  expect(mayJoin(refusedTimes(REFUSED_MOST - 1), 'v1', NOW)).toBe(true);
  expect(mayJoin(refusedTimes(REFUSED_MOST), 'v1', NOW + 999)).toBe(false);
  expect(mayJoin(refusedTimes(REFUSED_MOST), 'v1', NOW + 1_000)).toBe(true);
  expect(mayJoin(refusedTimes(REFUSED_MOST + 1), 'v1', NOW + 1_999)).toBe(false);
  expect(refusedTimes(99)?.until).toBe(NOW + 600_000);
  expect(afterRefused(refusedTimes(99), 'v2', NOW)).toMatchObject({ version: 'v2', refused: 1 });
});

test('nobody waits longer for others than half of the time it has', () => {
  expect([waitMs(5, 30_000), waitMs(1000, 1000), waitMs(0, 1000)]).toEqual([5, 500, 0]);
});
