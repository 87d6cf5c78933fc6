import fc from 'fast-check';
import type { FreeCapacity } from '../../../runtime/core/routing/batch-chunks';
import { chunksOf, lanesOf } from '../../../runtime/core/routing/batch-chunks';

const room = (replica: string, free: number, costMs: number): FreeCapacity => ({
  replica,
  free,
  costMs,
});

test.each<readonly [string, number, readonly FreeCapacity[], Readonly<Record<string, number>>]>([
  [
    'equal ones get equal parts',
    7,
    [room('a', 8, 10), room('b', 8, 10), room('c', 8, 10)],
    {
      a: 3,
      b: 2,
      c: 2,
    },
  ],
  [
    'one three times as slow gets a third',
    64,
    [room('a', 8, 10), room('b', 8, 30)],
    {
      a: 48,
      b: 16,
    },
  ],
  [
    'one with a quarter of the room gets a quarter',
    50,
    [room('a', 8, 10), room('b', 2, 10)],
    {
      a: 40,
      b: 10,
    },
  ],
  ['one without room gets nothing', 8, [room('a', 0, 10), room('b', 1, 10)], { b: 8 }],
  ['one that is far too slow gets nothing', 4, [room('a', 8, 1), room('b', 1, 1000)], { a: 4 }],
  ['a full arm is waited for, by speed', 12, [room('a', 0, 10), room('b', 0, 20)], { a: 8, b: 4 }],
  ['fewer items than replicas', 1, [room('a', 8, 10), room('b', 8, 10)], { a: 1 }],
  [
    'costs of zero do not divide by zero',
    4,
    [room('a', 1, 0), room('b', 1, 0)],
    {
      a: 2,
      b: 2,
    },
  ],
])('%s', (_, items, rooms, expected) => {
  const chunks = chunksOf(items, rooms);
  expect(Object.fromEntries(chunks.map((one) => [one.replica, one.items]))).toEqual(expected);
});

test('an arm without replicas gets the batch whole, for the first replica to come', () => {
  expect(chunksOf(5, [])).toEqual([{ replica: undefined, items: 5, lanes: 1 }]);
  expect(lanesOf([])).toBe(1);
});

test('single items use the free slots, and one of each full replica', () => {
  expect(lanesOf([room('a', 3, 1), room('b', 0, 1)])).toBe(4);
});

test('no item is lost or duplicated, whatever the free slots', () => {
  const rooms = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 9 }), fc.double({ min: 0, max: 1e4, noNaN: true })),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1024 }), rooms, (items, all) => {
      const chunks = chunksOf(
        items,
        all.map(([free, costMs], at) => room(String(at), free, costMs)),
      );
      expect(chunks.reduce((sum, one) => sum + one.items, 0)).toBe(items);
      expect(chunks.every((one) => one.items > 0 && Number.isInteger(one.items))).toBe(true);
    }),
    { numRuns: 500, seed: 3 },
  );
});
