import type { KubeApi, KubeObject } from '../../../runtime/cluster/kubernetes/client/api';
import { openKubernetes } from '../../../runtime/cluster/kubernetes/client/client';
import type { KubeError } from '../../../runtime/cluster/kubernetes/client/api-error';
import { RESOURCES } from '../../../runtime/cluster/kubernetes/client/resources';
import type { Timing } from '../../../runtime/cluster/kubernetes/client/timing';
import { realTiming } from '../../../runtime/cluster/kubernetes/client/timing';
import type { WatchLoop } from '../../../runtime/cluster/kubernetes/client/watch-loop';
import { objectsIn, startWatchLoop } from '../../../runtime/cluster/kubernetes/client/watch-loop';
import { failure, stopApiServers } from '../../support/apiserver';
import type { KubeServer } from '../../support/kubeserver';
import { startControllers, startKubeServer } from '../../support/kubeserver';
import { until } from '../../support/plane';

// The server that other tests stand on is held to what a real one does, through the real client.

const { ConfigMap, Deployment, HorizontalPodAutoscaler, Pod } = RESOURCES;
const NS = 'models';
const OURS = { manager: 'ai-model-service' };
const KUBECTL = { manager: 'kubectl' };

let server: KubeServer;
let api: KubeApi;
let loops: WatchLoop[];

const map = (data: object, more: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'iris', namespace: NS, ...more },
  data,
});

function deployment(image: string, more: object = {}): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'iris', namespace: NS, labels: { app: 'iris' } },
    spec: {
      selector: { matchLabels: { app: 'iris' } },
      template: {
        metadata: { labels: { app: 'iris' } },
        spec: { containers: [{ name: 'server', image, env: [{ name: 'A', value: '1' }] }] },
      },
      ...more,
    },
  };
}

const refusal = (work: Promise<unknown>): Promise<KubeError> =>
  work.then(
    () => Promise.reject(new Error('it was not refused')),
    (error: KubeError) => error,
  );

const dataOf = async (): Promise<unknown> => (await api.get(ConfigMap, NS, 'iris'))?.data;

const versionOf = ({ metadata }: KubeObject): number => Number(metadata.resourceVersion);

beforeEach(async () => {
  loops = [];
  server = await startKubeServer(() => 0);
  ({ api } = await openKubernetes({ configPath: server.kubeconfig() }));
});

afterEach(async () => {
  loops.forEach((loop) => loop.stop());
  api.close();
  await stopApiServers();
});

/** A hundred times as fast: nobody waits for the pauses of a backoff. */
const timing: Timing = { ...realTiming, after: (call, ms) => realTiming.after(call, ms / 100) };

function view(labelSelector = ''): () => readonly string[] {
  const checkApiserver = (): Promise<void> => api.alive();
  const base = { api, resource: ConfigMap, namespace: NS, timing, checkApiserver };
  const loop = startWatchLoop({ ...base, labelSelector, onChange: () => undefined });
  loops.push(loop);
  return () => [...objectsIn(loop.state()).keys()];
}

test('an apply creates, a repetition changes nothing, another one raises the version', async () => {
  const first = await api.apply(map({ a: '1' }), OURS);
  expect(first.metadata).toMatchObject({ name: 'iris', creationTimestamp: '1970-01-01T00:00:00Z' });
  expect(await api.apply(map({ a: '1' }), OURS)).toEqual(first);
  const second = await api.apply(map({ a: '2' }), OURS);
  expect(second.metadata.uid).toBe(first.metadata.uid);
  expect(versionOf(second)).toBeGreaterThan(versionOf(first));
});

test('a field that a manager no longer applies is removed, unless another manager applies it', async () => {
  await api.apply(map({ a: '1', b: '1', c: '1' }), OURS);
  await api.apply(map({ b: '1' }), KUBECTL);
  await api.apply(map({ a: '1' }), OURS);
  expect(await dataOf()).toEqual({ a: '1', b: '1' });
});

