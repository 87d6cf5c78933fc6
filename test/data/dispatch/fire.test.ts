import { kill, Simulation } from '../../core/simulator';

// All of it is virtual time; a machine with other work needs longer for it.
jest.setTimeout(60_000);

/** Whatever happened: one outcome per request, and nothing is left behind. */
function expectClean(sim: Simulation): void {
  expect(sim.outcomes.length).toBe(sim.asked);
  expect(sim.results.length).toBe(sim.asked);
  expect(sim.parts.load.active()).toBe(0);
  expect(sim.inFlight()).toBe(0);
}

const statuses = (sim: Simulation): Readonly<Record<number, number>> => {
  const counts: Record<number, number> = {};
  for (const { status } of sim.outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

const tries = (sim: Simulation): number =>
  sim.outcomes.reduce((sum, outcome) => sum + outcome.tries, 0);

test('one of four replicas is killed at 1,000 requests a second: no caller sees an error', () => {
  const sim = new Simulation();
  const replicas = sim.replicas(4, 10);
  sim.swap({ arms: { stable: replicas } });
  sim.load(1_000, 10_000);
  sim.time.pass(2_000);
  const [first, ...rest] = replicas;
  if (first !== undefined) kill(first);
  // The watch notices a second later and lists the three; later a new one comes.
  sim.time.pass(1_000);
  sim.swap({ arms: { stable: rest } });
  sim.time.pass(2_000);
  sim.swap({ arms: { stable: [...rest, sim.replica('new', 10)] } });
  sim.time.pass(10_000);
  expect(statuses(sim)).toEqual({ 200: 10_000 });
  expectClean(sim);
});

test('the only replica is killed at 100 requests a second and comes back: no caller sees an error', () => {
  const sim = new Simulation();
  const only = sim.replica('a', 10);
  sim.swap({ arms: { stable: [only] } });
  sim.load(100, 10_000);
  sim.time.pass(2_000);
  kill(only);
  sim.time.pass(300);
  sim.swap({ arms: { stable: [] } });
  sim.time.pass(2_000);
  sim.swap({ arms: { stable: [sim.replica('b', 10)] } });
  sim.time.pass(20_000);
  expect(statuses(sim)).toEqual({ 200: 1_000 });
  expectClean(sim);
});

test('all replicas are replaced, one after the other: nothing fails', () => {
  const sim = new Simulation();
  let live = [...sim.replicas(3, 20)];
  sim.swap({ arms: { stable: live } });
  sim.load(300, 15_000);
  sim.time.pass(2_000);
  for (let round = 0; round < 3; round += 1) {
    const [old, ...rest] = live;
    live = [...rest, sim.replica(`new${round}`, 20)];
    const ending = old?.id ?? '';
    sim.swap({
      arms: { stable: old === undefined ? live : [...live, old] },
      terminating: [ending],
    });
    sim.time.pass(1_000);
    if (old !== undefined) kill(old);
    sim.swap({ arms: { stable: live } });
    sim.time.pass(1_000);
  }
  sim.time.pass(10_000);
  expect(statuses(sim)).toEqual({ 200: 4_500 });
  expectClean(sim);
});

test('one of eleven replicas needs 2 s for 30 s: 99.9 % of the answers take less than one', () => {
  const sim = new Simulation();
  const replicas = sim.replicas(11, 20);
  sim.swap({ arms: { stable: replicas } });
  sim.load(300, 40_000);
  sim.time.pass(5_000);
  const [slow] = replicas;
  const usual = slow?.serviceMs;
  if (slow !== undefined) slow.serviceMs = () => 2_000;
  sim.time.pass(30_000);
  if (slow !== undefined && usual !== undefined) slow.serviceMs = usual;
  const triesWhileSlow = slow?.tries ?? 0;
  sim.time.pass(60_000);
  const fast = sim.outcomes.filter(({ durationMs }) => durationMs < 1_000).length;
  expect(statuses(sim)).toEqual({ 200: 12_000 });
  expect(fast / 12_000).toBeGreaterThanOrEqual(0.999);
  // It is not forgotten: when well again it gets its part.
  sim.load(300, 30_000);
  sim.time.pass(40_000);
  expect((slow?.tries ?? 0) - triesWhileSlow).toBeGreaterThan(100);
  expectClean(sim);
});

test('all replicas answer 503: at most 1.2 tries per request, and the answer is passed on', () => {
  const sim = new Simulation();
  const replicas = sim.replicas(4, 10);
  for (const one of replicas) one.mode = 'sick';
  sim.swap({ arms: { stable: replicas } });
  sim.load(1_000, 10_000);
  sim.time.pass(20_000);
  expect(statuses(sim)).toEqual({ 503: 10_000 });
  expect(tries(sim) / 10_000).toBeLessThanOrEqual(1.2);
  expectClean(sim);
});

test('half of the answers are 503 by chance: retries stay within the budget and help', () => {
  const sim = new Simulation();
  const replicas = sim.replicas(4, 10);
  sim.swap({ arms: { stable: replicas } });
  sim.load(1_000, 20_000);
  for (let at = 0; at < 20_000; at += 5) {
    sim.time.after(() => {
      for (const one of replicas) one.mode = sim.random() < 0.5 ? 'sick' : 'up';
    }, at);
  }
  sim.time.pass(30_000);
  expect(tries(sim)).toBeLessThanOrEqual(20_000 * 1.2 + 20 * 10 + 100);
  expect(sim.good() / 20_000).toBeGreaterThan(0.55);
  expectClean(sim);
});

test('three times the load: what is served is 90 % of the peak at least, refusals come at once', () => {
  // 2 replicas × 8 slots / 20 ms = 800 a second.
  const served = (perSecond: number, timeoutMs: number): Simulation => {
    const sim = new Simulation();
    sim.swap({ arms: { stable: sim.replicas(2, 20) } });
    sim.load(perSecond, 5_000, () => ({ timeoutMs }));
    sim.time.pass(10_000);
    expectClean(sim);
    return sim;
  };
  const peak = served(800, 1_000).good();
  for (const timeoutMs of [1_000, 60]) {
    const over = served(2_400, timeoutMs);
    expect(over.good() / peak).toBeGreaterThanOrEqual(0.9);
    const refused = over.outcomes.filter(
      ({ shed, queuedMs }) => shed !== undefined && queuedMs === 0,
    );
    const shed = over.outcomes.filter((outcome) => outcome.shed !== undefined);
    expect(refused.length / shed.length).toBeGreaterThan(timeoutMs === 60 ? 0.8 : 0.99);
    expect(shed.length).toBeGreaterThan(5_000);
  }
});

test('a long queue does not hold requests that cannot be answered in time', () => {
  const sim = new Simulation();
  sim.swap({ arms: { stable: sim.replicas(2, 20) }, maxQueueDepth: 100_000 });
  sim.load(2_400, 5_000, () => ({ timeoutMs: 500 }));
  sim.time.pass(10_000);
  // 800 a second can be served.
  expect(sim.good()).toBeGreaterThanOrEqual(0.9 * 4_000);
  expect(statuses(sim)[504] ?? 0).toBeLessThan(120);
  expectClean(sim);
});

test('under three times the load critical is served before low, and low never starves', async () => {
  const sim = new Simulation();
  sim.swap({ arms: { stable: sim.replicas(2, 20) } });
  const order = ['critical', 'high', 'normal', 'low'] as const;
  const asked: { priority: string; good: boolean; at: number }[] = [];
  const perPriority = 600;
  for (const priority of order) {
    for (let index = 0; index < perPriority * 10; index += 1) {
      sim.time.after(
        () =>
          void sim
            .request({ priority, timeoutMs: 2_000 })
            .then((result) =>
              asked.push({ priority, good: result.kind === 'answered', at: sim.time.now }),
            ),
        (index * 1000) / perPriority,
      );
    }
  }
  const start = sim.time.now;
  await sim.time.run(20_000);
  const good = order.map(
    (name) => asked.filter(({ priority, good: well }) => well && priority === name).length,
  );
  const [critical = 0, high = 0, , low = 0] = good;
  expect(critical).toBeGreaterThan(0.9 * perPriority * 10);
  expect(critical).toBeGreaterThan(high);
  expect(high).toBeGreaterThan(low);
  // In every second some low ones are answered.
  for (let second = 0; second < 10; second += 1) {
    const from = start + second * 1000;
    const lows = asked.filter(
      ({ priority, good: well, at }) =>
        well && priority === 'low' && at >= from && at < from + 1000,
    );
    expect(lows.length).toBeGreaterThan(0);
  }
  expectClean(sim);
});

test('ten thousand callers go away at any moment: nothing stays in flight', () => {
  const sim = new Simulation(7);
  sim.swap({ arms: { stable: sim.replicas(3, 30) }, maxQueueDepth: 5_000 });
  sim.load(5_000, 2_000, () => {
    const caller = new AbortController();
    sim.time.after(() => caller.abort(), sim.random() * 40);
    return { signal: caller.signal };
  });
  sim.time.pass(60_000);
  expect(sim.asked).toBe(10_000);
  expectClean(sim);
  expect(statuses(sim)[499]).toBeGreaterThan(5_000);
  expect(sim.time.pending()).toBe(0);
});
