import { explainArm } from '../../../runtime/core/routing/split';
import type { Behave } from '../../support/backend';
import { freePort, json, startBackend, stopBackends } from '../../support/backend';
import type { Got } from '../../support/plane';
import { stopPlanes, until } from '../../support/plane';
import {
  all,
  arrived,
  clean,
  doublingNative,
  doublingV1,
  doublingV2,
  inferences,
  NATIVE,
  nativeBody,
  routed,
  rowsOf,
  V1,
  v1Body,
  V2,
  v2Body,
} from '../../support/together';

// Requests that go together when something goes wrong: callers leave, servers die, refuse or answer
// something else; and that shares, cohorts and accounts are those of single requests.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

/** Holds every answer until it is opened. */
function createGate(behave: Behave) {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const gated: Behave = async (seen, nth) => {
    await opened;
    return behave(seen, nth);
  };
  return { gated, open: () => open() };
}

/** Who comes first over sockets of their own is chance. */
const sorted = (rows: readonly number[]): readonly number[] => rows.toSorted((a, b) => a - b);

const statuses = (got: readonly Got[]): readonly number[] => got.map(({ status }) => status);

/** A request whose caller leaves when told so. */
function leaving(ask: (signal: AbortSignal) => Promise<Got>) {
  const controller = new AbortController();
  const gone = ask(controller.signal).then(
    () => 'answered',
    () => 'gone',
  );
  return { gone, leave: () => controller.abort() };
}

const asking = (body: string, signal: AbortSignal) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body,
  signal,
});

test('a caller that leaves before the call is not part of it', async () => {
  const on = await routed('v1', doublingV1);
  const { plane, timers, backend } = on;
  const first = leaving((signal) => plane.ask(V1, asking(v1Body(1), signal)));
  const second = plane.post(V1, v1Body(2));
  const third = plane.post(V1, v1Body(3));
  await arrived(plane, 3);
  first.leave();
  await until(() => plane.outcomes.length === 1, 'the one who left has its outcome');
  timers.goOff();
  expect(statuses(await Promise.all([second, third]))).toEqual([200, 200]);
  expect(await first.gone).toBe('gone');
  expect(rowsOf(backend).map(sorted)).toEqual([[2, 3]]);
  expect(plane.outcomes.map(({ status, tries }) => [status, tries])).toEqual([
    [499, 0],
    [200, 1],
    [200, 1],
  ]);
  clean(plane);
});

test('when all callers have left, nothing is sent, and no timer remains', async () => {
  const on = await routed('v1', doublingV1);
  const { plane, timers, backend } = on;
  const two = [1, 2].map((n) => leaving((signal) => plane.ask(V1, asking(v1Body(n), signal))));
  await arrived(plane, 2);
  two.forEach(({ leave }) => leave());
  await until(() => plane.outcomes.length === 2, 'both have their outcomes');
  expect(timers.waiting()).toBe(0);
  expect(backend.seen).toEqual([]);
  clean(plane);
});

test('a caller that leaves during the call does not affect the others', async () => {
  const { gated, open } = createGate(doublingV1);
  const on = await routed('v1', gated);
  const { plane, backend } = on;
  const first = leaving((signal) => plane.ask(V1, asking(v1Body(1), signal)));
  const rest = [2, 3, 4].map((n) => plane.post(V1, v1Body(n)));
  await until(() => backend.seen.length === 1, 'the call is with the server');
  first.leave();
  await until(() => plane.outcomes.length === 1, 'the one who left has its outcome');
  open();
  expect((await Promise.all(rest)).map(({ text }) => JSON.parse(text).predictions[0].n)).toEqual([
    4, 6, 8,
  ]);
  expect(plane.outcomes.map(({ status }) => status)).toEqual([499, 200, 200, 200]);
  clean(plane);
});

test('the call is aborted only when all callers have left', async () => {
  const on = await routed('v1', () => ({ kind: 'silence' }));
  const { plane, backend } = on;
  const four = [1, 2, 3, 4].map((n) =>
    leaving((signal) => plane.ask(V1, asking(v1Body(n), signal))),
  );
  await until(() => backend.seen.length === 1, 'the call is with the server');
  four.slice(1).forEach(({ leave }) => leave());
  await until(() => plane.outcomes.length === 3, 'three have left');
  expect(backend.inFlight()).toBe(1);
  expect(plane.load.arms()[0]?.inFlight).toBe(1);
  four[0]?.leave();
  await until(() => plane.outcomes.length === 4, 'all have left');
  await until(() => backend.inFlight() === 0, 'the server is told');
  clean(plane);
});

