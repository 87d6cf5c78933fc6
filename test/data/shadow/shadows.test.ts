import { gzipSync } from 'node:zlib';
import { joinStrings } from '../../../runtime/shared/binary';
import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { TestPlane } from '../../support/plane';
import { startPlane, stopPlanes, until } from '../../support/plane';
import type { ServerName } from '../../support/servers';
import { BEHAVE, speaking } from '../../support/servers';

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const NATIVE = '/api/v1/models/iris/inference';
const live: Behave = () => json({ result: { label: 'a', p: 0.5 } });

async function mirrored(shadow: Behave, compare = { rel: 0.01 }) {
  const [one, other] = await Promise.all([startBackend(live), startBackend(shadow)]);
  const plane = await startPlane();
  plane.route({
    input: {
      id: 'iris',
      candidates: [{ name: 'next', version: 'v2', source: './next.onnx', shadow: 100, compare }],
    },
    ports: { stable: [one.port], next: [other.port] },
  });
  return { plane, live: one, shadow: other };
}

const reported = async (plane: TestPlane, count = 1) => {
  await until(() => plane.shadows.length === count, `${count} reports`);
  return plane.shadows;
};

test.each([
  ['agree', { label: 'a', p: 0.501 }, []],
  ['disagree', { label: 'a', p: 0.6 }, ['p']],
  ['disagree', { label: 'b', p: 0.6, q: 1 }, ['label', 'p', 'q']],
] as const)('the copy is compared: %s', async (verdict, result, differing) => {
  const { plane, shadow } = await mirrored(() => json({ result }));
  const got = await plane.post(NATIVE, { input_data: { x: 1 } });
  expect(JSON.parse(got.text)).toMatchObject({ model_version: 'v1', output_data: { label: 'a' } });
  expect(await reported(plane)).toEqual([
    { model: 'iris', arm: 'next', requestId: 'id-1', verdict, differing },
  ]);
  expect(JSON.parse(shadow.seen[0]?.body.toString() ?? '')).toEqual({ input_data: { x: 1 } });
});

test('the result of a copy does not affect the caller', async () => {
  const { plane } = await mirrored(() => ({ kind: 'reset' }));
  expect((await plane.post(NATIVE, { input_data: {} })).status).toBe(200);
  expect(await reported(plane)).toMatchObject([{ verdict: 'failed', differing: [] }]);
});

test('the caller does not wait for the copy, and copies beyond the budget are dropped', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { plane, shadow } = await mirrored(() => ({
    kind: 'answer',
    after: held,
    body: '{"result":{"label":"a","p":0.5}}',
  }));
  const statuses: number[] = [];
  for (let at = 0; at < 30; at += 1) {
    statuses.push((await plane.post(NATIVE, { input_data: {} })).status);
  }
  expect(statuses).toEqual(Array(30).fill(200));
  await until(() => plane.shadows.length > 0, 'copies dropped');
  const dropped = plane.shadows.length;
  expect(new Set(plane.shadows.map(({ verdict }) => verdict))).toEqual(new Set(['dropped']));
  release();
  await reported(plane, 30);
  expect(plane.shadows.filter(({ verdict }) => verdict === 'agree')).toHaveLength(30 - dropped);
  expect(shadow.seen).toHaveLength(30 - dropped);
});

test('a call of a named arm is not copied', async () => {
  const { plane, live: stable, shadow } = await mirrored(live);
  await plane.post(NATIVE, { input_data: {} }, { 'x-ai-model-arm': 'stable' });
  await plane.post(NATIVE, { input_data: {} });
  await reported(plane);
  expect([stable.seen.length, shadow.seen.length]).toEqual([2, 1]);
});

