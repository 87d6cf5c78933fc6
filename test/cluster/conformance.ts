import { definitionHash, parseModel, updateModel } from '../../lib/spec';
import type { ModelSpec } from '../../lib/spec';
import type { ApplyOptions, Cluster, ClusterErrorCode, Snapshot } from '../../runtime/cluster/port';
import { ClusterError } from '../../runtime/cluster/port';

/** A cluster under test, and how to end it. It can load the `file` source `./m.onnx`. */
export interface Subject {
  readonly cluster: Cluster;
  readonly end: () => Promise<void>;
}

const REST: ApplyOptions = { by: 'tester', manager: 'rest' };

export const model = (more: object = {}): ModelSpec =>
  parseModel({ id: 'iris', version: '1', framework: 'onnx', source: './m.onnx', ...more });

export function now(cluster: Cluster): Snapshot {
  const watch = cluster.watch(() => undefined);
  watch.stop();
  return watch.snapshot();
}

/** Resolves with the first snapshot that the condition holds for. */
export function when(cluster: Cluster, holds: (snapshot: Snapshot) => boolean): Promise<Snapshot> {
  return new Promise((resolve) => {
    let done = false;
    const watch = cluster.watch((snapshot) => {
      if (done || !holds(snapshot)) return;
      done = true;
      // The listener is called before `watch` has returned for the first time.
      setImmediate(() => {
        watch.stop();
        resolve(snapshot);
      });
    });
  });
}

export const isReady =
  (id: string, version: string, count = 1) =>
  ({ models }: Snapshot): boolean => {
    const stable = models.get(id)?.arms[0];
    const { ready = 0, updated = 0, current = 0, desired = -1 } = stable ?? {};
    const settled = ready === count && updated === count && current === count && desired === count;
    return settled && stable?.version === version;
  };

async function refused(work: Promise<unknown>): Promise<ClusterErrorCode | 'done'> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof ClusterError && error.message.length > 20) return error.code;
    throw error;
  }
}

