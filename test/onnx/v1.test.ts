import { fixtures, json, post, startServer } from './support/server';
import type { Reply, TestServer } from './support/server';

/** Of all fixtures. */
const VERSION = '1';

let server: TestServer;

beforeAll(async () => {
  const names = ['batchable', 'scalar', 'zipmap_strings', 'with_metadata', 'total', 'unbatchable'];
  server = await startServer({ models: fixtures(...names, 'regression', 'slow', 'identity_fp32') });
});

afterAll(async () => {
  await server.stop();
});

const predict = (model: string, body: unknown): Promise<Reply> =>
  post(`${server.url}/v1/models/${model}:predict`, body);

async function predictions(model: string, instances: unknown): Promise<unknown[]> {
  const reply = await predict(model, { instances });
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  return (json(reply) as { predictions: unknown[] }).predictions;
}

test('models are listed, each with its readiness and the status of its version', async () => {
  const list: { models: string[] } = (await (
    await fetch(`${server.url}/v1/models`)
  ).json()) as never;
  expect(list.models).toContain('batchable');
  const one = await fetch(`${server.url}/v1/models/batchable`);
  const status = { error_code: 'OK', error_message: '' };
  expect(await one.json()).toEqual({
    name: 'batchable',
    ready: true,
    model_version_status: [{ version: VERSION, state: 'AVAILABLE', status }],
  });
});

test('metadata has the form of TensorFlow Serving: a signature with types and shapes', async () => {
  const got = await fetch(`${server.url}/v1/models/scalar/metadata`);
  const info = (name: string, dtype: string) => ({
    [name]: { name, dtype, tensor_shape: { dim: [], unknown_rank: false } },
  });
  const signature = {
    inputs: { ...info('x', 'DT_FLOAT'), ...info('n', 'DT_INT64') },
    outputs: { ...info('doubled', 'DT_FLOAT'), ...info('next', 'DT_INT64') },
    method_name: 'tensorflow/serving/predict',
  };
  expect(await got.json()).toEqual({
    model_spec: { name: 'scalar', signature_name: '', version: VERSION },
    metadata: { signature_def: { signature_def: { serving_default: signature } } },
  });
});

test('a path may have a version; an unknown one is a 404 with the existing ones', async () => {
  const at = (version: string, rest = '') =>
    fetch(`${server.url}/v1/models/batchable/versions/${version}${rest}`);
  expect((await at(VERSION)).status).toBe(200);
  expect((await at(VERSION, '/metadata')).status).toBe(200);
  const other = await at('99');
  expect([other.status, await other.json()]).toEqual([
    404,
    { error: expect.stringContaining(`no version '99'; it has '${VERSION}'`) },
  ]);
});

test.each(['classify', 'regress', 'explain'])(
  '%s is refused with the supported calls',
  async (verb) => {
    const reply = await post(`${server.url}/v1/models/batchable:${verb}`, { instances: [] });
    expect([reply.status, json(reply)]).toEqual([
      400,
      {
        error: `an ONNX graph has no ${verb}; there is POST /v1/models/batchable:predict, GET /v1/models/batchable (its status), GET /v1/models/batchable/metadata`,
      },
    ]);
  },
);

test('an unknown path is answered with the supported calls', async () => {
  const got = await fetch(`${server.url}/v1/model/batchable`);
  expect([got.status, await got.json()]).toEqual([
    404,
    { error: expect.stringContaining('/v1/models/{model}[:predict|/metadata]') },
  ]);
});

