import { afterBad, afterUnreached, joined } from '../../runtime/core/ejection';
import { costAfter, costAt, rampAt, score } from '../../runtime/core/balance';
import { createBudget, spendRetry } from '../../runtime/core/budget';
import { retryDelay } from '../../runtime/core/retry';
import { DEFAULT_TUNING } from '../../runtime/core/tuning';
import { freePort, json, startBackend, stopBackends } from '../support/backend';
import { startPlane, stopPlanes } from '../support/plane';

// What an operator sets is what the algorithms use.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const NOW = 1_000_000;
const may = {
  own: { requests: 1, failures: 1 },
  others: { requests: 1, failures: 0 },
  mayEject: true,
};

test('ejection: failures in a row, the first time out, the longest one', () => {
  const rules = { ...DEFAULT_TUNING, consecutiveFailures: 2, firstOutMs: 300, longestOutMs: 400 };
  const once = afterBad(joined(NOW), NOW, 0.5, () => may, rules);
  expect(once.kind).toBe('in');
  const out = afterBad(once, NOW, 0.5, () => may, rules);
  expect(out).toMatchObject({ kind: 'out', until: NOW + 300 });
  const probing = { kind: 'probing', reason: 'ejected', spells: 5 } as const;
  expect(afterBad(probing, NOW, 0.5, () => may, rules)).toMatchObject({ until: NOW + 400 });
  expect(afterUnreached(joined(NOW), NOW, 0.5, rules)).toMatchObject({ until: NOW + 300 });
});

test('balance: how fast a sample decays, and how long a newcomer is spared', () => {
  const cost = { ms: 1000, at: NOW };
  expect(costAt(cost, 0, NOW + 100, 100)).toBeCloseTo(1000 / Math.E);
  expect(costAfter(cost, 0, NOW + 100, 100).ms).toBeCloseTo(1000 / Math.E);
  expect([rampAt(NOW, NOW, 0), rampAt(NOW, NOW + 50, 100)]).toEqual([1, 0.55]);
  const one = { cost, itemsInFlight: 0, waitingSince: undefined, busyUntil: NOW, joinedAt: NOW };
  const slow = score(one, 0, NOW + 100, { decayMs: 1e9, rampMs: 1e9 });
  expect(score(one, 0, NOW + 100, { decayMs: 100, rampMs: 0 })).toBeLessThan(slow);
});

test('retry: its budget and its delay', () => {
  expect(spendRetry(createBudget(), NOW, 0, 0)).toBe(false);
  expect(spendRetry(createBudget(), NOW, 0, 1)).toBe(true);
  const reset = { kind: 'reset', message: '' } as const;
  const jitter = { minJitterMs: 3, maxJitterMs: 9 };
  expect([retryDelay(reset, 0, 0, jitter), retryDelay(reset, 0, 1, jitter)]).toEqual([3, 9]);
});

test('the dispatcher ejects after as many failures, for as long, as it was told', async () => {
  const [bad, good] = await Promise.all([
    startBackend(() => json({ error: 'no' }, 503)),
    startBackend(() => json({})),
  ]);
  const tuning = { consecutiveFailures: 1, firstOutMs: 500_000, longestOutMs: 600_000 };
  const plane = await startPlane({ tuning });
  plane.route({ input: { id: 'iris' }, ports: { stable: [bad.port, good.port] } });
  const infer = () => plane.post('/v2/models/iris/infer', {});
  // At once, so that both are chosen: the second request goes where the first one is not.
  await Promise.all([infer(), infer()]);
  for (let at = 0; at < 5; at += 1) await infer();
  expect(bad.seen).toHaveLength(1);
  const [until] = (plane.load.arms()[0]?.replicas ?? []).flatMap(
    ({ ejectedUntil }) => ejectedUntil ?? [],
  );
  expect((until ?? 0) - Date.now()).toBeGreaterThan(300_000);
});

test('a limit of answers, and of copies, is the one that was set', async () => {
  const result = 'a'.repeat(3000);
  const backend = await startBackend(() => json({ result }));
  const plane = await startPlane({ limits: { answerBytes: 2000, shadowBytes: 10 } });
  const input = {
    id: 'iris',
    candidates: [{ name: 'next', version: 'v2', source: './b.onnx', shadow: 100 }],
  };
  const ports = { stable: [backend.port], next: [await freePort()] };
  plane.route({ input, ports });
  const got = await plane.post('/api/v1/models/iris/inference', { input_data: {} });
  expect([got.status, JSON.parse(got.text).error.message]).toEqual([
    502,
    expect.stringContaining('more than 2000 bytes'),
  ]);
  await plane.post('/v2/models/iris/infer', {});
  expect(plane.shadows).toMatchObject([{ verdict: 'dropped' }]);
});
