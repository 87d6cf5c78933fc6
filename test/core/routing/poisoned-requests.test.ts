import {
  addPoisoned,
  hasPoisoned,
  CONFIRM_MS,
  createPoisoned,
  crashVerdict,
  MAX_POISONED,
  mayHaveCrashed,
  POISONED_MS,
  poisonedMs,
} from '../../../runtime/core/routing/poisoned-requests';
import type { AttemptResult } from '../../../runtime/core/routing/outcome';

test.each<readonly [string, AttemptResult, boolean]>([
  ['a connection that broke', { kind: 'reset', message: 'x' }, true],
  ['one that broke and was refused then', { kind: 'unreached', message: 'x', broke: true }, true],
  ['a refused connection', { kind: 'unreached', message: 'x' }, false],
  ['an answer', { kind: 'answered', status: 503 }, false],
  ['a timeout', { kind: 'timeout' }, false],
  ['a caller that went', { kind: 'aborted' }, false],
])('%s may be a crash of the replica: %#', (_, result, expected) => {
  expect(mayHaveCrashed(result)).toBe(expected);
});

test.each([
  ['gone', false, false, 0, 'dead'],
  ['there', true, false, 0, 'unknown'],
  ['still there', true, false, CONFIRM_MS, 'alive'],
  ['there and ending', true, true, 0, 'alive'],
  ['gone after its end was asked for', false, true, 0, 'alive'],
] as const)('a replica that is %s: %#', (_, listed, terminating, waited, expected) => {
  expect(crashVerdict({ listed, replica: { terminating } }, waited)).toBe(expected);
});

test('a request is refused for its time, and its model is affected as long', () => {
  const poisoned = createPoisoned();
  expect(hasPoisoned(poisoned, 'iris', 0)).toBe(false);
  addPoisoned(poisoned, 'iris', 'a', 1_000);
  expect(hasPoisoned(poisoned, 'iris', 1_000)).toBe(true);
  expect(hasPoisoned(poisoned, 'other', 1_000)).toBe(false);
  expect(poisonedMs(poisoned, 'a', 2_000)).toBe(POISONED_MS - 1_000);
  expect(poisonedMs(poisoned, 'b', 2_000)).toBe(0);
  expect(poisonedMs(poisoned, 'a', 1_000 + POISONED_MS)).toBe(0);
  expect(hasPoisoned(poisoned, 'iris', 1_000 + POISONED_MS)).toBe(false);
  expect([poisoned.until.size, poisoned.models.size]).toEqual([0, 0]);
});

test('at most a thousand are kept: the oldest goes', () => {
  const poisoned = createPoisoned();
  for (let count = 0; count <= MAX_POISONED; count += 1) {
    addPoisoned(poisoned, 'iris', String(count), count);
  }
  expect(poisoned.until.size).toBe(MAX_POISONED);
  expect(poisonedMs(poisoned, '0', MAX_POISONED)).toBe(0);
  expect(poisonedMs(poisoned, '1', MAX_POISONED)).toBeGreaterThan(0);
});
