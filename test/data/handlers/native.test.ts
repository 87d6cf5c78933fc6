import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Behave, Seen } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { Placed, TestPlane } from '../../support/plane';
import { startPlane, stopPlanes } from '../../support/plane';

// Native calls, whatever the model server speaks.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const NATIVE = '/api/v1/models/iris/inference';

const custom = (protocol: 'native' | 'v1' | 'v2'): Placed['input'] => ({
  id: 'iris',
  framework: 'custom',
  image: 'registry.example.org/iris:1',
  server: { kind: 'custom', protocol },
});

interface Scene {
  readonly plane: TestPlane;
  readonly seen: readonly Seen[];
}

async function scene(behave: Behave, input: Placed['input'] = { id: 'iris' }): Promise<Scene> {
  const backend = await startBackend(behave);
  const plane = await startPlane();
  plane.route({ input, ports: { stable: [backend.port] } });
  return { plane, seen: backend.seen };
}

const echo: Behave = ({ body }) => {
  const { input_data } = JSON.parse(body.toString()) as { input_data: object };
  return json({ result: input_data, confidence: 0.5 });
};

const bodyOf = (seen: Seen | undefined): unknown => JSON.parse(seen?.body.toString() ?? '');

describe('the answer', () => {
  test('has all that api.md promises', async () => {
    const { plane, seen } = await scene(echo);
    const got = await plane.post(NATIVE, { input_data: { x: [1, 2] }, parameters: { k: 1 } });
    expect(got.status).toBe(200);
    expect(JSON.parse(got.text)).toEqual({
      request_id: 'id-1',
      model_id: 'iris',
      model_version: 'v1',
      output_data: { x: [1, 2] },
      confidence: 0.5,
      processing_time: expect.any(Number),
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    expect(got.headers).toMatchObject({
      'x-request-id': 'id-1',
      'x-ai-model-arm': 'stable',
      'x-ai-model-version': 'v1',
    });
    expect(seen[0]?.url).toBe('/inference?model=iris');
    expect(bodyOf(seen[0])).toEqual({ input_data: { x: [1, 2] }, parameters: { k: 1 } });
  });

  test('keeps integers beyond 2^53 and floats that look like integers, both ways', async () => {
    const { plane, seen } = await scene(({ body }) => {
      const inner = /"input_data": ?(\{.*\})/.exec(body.toString())?.[1] ?? '';
      return { kind: 'answer', body: `{"result":${inner.replace(/\}+$/, '}')}}` };
    });
    const got = await plane.post(NATIVE, '{"input_data": {"id": 9007199254740993, "dose": 1.0}}');
    expect(seen[0]?.body.toString()).toContain('{"id": 9007199254740993, "dose": 1.0}');
    expect(got.text).toContain('"output_data":{"id":9007199254740993,"dose":1.0}');
  });

  test('has the largest probability as confidence when the server names none', async () => {
    const { plane } = await scene(() => json({ result: { probabilities: { a: 0.2, b: 0.7 } } }));
    const got = await plane.post(NATIVE, { input_data: {} });
    expect(JSON.parse(got.text)).toMatchObject({ confidence: 0.7 });
  });

  test('may be asked for with a compressed body', async () => {
    const { plane } = await scene(echo);
    const body = gzipSync('{"input_data":{"x":1}}');
    const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' };
    const got = await plane.ask(NATIVE, { method: 'POST', headers, body });
    expect([got.status, JSON.parse(got.text).output_data]).toEqual([200, { x: 1 }]);
  });
});

describe('the words of each server', () => {
  test('a server of one’s own that speaks native', async () => {
    const { plane, seen } = await scene(echo, custom('native'));
    expect((await plane.post(NATIVE, { input_data: { x: 1 } })).status).toBe(200);
    expect(seen[0]?.url).toBe('/inference');
  });

  test('V1: one row of instances, one prediction', async () => {
    const { plane, seen } = await scene(
      () => json({ predictions: [{ label: 'a', confidence: 0.9 }] }),
      custom('v1'),
    );
    const got = await plane.post(NATIVE, {
      input_data: { x: [1] },
      parameters: { signature_name: 's' },
    });
    expect(seen[0]).toMatchObject({ method: 'POST', url: '/v1/models/iris:predict' });
    expect(bodyOf(seen[0])).toEqual({ signature_name: 's', instances: [{ x: [1] }] });
    expect(JSON.parse(got.text)).toMatchObject({
      output_data: { label: 'a', confidence: 0.9 },
      confidence: 0.9,
    });
  });

  test('TensorFlow Serving, when the row is not an object', async () => {
    const { plane } = await scene(() => json({ predictions: [[0.25, 0.75]] }), {
      id: 'iris',
      framework: 'tensorflow',
      source: 's3://models/iris/1',
    });
    const got = await plane.post(NATIVE, { input_data: { x: [1] } });
    expect(JSON.parse(got.text)).toMatchObject({ output_data: { predictions: [0.25, 0.75] } });
  });

  test('V2: datatypes and the batch of one come from the metadata, which is asked once', async () => {
    const metadata = {
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [-1, 2] },
        { name: 'patient.age', datatype: 'INT32', shape: [-1, 1] },
      ],
    };
    const outputs = [
      { name: 'label', datatype: 'BYTES', shape: [1], data: ['a'] },
      { name: 'probabilities', datatype: 'FP32', shape: [1, 2], data: [0.25, 0.75] },
    ];
    const { plane, seen } = await scene(
      ({ method }) => json(method === 'GET' ? metadata : { outputs }),
      custom('v2'),
    );
    const item = { input_data: { x: [1, 2.5], patient: { age: 35 } } };
    const got = await plane.post(NATIVE, item);
    await plane.post(NATIVE, item);
    expect(seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /v2/models/iris',
      'POST /v2/models/iris/infer',
      'POST /v2/models/iris/infer',
    ]);
    expect(bodyOf(seen[1])).toEqual({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2.5] },
        { name: 'patient.age', datatype: 'INT32', shape: [1, 1], data: [35] },
      ],
    });
    expect(JSON.parse(got.text)).toMatchObject({
      output_data: { label: 'a', probabilities: [0.25, 0.75] },
      confidence: 0.75,
    });
  });

  test('V2 without metadata: datatypes as the numbers are written', async () => {
    const { plane, seen } = await scene(
      ({ method }) => (method === 'GET' ? json({}, 404) : json({ outputs: [] })),
      custom('v2'),
    );
    await plane.post(NATIVE, '{"input_data":{"i":[1,2],"f":[1.0,2],"s":"头痛","b":true}}');
    expect(seen[1]?.body.toString()).toBe(
      '{"inputs":[{"name":"i","datatype":"INT64","shape":[1,2],"data":[1,2]},' +
        '{"name":"f","datatype":"FP64","shape":[1,2],"data":[1.0,2]},' +
        '{"name":"s","datatype":"BYTES","shape":[1],"data":["头痛"]},' +
        '{"name":"b","datatype":"BOOL","shape":[1],"data":[true]}]}',
    );
  });

  test('V2 whose metadata tells no inputs is V2 without metadata', async () => {
    const { plane, seen } = await scene(
      ({ method }) => json(method === 'GET' ? { name: 'iris', inputs: [] } : { outputs: [] }),
      custom('v2'),
    );
    expect((await plane.post(NATIVE, '{"input_data":{"i":1,"s":"a"}}')).status).toBe(200);
    expect((await plane.post(NATIVE, '{"input_data":{"i":[1]}}')).status).toBe(200);
    expect(seen.at(-1)?.body.toString()).toContain('"datatype":"INT64","shape":[1,1]');
  });

  test.each([
    [{ input_data: { y: 1 } }, 'input_data: unknown input y; the inputs are x'],
    [{ input_data: { x: [[1], [1, 2]] } }, 'input_data.x: is not a tensor: lists of one level'],
  ])('V2: %j is refused before it is sent', async (item, message) => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [-1] }];
    const { plane, seen } = await scene(() => json({ inputs }), custom('v2'));
    const got = await plane.post(NATIVE, item);
    expect([got.status, got.text]).toEqual([400, expect.stringContaining(message)]);
    expect(seen).toHaveLength(1);
  });
});

