import * as fc from 'fast-check';
import type { Share } from '../../../runtime/core/routing/table';
import type { JobResult, Layout, Requested, SimReplica } from '../../core/simulator';
import { kill, Simulation } from '../../core/simulator';

const HALF: readonly Share[] = [
  { arm: 'stable', hundredths: 5_000 },
  { arm: 'v2', hundredths: 5_000 },
];
const ALL_V2: readonly Share[] = [
  { arm: 'stable', hundredths: 0 },
  { arm: 'v2', hundredths: 10_000 },
];

async function ask(sim: Simulation, requested?: Requested, ms = 60_000): Promise<JobResult> {
  const result = sim.request(requested);
  await sim.time.run(ms);
  return result;
}

function simOf(layout: (sim: Simulation) => Layout, seed?: number): Simulation {
  const sim = new Simulation(seed);
  sim.swap(layout(sim));
  return sim;
}

const one = (arms: (sim: Simulation) => Layout['arms'], rest: Partial<Layout> = {}): Simulation =>
  simOf((sim) => ({ arms: arms(sim), ...rest }));

const small = { inference: { maxConcurrency: 1 } };

describe('the arm', () => {
  test('without a key requests go in turn, exactly by share', async () => {
    const sim = one((s) => ({ stable: s.replicas(2, 5), v2: s.replicas(2, 5, 'v') }), {
      shares: HALF,
    });
    sim.load(100, 1_000);
    await sim.time.run(5_000);
    expect(sim.outcomes.filter(({ arm }) => arm === 'v2')).toHaveLength(50);
  });

  test('with a key a caller stays where its cohort is', async () => {
    const sim = one((s) => ({ stable: s.replicas(2, 5), v2: s.replicas(2, 5, 'v') }), {
      shares: HALF,
    });
    sim.load(100, 2_000, (index) => ({ key: `user-${index % 4}` }));
    await sim.time.run(5_000);
    const arms = sim.outcomes.map(({ arm }) => arm);
    expect(new Set(arms).size).toBe(2);
    arms.forEach((arm, index) => expect(arm).toBe(arms[index % 4]));
  });

  test('a request for a named arm waits for it, and never goes to stable', async () => {
    const sim = one((s) => ({ stable: s.replicas(1, 5), v2: [] }), { holdMs: 2_000 });
    expect(await ask(sim, { arm: 'v2' })).toMatchObject({
      kind: 'refused',
      reason: 'no_replica',
      arm: { name: 'v2' },
    });
    expect(await ask(sim, { arm: 'never-heard-of' })).toMatchObject({
      kind: 'refused',
      reason: 'no_replica',
      arm: undefined,
    });
  });

  test('a request for a named version goes only to replicas that run it, while its arm rolls out', async () => {
    const sim = new Simulation();
    const [a, b, c] = [sim.replica('a', 5), sim.replica('b', 5), sim.replica('c', 5)];
    sim.swap({ arms: { stable: [a, b] }, versions: { b: 'v2' } });
    for (let index = 0; index < 20; index += 1) {
      expect(await ask(sim, { arm: 'stable', version: 'v2' }, 100)).toMatchObject({ status: 200 });
    }
    expect([a.tries, b.tries]).toEqual([0, 20]);
    sim.swap({ arms: { stable: [a] } });
    const waits = sim.request({ arm: 'stable', version: 'v2' });
    await sim.time.run(1_000);
    sim.swap({ arms: { stable: [a, c] }, versions: { c: 'v2' } });
    await sim.time.run(100);
    expect(await waits).toMatchObject({ status: 200 });
    expect([a.tries, c.tries]).toEqual([0, 1]);
    // It could be asked again, but nobody else runs that version.
    c.mode = 'sick';
    const sick = await ask(sim, { arm: 'stable', version: 'v2' });
    expect(sick).toMatchObject({ status: 503, tries: 1 });
  });

  test('a full candidate spills to stable, an unready one too; both are counted', async () => {
    const sim = one((s) => ({ stable: s.replicas(4, 50), v2: s.replicas(1, 50, 'v') }), {
      ...small,
      shares: HALF,
    });
    for (let index = 0; index < 4; index += 1) void sim.request();
    await sim.time.run(1_000);
    expect(sim.outcomes.filter(({ spilled }) => spilled === 'arm_full')).toHaveLength(1);
    sim.swap({ arms: { stable: sim.replicas(1, 5), v2: [] }, shares: HALF });
    for (let index = 0; index < 2; index += 1) await ask(sim);
    expect(sim.outcomes.filter(({ spilled }) => spilled === 'arm_unready')).toHaveLength(1);
    const v2 = sim.parts.load.arms().find(({ arm }) => arm === 'v2');
    expect(v2?.spilled).toEqual({ arm_full: 1, arm_unready: 1 });
  });

  test('a request that waits at a candidate for a version without a replica does not make the candidate full', async () => {
    const sim = one((s) => ({ stable: s.replicas(2, 5), v2: s.replicas(2, 5, 'v') }), {
      shares: HALF,
    });
    const waits = sim.request({ arm: 'v2', version: 'v3' });
    sim.load(100, 1_000);
    await sim.time.run(2_000);
    expect(sim.outcomes.map(({ arm }) => arm).filter((arm) => arm === 'v2')).toHaveLength(50);
    expect(sim.outcomes.filter(({ spilled }) => spilled !== undefined)).toEqual([]);
    const fresh = sim.replica('fresh', 5);
    sim.swap({ arms: { stable: [], v2: [fresh] }, shares: HALF, versions: { fresh: 'v3' } });
    await sim.time.run(100);
    expect(await waits).toMatchObject({ status: 200 });
    expect(fresh.tries).toBe(1);
  });

  test('a request that waits at a full candidate is served before later ones, which spill to stable', async () => {
    const sim = one((s) => ({ stable: s.replicas(4, 50), v2: s.replicas(1, 50, 'v') }), {
      ...small,
      shares: HALF,
    });
    const named = [sim.request({ arm: 'v2' }), sim.request({ arm: 'v2' })];
    for (let index = 0; index < 4; index += 1) void sim.request();
    await sim.time.run(1_000);
    expect(sim.outcomes.filter(({ spilled }) => spilled === 'arm_full')).toHaveLength(2);
    expect(await Promise.all(named)).toMatchObject([{ status: 200 }, { status: 200 }]);
  });

  test('a queue full of requests for one version does not keep others from a free replica', async () => {
    const sim = one((s) => ({ stable: s.replicas(1, 5) }), { ...small, maxQueueDepth: 1 });
    void sim.request({ version: 'v3', arm: 'stable' });
    for (let index = 0; index < 5; index += 1) {
      expect(await ask(sim, {}, 100)).toMatchObject({ kind: 'answered', status: 200 });
    }
  });

  test('a candidate with all traffic is waited for while it is full, so that stable can roll', async () => {
    const sim = one((s) => ({ stable: s.replicas(1, 5), v2: s.replicas(1, 50, 'v') }), {
      ...small,
      shares: ALL_V2,
    });
    for (let index = 0; index < 3; index += 1) void sim.request();
    await sim.time.run(5_000);
    expect(sim.outcomes.map(({ arm }) => arm)).toEqual(['v2', 'v2', 'v2']);
    sim.swap({ arms: { stable: sim.replicas(1, 5), v2: [] }, shares: ALL_V2 });
    expect(await ask(sim)).toMatchObject({ kind: 'answered', arm: { name: 'stable' } });
  });

  test('a queued request of an arm that left the table never returns to that arm', async () => {
    const sim = one(() => ({ stable: [], v2: [] }), { shares: ALL_V2, holdMs: 1_000 });
    const waits = sim.request();
    await sim.time.run(10);
    sim.swap({ arms: { stable: [] }, shares: ALL_V2, holdMs: 1_000 });
    await sim.time.run(5_000);
    expect(await waits).toMatchObject({ kind: 'refused', reason: 'no_replica' });
  });

  test('a request that waits for an arm that is removed is served by another arm', async () => {
    const sim = one((s) => ({ stable: s.replicas(1, 5), v2: [] }), { shares: ALL_V2 });
    sim.swap({ arms: { stable: [], v2: [] }, shares: ALL_V2 });
    const result = sim.request();
    await sim.time.run(10);
    sim.swap({ arms: { stable: sim.replicas(1, 5, 's') } });
    await sim.time.run(100);
    expect(await result).toMatchObject({ kind: 'answered', arm: { name: 'stable' } });
  });
});

