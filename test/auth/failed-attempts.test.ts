import { FailedAttempts } from '../../runtime/auth/failed-attempts';
import type { AuthResult } from '../../runtime/auth/port';
import { refused } from '../../runtime/auth/port';
import { manualClock } from '../support/manual-clock';

const WRONG = refused('UNAUTHENTICATED', 'no', 'unknown', 'key');

function scene() {
  const clock = manualClock();
  return { clock, attempts: new FailedAttempts(clock) };
}

/** Delays of so many failures at once, milliseconds; those without a delay are 0. */
function delays(count: number, { clock, attempts }: ReturnType<typeof scene>, from = '192.0.2.1') {
  return Array.from({ length: count }, () => {
    const before = clock.waiting().length;
    attempts.slow(from, WRONG);
    return clock.waiting().length > before ? (clock.waiting().at(-1) ?? 0) : 0;
  });
}

test('the first failures of an address are answered at once, further ones later and later', () => {
  const own = scene();
  expect(delays(12, own)).toEqual([0, 0, 0, 0, 0, 50, 100, 200, 400, 800, 1000, 1000]);
  expect(delays(2, own, '192.0.2.2')).toEqual([0, 0]);
});

test.each([
  ['the same IPv6 network', '2001:db8:0:1::1', '2001:db8::1:ffff:0:0:2', 50],
  ['another IPv6 network', '2001:db8:0:1::1', '2001:db8:0:2::1', 0],
  ['another mapped IPv4 address', '::ffff:192.0.2.1', '::ffff:192.0.2.2', 0],
  ['another mapped IPv4 address in hex', '::ffff:c000:201', '::ffff:c000:202', 0],
])('an address of %s', (_, first, second, delay) => {
  const own = scene();
  delays(5, own, first);
  expect(delays(1, own, second)).toEqual([delay]);
});

test('failures are forgotten', () => {
  const own = scene();
  delays(12, own);
  own.clock.advance(60_000);
  expect(delays(2, own)).toEqual([0, 0]);
});

test('a delayed answer is the same answer', async () => {
  const own = scene();
  delays(5, own);
  const late = own.attempts.slow('192.0.2.1', WRONG);
  expect(late).toBeInstanceOf(Promise);
  own.clock.advance(1000);
  expect(await late).toBe(WRONG);
});

test.each<[string, AuthResult]>([
  ['a valid credential', { ok: true, caller: { name: 'a', scopes: [], credential: 'key' } }],
  ['nothing shown', refused('UNAUTHENTICATED', 'no', 'missing')],
  ['a provider that is down', refused('CLUSTER_UNAVAILABLE', 'no', 'unavailable', 'token')],
])('%s is answered at once whatever else came from its address', (_, result) => {
  const own = scene();
  delays(50, own);
  expect(own.attempts.slow('192.0.2.1', result)).toBe(result);
});

test('a hundred answers wait; further ones go out at once, until some are answered', () => {
  const own = scene();
  const slow = delays(1000, own).filter((ms) => ms > 0);
  expect([slow.length, own.clock.waiting().length]).toEqual([100, 100]);
  own.clock.advance(1000);
  expect(delays(1, own)).toEqual([1000]);
});