describe('copies of passed-through calls', () => {
  const V2 = '/v2/models/iris/infer';
  const V1 = '/v1/models/iris:predict';
  const v2 =
    (label: string, p: number): Behave =>
    () =>
      json({
        id: String(Math.random()),
        outputs: [
          { name: 'label', datatype: 'BYTES', shape: [1], data: [label] },
          { name: 'p', datatype: 'FP32', shape: [1, 2], data: [p, 1 - p] },
        ],
      });
  const v1 =
    (...rows: readonly unknown[]): Behave =>
    () =>
      json({ predictions: rows });

  test.each<readonly [string, string, Behave, Behave, readonly string[]]>([
    ['agree', V2, v2('a', 0.5), v2('a', 0.501), []],
    ['disagree', V2, v2('a', 0.5), v2('b', 0.9), ['label', 'p.0', 'p.1']],
    ['agree', V1, v1({ p: 1 }, { p: 2 }), v1({ p: 1.001 }, { p: 2 }), []],
    ['disagree', V1, v1({ p: 1 }, { p: 2 }), v1({ p: 1 }, { p: 3 }), ['p']],
    ['disagree', V1, v1([1, 2]), v1([1, 3]), ['predictions.1']],
    ['disagree', V1, v1(1, 2), v1(1), ['length']],
    ['failed', V1, v1(1), () => json({ error: 'no' }, 400), []],
    ['failed', V2, v2('a', 1), () => ({ kind: 'answer', body: 'no JSON' }), []],
  ])('are compared: %s at %s', async (verdict, path, stable, other, differing) => {
    const { plane, live: one, shadow } = await mirrored(other);
    one.become(stable);
    const body = '{"inputs": [ 9007199254740993 ]}';
    const headers = { 'accept-encoding': 'gzip', 'x-own': 'kept' };
    const got = await plane.post(path, body, headers);
    expect(got.status).toBe(200);
    expect(await reported(plane)).toMatchObject([{ verdict, differing, requestId: 'id-1' }]);
    expect(shadow.seen[0]).toMatchObject({ url: path, headers: { 'x-own': 'kept' } });
    expect(shadow.seen[0]?.body.toString()).toBe(body);
    expect(shadow.seen[0]?.headers['accept-encoding']).toBeUndefined();
  });

  test.each([
    ['binary', { 'content-type': 'application/octet-stream' }, Buffer.from([1, 2, 3])],
    ['more than a copy may have', { 'content-type': 'application/json' }, Buffer.alloc(1_048_577)],
  ])('are not made when the response is %s', async (_, headers, body) => {
    const { plane, live: one, shadow } = await mirrored(v2('a', 1));
    one.become(() => ({ kind: 'answer', headers, body }));
    const got = await plane.post(V2, {});
    expect(got.body.equals(body)).toBe(true);
    expect(await reported(plane)).toMatchObject([{ verdict: 'dropped' }]);
    expect(shadow.seen).toEqual([]);
  });

  test('are not made of errors, metadata, or calls of a named arm', async () => {
    const { plane, live: one, shadow } = await mirrored(v2('a', 1));
    one.become(v2('a', 1));
    await plane.ask('/v2/models/iris');
    await plane.post(V2, {}, { 'x-ai-model-arm': 'stable' });
    one.become(() => json({ error: 'wrong' }, 400));
    await plane.post(V2, {});
    one.become(v2('a', 1));
    await plane.post(V2, {});
    await reported(plane);
    expect(shadow.seen).toHaveLength(1);
  });

  test('do not delay the caller, and may break', async () => {
    const { plane, live: one } = await mirrored(() => ({ kind: 'reset' }));
    one.become(v2('a', 1));
    expect((await plane.post(V2, {})).status).toBe(200);
    expect(await reported(plane)).toMatchObject([{ verdict: 'failed' }]);
  });
});