describe('no replica', () => {
  test('a cold model holds requests and serves them when a replica is up', async () => {
    const sim = one(() => ({ stable: [] }));
    for (let index = 0; index < 100; index += 1) void sim.request();
    await sim.time.run(3_000);
    expect(sim.parts.load.arms()[0]).toMatchObject({ queued: 100, inFlight: 0, capacity: 0 });
    sim.swap({ arms: { stable: sim.replicas(1, 5) } });
    await sim.time.run(1_000);
    expect(sim.good()).toBe(100);
    expect(sim.outcomes.every(({ queuedMs }) => queuedMs >= 3_000)).toBe(true);
  });

  test('it is held until its deadline or the startup budget, whichever is first', async () => {
    const sim = one(() => ({ stable: [] }), { holdMs: 2_000 });
    const start = sim.time.now;
    const ends: number[] = [];
    for (const timeoutMs of [500, 30_000]) {
      void sim.request({ timeoutMs }).then(() => ends.push(sim.time.now - start));
    }
    await sim.time.run(60_000);
    expect(ends).toEqual([500, 2_000]);
    expect(sim.outcomes.map(({ status, shed }) => [status, shed])).toEqual([
      [503, 'no_replica'],
      [503, 'no_replica'],
    ]);
  });

  test('no request waits where no replica is expected, not even one that waited before', async () => {
    const sim = one(() => ({ stable: [] }));
    const early = sim.request();
    await sim.time.run(1_000);
    sim.swap({ arms: { stable: [] }, holdMs: 0 });
    expect(await early).toMatchObject({ kind: 'refused', reason: 'no_replica' });
    const start = sim.time.now;
    const late = sim.request().then(() => sim.time.now - start);
    await sim.time.run(1_000);
    expect(await late).toBe(0);
    expect(sim.outcomes.map(({ shed }) => shed)).toEqual(['no_replica', 'no_replica']);
  });

  test('an author who names a queue depth gets it, cold or not', async () => {
    const sim = one(() => ({ stable: [] }), {
      inference: { maxQueueDepth: 2 },
      maxQueueDepth: 2,
    });
    for (let index = 0; index < 3; index += 1) void sim.request({ timeoutMs: 1_000 });
    await sim.time.run(2_000);
    expect(sim.outcomes.map(({ shed }) => shed)).toEqual([
      'queue_full',
      'no_replica',
      'no_replica',
    ]);
  });

  test('terminating replicas serve only while there are no other replicas', async () => {
    const sim = new Simulation();
    const [old, fresh] = [sim.replica('old', 5), sim.replica('fresh', 5)];
    sim.swap({ arms: { stable: [old] }, terminating: ['old'] });
    expect(await ask(sim)).toMatchObject({ kind: 'answered' });
    sim.swap({ arms: { stable: [fresh, old] }, terminating: ['old'] });
    for (let index = 0; index < 5; index += 1) await ask(sim);
    expect([old.tries, fresh.tries]).toEqual([1, 5]);
  });

  test.each<[Partial<Layout>, string, number]>([
    [{ stopped: true }, 'stopped', 503],
    [{ deleting: true }, 'deleting', 404],
  ])('a model that is %o refuses at once', async (layout, reason, status) => {
    const sim = one((s) => ({ stable: s.replicas(1, 5) }), layout);
    expect(await ask(sim, {}, 0)).toMatchObject({
      kind: 'refused',
      reason,
      retryAfterSeconds: 30,
      arm: { name: 'stable' },
    });
    expect(sim.outcomes).toMatchObject([{ status, shed: reason, tries: 0, version: 'v1' }]);
  });

  test('waiting requests are refused at once when the model is stopped or deleted', async () => {
    const sim = one(() => ({ stable: [] }));
    const first = sim.request();
    await sim.time.run(10);
    sim.swap({ arms: { stable: [] }, stopped: true });
    expect(await first).toMatchObject({ reason: 'stopped' });
    sim.swap({ arms: { stable: [] } });
    const second = sim.request();
    await sim.time.run(10);
    sim.swap();
    expect(await second).toMatchObject({ reason: 'deleting' });
    expect(sim.parts.load.arms()).toEqual([]);
  });
});