describe('instances', () => {
  test('are values, when the model has one input', async () => {
    const [first] = await predictions('batchable', [[1, 2, 3, 4]]);
    expect(first).toMatchObject({ best: 0 });
    const rows = await predictions('batchable', [
      [1, 2, 3, 4],
      [4, 3, 2, 1],
      [1, 2, 3, 4],
    ]);
    expect(rows).toHaveLength(3);
    expect(rows[2]).toEqual(rows[0]);
  });

  test('give bare predictions for a single output', async () => {
    const rows = await predictions('regression', [
      [5.1, 3.5, 1.4],
      [5, 2, 3.5],
    ]);
    expect(rows).toEqual([[expect.closeTo(0.21625179)], [expect.any(Number)]]);
  });

  test('are objects by the names of the inputs, with the file’s defaults', async () => {
    expect(
      await predictions('scalar', [
        { x: 1, n: 2 },
        { x: 2, n: 3 },
      ]),
    ).toEqual([
      { doubled: 2, next: 3 },
      { doubled: 4, next: 4 },
    ]);
    expect(await predictions('with_metadata', [{ x: [0.5, 1] }])).toMatchObject([
      { word: ['hello'], probabilities: { no: expect.any(Number), yes: expect.any(Number) } },
    ]);
  });

  test('that share a run of ragged lists are answered without the padding', async () => {
    const rows = await predictions('with_metadata', [
      { x: [0.5, 1], tags: ['a', 'b', 'c'] },
      { x: [0.5, 1], tags: ['d'] },
    ]);
    expect(rows).toMatchObject([{ seen: ['a', 'b', 'c'] }, { seen: ['d'] }]);
  });

  test('are answered like a native call', async () => {
    const input = { x: [0.5, 1], tags: ['a', ''] };
    const native = await post(`${server.url}/inference?model=with_metadata`, { input_data: input });
    const { result }: { result: unknown } = json(native);
    expect(await predictions('with_metadata', [input])).toEqual([result]);
  });

  test('run alone in graphs that mix rows: each has the result of a single run', async () => {
    expect(
      await predictions('unbatchable', [
        [1, 2, 3],
        [9, 9, 9],
      ]),
    ).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(
      await predictions('total', [
        [1, 2, 3],
        [9, 9, 9],
      ]),
    ).toEqual([6, 27]);
  });

  test('may be empty and then have no predictions', async () => {
    expect(await predictions('batchable', [])).toEqual([]);
  });

  test('name a wrong instance', async () => {
    const reply = await predict('batchable', { instances: [[1, 2, 3, 4], [1]] });
    expect(reply.status).toBe(400);
    expect(json(reply)).toEqual({ error: expect.stringContaining('got shape [1,1]') });
    const missing = await predict('scalar', { instances: [{ x: 1, n: 2 }, { x: 1 }] });
    expect(json(missing)).toEqual({
      error: expect.stringContaining("instances[1]: 'n' is missing"),
    });
  });
});

describe('inputs are columns', () => {
  test('of one input without a name, or by name', async () => {
    const bare = await predict('regression', { inputs: [[5.1, 3.5, 1.4]] });
    const named = await predict('regression', { inputs: { X: [[5.1, 3.5, 1.4]] } });
    expect(json(bare)).toEqual({ outputs: [[expect.closeTo(0.21625179)]] });
    expect(json(named)).toEqual(json(bare));
  });

  test('with the list as column where the graph has one', async () => {
    const answer: { outputs: number[] } = json(await predict('slow', { inputs: [0.5, -0.25] }));
    expect(answer.outputs).toEqual([expect.closeTo(0.4621184), expect.closeTo(-0.24491945)]);
  });

  test('with several outputs by name', async () => {
    expect(json(await predict('scalar', { inputs: { x: 1, n: 2 } }))).toEqual({
      outputs: { doubled: 2, next: 3 },
    });
  });

  test.each([
    ['scalar', { x: 1 }, "inputs: 'n' is missing"],
    ['scalar', { x: 1, n: 1, m: 1 }, 'the model has no input "m"'],
    ['scalar', [1, 2], 'inputs is a list of 2; it must be an object with x, n'],
  ])('%s with %j is refused', async (model, inputs, message) => {
    const reply = await predict(model, { inputs });
    expect([reply.status, json(reply)]).toEqual([400, { error: expect.stringContaining(message) }]);
  });
});

test.each([[{}], [{ instances: [], inputs: [] }], [{ instances: {} }], [[]], ['null']])(
  '%j is not a prediction',
  async (body) => {
    const reply = await predict('batchable', body);
    expect([reply.status, json(reply)]).toEqual([400, { error: expect.any(String) }]);
  },
);

test('NaN is a bare word, as TensorFlow Serving writes it', async () => {
  expect((await predict('identity_fp32', '{"instances":[[NaN,1]]}')).text).toBe(
    '{"predictions":[[NaN,1]]}',
  );
});
