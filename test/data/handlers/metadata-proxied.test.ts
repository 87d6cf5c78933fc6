import type { Authenticate } from '../../../runtime/auth/port';
import type { Behave } from '../../support/backend';
import { freePort, json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes, until } from '../../support/plane';

// Questions about a model: routed like inference, but not counted as it.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const METADATA = { name: 'iris', versions: ['1'], platform: 'x', inputs: [], outputs: [] };
const about: Behave = () => json(METADATA);
const candidates = [{ name: 'next', version: 'v2', source: './b.onnx', traffic: 10 }];

const byScope: Authenticate = ({ fields: headers }) => {
  const scopes =
    headers.get('x-api-key') === 'tester' ? (['arms', 'infer'] as const) : (['infer'] as const);
  return { ok: true, caller: { name: 'test', scopes: [...scopes] } };
};

test.each([
  '/v2/models/iris',
  '/v2/models/iris/versions/v1',
  '/v1/models/iris',
  '/v1/models/iris/metadata',
])('GET %s is no inference: it stands in no account', async (path) => {
  const backend = await startBackend(about);
  const plane = await startPlane();
  plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
  const got = await plane.ask(path);
  expect([got.status, got.headers['x-ai-model-arm']]).toEqual([200, 'stable']);
  expect(backend.seen.map(({ method }) => method)).toEqual(['GET']);
  expect(plane.outcomes).toEqual([]);
  expect(plane.load.arms()[0]).toMatchObject({ window: { requests: 0 } });
  expect(plane.load.arms()[0]?.lastRequestAt).toBeUndefined();
  await plane.post('/v2/models/iris/infer', {});
  expect(plane.outcomes).toHaveLength(1);
});

test('a model whose queue is full still returns its metadata', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const backend = await startBackend(({ method }) =>
    method === 'GET' ? json(METADATA) : { kind: 'answer', after: held, body: '{}' },
  );
  const plane = await startPlane();
  const input = { id: 'iris', inference: { maxConcurrency: 1, maxQueueDepth: 0 } };
  plane.route({ input, ports: { stable: [backend.port] } });
  const busy = plane.post('/v2/models/iris/infer', {});
  await until(() => backend.seen.length === 1, 'the request at the server');
  expect((await plane.post('/v2/models/iris/infer', {})).status).toBe(503);
  expect((await plane.ask('/v2/models/iris')).status).toBe(200);
  release();
  expect((await busy).status).toBe(200);
});

test('a replica that does not answer is skipped', async () => {
  const [bad, good] = await Promise.all([
    startBackend(() => json({ error: 'loading' }, 503)),
    startBackend(about),
  ]);
  const plane = await startPlane();
  const input = { id: 'iris' };
  plane.route({ input, ports: { stable: [await freePort(), bad.port, good.port] } });
  expect((await plane.ask('/v1/models/iris')).text).toBe(JSON.stringify(METADATA));
  plane.route({ input, ports: { stable: [await freePort()] } });
  const got = await plane.ask('/v1/models/iris');
  expect([got.status, JSON.parse(got.text)]).toEqual([
    502,
    { error: expect.stringContaining('could not be reached') },
  ]);
});

test('without a replica answers 503 with Retry-After', async () => {
  const plane = await startPlane();
  plane.route({ input: { id: 'iris' }, ports: {} });
  const got = await plane.ask('/v2/models/iris');
  expect([got.status, Number(got.headers['retry-after'])]).toEqual([503, 5]);
});

test('lists the versions that the caller may get, or select with the scope arms', async () => {
  const backend = await startBackend(about);
  const plane = await startPlane({ authenticate: byScope });
  const input = {
    id: 'iris',
    candidates: [...candidates, { name: 'asleep', version: 'v3', source: './c.onnx', shadow: 5 }],
  };
  const ports = { stable: [backend.port], next: [backend.port], asleep: [backend.port] };
  const versions = async (key: string): Promise<unknown> => {
    const got = await plane.ask('/v2/models/iris', { headers: { 'x-api-key': key } });
    return JSON.parse(got.text).versions;
  };
  plane.route({ input, ports });
  expect(await versions('app')).toEqual(['v1', 'v2']);
  expect(await versions('tester')).toEqual(['v1', 'v2', 'v3']);
  plane.route({ input, ports: { stable: [backend.port] } });
  expect(await versions('tester')).toEqual(['v1']);
});

test('forwards the rest of the metadata, and errors, from the server', async () => {
  const text = '{"name":"iris","versions":["1"],"n":9007199254740993,"inputs":[]}';
  const headers = { 'content-type': 'application/json' };
  const backend = await startBackend(() => ({ kind: 'answer', headers, body: text }));
  const plane = await startPlane();
  plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
  expect((await plane.ask('/v2/models/iris')).text).toBe(text.replace('"1"', '"v1"'));
  expect((await plane.ask('/v1/models/iris')).text).toBe(text);
  backend.become(() => json({ error: 'no' }, 404));
  expect(await plane.ask('/v2/models/iris')).toMatchObject({ status: 404, text: '{"error":"no"}' });
});

test('describes the version that the caller would get', async () => {
  const [one, two] = await Promise.all([startBackend(about), startBackend(about)]);
  const plane = await startPlane();
  const half = candidates.map((next) => ({ ...next, traffic: 50 }));
  plane.route({
    input: { id: 'iris', candidates: half },
    ports: { stable: [one.port], next: [two.port] },
  });
  for (let user = 0; user < 10; user += 1) {
    const headers = { 'x-user-id': `user-${user}` };
    const asked = await plane.ask('/v2/models/iris', { headers });
    const inferred = await plane.post('/v2/models/iris/infer', {}, headers);
    expect(asked.headers['x-ai-model-version']).toBe(inferred.headers['x-ai-model-version']);
  }
});

test.each(['classify', 'regress', 'explain'])(
  'the built-in server has no :%s, which is said with what it has',
  async (call) => {
    const backend = await startBackend(about);
    const plane = await startPlane();
    plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
    const got = await plane.post(`/v1/models/iris:${call}`, { instances: [] });
    expect([got.status, JSON.parse(got.text)]).toEqual([
      400,
      {
        error: `model iris runs on onnx, which has no ${call} (v1); it has POST /api/v1/models/iris/inference, POST /api/v1/models/iris/batch_inference, POST /v2/models/iris/infer, GET /v2/models/iris, POST /v1/models/iris:predict, GET /v1/models/iris, GET /v1/models/iris/metadata`,
      },
    ]);
    expect(backend.seen).toEqual([]);
  },
);

test('TensorFlow Serving has no :explain, and a server of one’s own answers for itself', async () => {
  const backend = await startBackend(about);
  const plane = await startPlane();
  const tfs = { id: 'flow', framework: 'tensorflow', source: 's3://b/flow' } as const;
  const own = {
    id: 'own',
    framework: 'custom',
    image: 'registry.example.org/own:1',
    server: { kind: 'custom', protocol: 'v1' },
  } as const;
  const stable = [backend.port];
  plane.route({ input: tfs, ports: { stable } }, { input: own, ports: { stable } });
  const statusOf = async (path: string) => (await plane.post(path, {})).status;
  expect(await statusOf('/v1/models/flow:explain')).toBe(400);
  expect(await statusOf('/v1/models/flow:classify')).toBe(200);
  expect(await statusOf('/v1/models/own:explain')).toBe(200);
});