describe('a caller that goes away', () => {
  test('leaves the queue at once', async () => {
    const sim = one((s) => ({ stable: s.replicas(1, 100) }), small);
    void sim.request();
    const caller = new AbortController();
    const result = sim.request({ signal: caller.signal });
    await sim.time.run(10);
    caller.abort();
    expect(await result).toMatchObject({ kind: 'failed', result: { kind: 'aborted' }, tries: 0 });
    expect(sim.outcomes).toMatchObject([{ status: 499, durationMs: 10, queuedMs: 10 }]);
    expect(sim.parts.load.arms()[0]?.queued).toBe(0);
  });

  test('that leaves in the step in which it gets a slot gives the slot to the next request', async () => {
    const sim = new Simulation();
    const only = sim.replica('a', 100);
    only.streamMs = 50;
    sim.swap({ arms: { stable: [only] }, ...small });
    const caller = new AbortController();
    // The first one's outcome comes after its slot was handed over, before the second one knows.
    sim.onOutcome = () => caller.abort();
    const results = [
      sim.request(),
      sim.request({ signal: caller.signal }),
      sim.request({ timeoutMs: 1_000 }),
    ];
    await sim.time.run(5_000);
    expect((await Promise.all(results)).map(({ kind }) => kind)).toEqual([
      'answered',
      'failed',
      'answered',
    ]);
    expect(sim.outcomes.map(({ tries }) => tries)).toEqual([1, 1, 1]);
    expect(sim.inFlight()).toBe(0);
  });

  test('a caller that leaves before the first attempt counts no attempt', async () => {
    const sim = one((s) => ({ stable: s.replicas(1, 100) }), small);
    expect(await ask(sim, { signal: AbortSignal.abort() })).toMatchObject({ kind: 'failed' });
    expect(sim.outcomes).toMatchObject([{ status: 499, tries: 0 }]);
  });
});

