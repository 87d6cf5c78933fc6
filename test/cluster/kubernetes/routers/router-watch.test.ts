import type { KubeApi, KubeObject } from '../../../../runtime/cluster/kubernetes/client/api';
import {
  otherMetricsServer,
  readFrontProxy,
} from '../../../../runtime/cluster/kubernetes/scale/aggregation-layer';
import { openKubernetes } from '../../../../runtime/cluster/kubernetes/client/client';
import { createLeaseStore } from '../../../../runtime/cluster/kubernetes/routers/lease-store';
import { rescale } from '../../../../runtime/cluster/kubernetes/scale/rescale';
import { RESOURCES } from '../../../../runtime/cluster/kubernetes/client/resources';
import type { RouterWatch } from '../../../../runtime/cluster/kubernetes/routers/router-watch';
import { peersIn, watchRouters } from '../../../../runtime/cluster/kubernetes/routers/router-watch';
import { realTiming } from '../../../../runtime/cluster/kubernetes/client/timing';
import { probeScaleToZero } from '../../../../runtime/cluster/kubernetes/scale/scale-to-zero';
import type { ClusterError } from '../../../../runtime/cluster/port';
import { AT } from '../../../core/support';
import { failure, stopApiServers } from '../../../support/apiserver';
import type { KubeServer } from '../../../support/kubeserver';
import { startKubeServer } from '../../../support/kubeserver';
import { until } from '../../../support/plane';

const NS = 'models';
const { Lease, Pod, Deployment, ConfigMap } = RESOURCES;
const KUBECTL = { manager: 'kubectl' };

let server: KubeServer;
let api: KubeApi;
let watch: RouterWatch | undefined;

beforeEach(async () => {
  server = await startKubeServer();
  ({ api } = await openKubernetes({ configPath: server.kubeconfig() }));
});
afterEach(async () => {
  watch?.stop();
  watch = undefined;
  api.close();
  await stopApiServers();
});

describe('the lease', () => {
  const name = 'ai-model-service';
  const mine = { holder: 'a', durationSeconds: 15, acquiredAt: AT, renewedAt: AT, transitions: 0 };
  const rendered: KubeObject = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: NS },
    spec: {},
  };

  test('as rendered has no holder, and takes its first one', async () => {
    server.store.apply(Lease, NS, rendered, KUBECTL);
    const store = createLeaseStore(api, NS);
    const kept = await store.read();
    expect(kept?.record).toMatchObject({ holder: '', durationSeconds: 0, transitions: 0 });
    expect(await store.write(mine, kept?.version)).toBe(true);
    expect(server.store.get(Lease, NS, name).spec).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: '2023-11-14T22:13:20.000000Z',
      renewTime: '2023-11-14T22:13:20.000000Z',
      leaseTransitions: 0,
    });
    expect((await store.read())?.record).toEqual(mine);
  });

  test('is not taken from a faster router', async () => {
    server.store.apply(Lease, NS, rendered, KUBECTL);
    const store = createLeaseStore(api, NS);
    const kept = await store.read();
    expect(await store.write({ ...mine, holder: 'b' }, kept?.version)).toBe(true);
    expect(await store.write(mine, kept?.version)).toBe(false);
    expect((await store.read())?.record.holder).toBe('b');
  });

  test('is created by the first router when it is missing, and by no second', async () => {
    const store = createLeaseStore(api, NS);
    expect(await store.read()).toBeUndefined();
    expect(await store.write(mine, undefined)).toBe(true);
    expect(await store.write({ ...mine, holder: 'b' }, undefined)).toBe(false);
    expect((await store.read())?.record.holder).toBe('a');
  });

  test("rejects with the API server's message when it may not be written", async () => {
    server.intercept(({ method }) =>
      method === 'PATCH' ? failure(403, 'Forbidden', 'no') : undefined,
    );
    const write = createLeaseStore(api, NS).write(mine, '7');
    await expect(write).rejects.toMatchObject({ status: 403 });
  });
});

const RUNNING = { containerStatuses: [{ name: 'service', state: { running: {} } }] };

function pod(name: string, ip: string, ready: boolean, more: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NS, labels: { app: 'ai-model-service' } },
    spec: { containers: [{ name: 'service', ports: [{ name: 'ops', containerPort: 9191 }] }] },
    status: {
      phase: 'Running',
      podIP: ip,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      ...RUNNING,
      ...more,
    },
  };
}