test('a field of another manager is a conflict that names it; force takes it', async () => {
  await api.apply(map({ a: '1', b: '1' }), KUBECTL);
  const error = await refusal(api.apply(map({ a: '2' }), OURS));
  expect(error).toMatchObject({ status: 409, reason: 'Conflict' });
  expect(error.causes).toEqual([
    {
      reason: 'FieldManagerConflict',
      message: 'conflict with "kubectl" using v1',
      field: '.data.a',
    },
  ]);
  const forced = await api.apply(map({ a: '2' }), { ...OURS, force: true });
  expect(forced.data).toEqual({ a: '2', b: '1' });
  const owned = Object.fromEntries(
    (forced.metadata.managedFields ?? []).map(({ manager, fieldsV1 }) => [manager, fieldsV1]),
  );
  expect(owned).toEqual({
    'ai-model-service': { 'f:data': { 'f:a': {} } },
    kubectl: { 'f:data': { 'f:b': {} } },
  });
});

test('containers and their variables are merged by name, other lists are one value', async () => {
  const args = (list: readonly string[]): object => ({
    template: { spec: { containers: [{ name: 'server', args: list }] } },
  });
  await api.apply(deployment('x:1'), OURS);
  const other = deployment('x:1', {
    template: { spec: { containers: [{ name: 'server', env: [{ name: 'B', value: '2' }] }] } },
  });
  const merged = await api.apply(other, KUBECTL);
  expect(merged).toMatchObject({
    spec: {
      template: {
        spec: { containers: [{ image: 'x:1', env: [{ name: 'A' }, { name: 'B', value: '2' }] }] },
      },
    },
  });
  await api.apply(deployment('x:1', args(['a', 'b'])), { manager: 'one' });
  const error = await refusal(api.apply(deployment('x:1', args(['a'])), { manager: 'two' }));
  expect(error.causes[0]?.field).toBe('.spec.template.spec.containers[name="server"].args');
});

test('a dry run checks everything and stores nothing', async () => {
  expect((await api.apply(map({ a: '1' }), { ...OURS, dryRun: true })).data).toEqual({ a: '1' });
  expect(await api.get(ConfigMap, NS, 'iris')).toBeUndefined();
  await api.apply(map({ a: '1' }), KUBECTL);
  const late = await refusal(api.apply(map({ a: '2' }), { ...OURS, dryRun: true }));
  expect(late.status).toBe(409);
  expect(await dataOf()).toEqual({ a: '1' });
});

test('create refuses an existing object; patch and remove refuse a changed one', async () => {
  const first = await api.create(map({ a: '1' }), OURS);
  expect(await refusal(api.create(map({}), OURS))).toMatchObject({ reason: 'AlreadyExists' });
  const { uid, resourceVersion } = first.metadata;
  const change = { metadata: { resourceVersion }, data: { a: '2' } };
  await api.patch(ConfigMap, NS, 'iris', change, OURS);
  const stale = await refusal(api.patch(ConfigMap, NS, 'iris', change, OURS));
  expect(stale).toMatchObject({ status: 409, reason: 'Conflict' });
  expect(await refusal(api.remove(ConfigMap, NS, 'iris', { uid: 'x' }))).toMatchObject({
    status: 409,
  });
  expect(await api.remove(ConfigMap, NS, 'iris', { uid: uid ?? '' })).toBe(true);
  expect(await api.remove(ConfigMap, NS, 'iris')).toBe(false);
});

test('a merge patch changes its fields, null removes, and its author owns only those', async () => {
  const { metadata } = await api.apply(map({ a: '1', b: '1' }), KUBECTL);
  const { resourceVersion } = metadata;
  const patch = { metadata: { resourceVersion }, data: { a: '2', b: null } };
  await api.patch(ConfigMap, NS, 'iris', patch, OURS);
  expect(await dataOf()).toEqual({ a: '2' });
  expect(await refusal(api.patch(ConfigMap, NS, 'iris', patch, OURS))).toMatchObject({
    status: 409,
  });
  expect((await refusal(api.apply(map({ a: '1' }), KUBECTL))).causes[0]?.field).toBe('.data.a');
});

