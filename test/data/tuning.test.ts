import { createQueue, offer, take } from '../../runtime/core/routing/admission';
import {
  recordFailure,
  recordUnreachable,
  initialEjectionState,
  mayEject,
  classifyResult,
} from '../../runtime/core/routing/ejection';
import { costAfter, costAt, rampAt, score } from '../../runtime/core/routing/balance';
import { createBudget, spendRetry } from '../../runtime/core/routing/retry-budget';
import { retryDelay } from '../../runtime/core/routing/retry';
import { DEFAULT_TUNING } from '../../runtime/core/routing/tuning';
import { Simulation } from '../core/simulator';
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

test('ejection: the threshold of failures, the first duration, the longest one', () => {
  const rules = {
    ...DEFAULT_TUNING,
    consecutiveFailures: 2,
    baseEjectionMs: 300,
    maxEjectionMs: 400,
  };
  const once = recordFailure(initialEjectionState(NOW), NOW, 0.5, () => may, rules);
  expect(once.kind).toBe('healthy');
  const out = recordFailure(once, NOW, 0.5, () => may, rules);
  expect(out).toMatchObject({ kind: 'ejected', until: NOW + 300 });
  const probing = { kind: 'halfOpen', reason: 'failing', ejections: 5 } as const;
  expect(recordFailure(probing, NOW, 0.5, () => may, rules)).toMatchObject({ until: NOW + 400 });
  expect(recordUnreachable(initialEjectionState(NOW), NOW, 0.5, rules)).toMatchObject({
    until: NOW + 300,
  });
});

test('ejection: jitter, forgetting, and the longest duration for refused connections', () => {
  const rules = {
    ...DEFAULT_TUNING,
    consecutiveFailures: 1,
    ejectionJitter: 0.5,
    ejectionMemoryMs: 100,
    maxUnreachableMs: 3_000,
  };
  const ejections = (since: number) =>
    ({ kind: 'healthy', failures: 0, ejections: 4, since }) as const;
  const until = (since: number, random: number) =>
    recordFailure(ejections(since), NOW, random, () => may, rules);
  expect(until(NOW - 100, 0)).toMatchObject({ until: NOW + 500 });
  expect(until(NOW - 99, 0)).toMatchObject({ until: NOW + 8_000 });
  const refusing = { kind: 'halfOpen', reason: 'unreachable', ejections: 9 } as const;
  expect(recordUnreachable(refusing, NOW, 0.5, rules)).toMatchObject({ until: NOW + 3_000 });
});

test('ejection: the ejected part of an arm, and the lag that excuses a timeout', () => {
  const most = (part: number) => [0, 1, 2, 3].filter((away) => mayEject(4, away, part)).length;
  expect([0, 0.25, 0.5, 1].map(most)).toEqual([0, 1, 2, 3]);
  const verdict = (excused: number) =>
    classifyResult({ kind: 'timeout' }, { lagMs: 50, hadTime: true }, excused);
  expect([verdict(49), verdict(50)]).toEqual(['inconclusive', 'failure']);
});

test('admission: the value of waiting, the oldest request, and the part of each priority', () => {
  const entry = (value: string, priority: 'low' | 'critical', since: number) => ({
    value,
    priority,
    since,
  });
  const first = (priorityAgeMs: number, oldestEvery: number): string | undefined => {
    const queue = createQueue<string>();
    offer(queue, entry('old', 'low', 0), 10);
    offer(queue, entry('new', 'critical', 100), 10);
    return take(queue, () => true, { priorityAgeMs, oldestEvery })?.value;
  };
  expect([first(1000, 10), first(30, 10), first(1000, 1)]).toEqual(['new', 'old', 'old']);
  const offered = (reservedRatio: number) => {
    const queue = createQueue<string>();
    for (let at = 0; at < 4; at += 1) offer(queue, entry(`c${at}`, 'critical', at), 4);
    return offer(queue, entry('low', 'low', 9), 4, reservedRatio).kind;
  };
  expect([offered(0.25), offered(0)]).toEqual(['displaced', 'full']);
});