test('a joined call takes one slot', async () => {
  const { gated, open } = createGate(doublingV1);
  const on = await routed('v1', gated, { inference: { maxConcurrency: 1 } });
  const asked = [1, 2, 3, 4].map((n) => on.plane.post(V1, v1Body(n)));
  await until(() => on.backend.seen.length === 1, 'the call is with the server');
  expect(on.plane.load.arms()).toMatchObject([{ inFlight: 1, queued: 0 }]);
  expect(on.plane.load.active()).toBe(4);
  open();
  expect(statuses(await Promise.all(asked))).toEqual([200, 200, 200, 200]);
  clean(on.plane);
});

test('each has its own outcome, in the window too, and its own time', async () => {
  const { gated, open } = createGate(doublingV1);
  const on = await routed('v1', gated);
  const asked = [1, 2, 3, 4].map((n) => on.plane.post(V1, v1Body(n)));
  await until(() => on.backend.seen.length === 1, 'the call is with the server');
  open();
  await Promise.all(asked);
  expect(on.plane.outcomes).toHaveLength(4);
  for (const one of on.plane.outcomes) {
    expect(one).toMatchObject({ arm: 'stable', version: 'v1', status: 200, tries: 1 });
    expect(one.queuedMs).toBeLessThanOrEqual(one.firstByteMs ?? -1);
    expect(one.firstByteMs).toBeLessThanOrEqual(one.durationMs);
  }
  expect(on.plane.load.arms()[0]?.window).toMatchObject({ requests: 4, failures: 0 });
});

test('when the deadline passes every caller is answered, and the slot is free', async () => {
  const on = await routed('native', () => ({ kind: 'silence' }));
  const got = await all(
    on,
    [1, 2].map((n) => on.plane.post(NATIVE, { input_data: { n }, timeout: 1 })),
  );
  expect(statuses(got)).toEqual([504, 504]);
  const deadline = Number(on.backend.seen[0]?.headers['x-ai-model-deadline-ms']);
  expect(deadline).toBeLessThanOrEqual(1000);
  clean(on.plane);
});