describe('what a server refuses', () => {
  test.each([
    [400, 400, 'INVALID_REQUEST', 'no input x'],
    [413, 413, 'PAYLOAD_TOO_LARGE', 'model iris answered 413: no input x'],
    [500, 502, 'UPSTREAM_ERROR', 'model iris answered 500: no input x'],
  ])('%i is %i', async (status, wanted, code, message) => {
    const { plane } = await scene(() => json({ error: 'no input x' }, status));
    const got = await plane.post(NATIVE, { input_data: {} });
    expect(got.status).toBe(wanted);
    expect(JSON.parse(got.text)).toMatchObject({ status: 'error', error: { code, message } });
  });

  test.each([
    ['17', '17'],
    ['0', '1'],
    ['Wed, 21 Oct 2026 07:28:00 GMT', '1'],
  ])('and says when to come again, the caller is told: %s → %s', async (said, told) => {
    const headers = { 'retry-after': said };
    const { plane } = await scene(() => ({ kind: 'answer', status: 429, headers, body: '{}' }));
    const got = await plane.post(NATIVE, { input_data: {} });
    expect([got.status, got.headers['retry-after']]).toEqual([503, told]);
  });

  test.each(['hello', '[]', '{"result_":1}'])(
    '%s is an invalid response for its protocol',
    async (body) => {
      const { plane } = await scene(() => ({ kind: 'answer', body }));
      const got = await plane.post(NATIVE, { input_data: {} });
      expect(got.status).toBe(502);
      expect(JSON.parse(got.text)).toMatchObject({ error: { code: 'UPSTREAM_PROTOCOL_ERROR' } });
    },
  );
});