test('a slot is held until the last byte', async () => {
  const sim = new Simulation();
  const only = sim.replica('a', 10);
  only.streamMs = 1_000;
  sim.swap({ arms: { stable: [only] }, ...small });
  const [first, second] = [sim.request(), sim.request()];
  await sim.time.run(100);
  expect(await first).toMatchObject({ kind: 'answered', tries: 1 });
  expect(sim.outcomes).toEqual([]);
  expect(sim.parts.load.arms()[0]).toMatchObject({ inFlight: 1, queued: 1 });
  await sim.time.run(5_000);
  expect(await second).toMatchObject({ kind: 'answered' });
  const [{ firstByteMs = 0, durationMs = 0 } = {}] = sim.outcomes;
  expect(durationMs - firstByteMs).toBeCloseTo(1_000);
});

describe('a second try', () => {
  const two = (): [Simulation, SimReplica, SimReplica] => {
    const sim = new Simulation(3);
    const [a, b] = [sim.replica('a', 5), sim.replica('b', 5)];
    return [sim, a, b];
  };

  test('goes to another replica, and the first answer is thrown away', async () => {
    const [sim, a, b] = two();
    a.mode = 'sick';
    sim.swap({ arms: { stable: [a, b] } });
    for (let index = 0; index < 4; index += 1) {
      expect(await ask(sim, {}, 1_000)).toMatchObject({ kind: 'answered', status: 200 });
    }
    expect(sim.outcomes.some(({ tries }) => tries === 2)).toBe(true);
    expect(sim.outcomes.every(({ failure }) => failure === undefined)).toBe(true);
  });

  test('is for the version that the first was for, while that has room', async () => {
    const sim = new Simulation(3);
    const [a, b, c] = [sim.replica('a', 5), sim.replica('b', 5), sim.replica('c', 5)];
    a.mode = 'sick';
    const versions = { c: 'v2' };
    sim.swap({ arms: { stable: [a, b, c] }, versions });
    for (let index = 0; index < 40; index += 1) await ask(sim, {}, 1_000);
    const again = sim.outcomes.filter(({ tries }) => tries === 2);
    expect(again.length).toBeGreaterThan(3);
    expect(new Set(again.map(({ version }) => version))).toEqual(new Set(['v1']));
    sim.swap({ arms: { stable: [a, c] }, versions });
    a.mode = 'dead';
    await sim.time.run(70_000);
    for (let index = 0; index < 10; index += 1) await ask(sim, {}, 1_000);
    const last = sim.outcomes.slice(-10);
    expect(new Set(last.map(({ status, version }) => `${version} ${status}`))).toEqual(
      new Set(['v2 200']),
    );
    expect(last.some(({ tries }) => tries === 2)).toBe(true);
  });

  test('is not made for a request that may not run twice, unless nothing was sent', async () => {
    const [sim, a, b] = two();
    const inference = { idempotent: false };
    sim.swap({ arms: { stable: [a, b] }, inference });
    a.mode = 'sick';
    b.mode = 'sick';
    expect(await ask(sim)).toMatchObject({ status: 503, tries: 1 });
    a.mode = 'dead';
    b.mode = 'dead';
    expect(await ask(sim, { timeoutMs: 100 })).toMatchObject({ kind: 'failed', tries: 2 });
  });

  test('is not made for a body that cannot be sent again', async () => {
    const [sim, a, b] = two();
    a.mode = 'dead';
    b.mode = 'dead';
    sim.swap({ arms: { stable: [a, b] } });
    const result = await ask(sim, { replayable: false });
    expect(result).toMatchObject({ kind: 'failed', result: { kind: 'unreached' }, tries: 1 });
    expect(sim.outcomes).toMatchObject([{ status: 502, failure: 'unreached: refused' }]);
  });

  test('never outlives the deadline', async () => {
    const [sim, a, b] = two();
    a.serviceMs = () => 1_000;
    b.serviceMs = () => 1_000;
    sim.swap({ arms: { stable: [a, b] } });
    expect(await ask(sim, { timeoutMs: 200 })).toMatchObject({
      kind: 'failed',
      result: { kind: 'timeout' },
      tries: 1,
    });
    expect(sim.outcomes).toMatchObject([{ status: 504, durationMs: 200 }]);
  });

  test.each([
    ['at once where a kept connection to the only replica broke', true, 1, [0, 0]],
    ['not before the only replica had time to come back', undefined, 1, [1_025, 1_250]],
    ['after the jitter where there is another replica', true, 2, [25, 250]],
  ] as const)('is made %s', async (_, wasKept, replicas, [least, most]) => {
    const sim = new Simulation(3);
    const all = sim.replicas(replicas, 10);
    sim.swap({ arms: { stable: all } });
    const result = sim.request();
    await sim.time.run(1);
    const broken = { kind: 'reset', message: 'x', ...(wasKept && { wasKept }) } as const;
    const ends = all.flatMap(({ running }) => [...running]);
    for (const end of ends) end(broken);
    await sim.time.run(5_000);
    expect(await result).toMatchObject({ kind: 'answered', tries: 2 });
    // After 1 ms it broke, and a replica takes 5 to 15.
    const { firstByteMs = 0 } = sim.outcomes[0] ?? {};
    expect(firstByteMs).toBeGreaterThanOrEqual(least + 1 + 5);
    expect(firstByteMs).toBeLessThanOrEqual(most + 1 + 15);
  });

  test('a caller that goes away during the jitter ends it', async () => {
    const [sim, a, b] = two();
    sim.swap({ arms: { stable: [a, b] } });
    const caller = new AbortController();
    a.serviceMs = () => 500;
    b.serviceMs = () => 500;
    const result = sim.request({ signal: caller.signal });
    await sim.time.run(10);
    for (const replica of [a, b]) {
      for (const end of replica.running) end({ kind: 'reset', message: 'x' });
    }
    await sim.time.run(5);
    caller.abort();
    await sim.time.run(1_000);
    expect(await result).toEqual({
      kind: 'failed',
      arm: expect.objectContaining({ name: 'stable' }),
      result: { kind: 'aborted' },
      tries: 1,
    });
    expect(sim.outcomes).toMatchObject([{ status: 499, tries: 1 }]);
    expect(sim.inFlight()).toBe(0);
  });
});

