import { CallerQuotas } from '../../runtime/auth/quotas';
import type { Caller, QuotaResult } from '../../runtime/auth/port';
import { manualClock } from '../support/manual-clock';

const caller = (quota: Caller['quota'], name = 'app'): Caller => ({
  name,
  scopes: ['infer'],
  ...(quota && { quota }),
});

function scene() {
  const clock = manualClock();
  return { clock, quotas: new CallerQuotas(clock.now) };
}

/** How many of so many calls pass. */
const passed = (quotas: CallerQuotas, who: Caller, model: string, calls: number): number =>
  Array.from({ length: calls }, () => quotas.enter(who, model)).filter(({ ok }) => ok).length;

function refusal(result: QuotaResult) {
  if (result.ok) throw new Error('it passed');
  return result;
}

describe('calls in a minute', () => {
  test('are a burst of that many, and then one at a time', () => {
    const { clock, quotas } = scene();
    const who = caller({ requestsPerMinute: 6 });
    expect(passed(quotas, who, 'iris', 10)).toBe(6);
    clock.advance(9_999);
    expect(passed(quotas, who, 'iris', 2)).toBe(0);
    clock.advance(1);
    expect(passed(quotas, who, 'iris', 2)).toBe(1);
    clock.advance(3_600_000);
    expect(passed(quotas, who, 'iris', 10)).toBe(6);
  });

  test('are counted for each model and each caller', () => {
    const { quotas } = scene();
    const who = caller({ requestsPerMinute: 1 });
    expect(passed(quotas, who, 'iris', 2)).toBe(1);
    expect(passed(quotas, who, 'rose', 2)).toBe(1);
    expect(passed(quotas, caller({ requestsPerMinute: 1 }, 'other'), 'iris', 2)).toBe(1);
    expect(quotas.counts()).toEqual({ rate: 3, concurrency: 0 });
  });

  test('are refused with the fields of the draft and the time to wait', () => {
    const { clock, quotas } = scene();
    const who = caller({ requestsPerMinute: 10 });
    passed(quotas, who, 'iris', 10);
    clock.advance(1500);
    expect(refusal(quotas.enter(who, 'iris'))).toMatchObject({
      retryAfterSeconds: 5,
      headers: 'ratelimit-policy: "requests";q=10;w=60\r\nratelimit: "requests";r=0;t=5\r\n',
      message: expect.stringContaining('10 times a minute; wait 5 s'),
    });
  });

  test('do not come back when the clock is set back', () => {
    const { clock, quotas } = scene();
    const who = caller({ requestsPerMinute: 1 });
    expect(passed(quotas, who, 'iris', 1)).toBe(1);
    clock.advance(-3_600_000);
    expect(passed(quotas, who, 'iris', 1)).toBe(0);
    clock.advance(60_000);
    expect(passed(quotas, who, 'iris', 1)).toBe(1);
  });
});

describe('calls at a time', () => {
  test('are as many as the key may have, over all models', () => {
    const { quotas } = scene();
    const who = caller({ concurrency: 2 });
    const first = quotas.enter(who, 'iris');
    expect(passed(quotas, who, 'rose', 3)).toBe(1);
    expect(refusal(quotas.enter(who, 'iris'))).toMatchObject({
      retryAfterSeconds: 1,
      headers: expect.stringContaining('"concurrency";q=2;qu="concurrent-requests"'),
    });
    if (first.ok) first.leave();
    expect(passed(quotas, who, 'iris', 3)).toBe(1);
  });

  test('that are refused take nothing of the calls in a minute', () => {
    const { quotas } = scene();
    const who = caller({ concurrency: 1, requestsPerMinute: 2 });
    const first = quotas.enter(who, 'iris');
    expect(passed(quotas, who, 'iris', 5)).toBe(0);
    if (first.ok) first.leave();
    expect(passed(quotas, who, 'iris', 1)).toBe(1);
  });
});

test('a caller without limits is not counted', () => {
  expect(passed(scene().quotas, caller(undefined), 'iris', 100_000)).toBe(100_000);
});

test.each(['__proto__', 'constructor'])('%s is a name like others', (name) => {
  const { quotas } = scene();
  const who = caller({ requestsPerMinute: 1, concurrency: 5 }, name);
  expect(passed(quotas, who, name, 3)).toBe(1);
});
