import type { ArmStats } from '../../runtime/core/routing/load';
import type { Cluster, Snapshot } from '../../runtime/cluster/port';
import { parseModel } from '../../lib/spec';
import { ALONE } from '../../runtime/control';
import { statsOf } from '../metrics/support';
import { until } from '../support/plane';
import type { Fleet, FleetOptions, Router } from './fleet';
import { startFleet } from './fleet';
import { ask, iris, T0, withCandidate } from './support';

let fleet: Fleet;
afterEach(() => fleet.close());

const begin = async (names: readonly string[], options: FleetOptions = {}): Promise<void> => {
  fleet = await startFleet(names, options);
};

function router(name: string): Router {
  const found = fleet.routers.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no router ${name}`);
  return found;
}

const sleepy = (more: object = {}) =>
  iris({
    scaling_config: {
      min_replicas: 0,
      max_replicas: 2,
      target_concurrency: 4,
      scale_down_window_seconds: 20,
    },
    ...more,
  });

function snapshot(): Snapshot {
  const watch = fleet.cluster.watch(() => undefined);
  watch.stop();
  return watch.snapshot();
}

const record = () => snapshot().models.get('iris');
const desired = (): number | undefined => record()?.arms[0]?.desired;

async function place(definition: object): Promise<void> {
  await fleet.cluster.apply(parseModel(definition), { by: 'test', manager: 'rest' });
}

/** A model that may sleep, awake. */
async function awake(): Promise<void> {
  await place(sleepy());
  await fleet.cluster.scale('iris', 'stable', { from: 0, to: 1 });
}

function use(name: string, more: Partial<ArmStats>): void {
  router(name).stats.splice(0, Infinity, statsOf('iris', more));
}

describe('an idle arm', () => {
  beforeEach(async () => {
    await begin(['a', 'b', 'c']);
    await awake();
  });

  test('is put to sleep by the leader when its window is over', async () => {
    await fleet.second(19);
    expect(desired()).toBe(1);
    await fleet.second(3);
    expect(desired()).toBe(0);
    const tellers = fleet.routers.filter(({ logged }) =>
      logged.some((one) => one.startsWith('sleep')),
    );
    expect(tellers.map(({ name }) => name)).toEqual(['a']);
  });

  test('stays while one router is silent: it may have requests', async () => {
    await fleet.second(5);
    router('c').silence();
    await fleet.second(60);
    expect(desired()).toBe(1);
  });

  test('sleeps when the pod of the silent router is gone', async () => {
    router('c').silence();
    await fleet.second(40);
    fleet.pods.delete('c');
    fleet.podsChanged();
    await fleet.second(2);
    expect(desired()).toBe(0);
  });

  test.each([
    ['runs', { inFlight: 1, lastRequestAt: T0 }],
    ['waits', { queued: 1, lastRequestAt: T0 }],
  ])(
    'stays while a request %s in another router, and for its window after that',
    async (_, busy) => {
      use('b', busy);
      await fleet.second(60);
      expect(desired()).toBe(1);
      // It ends a minute after it came.
      use('b', { lastRequestAt: T0 });
      await fleet.second(19);
      expect(desired()).toBe(1);
      await fleet.second(3);
      expect(desired()).toBe(0);
    },
  );

  test('stays without a leader, and when the leader loses the lease during the decision', async () => {
    fleet.leader = '';
    await fleet.second(60);
    expect(desired()).toBe(1);
    fleet.leader = 'b';
    await fleet.second(2);
    expect(desired()).toBe(1);
  });
});

test('is left to autoscalers that scale to zero themselves', async () => {
  await begin(['a'], { more: () => ({ routers: { ...ALONE, putsToSleep: () => false } }) });
  await awake();
  await fleet.second(60);
  expect(desired()).toBe(1);
});

describe('a sleeping arm', () => {
  test('is woken at once by any router that holds a request', async () => {
    await begin(['a', 'b']);
    await place(sleepy());
    expect(desired()).toBe(0);
    use('b', { queued: 1, lastRequestAt: T0 });
    router('b').control.onHeld('iris', 'stable');
    await until(() => desired() === 1, 'the arm to be woken');
    expect(router('b').logged).toEqual([
      'wake {"model":"iris","arm":"stable","reason":"1 requests wait"}',
    ]);
  });

  test('is woken at the next tick when it fell asleep as the request came', async () => {
    await begin(['a', 'b']);
    await place(sleepy());
    use('b', { queued: 1, lastRequestAt: T0 });
    await fleet.second();
    expect(desired()).toBe(1);
  });

  test('is woken once, whatever other routers request', async () => {
    await begin(['a', 'b', 'c']);
    await place(sleepy());
    for (const name of ['a', 'b', 'c']) use(name, { queued: 5, lastRequestAt: T0 });
    await fleet.second();
    expect(desired()).toBe(1);
    const all = fleet.routers.flatMap(({ logged }) => logged);
    expect(all.filter((line) => /failed|error/.test(line))).toEqual([]);
  });

  test('is woken when stable served in its place, as a candidate under promotion is', async () => {
    await begin(['a']);
    await place(withCandidate({ scaling_config: { min_replicas: 0, target_concurrency: 4 } }));
    const next = () => record()?.arms[1]?.desired;
    expect(next()).toBe(0);
    router('a').stats.push(statsOf('iris', { arm: 'next', lastRequestAt: T0 + 500 }));
    await fleet.second();
    expect(next()).toBe(1);
  });

  test('is woken at a later attempt when the cluster was unreachable', async () => {
    let failing = true;
    const wrap = (cluster: Cluster): Cluster => ({
      ...cluster,
      scale: (...given) =>
        failing ? Promise.reject(new Error('not reached')) : cluster.scale(...given),
    });
    await begin(['a'], { wrap });
    await place(sleepy());
    use('a', { queued: 1, lastRequestAt: T0 });
    await fleet.second(2);
    expect(desired()).toBe(0);
    failing = false;
    await fleet.second(2);
    expect(desired()).toBe(1);
    expect(router('a').logged[1]).toBe(
      'waking an arm failed {"arm":"iris/stable","error":"not reached"}',
    );
  });

  test('is not put back to sleep by a leader that has not seen the request yet', async () => {
    /** The leader sees the cluster as it was a moment ago. */
    let old: Snapshot | undefined;
    const wrap = (cluster: Cluster, name: string): Cluster =>
      name === 'a'
        ? { ...cluster, watch: (listener) => cluster.watch((now) => listener(old ?? now)) }
        : cluster;
    await begin(['a', 'b'], { wrap });
    await place(sleepy());
    await fleet.cluster.scale('iris', 'stable', { from: 0, to: 2 });
    old = snapshot();
    await fleet.cluster.scale('iris', 'stable', { from: 2, to: 1 });
    await fleet.second(30);
    expect(desired()).toBe(1);
    expect(router('a').logged.filter((line) => /failed/.test(line))).toEqual([]);
  });
});

describe('losing the lease during a tick', () => {
  /** Writes of one router, which a test can hold up. */
  function held() {
    const writes: string[] = [];
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const wrap = (cluster: Cluster, name: string): Cluster => ({
      ...cluster,
      setOverrides: (id, state) => {
        writes.push(
          `${name} ${state?.promote?.phase ?? 'nothing'} ${state?.shares?.['next'] ?? ''}`,
        );
        return cluster.setOverrides(id, state);
      },
      apply: async (spec, options) => {
        writes.push(`${name} apply ${spec.version}`);
        // A change by REST that takes its time, and keeps the lock meanwhile.
        if (name === 'a' && options.by !== 'ai-model-service') await gate;
        return cluster.apply(spec, options);
      },
    });
    return { wrap, writes, release: () => release() };
  }

  const promote = (name: string) =>
    ask(`${router(name).url}/api/v1/models/iris/promote`, 'POST', {});

  test('stops work that waited for a lock; the next leader does it', async () => {
    const { wrap, writes, release } = held();
    await begin(['a', 'b'], { wrap });
    await place(withCandidate());
    const same = { config: { version: 'v1' } };
    const change = ask(`${router('a').url}/api/v1/models/iris`, 'PUT', same);
    await until(() => writes.includes('a apply v1'), 'the change to hold the lock');
    expect((await promote('b')).status).toBe(202);
    const tick = router('a').control.tick();
    fleet.leader = 'b';
    release();
    await Promise.all([tick, change]);
    expect(writes).toEqual(['a apply v1', 'b shifting ']);
    await fleet.second();
    expect(writes.slice(2)).toEqual(['b shifting 25']);
  });

  test('lets every leader continue from the stored state, to the same end', async () => {
    const { wrap, writes } = held();
    await begin(['a', 'b', 'c'], { wrap });
    await place(withCandidate());
    await promote('b');
    const names = ['a', 'b', 'c'];
    for (let step = 0; step < 40 && record()?.state?.promote !== undefined; step += 1) {
      fleet.leader = names[step % 3] ?? 'a';
      await fleet.second();
    }
    expect(record()?.state?.promote).toBeUndefined();
    expect(record()?.spec.version).toBe('v2');
    expect(record()?.spec.arms.map(({ name }) => name)).toEqual(['stable']);
    // Stable takes the version once, the candidate goes once.
    expect(writes.filter((one) => /apply v2/.test(one))).toHaveLength(2);
    expect(new Set(writes.map((one) => one[0]))).toEqual(new Set(names));
  });

  test('changes nothing in followers', async () => {
    const { wrap, writes } = held();
    await begin(['a', 'b'], { wrap });
    await place(withCandidate());
    await promote('a');
    writes.length = 0;
    fleet.leader = 'x';
    await fleet.second(5);
    expect(writes).toEqual([]);
  });
});

describe('routers that share the replicas', () => {
  const part = (name: string) =>
    router(name).table.current.models.get('iris')?.arms.get('stable')?.concurrencyPerReplica;

  test('get equal parts, again with every router that joins or leaves', async () => {
    await begin(['a', 'b', 'c']);
    await place(iris({ inference: { max_concurrency: 8 } }));
    expect(['a', 'b', 'c'].map(part)).toEqual([3, 3, 3]);
    fleet.pods.delete('c');
    fleet.podsChanged();
    expect(['a', 'b'].map(part)).toEqual([4, 4]);
    fleet.pods.delete('b');
    fleet.podsChanged();
    expect(part('a')).toBe(8);
    fleet.pods.add('b').add('c');
    fleet.podsChanged();
    expect(part('a')).toBe(3);
  });

  test('report their load, which a promotion adds up', async () => {
    await begin(['a', 'b', 'c']);
    await place(withCandidate());
    for (const name of ['b', 'c']) {
      use(name, { inFlight: 20, lastRequestAt: T0 });
    }
    await ask(`${router('a').url}/api/v1/models/iris/promote`, 'POST', {});
    await fleet.second(5);
    // 2 replicas of 8, one fifth in reserve, over 40 requests.
    expect(record()?.state?.shares?.['next']).toBeLessThanOrEqual(40);
    expect(record()?.state?.promote?.phase).toBe('shifting');
  });
});

describe('reports about routers', () => {
  beforeEach(async () => {
    await begin(['a', 'b', 'c']);
    await place(iris());
    await fleet.second(2);
  });

  test('are in the detail of health: the leader, every peer and the time of its report', async () => {
    router('c').silence();
    await fleet.second(4);
    const { body } = await ask(`${router('b').url}/health/detailed`);
    expect(body['routers']).toEqual({
      self: 'b',
      leader: 'a',
      ready: 3,
      peers: [
        { id: 'a', ready: true, age_seconds: 0 },
        { id: 'c', ready: true, age_seconds: 4 },
      ],
    });
    expect(body['watches']).toEqual([
      { name: 'memory', phase: 'synced', age_seconds: 6 },
      { name: 'routers', phase: 'synced', age_seconds: 0 },
    ]);
  });

  test('are in metrics: the peers that answer, and the leader', async () => {
    router('c').silence();
    await fleet.second(4);
    const lines = async (name: string) => {
      const text = await (await fetch(`${router(name).opsUrl}/metrics`)).text();
      return text.split('\n').filter((line) => /^ai_model_(service|watch_age)/.test(line));
    };
    expect(await lines('a')).toEqual([
      'ai_model_watch_age_seconds{watch="memory"} 6',
      'ai_model_watch_age_seconds{watch="routers"} 0',
      'ai_model_service_leader 1',
      'ai_model_service_peers 1',
    ]);
    expect(await lines('b')).toContain('ai_model_service_leader 0');
  });

  test('to other routers are on the ops port, and not on the public one', async () => {
    const { status, body } = await ask(`${router('a').opsUrl}/internal/load`);
    expect([status, body['router']]).toEqual([200, 'a']);
    expect((await ask(`${router('a').url}/internal/load`)).status).toBe(404);
  });
});