describe('ejection', () => {
  test('five failures in a row take a replica out; one probe brings it back', async () => {
    const sim = new Simulation();
    const [a, b, c] = sim.replicas(3, 10) as [SimReplica, SimReplica, SimReplica];
    a.mode = 'sick';
    sim.swap({ arms: { stable: [a, b, c] } });
    sim.load(200, 20_000);
    await sim.time.run(2_000);
    const stats = () =>
      sim.parts.load.arms()[0]?.replicas.find(({ id }) => id === 'r0')?.ejectedUntil;
    expect(stats()).toBeGreaterThan(sim.time.now - 2_000);
    const { tries } = a;
    await sim.time.run(3_000);
    // Out for 1, 2, 4 seconds: a probe or two, no more.
    expect(a.tries - tries).toBeLessThanOrEqual(3);
    a.mode = 'up';
    await sim.time.run(30_000);
    expect(stats()).toBeUndefined();
    expect(a.tries - tries).toBeGreaterThan(100);
    expect(sim.outcomes.every(({ status }) => status === 200)).toBe(true);
  });

  test('a new request does not take the probe of an ejected replica from a queued one', async () => {
    const sim = new Simulation();
    const replica = sim.replica('a', 5);
    replica.mode = 'dead';
    sim.swap({ arms: { stable: [replica] }, ...small });
    await ask(sim, { timeoutMs: 50 }, 100);
    replica.mode = 'up';
    const served: string[] = [];
    void sim.request().then(() => served.push('queued'));
    const until = sim.parts.load.arms()[0]?.replicas[0]?.ejectedUntil ?? 0;
    expect(until).toBeGreaterThan(sim.time.now);
    // The ejection has ended, and the timer that drains the queue has not fired yet.
    sim.time.now = until;
    void sim.request().then(() => served.push('new'));
    await sim.time.run(1_000);
    expect(served).toEqual(['queued', 'new']);
  });

  test('when fewer than half are left, all are used again', async () => {
    const sim = new Simulation();
    const all = sim.replicas(4, 10);
    for (const sick of all.slice(0, 2)) sick.mode = 'sick';
    sim.swap({ arms: { stable: all } });
    sim.load(400, 500);
    await sim.time.run(600);
    const capacity = (): number | undefined => sim.parts.load.arms()[0]?.capacity;
    expect(capacity()).toBe(2 * 8);
    sim.swap({ arms: { stable: all.slice(0, 3) } });
    expect(capacity()).toBe(3 * 8);
  });

  test('a timeout while the router’s event loop was blocked does not count against the replica', async () => {
    const sim = new Simulation();
    const [a, b] = sim.replicas(2, 10) as [SimReplica, SimReplica];
    sim.swap({ arms: { stable: [a, b] } });
    a.serviceMs = () => 10_000;
    b.serviceMs = () => 10_000;
    sim.lagMs = 200;
    sim.load(50, 1_000, () => ({ timeoutMs: 100 }));
    await sim.time.run(5_000);
    expect(sim.parts.load.arms()[0]).toMatchObject({ ejections: 0 });
    sim.lagMs = 0;
    sim.load(50, 1_000, () => ({ timeoutMs: 100 }));
    await sim.time.run(5_000);
    expect(sim.parts.load.arms()[0]).toMatchObject({ ejections: 1 });
  });

  test('replicas that refuse connections are ejected at once, all of them if need be, and probed soon', async () => {
    const sim = new Simulation();
    const [a, b] = sim.replicas(2, 10) as [SimReplica, SimReplica];
    sim.swap({ arms: { stable: [a, b] } });
    kill(a);
    kill(b);
    sim.load(20, 1_000);
    await sim.time.run(2_000);
    expect(a.tries + b.tries).toBeLessThan(12);
    a.mode = 'up';
    await sim.time.run(20_000);
    expect(sim.good()).toBeGreaterThanOrEqual(18);
  });
});

