import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseEnvironment } from '../../lib/spec';
import type { KubeObject } from '../../runtime/cluster/kubernetes/client/api';
import { openKubernetes } from '../../runtime/cluster/kubernetes/client/client';
import { RESOURCES } from '../../runtime/cluster/kubernetes/client/resources';
import { realTiming } from '../../runtime/cluster/kubernetes/client/timing';
import { parseConfig } from '../../runtime/app/config';
import { NO_ROLLOUTS } from '../../runtime/core/lifecycle/peers';
import { wireLoad } from '../../runtime/control/load-schema';
import type { KubernetesRoutersOptions, OpenRouters } from '../../runtime/app/open-routers';
import { openRouters, startRouters } from '../../runtime/app/open-routers';
import type { Ask, Reply } from '../support/apiserver';
import { failure, stopApiServers } from '../support/apiserver';
import type { KubeServer } from '../support/kubeserver';
import { startKubeServer } from '../support/kubeserver';
import { until } from '../support/plane';

// Routers as pods of one Deployment, on an API server of the tests and with real ops ports.

const NS = 'ai-models';
const { Lease, Pod } = RESOURCES;
const KUBECTL = { manager: 'kubectl' };

let server: KubeServer;
let open: Map<string, OpenRouters>;
let ports: Server[];
let logged: string[];

beforeEach(async () => {
  server = await startKubeServer();
  open = new Map();
  ports = [];
  logged = [];
});
afterEach(async () => {
  await Promise.all([...open.values()].map((one) => one.close()));
  for (const port of ports) {
    port.close();
    port.closeAllConnections();
  }
  await stopApiServers();
});

/** A pod of the service with an ops port that says what it has to do. */
async function makePod(name: string, ready = true): Promise<void> {
  const load = { router: name, at: Date.now(), startedAt: 0, arms: new Map(), ...NO_ROLLOUTS };
  const port = createServer((_, response) => response.end(JSON.stringify(wireLoad(load))));
  ports.push(port.listen(0, '127.0.0.1'));
  await once(port, 'listening');
  const { port: containerPort } = port.address() as AddressInfo;
  const pod: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NS, labels: { app: 'ai-model-service' } },
    spec: { containers: [{ name: 'service', ports: [{ name: 'ops', containerPort }] }] },
    status: {
      phase: 'Running',
      podIP: '127.0.0.1',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      containerStatuses: [{ state: { running: {} } }],
    },
  };
  server.store.create(Pod, NS, pod, KUBECTL);
}

async function start(
  name: string,
  more: Partial<KubernetesRoutersOptions> = {},
): Promise<OpenRouters> {
  const { api } = await openKubernetes({ configPath: server.kubeconfig() });
  const log = (message: string, fields: object = {}): void =>
    void logged.push(`${name}: ${message} ${JSON.stringify(fields)}`);
  const started = startRouters({
    api,
    namespace: NS,
    modelNamespace: NS,
    self: name,
    host: '127.0.0.1',
    opsPort: 9090,
    externalMetrics: undefined,
    rendersZero: false,
    timing: realTiming,
    steady: () => performance.now(),
    fetch,
    log: { info: log, warn: log, error: log },
    ...more,
  });
  open.set(name, started);
  return started;
}

const leaders = (): readonly string[] =>
  [...open].filter(([, { routers }]) => routers.isLeader()).map(([name]) => name);

test('three pods find each other, poll each other, and elect a leader', async () => {
  await Promise.all(['a', 'b', 'c'].map((name) => makePod(name)));
  const all = await Promise.all(['a', 'b', 'c'].map((name) => start(name)));
  await Promise.all(all.map((one) => one.ready()));
  await until(() => all.every(({ routers }) => routers.count() === 3), 'all to be counted');
  await until(() => leaders().length === 1, 'one to lead');
  const [leader] = leaders();
  await until(() => all.every(({ routers }) => routers.leader() === leader), 'all to know');
  const heard = all.flatMap(({ routers }) => routers.others() ?? []);
  await until(
    () => all.every(({ routers }) => routers.others()?.every(({ load }) => load) === true),
    'all to be heard',
  );
  expect(heard).toHaveLength(6);
  expect(server.store.get(Lease, NS, 'ai-model-service').spec).toMatchObject({
    holderIdentity: expect.stringMatching(`^${leader}_`) as string,
  });
});

