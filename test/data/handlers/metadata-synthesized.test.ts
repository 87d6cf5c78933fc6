import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes } from '../../support/plane';
import type { ServerName } from '../../support/servers';
import { BEHAVE, speaking } from '../../support/servers';

// Metadata of V2 and status of V1, whatever the model's server speaks.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

async function scene(server: ServerName, behave: Behave = BEHAVE[server]) {
  const backend = await startBackend(behave);
  const plane = await startPlane();
  plane.route({ input: speaking(server), ports: { stable: [backend.port] } });
  return { plane, backend };
}

test.each<ServerName>(['native', 'v1', 'openai'])(
  'V2’s metadata of a server that speaks %s knows no tensors, and asks nobody',
  async (server) => {
    const { plane, backend } = await scene(server);
    const got = await plane.ask('/v2/models/iris');
    expect([got.status, JSON.parse(got.text)]).toEqual([
      200,
      { name: 'iris', versions: ['v1'], platform: 'custom', inputs: [], outputs: [] },
    ]);
    expect(got.headers).toMatchObject({ 'x-ai-model-arm': 'stable', 'x-ai-model-version': 'v1' });
    expect([backend.seen, plane.outcomes]).toEqual([[], []]);
    const versioned = await plane.ask('/v2/models/iris/versions/v1');
    expect(JSON.parse(versioned.text)).toMatchObject({ versions: ['v1'] });
  },
);

test('V2’s metadata of TensorFlow Serving is its signature', async () => {
  const { plane, backend } = await scene('tfs');
  const got = await plane.ask('/v2/models/iris', { headers: { authorization: 'Bearer secret' } });
  expect(JSON.parse(got.text)).toEqual({
    name: 'iris',
    versions: ['v1'],
    platform: 'tensorflow_savedmodel',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'BYTES', shape: [-1] }],
  });
  expect(backend.seen.map(({ url }) => url)).toEqual(['/v1/models/iris/metadata']);
  expect(backend.seen[0]?.headers.authorization).toBeUndefined();
});

test('the signature is the one the definition names', async () => {
  const float = { dtype: 'DT_FLOAT', tensor_shape: { dim: [{ size: '3' }] } };
  const signature_def = {
    serving_default: { inputs: {}, outputs: {} },
    other: { inputs: { z: float, r: { dtype: 'DT_RESOURCE' } }, outputs: {} },
  };
  const backend = await startBackend(() =>
    json({ metadata: { signature_def: { signature_def } } }),
  );
  const plane = await startPlane();
  const input = {
    id: 'iris',
    framework: 'tensorflow',
    source: 's3://models/iris',
    server: { kind: 'tensorflow-serving', signatureName: 'other' },
  } as const;
  plane.route({ input, ports: { stable: [backend.port] } });
  const got = await plane.ask('/v2/models/iris');
  expect(JSON.parse(got.text)).toMatchObject({
    inputs: [{ name: 'z', datatype: 'FP32', shape: [3] }],
    outputs: [],
  });
});

test('what TensorFlow Serving does not tell is not known', async () => {
  const { plane, backend } = await scene('tfs', () => json({ error: 'loading' }, 404));
  const empty = { inputs: [], outputs: [] };
  expect(JSON.parse((await plane.ask('/v2/models/iris')).text)).toMatchObject(empty);
  backend.become(() => ({ kind: 'answer', body: 'hello' }));
  expect(JSON.parse((await plane.ask('/v2/models/iris')).text)).toMatchObject(empty);
});

test.each<ServerName>(['native', 'v2', 'openai'])(
  'V1’s status of a server that speaks %s is the router’s, as KServe writes it',
  async (server) => {
    const { plane, backend } = await scene(server);
    const got = await plane.ask('/v1/models/iris');
    expect([got.status, JSON.parse(got.text)]).toEqual([200, { name: 'iris', ready: true }]);
    plane.route({ input: speaking(server), ports: {} });
    const down = await plane.ask('/v1/models/iris');
    expect([down.status, JSON.parse(down.text)]).toEqual([503, { name: 'iris', ready: false }]);
    expect(backend.seen).toEqual([]);
  },
);

test('without a replica nothing is told, in the words of V2', async () => {
  const plane = await startPlane();
  plane.route({ input: speaking('native'), ports: {} });
  const got = await plane.ask('/v2/models/iris');
  expect([got.status, JSON.parse(got.text)]).toEqual([
    503,
    { error: expect.stringContaining('no replica of model iris is ready') },
  ]);
  expect(got.headers['retry-after']).toBe('5');
});

test.each<ServerName>(['native', 'v2', 'openai'])(
  'V1’s metadata, TensorFlow Serving’s own, is not there of %s',
  async (server) => {
    const { plane } = await scene(server);
    const got = await plane.ask('/v1/models/iris/metadata');
    expect([got.status, JSON.parse(got.text)]).toEqual([
      400,
      { error: expect.stringContaining('which has no metadata (v1); it has') },
    ]);
  },
);
