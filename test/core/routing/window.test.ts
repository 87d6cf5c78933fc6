import { countRequest, createBudget, spendRetry } from '../../../runtime/core/routing/retry-budget';
import { addRecent, createRecent, sumRecent } from '../../../runtime/core/routing/recent-events';
import { isUnavailable, mayRepeat, retryDelay } from '../../../runtime/core/routing/retry';
import { addToWindow, createWindow, windowStats } from '../../../runtime/core/routing/window';
import { seeded } from '../simulator';

const NOW = 1_700_000_000_000;

describe('the window of outcomes', () => {
  test('is empty before the first outcome', () => {
    expect(windowStats(createWindow(), NOW)).toEqual({ requests: 0, failures: 0 });
  });

  test('has percentiles right within 4 %, from microseconds to minutes', () => {
    for (const scale of [1, 100, 100_000]) {
      const window = createWindow();
      for (let index = 1; index <= 1_000; index += 1) {
        addToWindow(window, NOW, (index / 1_000) * scale, false);
      }
      const { p50 = 0, p95 = 0, p99 = 0 } = windowStats(window, NOW);
      expect(Math.abs(p50 / (0.5 * scale) - 1)).toBeLessThan(0.045);
      expect(Math.abs(p95 / (0.95 * scale) - 1)).toBeLessThan(0.045);
      expect(Math.abs(p99 / (0.99 * scale) - 1)).toBeLessThan(0.045);
    }
  });

  test('forgets outcomes older than a minute, part by part', () => {
    const window = createWindow();
    for (let second = 0; second < 120; second += 1) {
      addToWindow(window, NOW + second * 1_000, 10, second % 2 === 0);
    }
    const { requests, failures } = windowStats(window, NOW + 119_999);
    expect(requests).toBe(60);
    expect(failures).toBe(30);
    expect(windowStats(window, NOW + 180_000).requests).toBe(0);
  });

  test('takes any duration', () => {
    const window = createWindow();
    for (const ms of [0, -1, 1e12, Number.MIN_VALUE]) addToWindow(window, NOW, ms, false);
    expect(windowStats(window, NOW).requests).toBe(4);
  });
});

describe('the last seconds', () => {
  test('are counted second by second', () => {
    const recent = createRecent(10);
    const random = seeded(3);
    const at: number[] = [];
    let now = NOW;
    for (let index = 0; index < 500; index += 1) {
      now += random() * 400;
      at.push(now);
      addRecent(recent, now);
    }
    const first = Math.floor(now / 1_000) - 9;
    expect(sumRecent(recent, now)).toBe(at.filter((one) => one >= first * 1_000).length);
    expect(sumRecent(recent, now + 3_600_000)).toBe(0);
  });

  test('lose nothing when a clock goes back', () => {
    const recent = createRecent(10);
    addRecent(recent, NOW);
    addRecent(recent, NOW - 30_000);
    expect(sumRecent(recent, NOW - 30_000)).toBe(2);
  });
});

describe('the retry budget', () => {
  test('is a fifth of the requests of ten seconds and ten a second', () => {
    const budget = createBudget();
    for (let index = 0; index < 1_000; index += 1) countRequest(budget, NOW + index);
    let spent = 0;
    while (spendRetry(budget, NOW + 1_000)) spent += 1;
    expect(spent).toBe(200 + 100);
    expect(spendRetry(budget, NOW + 20_000)).toBe(true);
  });
});

describe('a retry', () => {
  const idempotent = { idempotent: true, replayable: true };
  const once = { idempotent: false, replayable: true };
  const reset = { kind: 'reset', message: '' } as const;
  const unreached = { kind: 'unreached', message: '' } as const;

  test('follows failures that another replica could have answered', () => {
    expect([502, 503, 504].every(isUnavailable)).toBe(true);
    expect([200, 400, 429, 500, 501].some(isUnavailable)).toBe(false);
    expect(mayRepeat({ kind: 'answered', status: 503 }, idempotent)).toBe(true);
    expect(mayRepeat({ kind: 'answered', status: 500 }, idempotent)).toBe(false);
    expect(mayRepeat(reset, idempotent)).toBe(true);
    for (const kind of ['timeout', 'aborted'] as const) {
      expect(mayRepeat({ kind }, idempotent)).toBe(false);
    }
    expect(mayRepeat({ kind: 'protocol', message: '' }, idempotent)).toBe(false);
  });

  test('of a non-idempotent request needs that nothing was sent', () => {
    expect(mayRepeat(reset, once)).toBe(false);
    expect(mayRepeat({ kind: 'answered', status: 503 }, once)).toBe(false);
    expect(mayRepeat(unreached, once)).toBe(true);
    expect(mayRepeat(unreached, { ...idempotent, replayable: false })).toBe(false);
  });

  test('waits 25 to 250 ms, but not when nothing was sent or others wait anyway', () => {
    expect(retryDelay(reset, 0, 0)).toBe(25);
    expect(retryDelay(reset, 0, 1)).toBe(250);
    expect(retryDelay(reset, 3, 1)).toBe(0);
    expect(retryDelay(unreached, 0, 1)).toBe(0);
  });
});
