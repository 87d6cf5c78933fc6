import { NamespaceCache } from '../../runtime/cluster/kubernetes/cache/namespace-cache';
import type { ReconcilerOptions } from '../../runtime/cluster/kubernetes/apply/reconciler';
import { startReconciler } from '../../runtime/cluster/kubernetes/apply/reconciler';
import { ClusterCache } from '../../runtime/cluster/kubernetes/cache/cluster-cache';
import type { Why } from '../../runtime/cluster/port';
import { NO_AUDIT } from '../../runtime/audit';
import type { ControlContext } from '../../runtime/control/context';
import { createIdleSleep } from '../../runtime/control/idle-sleep';
import type { ModelRecord } from '../../runtime/core/lifecycle/snapshot';
import { createKeyedQueue } from '../../runtime/shared/keyed-queue';
import { AT, recordOf, snapshotOf } from '../core/support';

// Chores that go over all models: what throws at one of them stays with it.

const settled = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

test('work that the reconciler cannot do is the status of its model until it is done', async () => {
  const faults = new Map<string, Why | undefined>();
  const told: string[] = [];
  const begun: string[] = [];
  let [at, isTorn] = [0, true];
  let look: () => void = () => undefined;
  const cache = {
    slugsWithOverrides: () => ['bad', 'good'],
    models: () => [],
    find: () => undefined,
    overrides: () => ({ states: [{}] }),
    phase: () => 'synced',
    setFault: (slug: string, why: Why | undefined) => void faults.set(slug, why),
  };
  const update = (slug: string): Promise<void> => {
    begun.push(slug);
    if (slug === 'bad' && isTorn) throw new TypeError('no states of bad');
    return Promise.resolve();
  };
  const stop = startReconciler({
    cache: cache as unknown as ReconcilerOptions['cache'],
    timing: {
      now: () => at,
      random: () => 0,
      after: (call) => {
        look = call;
        return () => undefined;
      },
    },
    turns: createKeyedQueue(),
    overrides: { update } as unknown as ReconcilerOptions['overrides'],
    gitops: false,
    contextOf: () => {
      throw new Error('is not asked');
    },
    warn: (message) => void told.push(message),
  });
  const pass = async (ms: number): Promise<void> => {
    at += ms;
    look();
    await settled();
  };
  await pass(5000);
  await pass(30_000);
  expect(begun).toEqual(['bad', 'good']);
  expect(faults.get('bad')).toMatchObject({
    cause: 'not-applied',
    object: 'model bad',
    message: expect.stringContaining('no states of bad') as unknown,
  });
  expect(faults.get('good')).toBeUndefined();
  expect(told).toEqual(['model bad: no states of bad']);
  isTorn = false;
  await pass(60_000);
  expect(faults.get('bad')).toBeUndefined();
  expect(begun.filter((slug) => slug === 'bad')).toHaveLength(2);
  stop();
});

describe('an exception in a decision about sleep', () => {
  const scaling = { minReplicas: 0, maxReplicas: 1, targetConcurrency: 8 };
  const idle = (id: string, desired: number): ModelRecord => {
    const input = { id, framework: 'tensorrt', source: 's3://m/iris', scaling } as const;
    const record = recordOf({ input });
    const arms = record.arms.map((arm) => ({ ...arm, desired, current: desired, ready: desired }));
    return { ...record, arms };
  };
  const torn = (record: ModelRecord): ModelRecord =>
    Object.defineProperty({ ...record }, 'state', {
      get: () => {
        throw new TypeError('the state of bad');
      },
    });

  function deciding(desired: number, queued: number) {
    const scaled: string[] = [];
    const errors: object[] = [];
    let at = AT;
    const snapshot = snapshotOf(torn(idle('bad', desired)), idle('good', desired));
    const arms = ['bad', 'good'].map((id) => [`${id}/stable`, { inFlight: 0, queued }] as const);
    const context = {
      routingView: { snapshot: () => snapshot, until: () => Promise.resolve(true) },
      cluster: {
        scale: (id: string, _arm: string, { to }: { to: number }) => {
          scaled.push(`${id} ${to}`);
          return Promise.resolve();
        },
      },
      ownLoad: () => ({ router: 'a', at, startedAt: 0, arms: new Map(arms) }),
      routers: { others: () => [], putsToSleep: () => true, isLeader: () => true },
      locks: { run: (_id: string, work: () => Promise<void>) => work() },
      clock: { now: () => at },
      audit: NO_AUDIT,
      log: { info: () => undefined, error: (_text: string, fields: object) => errors.push(fields) },
    };
    const sleeping = createIdleSleep(context as unknown as ControlContext);
    const pass = (ms: number): void => {
      at += ms;
    };
    return { sleeping, scaled, errors, pass };
  }
  const TROUBLE = { arm: 'bad/stable', error: 'the state of bad' };

  test('lets the other arms sleep, and is logged once', async () => {
    const { sleeping, scaled, errors, pass } = deciding(1, 0);
    for (let second = 0; second < 700 && scaled.length === 0; second += 1) {
      await Promise.all(sleeping.sleep());
      pass(1000);
    }
    expect(scaled).toEqual(['good 0']);
    expect(errors).toEqual([TROUBLE]);
  });

  test('lets the other arms wake, at a tick and when a request is held', async () => {
    const { sleeping, scaled, errors } = deciding(0, 1);
    await Promise.all(sleeping.wake());
    expect(scaled).toEqual(['good 1']);
    expect(errors).toEqual([TROUBLE]);
    sleeping.onHeld('bad', 'stable');
    await settled();
    sleeping.onHeld('good', 'stable');
    await settled();
    expect(scaled).toEqual(['good 1', 'good 1']);
    expect(errors).toEqual([TROUBLE, TROUBLE]);
  });
});

test('a view of Kubernetes that cannot be renewed stays in use, and the next one has all changes', () => {
  const never = () => new Promise<never>(() => undefined);
  const calls: (() => void)[] = [];
  const told: string[] = [];
  const cache = new ClusterCache({
    api: { list: never, watch: never, alive: never },
    namespaces: ['models'],
    timing: {
      now: () => AT,
      random: () => 0,
      after: (call) => {
        calls.push(call);
        return () => undefined;
      },
    },
    warn: (message) => void told.push(message),
  });
  const looked: string[][] = [];
  const refresh = jest.spyOn(NamespaceCache.prototype, 'refresh').mockImplementation((also) => {
    looked.push([...also]);
    if (looked.length === 1) throw new Error('a defect');
    return true;
  });
  const seen: string[] = [];
  const watch = cache.watchers.watch(({ phase }) => void seen.push(phase));
  const why = (message: string): Why => ({ cause: 'x', message, object: 'model m', since: AT });
  const pass = (): void => calls.splice(0).forEach((call) => call());
  cache.setFault('first', why('one'));
  expect(pass).not.toThrow();
  expect(told).toEqual(['the view of the cluster could not be renewed: a defect']);
  cache.setFault('second', why('two'));
  pass();
  expect(looked).toEqual([['first'], ['first', 'second']]);
  expect(told).toHaveLength(1);
  expect(seen.length).toBeGreaterThan(1);
  refresh.mockRestore();
  watch.stop();
  cache.stop();
});