describe('the other routers', () => {
  const ids = (...pods: readonly KubeObject[]) =>
    peersIn(pods, 'me', 9090).map(({ id, ready }) => `${id} ${ready}`);

  test('are the running pods beside this one, ready or not', () => {
    const leaving = pod('c', '10.0.0.3', true);
    const going = { ...leaving.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' };
    expect(
      ids(pod('me', '10.0.0.1', true), pod('a', '10.0.0.2', true), pod('b', '10.0.0.3', false), {
        ...leaving,
        metadata: going,
      }),
    ).toEqual(['a true', 'b false', 'c false']);
  });

  test.each([
    ['has ended', pod('a', '10.0.0.2', false, { phase: 'Succeeded' })],
    ['has no address yet', pod('a', '', false)],
    ['waits in a crash loop', pod('a', '10.0.0.2', false, { containerStatuses: [] })],
    ['is still to be started', pod('a', '10.0.0.2', false, { phase: 'Pending' })],
  ])('exclude a pod that %s: it can have no requests', (_, found) => {
    expect(ids(found)).toEqual([]);
  });

  test("are polled at the port their pods name, else at this router's port", () => {
    const bare = { ...pod('b', 'fd00::7', true), spec: { containers: [{ name: 'x' }] } };
    expect(peersIn([pod('a', '10.0.0.2', true), bare], 'me', 9090)).toEqual([
      { id: 'a', host: '10.0.0.2', port: 9191, ready: true },
      { id: 'b', host: 'fd00::7', port: 9090, ready: true },
    ]);
  });

  test('follow the watch, and stay while the server is away', async () => {
    let changes = 0;
    watch = watchRouters({
      api,
      namespace: NS,
      self: 'me',
      port: 9090,
      timing: realTiming,
      onChange: () => void (changes += 1),
    });
    const seen = (): string => (watch?.peers() ?? []).map(({ id }) => id).join();
    expect(watch.peers()).toBeUndefined();
    await until(() => watch?.peers() !== undefined, 'the first list');
    server.store.create(Pod, NS, pod('a', '10.0.0.2', true), KUBECTL);
    server.store.create(Pod, NS, pod('b', '10.0.0.3', true), KUBECTL);
    const model = { ...pod('x', '10.0.0.4', true), metadata: { name: 'x', namespace: NS } };
    server.store.create(Pod, NS, model, KUBECTL);
    await until(() => seen() === 'a,b', 'both');
    const before = changes;
    await server.stop();
    await until(() => watch?.phase() === 'stale', 'the watch to notice');
    expect([seen(), changes]).toEqual(['a,b', before]);
    await server.start();
  });
});

describe('rescaling a Deployment', () => {
  const deployment = (replicas: number, message = 'a'): KubeObject => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'iris', namespace: NS, annotations: { message } },
    spec: { replicas, selector: {}, template: { spec: { containers: [] } } },
  });
  const replicas = () => server.store.get(Deployment, NS, 'iris').spec;
  const refusal = (work: Promise<void>): Promise<ClusterError> =>
    work.then(
      () => Promise.reject(new Error('it was not refused')),
      (error: ClusterError) => error,
    );

  test('is written through its scale subresource', async () => {
    server.store.create(Deployment, NS, deployment(1), KUBECTL);
    await rescale(api, NS, 'iris', { from: 1, to: 0 });
    expect(replicas()).toMatchObject({ replicas: 0 });
    const last = server.seen.at(-1);
    expect(last).toMatchObject({ method: 'PATCH' });
    expect(last?.path).toMatch(/\/deployments\/iris\/scale$/);
  });

  test('does not overwrite a concurrent change', async () => {
    server.store.create(Deployment, NS, deployment(1), KUBECTL);
    const late = rescale(api, NS, 'iris', { from: 2, to: 0 });
    expect(await refusal(late)).toMatchObject({
      code: 'REVISION_CONFLICT',
      message: 'Deployment iris has 1 replicas by now, not 2; read it again, then decide',
    });
    expect(replicas()).toMatchObject({ replicas: 1 });
  });

  test('is refused when the count changes between read and write', async () => {
    server.store.create(Deployment, NS, deployment(1), KUBECTL);
    let raced = false;
    server.intercept(({ method }) => {
      if (method === 'PATCH' && !raced) {
        raced = true;
        server.store.patch(Deployment, NS, 'iris', { spec: { replicas: 3 } }, KUBECTL);
      }
      return undefined;
    });
    const late = rescale(api, NS, 'iris', { from: 1, to: 0 });
    expect(await refusal(late)).toMatchObject({ code: 'REVISION_CONFLICT' });
    expect(replicas()).toMatchObject({ replicas: 3 });
  });

  test('is retried when only something else of the Deployment changed', async () => {
    server.store.create(Deployment, NS, deployment(1), KUBECTL);
    let raced = false;
    server.intercept(({ method }) => {
      if (method === 'PATCH' && !raced) {
        raced = true;
        const patch = { metadata: { annotations: { message: 'b' } } };
        server.store.patch(Deployment, NS, 'iris', patch, KUBECTL);
      }
      return undefined;
    });
    await rescale(api, NS, 'iris', { from: 1, to: 0 });
    expect(replicas()).toMatchObject({ replicas: 0 });
  });

  test('is refused when the Deployment does not exist', async () => {
    const late = rescale(api, NS, 'iris', { from: 1, to: 0 });
    expect(await refusal(late)).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('support of minReplicas 0', () => {
  const cause = (field: string) => ({ causes: [{ reason: 'FieldValueInvalid', field }] });

  test('is probed by a dry run that stores nothing', async () => {
    expect(await probeScaleToZero(api, NS)).toBe('allowed');
    expect(server.seen.at(-1)?.query.get('dryRun')).toBe('All');
    expect(server.store.list(RESOURCES.HorizontalPodAutoscaler, NS)).toEqual([]);
    expect(JSON.parse(server.seen.at(-1)?.body ?? '')).toMatchObject({
      spec: { minReplicas: 0, metrics: [{ type: 'External' }] },
    });
  });

  test.each([
    ['refused', 422, cause('spec.minReplicas')],
    ['may not ask', 422, cause('spec.metrics[0]')],
    ['may not ask', 403, {}],
    ['no answer', 500, {}],
  ])('is %s when the server answers %i %j', async (answer, status, details) => {
    server.intercept(() =>
      failure(status, 'Invalid', 'spec.minReplicas: Invalid value: 0', details),
    );
    expect(await probeScaleToZero(api, NS)).toBe(answer);
  });
});

describe('the aggregation layer', () => {
  const PLACE = { name: 'extension-apiserver-authentication', namespace: 'kube-system' };
  const map = (data: object): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: PLACE,
    data,
  });
  const put = (data: object) => server.store.create(ConfigMap, PLACE.namespace, map(data), KUBECTL);

  test('is identified by the authority and the names that the API server publishes', async () => {
    put({
      'requestheader-client-ca-file': 'PEM',
      'requestheader-allowed-names': '["front-proxy-client"]',
    });
    expect(await readFrontProxy(api)).toEqual({ ca: 'PEM', names: ['front-proxy-client'] });
  });

  test.each([
    ['has no authority', { 'requestheader-allowed-names': '[]' }, /has no requestheader-client-ca/],
    [
      'has names that are not a list',
      { 'requestheader-client-ca-file': 'x', 'requestheader-allowed-names': '{' },
      /must be a JSON list/,
    ],
  ])('is refused when the ConfigMap %s', async (_, data, message) => {
    put(data);
    await expect(readFrontProxy(api)).rejects.toThrow(message);
  });

  test('is refused without the ConfigMap', async () => {
    await expect(readFrontProxy(api)).rejects.toThrow(/has no requestheader-client-ca-file/);
  });

  test.each([
    ['no server', undefined, undefined],
    ['us', { service: { namespace: NS, name: 'ai-model-service-metrics' } }, undefined],
    ['another', { service: { namespace: 'keda', name: 'keda-metrics' } }, 'keda/keda-metrics'],
    [
      'ours elsewhere',
      { service: { namespace: 'b', name: 'ai-model-service-metrics' } },
      'b/ai-model-service-metrics',
    ],
    ['itself', {}, 'the API server itself'],
  ])('reports that external metrics are served by %s', async (_, spec, expected) => {
    server.intercept(({ path }) =>
      spec !== undefined && path.startsWith('/apis/apiregistration')
        ? { kind: 'json', value: { metadata: { name: 'x' }, spec } }
        : undefined,
    );
    expect(await otherMetricsServer(api, NS)).toBe(expected);
    expect(server.seen.at(-1)?.path).toBe(
      '/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io',
    );
  });
});
