import type { LeaseRecord, LeaseObservation } from '../../../runtime/core/lifecycle/lease';
import {
  decideLease,
  isHeld,
  LEASE_SECONDS,
  released,
  RENEW_DEADLINE_MS,
  retryMs,
  observedLease,
} from '../../../runtime/core/lifecycle/lease';
import { AT } from '../support';

const NOW = 100_000;
const MOMENT = { now: NOW, wall: AT };

const held = (holder: string, more: Partial<LeaseRecord> = {}): LeaseRecord => ({
  holder,
  durationSeconds: 15,
  acquiredAt: AT - 60_000,
  renewedAt: AT - 1000,
  transitions: 3,
  ...more,
});
const seen = (record: LeaseRecord | undefined, agoMs = 0): LeaseObservation => ({
  record,
  since: NOW - agoMs,
});

test.each([
  ['there is no lease', seen(undefined), 'acquire'],
  ['it has no holder', seen(held('')), 'acquire'],
  ['another one holds it', seen(held('b')), 'follow'],
  ['the other one was quiet for 14.9 s', seen(held('b'), 14_900), 'follow'],
  ['the other one was quiet for 15 s', seen(held('b'), 15_000), 'acquire'],
  ['the other one promised more', seen(held('b', { durationSeconds: 60 }), 30_000), 'follow'],
  ['this router holds it', seen(held('a')), 'renew'],
  ['this router holds it and has not renewed it for long', seen(held('a'), 60_000), 'renew'],
])('the decision when %s', (_, sighting, expected) => {
  expect(decideLease(sighting, 'a', MOMENT).do).toBe(expected);
});

test.each([
  ['an hour behind', AT - 3_600_000],
  ['an hour ahead', AT + 3_600_000],
])('the clock of a holder may be %s: only observed changes count', (_, renewedAt) => {
  const record = held('b', { renewedAt });
  expect(decideLease(seen(record, 5000), 'a', MOMENT).do).toBe('follow');
  expect(decideLease(seen(record, 15_000), 'a', MOMENT).do).toBe('acquire');
});

test('a renewal is observed although only its time changed, and restarts the wait', () => {
  const first = observedLease(undefined, held('b'), 1000);
  const same = observedLease(first, held('b'), 9000);
  expect(same.since).toBe(1000);
  expect(observedLease(same, held('b', { renewedAt: AT }), 9000).since).toBe(9000);
});

test('acquiring counts a transition; renewing keeps the acquire time', () => {
  const taken = decideLease(seen(held('b'), 20_000), 'a', MOMENT);
  const record = { holder: 'a', durationSeconds: LEASE_SECONDS, renewedAt: AT };
  expect(taken).toMatchObject({ record: { ...record, acquiredAt: AT, transitions: 4 } });
  const renewed = decideLease(seen(held('a')), 'a', MOMENT);
  expect(renewed).toMatchObject({ record: { ...record, acquiredAt: AT - 60_000, transitions: 3 } });
});

test('a released lease can be acquired at once', () => {
  const free = released(held('b'), AT);
  expect(decideLease(seen(free), 'a', MOMENT)).toMatchObject({
    do: 'acquire',
    reason: 'it was given back',
  });
});

test('a holder stops acting well before another one may begin', () => {
  expect(isHeld(undefined, NOW)).toBe(false);
  expect(isHeld(NOW - RENEW_DEADLINE_MS + 1, NOW)).toBe(true);
  expect(isHeld(NOW - RENEW_DEADLINE_MS, NOW)).toBe(false);
  expect(RENEW_DEADLINE_MS).toBeLessThan(LEASE_SECONDS * 1000);
});

test('a holder renews on time; followers have jitter', () => {
  expect(retryMs(true, 0.9)).toBe(2000);
  expect([retryMs(false, 0), retryMs(false, 1)]).toEqual([2000, 4400]);
});