/** What every adapter of the port promises. */
export function clusterConformance(name: string, make: () => Promise<Subject>): void {
  describe(`${name} is a cluster that`, () => {
    let subject: Subject;
    let cluster: Cluster;
    beforeEach(async () => {
      subject = await make();
      ({ cluster } = subject);
    });
    afterEach(() => subject.end());

    test('shows an applied model in the next snapshot, with its replicas in time', async () => {
      expect(await cluster.apply(model(), REST)).toEqual({ revision: 1, changed: true });
      const record = now(cluster).models.get('iris');
      expect(record?.hash).toBe(definitionHash(model().definition));
      expect(record).toMatchObject({ revision: 1, manager: 'rest', deleting: false });
      const ready = await when(cluster, isReady('iris', '1'));
      expect(ready.phase).toBe('synced');
      expect(ready.models.get('iris')?.replicas[0]).toMatchObject({
        arm: 'stable',
        phase: 'ready',
      });
    });

    test('changes nothing for the identical definition, from any caller', async () => {
      await cluster.apply(model(), REST);
      expect(await cluster.apply(model(), REST)).toEqual({ revision: 1, changed: false });
      const create = { ...REST, create: true };
      expect(await cluster.apply(model(), create)).toEqual({ revision: 1, changed: false });
      expect(await cluster.history('iris')).toHaveLength(1);
    });

    test('refuses to create an existing model with another definition', async () => {
      await cluster.apply(model(), REST);
      const other = cluster.apply(model({ version: '2' }), { ...REST, create: true });
      expect(await refused(other)).toBe('MODEL_ALREADY_EXISTS');
      expect(now(cluster).models.get('iris')?.spec.version).toBe('1');
    });

    test('refuses a stale revision and changes nothing', async () => {
      await cluster.apply(model(), REST);
      await cluster.apply(model({ version: '2' }), { ...REST, ifRevision: 1 });
      const late = cluster.apply(model({ version: '3' }), { ...REST, ifRevision: 1 });
      expect(await refused(late)).toBe('REVISION_CONFLICT');
      expect(now(cluster).models.get('iris')?.spec.version).toBe('2');
    });

    test('lets one of two concurrent changes of one revision win', async () => {
      await cluster.apply(model(), REST);
      const results = await Promise.all(
        ['2', '3'].map((version) =>
          refused(cluster.apply(model({ version }), { ...REST, ifRevision: 1 })),
        ),
      );
      expect([...results].sort()).toEqual(['REVISION_CONFLICT', 'done']);
    });

    test('lets one of two concurrent creations win, and accepts two identical ones', async () => {
      const create = { ...REST, create: true };
      const results = await Promise.all(
        ['1', '2'].map((version) => refused(cluster.apply(model({ version }), create))),
      );
      expect([...results].sort()).toEqual(['MODEL_ALREADY_EXISTS', 'done']);
      const alike = model({ id: 'other' });
      const both = await Promise.all([alike, alike].map((spec) => cluster.apply(spec, create)));
      expect(both.map(({ revision }) => revision)).toEqual([1, 1]);
      expect(both.filter(({ changed }) => changed)).toHaveLength(1);
    });

    test('lets one of two concurrent ids that clash win', async () => {
      const results = await Promise.all(
        ['a_b', 'a-b'].map((id) => refused(cluster.apply(model({ id }), REST))),
      );
      expect([...results].sort()).toEqual(['INVALID_MODEL_CONFIG', 'done']);
    });

    test('stores concurrent changes of a model as one revision each', async () => {
      const versions = ['1', '2', '3', '4', '5'];
      await Promise.all(versions.map((version) => cluster.apply(model({ version }), REST)));
      const history = await cluster.history('iris');
      expect(history.map(({ revision }) => revision)).toEqual([5, 4, 3, 2, 1]);
      expect(history.map(({ version }) => version).sort()).toEqual(versions);
      expect(now(cluster).models.get('iris')).toMatchObject({
        revision: 5,
        hash: history[0]?.hash,
      });
    });

    test('refuses changes of another manager’s model, unless it is taken over', async () => {
      await cluster.apply(model(), { by: 'git', manager: 'argocd' });
      const change = model({ version: '2' });
      expect(await refused(cluster.apply(change, REST))).toBe('READ_ONLY');
      expect(await refused(cluster.remove('iris', REST))).toBe('READ_ONLY');
      expect(await cluster.apply(change, { ...REST, force: true })).toMatchObject({ revision: 2 });
      expect(now(cluster).models.get('iris')?.manager).toBe('rest');
    });

    test('changes only the owner when an identical definition is taken over', async () => {
      await cluster.apply(model(), { by: 'git', manager: 'argocd' });
      const taken = await cluster.apply(model(), { ...REST, force: true });
      expect(taken).toEqual({ revision: 1, changed: false });
      expect(now(cluster).models.get('iris')?.manager).toBe('rest');
      expect(await cluster.apply(model({ version: '2' }), REST)).toMatchObject({ revision: 2 });
    });

    test('refuses a stale revision of a model that does not exist', async () => {
      const applying = cluster.apply(model(), { ...REST, ifRevision: 3 });
      expect(await refused(applying)).toBe('REVISION_CONFLICT');
      expect(now(cluster).models.size).toBe(0);
    });

    test('reports a model that does not exist for every call', async () => {
      const hash = '0'.repeat(16);
      expect(await refused(cluster.history('nobody'))).toBe('MODEL_NOT_FOUND');
      expect(await refused(cluster.setOverrides('nobody', { hash }))).toBe('MODEL_NOT_FOUND');
      expect(await refused(cluster.remove('nobody', REST))).toBe('MODEL_NOT_FOUND');
    });

    test('lets the service and its files change each other’s models', async () => {
      await cluster.apply(model(), { by: 'files', manager: 'files' });
      expect(await refused(cluster.apply(model({ version: '2' }), REST))).toBe('done');
    });

    test('refuses two ids that would share object names', async () => {
      await cluster.apply(model({ id: 'a_b' }), REST);
      const clash = cluster.apply(model({ id: 'a-b' }), REST);
      expect(await refused(clash)).toBe('INVALID_MODEL_CONFIG');
    });

    test('keeps ten revisions, newest first, and applies an earlier one again', async () => {
      for (let version = 1; version <= 12; version += 1) {
        await cluster.apply(model({ version: String(version) }), REST);
      }
      const history = await cluster.history('iris');
      expect(history.map(({ revision }) => revision)).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
      const earlier = history.find(({ revision }) => revision === 5);
      const again = parseModel(earlier?.definition);
      expect(await cluster.apply(again, REST)).toEqual({ revision: 13, changed: true });
      expect(now(cluster).models.get('iris')?.spec.version).toBe('5');
    });

    test('drops overrides with the next definition', async () => {
      await cluster.apply(model(), REST);
      const hash = definitionHash(model().definition);
      await cluster.setOverrides('iris', { hash, stopped: true });
      const stopped = await when(cluster, isReady('iris', '1', 0));
      expect(stopped.models.get('iris')?.state).toEqual({ hash, stopped: true });
      await cluster.apply(model({ version: '2' }), REST);
      const running = await when(cluster, isReady('iris', '2'));
      expect(running.models.get('iris')?.state).toBeUndefined();
    });

    test('stores overrides with a revision, and only with the present one', async () => {
      const state = { shares: { v2: 0 } };
      await cluster.apply(model(), { ...REST, state });
      expect(now(cluster).models.get('iris')?.state).toMatchObject(state);
      const foreign = cluster.setOverrides('iris', { hash: '0'.repeat(16), stopped: true });
      expect(await refused(foreign)).toBe('REVISION_CONFLICT');
      await cluster.setOverrides('iris', undefined);
      expect(now(cluster).models.get('iris')?.state).toBeUndefined();
    });

    const sleepy = (more: object = {}): ModelSpec =>
      model({ scaling: { minReplicas: 0, maxReplicas: 2, targetConcurrency: 4 }, ...more });
    const desired = (): number => now(cluster).models.get('iris')?.arms[0]?.desired ?? -1;
    const rescale = (to: number): Promise<void> =>
      cluster.scale('iris', 'stable', { from: desired(), to });

    test('puts an arm to sleep and wakes it; its definition stays', async () => {
      await cluster.apply(sleepy(), REST);
      if (desired() === 0) await rescale(1);
      await when(cluster, isReady('iris', '1'));
      await rescale(0);
      const asleep = await when(cluster, isReady('iris', '1', 0));
      const { revision, replicas = [] } = asleep.models.get('iris') ?? {};
      // Those that go may take their time.
      expect([revision, replicas.filter(({ phase }) => phase === 'ready')]).toEqual([1, []]);
      await rescale(1);
      await when(cluster, isReady('iris', '1'));
      expect(await cluster.history('iris')).toHaveLength(1);
    });

    test('keeps a count that was scaled meanwhile', async () => {
      await cluster.apply(sleepy(), REST);
      if (desired() === 0) await rescale(1);
      await when(cluster, isReady('iris', '1'));
      const late = cluster.scale('iris', 'stable', { from: 2, to: 0 });
      expect(await refused(late)).toBe('REVISION_CONFLICT');
      expect(desired()).toBe(1);
    });

    test('scales only arms that exist', async () => {
      const scaling = { from: 1, to: 0 };
      expect(await refused(cluster.scale('iris', 'stable', scaling))).toBe('MODEL_NOT_FOUND');
      await cluster.apply(sleepy(), REST);
      expect(await refused(cluster.scale('iris', 'v9', scaling))).toBe('NOT_FOUND');
    });

    test('does not wake a model that was stopped by hand', async () => {
      await cluster.apply(sleepy(), { ...REST, state: { stopped: true } });
      await when(cluster, isReady('iris', '1', 0));
      expect(await refused(rescale(1))).toBe('REVISION_CONFLICT');
      expect(desired()).toBe(0);
    });

    test('removes a model from the snapshot, and can deploy it again', async () => {
      await cluster.apply(model(), REST);
      await when(cluster, isReady('iris', '1'));
      await cluster.remove('iris', REST);
      await when(cluster, ({ models }) => !models.has('iris'));
      expect(await refused(cluster.history('iris'))).toBe('MODEL_NOT_FOUND');
      expect(await refused(cluster.remove('iris', REST))).toBe('MODEL_NOT_FOUND');
      expect(await cluster.apply(model(), REST)).toMatchObject({ changed: true });
    });

    test('keeps a model that is being removed in the snapshot until it is gone', async () => {
      await cluster.apply(model(), REST);
      await when(cluster, isReady('iris', '1'));
      const seen: (boolean | undefined)[] = [];
      const watch = cluster.watch(({ models }) => seen.push(models.get('iris')?.deleting));
      await cluster.remove('iris', REST);
      await when(cluster, ({ models }) => !models.has('iris'));
      watch.stop();
      // At first it stands, then it goes, then it is gone; never back.
      expect(seen.join()).toMatch(/^false(,false)*(,true)*(,)+$/);
      expect(now(cluster).models.has('iris')).toBe(false);
    });

    test('runs each candidate as an arm with replicas of its own version', async () => {
      const candidates = [{ version: '2', traffic: 5 }];
      await cluster.apply(model({ candidates }), REST);
      const snapshot = await when(cluster, ({ models }) =>
        (models.get('iris')?.arms ?? []).every(({ ready }) => ready === 1),
      );
      const arms = snapshot.models.get('iris')?.arms.map((arm) => [arm.name, arm.version]);
      expect(arms).toEqual([
        ['stable', '1'],
        ['v2', '2'],
      ]);
    });

    test('stores a merge patch as a new revision', async () => {
      await cluster.apply(model(), REST);
      const stored = now(cluster).models.get('iris')?.spec.definition;
      const patched = updateModel(stored ?? {}, { version: '2' });
      expect(await cluster.apply(patched, REST)).toMatchObject({ revision: 2 });
    });

    test('calls a listener with the present snapshot, with every change, and not after its end', async () => {
      const heard: number[] = [];
      const watch = cluster.watch(({ models }) => heard.push(models.get('iris')?.revision ?? 0));
      expect(heard).toEqual([0]);
      await cluster.apply(model(), REST);
      expect(heard.at(-1)).toBe(1);
      watch.stop();
      const before = heard.length;
      await cluster.apply(model({ version: '2' }), REST);
      expect(heard).toHaveLength(before);
    });

    test('takes the same listener twice, and ends each watch separately', async () => {
      let calls = 0;
      const listener = (): void => void (calls += 1);
      const first = cluster.watch(listener);
      const second = cluster.watch(listener);
      expect(calls).toBe(2);
      first.stop();
      await cluster.apply(model(), REST);
      expect(calls).toBeGreaterThan(2);
      expect(second.snapshot().models.has('iris')).toBe(true);
      second.stop();
    });

    test('never changes a snapshot that it gave out', async () => {
      await cluster.apply(model(), REST);
      const before = now(cluster);
      await cluster.apply(model({ version: '2' }), REST);
      expect(before.models.get('iris')?.spec.version).toBe('1');
    });
  });
}
