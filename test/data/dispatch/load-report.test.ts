import type { SimReplica } from '../../core/simulator';
import { kill, Simulation } from '../../core/simulator';

test('an arm without requests shows its capacity, and its replicas what they are believed to cost', () => {
  const sim = new Simulation();
  sim.swap({ arms: { stable: sim.replicas(2, 10) }, terminating: ['r1'] });
  expect(sim.parts.load.arms()).toEqual([
    {
      model: 'sim',
      arm: 'stable',
      version: 'v1',
      inFlight: 0,
      queued: 0,
      capacity: 8,
      window: { requests: 0, failures: 0 },
      replicas: [
        { id: 'r0', address: 'r0:80', inFlight: 0, costMs: 30 },
        { id: 'r1', address: 'r1:80', inFlight: 0, costMs: 30 },
      ],
      shed: {},
    },
  ]);
});

test('running and waiting requests are reported while they run and wait', async () => {
  const sim = new Simulation();
  sim.swap({ arms: { stable: sim.replicas(1, 50) }, inference: { maxConcurrency: 2 } });
  for (let index = 0; index < 5; index += 1) void sim.request();
  await sim.time.run(10);
  expect(sim.parts.load.arms()[0]).toMatchObject({
    inFlight: 2,
    queued: 3,
    capacity: 2,
    lastRequestAt: sim.time.now - 10,
    replicas: [{ id: 'r0', inFlight: 2 }],
  });
  expect(sim.parts.load.active()).toBe(5);
  await sim.time.run(1_000);
  expect(sim.parts.load.active()).toBe(0);
});

test('reports the window, the last failure, refusals, retries and ejections', async () => {
  const sim = new Simulation();
  const [a, b] = sim.replicas(2, 10) as [SimReplica, SimReplica];
  sim.swap({ arms: { stable: [a, b] }, maxQueueDepth: 0, inference: { maxConcurrency: 1 } });
  for (let index = 0; index < 3; index += 1) void sim.request();
  await sim.time.run(1_000);
  kill(a);
  b.mode = 'sick';
  await Promise.all([sim.request(), sim.time.run(1_000)]);
  const [stats] = sim.parts.load.arms();
  expect(stats).toMatchObject({
    shed: { queue_full: 1 },
    window: { requests: 3, failures: 1 },
    retries: 1,
    ejections: 1,
  });
  expect(stats?.window.p99).toBeGreaterThan(5);
  expect(stats?.lastFailure?.message).toMatch(/^(answered 503|unreached: refused)$/);
  expect(stats?.lastFailure?.at).toBeLessThanOrEqual(sim.time.now);
});

test('a caller that disconnects is not a failure of the model', async () => {
  const sim = new Simulation();
  sim.swap({ arms: { stable: sim.replicas(1, 50) } });
  const caller = new AbortController();
  void sim.request({ signal: caller.signal });
  await sim.time.run(10);
  caller.abort();
  await sim.time.run(10);
  expect(sim.outcomes).toMatchObject([{ status: 499, tries: 1, firstByteMs: undefined }]);
  expect(sim.parts.load.arms()[0]?.window).toEqual({ requests: 0, failures: 0 });
});

test('an arm that left the table is shown until its last request is done, then forgotten', async () => {
  const sim = new Simulation();
  sim.swap({ arms: { stable: sim.replicas(1, 50) } });
  void sim.request();
  await sim.time.run(10);
  sim.swap();
  expect(sim.parts.load.arms()).toMatchObject([{ arm: 'stable', inFlight: 1, replicas: [] }]);
  await sim.time.run(1_000);
  expect(sim.parts.load.arms()).toEqual([]);
  expect(sim.good()).toBe(1);
});