test('the table may be swapped a thousand times under load', async () => {
  const sim = new Simulation();
  const [stable, v2] = [sim.replicas(2, 5), sim.replicas(2, 5, 'v')];
  const layout = (hundredths: number): Layout => ({
    arms: { stable, v2 },
    shares: [
      { arm: 'stable', hundredths: 10_000 - hundredths },
      { arm: 'v2', hundredths },
    ],
  });
  sim.swap(layout(0));
  sim.load(500, 4_000);
  for (let swap = 0; swap < 1_000; swap += 1) {
    sim.time.after(() => sim.swap(layout((swap * 37) % 10_001)), swap * 4);
  }
  await sim.time.run(10_000);
  expect(sim.good()).toBe(2_000);
  // The next request after a swap sees it.
  sim.swap(layout(10_000));
  expect(await ask(sim)).toMatchObject({ arm: { name: 'v2' } });
});

test('an attempt that throws counts as an internal error, and gives its slot back', async () => {
  const sim = new Simulation();
  sim.swap({ arms: { stable: [{ ...sim.replica('a', 1), id: 'unknown' }] } });
  expect(await ask(sim)).toMatchObject({
    kind: 'failed',
    result: { kind: 'protocol', message: 'no replica unknown' },
  });
  expect(sim.inFlight()).toBe(0);
});