test('a router that starts, stops or is not ready changes the count', async () => {
  await makePod('a');
  const { routers, ready } = await start('a');
  await ready();
  const counts: number[] = [];
  routers.onCount(() => counts.push(routers.count()));
  await makePod('b');
  await until(() => routers.count() === 2, 'the second');
  await makePod('c', false);
  await until(() => routers.others()?.length === 2, 'the third to be seen');
  expect(routers.count()).toBe(2);
  server.store.remove(Pod, NS, 'b');
  await until(() => routers.count() === 1, 'the second to be gone');
  expect(counts).toEqual([2, 1]);
});

test('the lease is released at the end, and another router takes it at once', async () => {
  const first = await start('a');
  await until(() => leaders().join() === 'a', 'the first to lead');
  await start('b');
  open.delete('a');
  await first.close();
  expect(first.routers.isLeader()).toBe(false);
  await until(() => leaders().join() === 'b', 'the second to lead');
});

const zero =
  (status: number, field = 'spec.minReplicas') =>
  ({ path, method }: Ask): Reply | undefined =>
    method === 'POST' && /horizontalpodautoscalers/.test(path)
      ? failure(status, 'Invalid', 'must be ≥ 1', { causes: [{ field }] })
      : undefined;

test.each<[string, boolean, ((ask: Ask) => Reply | undefined) | undefined, boolean]>([
  ['the API server refuses a minimum of 0', true, zero(422), true],
  ['it takes one, and autoscalers are rendered so', true, undefined, false],
  ['it takes one, but autoscalers keep 1', false, undefined, true],
  ['it may not be asked, and autoscalers are rendered so', true, zero(403), false],
])('when %s: puts to sleep', async (_, rendersZero, answer, expected) => {
  server.intercept(answer);
  const { routers } = await start('a', { rendersZero });
  await until(() => logged.some((line) => /scale to zero/.test(line)), 'the answer');
  expect(routers.putsToSleep()).toBe(expected);
});

describe('external metrics in a cluster', () => {
  const externalMetrics = { port: 0, cert: '/nowhere/tls.crt', key: '/nowhere/tls.key' };
  const control = { externalMetrics: () => undefined };

  test('are not served beside another server of them; the service starts', async () => {
    server.intercept(({ path }) => {
      const spec = { service: { namespace: 'keda', name: 'keda-metrics' } };
      return path.includes('/apiservices/')
        ? { kind: 'json', value: { metadata: { name: 'x' }, spec } }
        : undefined;
    });
    const { openMetrics } = await start('a', { externalMetrics });
    expect(await openMetrics(control)).toEqual([]);
    expect(logged).toContain(
      'a: external metrics are not served; inference goes on {"error":"keda/keda-metrics serves them in this cluster, and only one can; remove its APIService"}',
    );
  });

  test('are not served without their certificate; the service starts', async () => {
    const { openMetrics } = await start('a', { externalMetrics });
    expect(await openMetrics(control)).toEqual([]);
    expect(logged.some((line) => /no such file/.test(line))).toBe(true);
  });

  test('have no port unless configured', async () => {
    const { openMetrics } = await start('a');
    expect(await openMetrics(control)).toEqual([]);
    expect(logged.filter((line) => /external metrics/.test(line))).toEqual([]);
  });
});

test('on one machine the only router leads and polls no peers', async () => {
  const quiet = (): void => undefined;
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet } as never;
  const { routers, close } = await openRouters(
    { config: parseConfig(''), cwd: '/', env: {}, log },
    parseEnvironment({}),
  );
  expect([routers.isLeader(), routers.count(), routers.others()]).toEqual([true, 1, []]);
  await close();
  expect(server.seen).toEqual([]);
});