test.each([
  ['{', 'the body is not JSON'],
  ['[1]', 'the body must be a JSON object'],
  [{}, 'input_data: is missing, must be an object'],
  [{ input_data: [1] }, 'input_data: got [1], must be an object'],
  [{ input_data: {}, timeout: 0 }, 'timeout: got 0, must be a number of seconds from 1 to 300'],
  [{ input_data: {}, priority: 'vip' }, 'priority: got "vip", must be one of'],
  [{ input_data: {}, inputs: 1 }, 'inputs: got 1, must be left out'],
  [{ timeout: 'x', priority: 1 }, 'input_data: is missing'],
])('%j is refused with the path, what was got and what is allowed', async (body, message) => {
  const { plane, seen } = await scene(echo);
  const got = await plane.post(NATIVE, body);
  expect([got.status, got.text]).toEqual([
    400,
    expect.stringContaining(JSON.stringify(message).slice(1, -1)),
  ]);
  expect(seen).toHaveLength(0);
});

test('all faults stand in one answer, each with its path', async () => {
  const { plane } = await scene(echo);
  const got = await plane.post(NATIVE, { timeout: 1000, priority: 'vip', extra: 1 });
  const { details } = JSON.parse(got.text).error as { details: { path: string }[] };
  expect(details.map(({ path }) => path)).toEqual(['extra', 'input_data', 'timeout', 'priority']);
});

test('a server that drips does not outlive the request', async () => {
  async function* drops(): AsyncGenerator<string> {
    for (let at = 0; at < 200; at += 1) {
      yield ' ';
      await setTimeout(50);
    }
  }
  const { plane } = await scene(() => ({ kind: 'parts', parts: drops() }));
  const got = await plane.post(NATIVE, { input_data: {}, timeout: 1 });
  expect([got.status, JSON.parse(got.text).error.code]).toEqual([504, 'INFERENCE_TIMEOUT']);
});

test('the shorter time of the caller counts', async () => {
  const { plane, seen } = await scene(() => ({ kind: 'silence' }));
  const got = await plane.post(NATIVE, { input_data: {}, timeout: 1 });
  expect([got.status, JSON.parse(got.text).error.code]).toEqual([504, 'INFERENCE_TIMEOUT']);
  expect(Number(seen[0]?.headers['x-ai-model-deadline-ms'])).toBeLessThanOrEqual(1000);
});