test('a graph that reduces all rows to one answer is called for each request, and joining is not tried again', async () => {
  const mean: Behave = () =>
    json({ outputs: [{ name: 'mean', datatype: 'FP64', shape: [1], data: [0.5] }] });
  const on = await routed('v2', mean);
  const ask = () => [1, 2].map((n) => on.plane.post(V2, v2Body(n)));
  expect(statuses(await all(on, ask()))).toEqual([200, 200]);
  expect(rowsOf(on.backend).map(sorted)).toEqual([[1, 2], expect.any(Array), expect.any(Array)]);
  expect(sorted(rowsOf(on.backend).slice(1).flat())).toEqual([1, 2]);
  expect(statuses(await Promise.all(ask()))).toEqual([200, 200]);
  expect(inferences(on.backend)).toHaveLength(5);
  expect(on.plane.joined).toEqual([{ model: 'iris', arm: 'stable', requests: 2, isUndone: true }]);
  expect(on.plane.outcomes.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  clean(on.plane);
});

test('a server that takes one row at a time gets no joined call after three', async () => {
  const single: Behave = (seen, nth) => {
    const { inputs } = JSON.parse(seen.body.toString());
    return inputs[0].shape[0] > 1 ? json({ error: 'batch is 1' }, 400) : doublingV2(seen, nth);
  };
  const on = await routed('v2', single);
  for (let round = 0; round < 3; round += 1) {
    const before = on.plane.outcomes.length;
    const asked = [1, 2].map((n) => on.plane.post(V2, v2Body(n)));
    await arrived(on.plane, before + 2);
    on.timers.goOff();
    expect(statuses(await Promise.all(asked))).toEqual([200, 200]);
  }
  expect(inferences(on.backend)).toHaveLength(9);
  const asked = await Promise.all([1, 2].map((n) => on.plane.post(V2, v2Body(n))));
  expect(statuses(asked)).toEqual([200, 200]);
  expect(on.plane.joined.map(({ isUndone }) => isUndone)).toEqual([true, true, true]);
});

test('a request that crashes its server does not fail the others', async () => {
  const mortal: Behave = (seen, nth) =>
    seen.body.includes('-1') ? { kind: 'reset' } : doublingV1(seen, nth);
  const on = await routed('v1', mortal, { tuning: { consecutiveFailures: 99 } });
  const second = await startBackend(mortal);
  on.plane.route({ input: on.input, ports: { stable: [on.backend.port, second.port] } });
  const got = await all(
    on,
    [1, -1, 3].map((n) => on.plane.post(V1, v1Body(n))),
  );
  expect(statuses(got)).toEqual([200, 502, 200]);
  expect(on.plane.outcomes).toHaveLength(3);
  clean(on.plane);
});

test('a joined call whose replica is gone is made at another replica', async () => {
  const on = await routed('v1', doublingV1, { random: () => 0 });
  on.plane.route({
    input: on.input,
    ports: { stable: [await freePort(), on.backend.port] },
  });
  for (let round = 1; round <= 3; round += 1) {
    const got = await Promise.all([1, 2, 3, 4].map((n) => on.plane.post(V1, v1Body(n))));
    expect(statuses(got)).toEqual([200, 200, 200, 200]);
  }
  expect(inferences(on.backend)).toHaveLength(3);
  expect(Math.max(...on.plane.outcomes.map(({ tries }) => tries))).toBe(2);
  clean(on.plane);
});

test('an overloaded server does not get four times the calls', async () => {
  const on = await routed('v1', () => json({ error: 'busy' }, 503));
  const got = await Promise.all([1, 2, 3, 4].map((n) => on.plane.post(V1, v1Body(n))));
  expect(got.map(({ status, text }) => `${status} ${text}`)).toEqual(
    Array(4).fill('503 {"error":"busy"}'),
  );
  expect(inferences(on.backend)).toHaveLength(1);
  expect(on.plane.outcomes.map(({ status }) => status)).toEqual([503, 503, 503, 503]);
  clean(on.plane);
});

test('without a replica each request is refused by itself', async () => {
  const on = await routed('native', doublingNative, { inference: { maxQueueDepth: 0 } });
  on.plane.route({ input: on.input, ports: { stable: [] } });
  const queueless = { ...on.input, inference: { ...on.input.inference, maxQueueDepth: 0 } };
  on.plane.route({ input: queueless, ports: { stable: [] } });
  const got = await all(
    on,
    [1, 2].map((n) => on.plane.post(NATIVE, nativeBody(n))),
  );
  expect(got.map(({ status, text }) => [status, JSON.parse(text).error.code])).toEqual([
    [503, 'QUEUE_FULL'],
    [503, 'QUEUE_FULL'],
  ]);
  expect(on.plane.outcomes.map(({ shed }) => shed)).toEqual(['queue_full', 'queue_full']);
  expect(on.plane.load.arms()[0]?.shed).toEqual({ queue_full: 2 });
  clean(on.plane);
});

test('an arm that is gone before the call is made: its requests go to another', async () => {
  const on = await routed('v1', doublingV1);
  const candidate = await startBackend(doublingV1);
  const ports = { stable: [on.backend.port], next: [candidate.port] };
  const candidates = [
    { name: 'next', version: 'v2', image: 'registry.example.org/iris:2', traffic: 100 },
  ];
  on.plane.route({ input: { ...on.input, candidates }, ports });
  const asked = [1, 2].map((n) => on.plane.post(V1, v1Body(n)));
  await arrived(on.plane, 2);
  on.plane.route({ input: on.input, ports: { stable: ports.stable } });
  on.timers.goOff();
  const got = await Promise.all(asked);
  expect(got.map(({ status, headers }) => [status, headers['x-ai-model-arm']])).toEqual([
    [200, 'stable'],
    [200, 'stable'],
  ]);
  expect(candidate.seen).toEqual([]);
  clean(on.plane);
});

test('requests that wait to be joined are refused when the model is deleted', async () => {
  const on = await routed('native', doublingNative);
  const asked = [1, 2].map((n) => on.plane.post(NATIVE, nativeBody(n)));
  await arrived(on.plane, 2);
  on.plane.route();
  on.timers.goOff();
  expect(statuses(await Promise.all(asked))).toEqual([404, 404]);
  clean(on.plane);
});

async function split(traffic: number) {
  const on = await routed('v1', doublingV1);
  const candidate = await startBackend(doublingV1);
  const candidates = [
    { name: 'next', version: 'v2', image: 'registry.example.org/iris:2', traffic },
  ];
  on.plane.route({
    input: { ...on.input, candidates },
    ports: { stable: [on.backend.port], next: [candidate.port] },
  });
  return { ...on, candidate };
}

test('shares stay exact: each request takes its own turn', async () => {
  const on = await split(25);
  await all(
    on,
    Array.from({ length: 40 }, (_, n) => on.plane.post(V1, v1Body(n))),
  );
  const count = (arm: string) => on.plane.outcomes.filter((one) => one.arm === arm).length;
  expect([count('stable'), count('next')]).toEqual([30, 10]);
  const rows = [on.backend, on.candidate].map((one) => rowsOf(one).flat().length);
  expect(rows).toEqual([30, 10]);
  expect(inferences(on.candidate)).toHaveLength(3);
  clean(on.plane);
});

test('a caller stays with its arm, whichever callers share its batch', async () => {
  const on = await split(50);
  const model = on.plane.table.current.models.get('iris');
  if (model === undefined) throw new Error('it is routed');
  const users = Array.from({ length: 24 }, (_, n) => `user-${n}`);
  const got = await all(
    on,
    users.map((user, n) => on.plane.post(V1, v1Body(n), { 'x-user-id': user })),
  );
  expect(got.map(({ headers }) => headers['x-ai-model-arm'])).toEqual(
    users.map((user) => explainArm(model, user).arm),
  );
  const own = users.flatMap((user, n) => (explainArm(model, user).arm === 'next' ? [n] : []));
  expect(sorted(rowsOf(on.candidate).flat())).toEqual(own);
});

test('each request is mirrored by itself', async () => {
  const on = await routed('v1', doublingV1);
  const shadow = await startBackend(doublingV1);
  const candidates = [
    { name: 'next', version: 'v2', image: 'registry.example.org/iris:2', shadow: 100 },
  ];
  const inference = { ...on.input.inference, maxConcurrency: 100 };
  on.plane.route({
    input: { ...on.input, inference, candidates },
    ports: { stable: [on.backend.port], next: [shadow.port] },
  });
  await Promise.all([1, 2, 3, 4].map((n) => on.plane.post(V1, v1Body(n))));
  await until(() => on.plane.shadows.length === 4, 'all copies are compared');
  expect(on.plane.shadows.map(({ verdict }) => verdict)).toEqual(Array(4).fill('agree'));
  expect(inferences(on.backend)).toHaveLength(1);
  expect(inferences(shadow)).toHaveLength(4);
});

test('requests that were admitted together are admitted alone, even when the queue is full', async () => {
  const inference = { maxConcurrency: 1, maxQueueDepth: 0 };
  const on = await routed('v1', doublingV1, { inference });
  const got = await Promise.all([1, -1, 3, 4].map((n) => on.plane.post(V1, v1Body(n))));
  expect(statuses(got)).toEqual([200, 400, 200, 200]);
  expect(on.plane.outcomes.some(({ shed }) => shed !== undefined)).toBe(false);
  clean(on.plane);
});

test('after many callers that come and go, each has one outcome and nothing is left', async () => {
  const inference = { maxConcurrency: 2, maxQueueDepth: 1000 };
  const on = await routed('v1', doublingV1, { inference });
  const { plane, timers } = on;
  const callers = Array.from({ length: 120 }, (_, n) =>
    leaving((signal) => plane.ask(V1, asking(v1Body(n % 7 === 0 ? -1 : n), signal))),
  );
  for (const [at, { leave }] of callers.entries()) {
    if (at % 3 !== 0) continue;
    await arrived(plane, at / 3);
    leave();
  }
  const ends: string[] = [];
  for (const { gone } of callers) void gone.then((how) => ends.push(how));
  await until(() => {
    timers.goOff();
    return ends.length === 120 && plane.load.active() === 0;
  }, 'all have ended');
  expect(ends.filter((how) => how === 'answered').length).toBeGreaterThanOrEqual(80);
  const stayed = plane.outcomes.filter(({ status }) => status !== 499);
  expect(stayed.every(({ status }) => status === 200 || status === 400)).toBe(true);
  expect(stayed.length).toBeGreaterThanOrEqual(80);
  clean(plane);
});