describe('V2 responses with binary tensors are compared, too', () => {
  const V2 = '/v2/models/iris/infer';
  const floats = (...values: readonly number[]): Buffer =>
    Buffer.from(Float32Array.of(...values).buffer);

  interface Told {
    readonly name: string;
    readonly datatype: string;
    readonly bytes: Buffer;
    readonly shape: readonly number[];
  }

  const p = (...values: readonly number[]): Told => ({
    name: 'p',
    datatype: 'FP32',
    bytes: floats(...values),
    shape: [1, values.length],
  });
  const label = (text: string): Told => ({
    name: 'label',
    datatype: 'BYTES',
    bytes: joinStrings([text]),
    shape: [1],
  });
  const id = (value: bigint): Told => ({
    name: 'id',
    datatype: 'INT64',
    bytes: Buffer.from(BigInt64Array.of(value).buffer),
    shape: [1],
  });

  /** @param more an output in JSON between the binary ones */
  function bodyOf(told: readonly Told[], more: readonly unknown[] = []) {
    const outputs = told.map(({ name, datatype, bytes, shape }) => ({
      name,
      datatype,
      shape,
      parameters: { binary_data_size: bytes.length },
    }));
    const head = Buffer.from(JSON.stringify({ outputs: [...more, ...outputs] }));
    const body = Buffer.concat([head, ...told.map(({ bytes }) => bytes)]);
    const length = String(head.length);
    const headers = {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': length,
    };
    return { headers, body };
  }
  const binary =
    (...told: readonly Told[]): Behave =>
    () => ({ kind: 'answer', ...bodyOf(told) });
  const packed: Behave = () => {
    const { headers, body } = bodyOf([p(0.5, 0.25)]);
    return {
      kind: 'answer',
      headers: { ...headers, 'content-encoding': 'gzip' },
      body: gzipSync(body),
    };
  };
  const mixed: Behave = () => {
    const own = { name: 'label', datatype: 'BYTES', shape: [1], data: ['a'] };
    return { kind: 'answer', ...bodyOf([p(0.5)], [own]) };
  };
  const asJson: Behave = () =>
    json({ outputs: [{ name: 'p', datatype: 'FP32', shape: [1, 2], data: [0.5, null] }] });
  const short: Behave = () => {
    const { headers, body } = bodyOf([p(0.5, 0.25)]);
    return { kind: 'answer', headers, body: body.subarray(0, -1) };
  };
  const BIG = 9_007_199_254_740_993n;

  test.each<readonly [string, string, Behave, Behave, readonly string[]]>([
    ['agree', 'within tolerance', binary(p(0.5, 0.25)), binary(p(0.501, 0.25)), []],
    ['disagree', 'value by value', binary(p(0.5, 0.25)), binary(p(0.5, 0.5)), ['p.1']],
    ['disagree', 'texts', binary(label('a')), binary(label('b')), ['label']],
    ['agree', 'integers beyond 2^53', binary(id(BIG)), binary(id(BIG)), []],
    ['agree', 'with JSON, NaN as null', binary(p(0.5, NaN)), asJson, []],
    ['agree', 'NaN and infinity', binary(p(NaN, Infinity)), binary(p(NaN, Infinity)), []],
    ['disagree', 'infinities', binary(p(1, -Infinity)), binary(p(1, Infinity)), ['p.1']],
    ['disagree', 'infinity and a number', binary(p(1, 2)), binary(p(1, Infinity)), ['p.1']],
    ['agree', 'a packed one', packed, binary(p(0.5, 0.25)), []],
    ['agree', 'one in JSON and one behind it', mixed, mixed, []],
    ['disagree', 'an output that is missing', mixed, binary(p(0.5)), ['label']],
    ['failed', 'a copy that is cut short', binary(p(0.5, 0.25)), short, []],
    ['failed', 'a copy that is refused', binary(p(0.5)), () => json({ error: 'no' }, 400), []],
    ['dropped', 'a live one that is cut short', short, binary(p(0.5, 0.25)), []],
  ])('%s: %s', async (verdict, _, stable, other, differing) => {
    const { plane, live: one } = await mirrored(other);
    one.become(stable);
    const got = await plane.post(V2, { parameters: { binary_data_output: true } });
    expect(got.status).toBe(200);
    expect(await reported(plane)).toMatchObject([{ verdict, differing }]);
  });
});

describe('a copy in the protocol of the shadow’s server', () => {
  const V1 = '/v1/models/iris:predict';
  const V2 = '/v2/models/iris/infer';
  const rows = { instances: [{ x: [1, 2] }, { x: [3, 4] }] };
  const tensors = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] }],
    outputs: [{ name: 'y' }],
  };

  async function pair(stable: ServerName, other: ServerName, behave: Behave = BEHAVE[other]) {
    const [one, next] = await Promise.all([startBackend(BEHAVE[stable]), startBackend(behave)]);
    const plane = await startPlane();
    const shadow = {
      name: 'next',
      version: 'v2',
      image: 'registry.example.org/next:2',
      server: { kind: 'custom', protocol: other },
      shadow: 100,
      compare: { rel: 0 },
    };
    plane.route({
      input: { ...speaking(stable), candidates: [shadow as never] },
      ports: { stable: [one.port], next: [next.port] },
    });
    return { plane, next };
  }

  test.each<readonly [string, ServerName, ServerName, object, string]>([
    [V1, 'v1', 'v2', rows, V2],
    [V1, 'v2', 'v1', rows, V1],
    [V1, 'v2', 'v2', rows, V2],
    [V2, 'v2', 'tfs', tensors, V1],
    [V2, 'tfs', 'v2', tensors, V2],
    [V2, 'native', 'v2', tensors, V2],
    [V2, 'v2', 'native', tensors, '/batch_inference'],
  ])('%s, live %s, shadow %s', async (path, stable, other, asked, target) => {
    const { plane, next } = await pair(stable, other);
    const headers = { authorization: 'Bearer secret', 'accept-encoding': 'gzip' };
    expect((await plane.post(path, asked, headers)).status).toBe(200);
    expect(await reported(plane)).toMatchObject([{ verdict: 'agree', differing: [] }]);
    const seen = next.seen.at(-1);
    expect([seen?.url, seen?.headers.authorization]).toEqual([target, undefined]);
    expect(seen?.headers['accept-encoding']).toBeUndefined();
  });

  test('has differences by the names that the caller uses', async () => {
    const { plane } = await pair('tfs', 'v2', ({ method }) => {
      const y = { name: 'y', datatype: 'FP32', shape: [2, 2], data: [2, 3, 4, 6] };
      return json(method === 'GET' ? { inputs: [] } : { outputs: [y] });
    });
    await plane.post(V2, tensors);
    expect(await reported(plane)).toMatchObject([{ verdict: 'disagree', differing: ['y.1.1'] }]);
  });

  test('fails where the protocol cannot express it, and OpenAI calls are not copied', async () => {
    const { plane, next } = await pair('v2', 'tfs');
    const got = await plane.post(V2, { ...tensors, parameters: { own: 1 } });
    expect(got.status).toBe(200);
    expect(await reported(plane)).toMatchObject([{ verdict: 'failed' }]);
    expect(next.seen).toEqual([]);
    const chat = await pair('native', 'native');
    const body = { model: 'iris', messages: [] };
    expect((await chat.plane.post('/openai/v1/chat/completions', body)).status).toBe(200);
    expect([chat.plane.shadows, chat.next.seen]).toEqual([[], []]);
  });
});

