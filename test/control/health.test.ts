import type { ReplicaRecord } from '../../runtime/cluster/port';
import { ALONE } from '../../runtime/control';
import type { Service, ServiceOptions } from './support';
import { ask as askRaw } from '../support/plane';
import { ask, iris, place, serve, T0, withCandidate } from './support';

let service: Service;
afterEach(() => service.close());
const health = (path = '') => ask(`${service.url}/health/${path}`);
const begin = async (options: ServiceOptions = {}): Promise<void> => {
  service = await serve(options);
};

const replica = (more: Partial<ReplicaRecord>): ReplicaRecord => ({
  id: 'r1',
  arm: 'stable',
  version: 'v1',
  host: '127.0.0.1',
  port: 9,
  phase: 'ready',
  restarts: 0,
  since: T0,
  ...more,
});

const broken = replica({
  phase: 'failed',
  restarts: 4,
  why: {
    cause: 'crash',
    message: 'exit code 3; read its last lines',
    since: T0,
    object: 'process 7',
  },
});

describe('a healthy service', () => {
  beforeEach(async () => {
    await begin();
    service.clock.at = T0 + 90_500;
  });

  test.each([
    ['', { status: 'healthy', version: '0.1.0-test', uptime: 90.5 }],
    ['live', { status: 'alive' }],
    ['ready', { status: 'ready' }],
    ['startup', { status: 'started' }],
    ['detailed', { status: 'healthy', ready: true, event_loop_lag_ms: 1.5 }],
  ])(
    '%j is 200 below /api/v1/health/, and the same for probes below /health/',
    async (path, expected) => {
      const { status, body } = await ask(`${service.url}/api/v1/health/${path}`);
      expect(status).toBe(200);
      expect(body).toMatchObject(expected);
      expect(await health(path)).toMatchObject({ status, body: expected });
    },
  );

  test('has exactly the documented paths below /api/v1/health/, with and without the slash', async () => {
    const expected = {
      status: 'healthy',
      version: '0.1.0-test',
      uptime: 90.5,
      timestamp: new Date(T0 + 90_500).toISOString(),
    };
    for (const path of ['/api/v1/health/', '/api/v1/health', '/health/', '/health']) {
      expect((await ask(service.url + path)).body).toEqual(expected);
    }
  });

  test('refuses other methods with the supported ones, on both paths', async () => {
    for (const path of ['/api/v1/health', '/api/v1/health/live', '/health/live']) {
      const { status, headers } = await ask(service.url + path, 'POST');
      expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });
});

test('before the cluster was read nothing is ready, and models are not reported missing', async () => {
  await begin({ unstarted: true });
  expect(await health()).toMatchObject({ status: 503, body: { status: 'unhealthy' } });
  expect(await health('live')).toMatchObject({ status: 200 });
  expect(await health('ready')).toMatchObject({
    status: 503,
    body: { status: 'not_ready', checks: { cluster: { status: 'fail' } } },
  });
  expect(await health('startup')).toMatchObject({ status: 503, body: { status: 'starting' } });
  const reply = await ask(`${service.url}/api/v1/models/iris`);
  expect(reply).toMatchObject({ status: 503, body: { error: { code: 'CLUSTER_UNAVAILABLE' } } });
  expect(reply.headers.get('retry-after')).toBe('5');
  expect((await ask(`${service.url}/api/v1/models`)).status).toBe(503);
  service.clock.at = T0 + 121_000;
  expect(await health('startup')).toMatchObject({ status: 503, body: { status: 'failed' } });
  const synced = service.control.whenSynced();
  service.control.start();
  await synced;
  expect(await health('startup')).toMatchObject({ status: 200, body: { status: 'started' } });
});

test('it is not ready before the number of routers that share capacity is known', async () => {
  let isSettled = false;
  await begin({ more: { routers: { ...ALONE, isSettled: () => isSettled } } });
  expect(await health('ready')).toMatchObject({
    status: 503,
    body: { checks: { cluster: { status: 'pass' }, accepting: { status: 'fail' } } },
  });
  isSettled = true;
  expect(await health('ready')).toMatchObject({ status: 200 });
});

test('during shutdown it is alive but not ready, and closes connections', async () => {
  await begin();
  await place(service, iris());
  expect(service.control.isReady()).toBe(true);
  service.control.beginShutdown();
  expect(service.control.isReady()).toBe(false);
  expect(await health('live')).toMatchObject({ status: 200 });
  const ready = await health('ready');
  expect(ready).toMatchObject({ status: 503, body: { checks: { accepting: { status: 'fail' } } } });
  expect(ready.headers.get('connection')).toBe('close');
  expect((await ask(`${service.opsUrl}/ready`)).status).toBe(503);
  expect((await ask(`${service.url}/api/v1/models/iris`)).status).toBe(200);
});

test('with an old view of the cluster it serves, is ready, and reports the age', async () => {
  await begin({
    wrap: (cluster) => ({
      ...cluster,
      watch: (listener) =>
        cluster.watch((snapshot) => listener({ ...snapshot, phase: 'stale', at: T0 - 60_000 })),
    }),
  });
  await place(service, iris());
  expect(await health()).toMatchObject({ status: 200, body: { status: 'degraded' } });
  expect(await health('ready')).toMatchObject({ status: 200 });
  expect((await ask(`${service.url}/api/v1/models/iris`)).status).toBe(200);
  expect((await health('detailed')).body['watches']).toEqual([
    { name: 'memory', phase: 'stale', age_seconds: 60 },
  ]);
});

test('an unhealthy model degrades the service, is named in detail, and does not make it unready', async () => {
  await begin({ replicasOf: () => [broken] });
  await place(service, iris());
  expect(await health()).toMatchObject({ status: 200, body: { status: 'degraded' } });
  expect(await health('ready')).toMatchObject({ status: 200 });
  const { body } = await health('detailed');
  expect(body['models']).toMatchObject([
    {
      model_id: 'iris',
      status: 'failed',
      serving: false,
      why: { cause: 'crash', since: new Date(T0).toISOString() },
      arms: [{ health: 'unhealthy', replicas: [{ phase: 'failed', restarts: 4 }] }],
    },
  ]);
});

test('detailed shows the traffic of every arm: rates, percentiles, failures, queues, ejections', async () => {
  await begin();
  await place(service, withCandidate());
  service.stats.push({
    model: 'iris',
    arm: 'stable',
    version: 'v1',
    inFlight: 3,
    queued: 2,
    capacity: 16,
    window: { requests: 200, failures: 10, p50: 4.25, p95: 20, p99: 99.5 },
    lastRequestAt: T0,
    lastFailure: { at: T0, message: 'connection reset' },
    shed: {},
    replicas: [
      { id: 'iris-stable-1-0', address: 'h:1', inFlight: 3, costMs: 4, ejectedUntil: T0 + 1000 },
    ],
  });
  const { body } = await health('detailed');
  expect(body).toMatchObject({ queue_depth: 2, in_flight: 3 });
  expect(body['ejected']).toEqual([
    {
      model_id: 'iris',
      arm: 'stable',
      replica: 'iris-stable-1-0',
      address: 'h:1',
      until: new Date(T0 + 1000).toISOString(),
    },
  ]);
  const [model] = body['models'] as { arms: object[] }[];
  expect(model?.arms[0]).toMatchObject({
    name: 'stable',
    health: 'degraded',
    in_flight: 3,
    queue_depth: 2,
    requests: 200,
    error_rate: 0.05,
    latency_ms: { p50: 4.25, p95: 20, p99: 99.5 },
    last_failure: { message: 'connection reset', at: new Date(T0).toISOString() },
    replicas: [{ in_flight: 3, ejected_until: new Date(T0 + 1000).toISOString() }, {}],
  });
  expect(model?.arms[1]).toMatchObject({
    name: 'next',
    error_rate: null,
    latency_ms: { p50: null, p95: null, p99: null },
    last_failure: null,
  });
});

describe('the status of a model', () => {
  const status = async () => (await ask(`${service.url}/api/v1/models/iris/status`)).body;

  test('has every field for a running one', async () => {
    await begin({
      replicasOf: (_, arm) => [
        replica({
          id: `${arm.name}-0`,
          arm: arm.name,
          version: arm.version,
          usage: { cpuCores: 0.25, memoryBytes: 1000 },
        }),
      ],
    });
    await place(service, withCandidate({ shadow: 50, traffic: undefined }));
    const body = await status();
    expect(body).toMatchObject({
      model_id: 'iris',
      name: 'iris',
      version: 'v1',
      status: expect.any(String),
      serving: true,
      revision: 1,
      manager: 'rest',
      replicas: { desired: 2, current: 1, ready: 1 },
      resource_usage: { cpu_cores: 0.5, memory_bytes: 2000, replicas: 2 },
      why: null,
      created_at: new Date(T0).toISOString(),
      updated_at: new Date(T0).toISOString(),
    });
    expect(body['arms']).toMatchObject([
      { name: 'stable', version: 'v1', role: 'stable', traffic: 100 },
      { name: 'next', version: 'v2', role: 'shadow', traffic: 0, mirrored: 50 },
    ]);
    expect(body['endpoints']).toEqual([
      { type: 'inference', url: `${service.url}/api/v1/models/iris/inference` },
      { type: 'batch', url: `${service.url}/api/v1/models/iris/batch_inference` },
      { type: 'v2', url: `${service.url}/v2/models/iris/infer` },
      { type: 'v1', url: `${service.url}/v1/models/iris:predict` },
    ]);
  });

  test('has the cause of one that does not run', async () => {
    await begin({ replicasOf: () => [broken] });
    await place(service, iris());
    expect(await status()).toMatchObject({
      status: 'failed',
      serving: false,
      why: { cause: 'crash', message: 'exit code 3; read its last lines', object: 'process 7' },
      conditions: [
        { type: 'Available', status: 'False', reason: 'crash' },
        { type: 'Progressing', status: 'False' },
      ],
    });
  });

  test('has null for unknown values', async () => {
    await begin();
    await place(service, iris());
    expect((await status())['resource_usage']).toMatchObject({
      cpu_cores: null,
      memory_bytes: null,
    });
  });
});

describe('the ops port', () => {
  beforeEach(() => begin());

  test.each(['/live', '/ready'])('needs no key: %s', async (path) => {
    expect((await ask(`${service.opsUrl}${path}`)).status).toBe(200);
  });

  test('has /internal/load for the other routers', async () => {
    const { status, body } = await ask(`${service.opsUrl}/internal/load`);
    expect(status).toBe(200);
    expect(body).toEqual({
      version: 1,
      router: 'local',
      at: T0,
      started_at: T0,
      arms: [],
      rollouts: [],
      decisions: [],
    });
  });

  test.each(['/live', '/ready', '/metrics', '/internal/load'])(
    'refuses a host that a web page can point here: %s',
    async (path) => {
      const port = Number(new URL(service.opsUrl).port);
      const by = (host: string) => askRaw(port, path, { headers: { host } });
      const refused = await by('evil.example');
      expect([refused.status, refused.text]).toEqual([
        403,
        expect.stringContaining('server.allowed_hosts'),
      ]);
      for (const host of ['10.1.2.3:9090', 'router', 'router.ai.svc.cluster.local:9090']) {
        expect((await by(host)).status).toBe(200);
      }
    },
  );

  test('has no other paths', async () => {
    expect((await ask(`${service.opsUrl}/api/v1/models`)).status).toBe(404);
    expect((await ask(`${service.opsUrl}/live`, 'POST')).headers.get('allow')).toBe('GET, HEAD');
  });
});

test('a file with faults degrades the health, and is listed with the model that serves on', async () => {
  const brokenFiles = () => [
    { file: 'models/iris.yaml', message: 'models/iris.yaml: version: is missing', id: 'iris' },
    { file: 'models/new.yaml', message: 'models/new.yaml: id: is missing' },
  ];
  service = await serve({ more: { brokenFiles } });
  const { body } = await ask(`${service.url}/health/detailed`);
  expect(body['status']).toBe('degraded');
  expect(body['broken_files']).toEqual([
    { ...named('iris'), message: 'models/iris.yaml: version: is missing', model_id: 'iris' },
    { ...named('new'), message: 'models/new.yaml: id: is missing', model_id: null },
  ]);
  await place(service, iris());
  await place(service, iris({ model_id: 'well' }));
  const fileOf = async (id: string): Promise<unknown> =>
    (await ask(`${service.url}/api/v1/models/${id}/status`)).body['broken_file'];
  const message = 'models/iris.yaml: version: is missing';
  expect(await fileOf('iris')).toEqual({ ...named('iris'), message });
  expect(await fileOf('well')).toBeNull();
  await service.close();
  const caller = { name: 'narrow', scopes: ['read'], models: ['other'] } as const;
  service = await serve({ more: { brokenFiles }, authenticate: () => ({ ok: true, caller }) });
  expect((await ask(`${service.url}/health/detailed`)).body['broken_files']).toEqual([]);
});

const named = (id: string) => ({ file: `models/${id}.yaml` });