test('the generation counts changes of the body, not of labels or status', async () => {
  const generation = async (): Promise<unknown> =>
    (await api.get(Deployment, NS, 'iris'))?.metadata.generation;
  await api.apply(deployment('x:1'), OURS);
  await api.patch(Deployment, NS, 'iris', { metadata: { labels: { b: 'c' } } }, OURS);
  const status = { status: { readyReplicas: 1 } };
  await api.patch(Deployment, NS, 'iris', status, { ...OURS, subresource: 'status' });
  expect(await generation()).toBe(1);
  await api.apply(deployment('x:2'), OURS);
  expect(await generation()).toBe(2);
  expect(await api.get(Deployment, NS, 'iris')).toMatchObject(status);
});

test('replicas default to one, and scale changes only them', async () => {
  expect(await api.apply(deployment('x:1'), OURS)).toMatchObject({ spec: { replicas: 1 } });
  const scale = { spec: { replicas: 3 } };
  const scaled = await api.patch(Deployment, NS, 'iris', scale, { ...OURS, subresource: 'scale' });
  expect(scaled).toMatchObject({ kind: 'Scale', spec: { replicas: 3 } });
  expect(await api.apply(deployment('x:2'), OURS)).toMatchObject({ spec: { replicas: 3 } });
});

test('immutable fields stay', async () => {
  await api.apply({ ...map({ a: '1' }), immutable: true }, OURS);
  const frozen = await refusal(api.apply({ ...map({ a: '2' }), immutable: true }, OURS));
  expect(frozen).toMatchObject({ status: 422, causes: [{ field: 'data' }] });
  await api.apply(deployment('x:1'), OURS);
  const selector = { matchLabels: { app: 'other' } };
  const moved = await refusal(api.apply(deployment('x:1', { selector }), OURS));
  expect(moved).toMatchObject({ status: 422, causes: [{ field: 'spec.selector' }] });
});

test('lists select by label and return pages of one moment', async () => {
  for (const name of ['a', 'b', 'c', 'd'])
    await api.create(map({}, { name, labels: { even: String('bd'.includes(name)) } }), OURS);
  const names = async (options: object): Promise<readonly string[]> =>
    (await api.list(ConfigMap, NS, options)).items.map(({ metadata }) => metadata.name);
  expect(await names({ labelSelector: 'even=true' })).toEqual(['b', 'd']);
  expect(await names({ labelSelector: 'even!=true' })).toEqual(['a', 'c']);
  expect(await names({ labelSelector: 'even in (true, x),even' })).toEqual(['b', 'd']);
  expect(await names({ labelSelector: '!even' })).toEqual([]);
  expect(await names({ fieldSelector: 'metadata.name=c' })).toEqual(['c']);
  const first = await api.list(ConfigMap, NS, { limit: 3 });
  await api.remove(ConfigMap, NS, 'd');
  expect(await names({ limit: 3, continue: first.continue })).toEqual(['d']);
  const second = await api.list(ConfigMap, NS, { limit: 2 });
  server.compact();
  const late = refusal(api.list(ConfigMap, NS, { limit: 2, continue: second.continue }));
  expect(await late).toMatchObject({ status: 410, reason: 'Expired' });
});

test('watches report objects that enter, change and leave their selection', async () => {
  const all = view();
  const some = view('kept=yes');
  await until(() => server.streams.length === 2, 'both watch');
  await api.create(map({}, { name: 'a', labels: { kept: 'yes' } }), OURS);
  await api.create(map({}, { name: 'b' }), OURS);
  await until(() => all().length === 2 && some().join() === 'a', 'both are seen');
  await api.patch(ConfigMap, NS, 'a', { metadata: { labels: { kept: null } } }, OURS);
  await until(() => some().length === 0, 'it left');
  await api.patch(ConfigMap, NS, 'b', { metadata: { labels: { kept: 'yes' } } }, OURS);
  await until(() => some().join() === 'b', 'it entered');
  expect(all()).toEqual(['a', 'b']);
});