describe('the dispatcher', () => {
  const HELD = 2;

  test('holds as many requests for a cold model as configured', async () => {
    const sim = new Simulation(1, { coldQueueDepth: HELD });
    sim.swap({ arms: { stable: [] }, maxQueueDepth: 0 });
    for (let index = 0; index < 3; index += 1) void sim.request({ timeoutMs: 1_000 });
    await sim.time.run(10);
    expect(sim.parts.load.arms()).toMatchObject([{ queued: HELD, shed: { queue_full: 1 } }]);
  });

  test('lets a retry go to the first replica after the configured time', async () => {
    const took = async (avoidMs: number): Promise<number | undefined> => {
      const sim = new Simulation(1, { avoidMs, minJitterMs: 0, maxJitterMs: 0 });
      const only = sim.replica('a', 5);
      only.mode = 'dead';
      sim.swap({ arms: { stable: [only] }, inference: { maxConcurrency: 1 } });
      void sim.request({ timeoutMs: 30_000 });
      await sim.time.run(1);
      only.mode = 'up';
      await sim.time.run(30_000);
      return sim.outcomes[0]?.durationMs;
    };
    const soon = (await took(0)) ?? Infinity;
    expect(soon).toBeLessThan(2_000);
    expect(await took(8_000)).toBeGreaterThan(8_000);
  });

  test('uses ejected replicas below the configured part of healthy ones', async () => {
    const tried = async (panicRatio: number): Promise<boolean> => {
      const tuning = {
        panicRatio,
        consecutiveFailures: 1,
        baseEjectionMs: 60_000,
        maxEjectedRatio: 0.75,
      };
      const sim = new Simulation(1, { ...tuning, retryRatio: 0, freeRetriesPerSecond: 0 });
      const all = sim.replicas(4, 5);
      for (const one of all.slice(1)) one.mode = 'sick';
      sim.swap({ arms: { stable: all } });
      sim.load(100, 2_000);
      await sim.time.run(2_000);
      const [, second] = all;
      const before = second?.tries ?? 0;
      sim.load(100, 1_000);
      await sim.time.run(2_000);
      return (second?.tries ?? 0) > before;
    };
    expect([await tried(0.2), await tried(0.6)]).toEqual([false, true]);
  });
});

test('balance: the decay of a sample, and the slow start of a replica', () => {
  const cost = { ms: 1000, at: NOW };
  expect(costAt(cost, 0, NOW + 100, 100)).toBeCloseTo(1000 / Math.E);
  expect(costAfter(cost, 0, NOW + 100, 100).ms).toBeCloseTo(1000 / Math.E);
  expect([rampAt(NOW, NOW, 0), rampAt(NOW, NOW + 50, 100)]).toEqual([1, 0.55]);
  expect([rampAt(NOW, NOW, 100, 0.4), rampAt(NOW, NOW + 50, 100, 0.4)]).toEqual([0.4, 0.7]);
  const one = { cost, itemsInFlight: 0, waitingSince: undefined, busyUntil: NOW, joinedAt: NOW };
  const slow = score(one, 0, NOW + 100, { decayMs: 1e9, rampMs: 1e9, rampFrom: 1 });
  expect(score(one, 0, NOW + 100, { decayMs: 100, rampMs: 0, rampFrom: 1 })).toBeLessThan(slow);
});

test('retry: its budget and its delay', () => {
  expect(spendRetry(createBudget(), NOW, 0, 0)).toBe(false);
  expect(spendRetry(createBudget(), NOW, 0, 1)).toBe(true);
  const ofTwoSeconds = createBudget(2);
  const spent = Array.from({ length: 3 }, () => spendRetry(ofTwoSeconds, NOW, 0, 1));
  expect(spent).toEqual([true, true, false]);
  expect(spendRetry(ofTwoSeconds, NOW + 2_000, 0, 1)).toBe(true);
  const reset = { kind: 'reset', message: '' } as const;
  const jitter = { minJitterMs: 3, maxJitterMs: 9 };
  expect([retryDelay(reset, 0, 0, jitter), retryDelay(reset, 0, 1, jitter)]).toEqual([3, 9]);
});

test('the dispatcher ejects after the configured failures, for the configured time', async () => {
  const [bad, good] = await Promise.all([
    startBackend(() => json({ error: 'no' }, 503)),
    startBackend(() => json({})),
  ]);
  const tuning = { consecutiveFailures: 1, baseEjectionMs: 500_000, maxEjectionMs: 600_000 };
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

test('the limits of responses and of copies are the configured ones', async () => {
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