describe('a batch is copied as one request', () => {
  const BATCH = '/api/v1/models/iris/batch_inference';
  const items =
    (...labels: readonly unknown[]): Behave =>
    () =>
      json({ results: labels.map((label) => ({ result: { label } })) });
  const requests = [{ input_data: { x: 1 } }, { input_data: { x: 2 } }];

  test.each([
    ['agree', items('a', 'b'), []],
    ['disagree', items('a', 'c'), ['label']],
    ['failed', () => json({ results: [{ result: { label: 'a' } }, { error: 'no' }] }), []],
  ] as const)('and compared item by item: %s', async (verdict, other, differing) => {
    const { plane, live: one, shadow } = await mirrored(other as Behave);
    one.become(items('a', 'b'));
    expect((await plane.post(BATCH, { requests })).status).toBe(200);
    expect(await reported(plane)).toMatchObject([{ verdict, differing }]);
    expect(shadow.seen.map(({ body }) => JSON.parse(body.toString()))).toEqual([{ requests }]);
  });

  test('without the items that had no response', async () => {
    const { plane, live: one, shadow } = await mirrored(items('b'));
    one.become(items('b'));
    const got = await plane.post(BATCH, { requests: [{ input_data: 7 }, requests[1]] });
    expect(JSON.parse(got.text)).toMatchObject({ succeeded: 1, failed: 1 });
    expect(await reported(plane)).toMatchObject([{ verdict: 'agree' }]);
    const [only] = shadow.seen.map(({ body }) => JSON.parse(body.toString()));
    expect(only).toEqual({ requests: [requests[1]] });
  });

  test('one item after the other for a server without batches', async () => {
    let together = 0;
    let most = 0;
    const row: Behave = async ({ body }) => {
      together += 1;
      most = Math.max(most, together);
      await new Promise((resolve) => setTimeout(resolve, 5));
      together -= 1;
      const [{ x }] = JSON.parse(body.toString()).instances;
      return json({ predictions: [{ x }] });
    };
    const [one, other] = await Promise.all([startBackend(live), startBackend(row)]);
    one.become(({ url, body }) => {
      const { requests: asked, input_data: item } = JSON.parse(body.toString());
      if (url.startsWith('/inference')) return json({ result: item });
      return json({ results: asked.map(({ input_data: result }: never) => ({ result })) });
    });
    const plane = await startPlane();
    const shadow = {
      name: 'next',
      version: 'v2',
      image: 'registry.example.org/own:1',
      server: { kind: 'custom', protocol: 'v1' },
      shadow: 100,
      compare: { rel: 0 },
    } as const;
    plane.route({
      input: { id: 'iris', candidates: [shadow as never] },
      ports: { stable: [one.port], next: [other.port] },
    });
    await plane.post(BATCH, { requests });
    expect(await reported(plane)).toMatchObject([{ verdict: 'agree' }]);
    expect([other.seen.length, most]).toEqual([2, 1]);
  });
});
