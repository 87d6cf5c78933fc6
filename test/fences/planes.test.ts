import { NamespaceCache } from '../../runtime/cluster/kubernetes/cache/namespace-cache';
import { startReconciler } from '../../runtime/cluster/kubernetes/apply/reconciler';
import type { ReconcilerOptions } from '../../runtime/cluster/kubernetes/apply/reconciler';
import type { Snapshot, Why } from '../../runtime/cluster/port';
import { createWatchers } from '../../runtime/cluster/watchers';
import { ALONE } from '../../runtime/control';
import { buildTable } from '../../runtime/core/routing/build-table';
import type { ModelRecord } from '../../runtime/core/lifecycle/snapshot';
import { createMetrics } from '../../runtime/metrics';
import { createKeyedQueue } from '../../runtime/shared/keyed-queue';
import { ask, iris, place, serve } from '../control/support';
import type { Service } from '../control/support';
import { AT, recordOf, snapshotOf } from '../core/support';
import { observationOf, textOf } from '../metrics/support';

const good = (): ModelRecord => recordOf({ input: { id: 'good' } });

/** A record on which any look at its replicas throws. */
function bad(): ModelRecord {
  const record = recordOf({ input: { id: 'bad' } });
  return Object.defineProperty({ ...record }, 'replicas', {
    enumerable: true,
    get: () => {
      throw new TypeError('replicas of bad');
    },
  });
}

test('a model whose route cannot be built keeps its previous one, and the others get theirs', () => {
  const before = snapshotOf(recordOf({ input: { id: 'bad' } }));
  const built = { snapshot: before, routers: 1, table: buildTable(before, 1) };
  const faults: string[] = [];
  const table = buildTable(snapshotOf(bad(), good()), 2, 1, built, (id) => void faults.push(id));
  expect(faults).toEqual(['bad']);
  expect([...table.models.keys()]).toEqual(['bad', 'good']);
  expect(table.models.get('bad')).toBe(built.table.models.get('bad'));
  expect([...buildTable(snapshotOf(bad(), good()), 1).models.keys()]).toEqual(['good']);
});

test('a scrape shows the other models, and the fault of one is logged once', async () => {
  const told: string[] = [];
  const metrics = createMetrics(undefined, (model, message) => told.push(`${model}: ${message}`));
  metrics.observe(observationOf([bad(), good()]));
  const text = await textOf(metrics);
  expect(text).toContain('ai_model_resource_usage{model_id="good"');
  expect(text).not.toContain('ai_model_resource_usage{model_id="bad"');
  await textOf(metrics);
  expect(told).toEqual(['bad: replicas of bad']);
});

test('a listener that throws is a warning, and the other listeners are called', () => {
  const watchers = createWatchers(() => snapshotOf());
  const seen: Snapshot[] = [];
  let armed = false;
  watchers.watch(() => {
    if (armed) throw new Error('a defect');
  });
  watchers.watch((snapshot) => void seen.push(snapshot));
  armed = true;
  const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  watchers.publish();
  expect(warn).toHaveBeenCalledWith(expect.stringContaining('a defect'));
  warn.mockRestore();
  expect(seen).toHaveLength(2);
});