test('a watch that resumes gets missed events, or a 410 when they are gone', async () => {
  const all = view();
  await until(() => server.streams.length === 1, 'it watches');
  await api.create(map({}, { name: 'a' }), OURS);
  await until(() => all().join() === 'a', 'it is seen');
  server.bookmark();
  server.intercept(({ query }) => (query.has('watch') ? { kind: 'reset' } : undefined));
  server.streams[0]?.reset();
  await api.create(map({}, { name: 'b' }), OURS);
  server.compact();
  await api.remove(ConfigMap, NS, 'a');
  server.intercept(undefined);
  await until(() => all().join() === 'b', 'it has caught up');
});

test('owned objects are deleted with their owner', async () => {
  const { metadata } = await api.apply(map({}), OURS);
  const { name, uid = '' } = metadata;
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid }];
  await api.create(map({}, { name: 'child', ownerReferences }), OURS);
  await api.remove(ConfigMap, NS, 'iris');
  expect(await api.get(ConfigMap, NS, 'child')).toBeUndefined();
});

test('injected faults replace the store', async () => {
  server.intercept(({ method }) =>
    method === 'PATCH' ? failure(403, 'Forbidden', 'exceeded quota') : undefined,
  );
  expect(await refusal(api.apply(map({}), OURS))).toMatchObject({ status: 403 });
  await api.create(map({}), OURS);
});

describe('the simulated cluster with controllers', () => {
  const pods = () => server.store.list(Pod, NS);
  const status = (): unknown => server.store.find(Deployment, NS, 'iris')?.status;

  test('gives a Deployment ready pods, as many as its autoscaler allows', async () => {
    startControllers(server.store);
    await api.apply(deployment('x:1'), OURS);
    await until(() => pods().length === 1, 'one pod');
    const autoscaler: KubeObject = {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: 'iris', namespace: NS },
      spec: {
        scaleTargetRef: { kind: 'Deployment', name: 'iris' },
        minReplicas: 3,
        maxReplicas: 3,
      },
    };
    await api.apply(autoscaler, OURS);
    await until(() => pods().length === 3, 'three pods');
    const isSettled = (): boolean => {
      const { replicas, updatedReplicas, readyReplicas } = status() as Record<string, unknown>;
      return [replicas, updatedReplicas, readyReplicas].every((count) => count === 3);
    };
    await until(isSettled, 'the status');
    const scale = { spec: { replicas: 0 } };
    await api.patch(Deployment, NS, 'iris', scale, { ...OURS, subresource: 'scale' });
    await until(() => pods().length === 0, 'none');
    expect(await api.get(HorizontalPodAutoscaler, NS, 'iris')).toBeDefined();
  });

  test('starts new pods for a new template, and keeps the old ones until those are ready', async () => {
    const ready = { conditions: [{ type: 'Ready', status: 'True' }] };
    startControllers(server.store, {
      statusOf: ({ spec }) => (JSON.stringify(spec).includes('x:1') ? ready : { phase: 'Pending' }),
    });
    await api.apply(deployment('x:1'), OURS);
    await until(() => pods().length === 1, 'the old pod');
    await api.apply(deployment('x:2'), OURS);
    await until(() => pods().length === 2, 'both pods');
    const fresh = pods().find(({ spec }) => JSON.stringify(spec).includes('x:2'));
    expect(status()).toMatchObject({ replicas: 2, updatedReplicas: 1, readyReplicas: 1 });
    const writing = { manager: 'kubelet', subresource: 'status' };
    server.store.patch(Pod, NS, fresh?.metadata.name ?? '', { status: ready }, writing);
    await until(() => pods().length === 1, 'the old one goes');
    expect(pods()[0]?.metadata.name).toBe(fresh?.metadata.name);
    await api.remove(Deployment, NS, 'iris');
    expect(pods()).toEqual([]);
  });
});