test('in any sequence of events slots are never exceeded, every job ends once, and nothing is left behind', async () => {
  const requests = fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 400 }),
      abortAt: fc.option(fc.integer({ min: 0, max: 400 }), { nil: undefined }),
      timeoutMs: fc.integer({ min: 1, max: 600 }),
      priority: fc.constantFrom('critical', 'high', 'normal', 'low' as const),
      key: fc.option(fc.constantFrom('u1', 'u2', 'u3'), { nil: undefined }),
      replayable: fc.boolean(),
      items: fc.integer({ min: 1, max: 5 }),
    }),
    { minLength: 1, maxLength: 60 },
  );
  const changes = fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 400 }),
      kind: fc.constantFrom('kill', 'sick', 'heal', 'drop', 'add', 'share', 'stop'),
      index: fc.integer({ min: 0, max: 2 }),
    }),
    { maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(fc.integer(), requests, changes, async (seed, asked, changed) => {
      const sim = new Simulation(seed);
      const all = sim.replicas(3, 40);
      const extra = sim.replicas(1, 40, 'v');
      let layout: Layout = {
        arms: { stable: all, v2: extra },
        shares: HALF,
        inference: { maxConcurrency: 2 },
        maxQueueDepth: 6,
        holdMs: 300,
      };
      sim.swap(layout);
      const change = (kind: string, index: number): void => {
        const target = all[index];
        if (target === undefined) return;
        if (kind === 'kill') kill(target);
        if (kind === 'sick') target.mode = 'sick';
        if (kind === 'heal') target.mode = 'up';
        if (kind === 'drop') layout = { ...layout, arms: { stable: all.slice(0, index) } };
        if (kind === 'add') layout = { ...layout, arms: { stable: all, v2: extra } };
        if (kind === 'share') layout = { ...layout, shares: ALL_V2 };
        layout = { ...layout, stopped: kind === 'stop' };
        sim.swap(layout);
      };
      for (const { at, kind, index } of changed) sim.time.after(() => change(kind, index), at);
      for (const { at, abortAt, ...rest } of asked) {
        const caller = new AbortController();
        sim.time.after(() => void sim.request({ ...rest, signal: caller.signal }), at);
        if (abortAt !== undefined) sim.time.after(() => caller.abort(), abortAt);
      }
      await sim.time.run(10_000);
      expect(sim.results.length).toBe(asked.length);
      expect(sim.outcomes.length).toBe(asked.length);
      expect(sim.parts.load.active()).toBe(0);
      expect(sim.inFlight()).toBe(0);
      expect(sim.parts.load.arms().reduce((sum, { queued }) => sum + queued, 0)).toBe(0);
      for (const replica of [...all, ...extra]) expect(replica.most).toBeLessThanOrEqual(2);
      for (const { tries, durationMs } of sim.outcomes) {
        expect(tries).toBeLessThanOrEqual(2);
        expect(durationMs).toBeLessThanOrEqual(601);
      }
    }),
    { numRuns: 60 },
  );
}, 30_000);