describe('the control plane', () => {
  let service: Service;
  afterEach(() => service.close());

  /** Laid over the cluster: `iris` is there, and looks at its shares throw while `isBad`. */
  let isBad = false;
  const poisoned = (snapshot: Snapshot): Snapshot => {
    const record = snapshot.models.get('iris');
    if (!isBad || record === undefined) return snapshot;
    const [stable] = record.spec.arms;
    const get = (): never => {
      throw new TypeError('the server of iris');
    };
    const arm = Object.defineProperty({ ...stable }, 'server', { get });
    const spec = { ...record.spec, arms: [arm] as const };
    const models = new Map(snapshot.models).set('iris', { ...record, spec });
    return { ...snapshot, models };
  };

  test('gives a model that cannot be routed a failed status; the others change and are served', async () => {
    isBad = true;
    service = await serve({
      wrap: (cluster) => ({
        ...cluster,
        watch: (listener) => {
          const watch = cluster.watch((snapshot) => listener(poisoned(snapshot)));
          return { ...watch, snapshot: () => poisoned(watch.snapshot()) };
        },
      }),
    });
    await place(service, iris());
    await place(service, iris({ model_id: 'other' }));
    const health = await ask(`${service.url}/health/detailed`);
    const all = health.body['models'] as { model_id: string; why: Why | null }[];
    const whyOf = (id: string) => all.find(({ model_id }) => model_id === id)?.why;
    expect(whyOf('iris')).toMatchObject({ cause: 'internal-fault', object: 'model iris' });
    expect(whyOf('other')).toBeNull();
    expect(service.table.current.models.has('other')).toBe(true);
    expect(JSON.stringify(service.logged)).toContain('the server of iris');
    isBad = false;
    service.cluster.refresh();
    await place(service, iris({ version: 'v2' }));
    expect(service.table.current.models.get('iris')?.arms.get('stable')?.version).toBe('v2');
    const status = await ask(`${service.url}/api/v1/models/iris/status`);
    expect(status.body['why']).toBeNull();
  });

  test('runs the other tasks of a tick when one throws', async () => {
    const others = (): never => {
      throw new Error('the routers are unknown');
    };
    service = await serve({ more: { routers: { ...ALONE, others } } });
    await place(service, iris());
    await service.control.tick();
    const messages = service.logged.map(({ message }) => message);
    expect(messages).toEqual(expect.arrayContaining(['a tick could not act']));
    expect(messages).toContain('metrics and health could not be observed');
  });
});

describe('the view of Kubernetes', () => {
  const never = () => new Promise<never>(() => undefined);
  const api = { list: never, watch: never };
  const timing = { now: () => AT, after: () => () => undefined, random: () => 0 };

  test('reports a model that cannot be read, and reads the others', () => {
    const told: string[] = [];
    const cache = new NamespaceCache({
      api,
      namespace: 'models',
      timing,
      checkApiserver: async () => undefined,
      onChange: () => undefined,
      warn: (message) => void told.push(message),
    });
    const looked: string[] = [];
    cache.refresh(new Set(['bad', 'good']), (slug) => {
      if (slug === 'bad') throw new Error('its memory makes no sense');
      looked.push(slug);
      return { overrides: { states: [] }, fault: undefined };
    });
    expect(looked).toEqual(['good']);
    expect(told.join()).toContain('model bad in models cannot be looked at: its memory');
    cache.stop();
  });

  /** A reconciler of two models that are unfinished, with time that the test moves on. */
  const reconcilerOf = (
    contextOf: ReconcilerOptions['contextOf'],
    overrides = () => ({ states: [] }),
  ) => {
    const faults = new Map<string, Why | undefined>();
    const told: string[] = [];
    let at = 0;
    let look: () => void = () => undefined;
    const cache = {
      slugsWithOverrides: () => ['bad', 'good'],
      models: () => [],
      find: () => undefined,
      overrides,
      phase: () => 'synced',
      setFault: (slug: string, why: Why | undefined) => void faults.set(slug, why),
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
      overrides: {} as ReconcilerOptions['overrides'],
      gitops: false,
      contextOf,
      warn: (message) => void told.push(message),
    });
    const pass = (ms: number): void => {
      at += ms;
      look();
    };
    return { faults, told, pass, stop };
  };

  test('makes an exception while a model is read its status', () => {
    const overrides = jest.fn((): { states: [] } => ({ states: [] }));
    overrides.mockImplementationOnce(() => {
      throw new Error('torn');
    });
    const { faults, told, pass, stop } = reconcilerOf(() => {
      throw new Error('not asked');
    }, overrides);
    pass(5000);
    expect(faults.get('bad')).toMatchObject({ cause: 'not-applied', object: 'model bad' });
    expect(told).toEqual(['model bad: torn']);
    expect(faults.get('good')).toBeUndefined();
    stop();
  });
});
