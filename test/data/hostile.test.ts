import { cohortKeyOf } from '../../runtime/data/routing/cohort';
import type { Authenticate } from '../../runtime/auth/port';
import { spliceV2 } from '../../runtime/data/batching/splice-v2';
import { writeJson } from '../../runtime/data/transcode/exact-json';
import { parseObject } from '../../runtime/data/transcode/body-json';
import { confidenceOf } from '../../runtime/data/transcode/native-format';
import { splicedAnswer } from '../../runtime/data/transcode/copied-text';
import { leaves, tensorsOf } from '../../runtime/data/transcode/tensor';
import { json, startBackend, stopBackends } from '../support/backend';
import type { Behave } from '../support/backend';
import type { PlaneOptions } from '../support/plane';
import { startPlane, stopPlanes } from '../support/plane';
import type { ServerName } from '../support/servers';
import { BEHAVE, speaking } from '../support/servers';

// Bodies that are small and mean much: what they would cost is refused, and told as the caller's fault.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

async function scene(server: ServerName, behave: Behave = BEHAVE[server], more?: PlaneOptions) {
  const backend = await startBackend(behave);
  const plane = await startPlane(more);
  plane.route({ input: speaking(server), ports: { stable: [backend.port] } });
  return { plane, backend };
}

const NATIVE = '/api/v1/models/iris/inference';
const BATCH = '/api/v1/models/iris/batch_inference';
const V1 = '/v1/models/iris:predict';
const V2 = '/v2/models/iris/infer';
const CHAT = '/openai/v1/chat/completions';

const DEEP = '['.repeat(50_000) + ']'.repeat(50_000);
const tensor = (shape: string, data = '[]'): string =>
  `{"inputs":[{"name":"x","datatype":"FP32","shape":${shape},"data":${data}}]}`;

describe('a shape', () => {
  test.each([
    ['a thousand million empty rows', '[1000000000,0]', '[]'],
    ['the same further in', '[1,1000000000,0]', '[]'],
    ['a million dimensions', `[1${',1'.repeat(1_000_000)}]`, '[1]'],
  ])('of %s is refused before a list is made of it', async (_, shape, data) => {
    const { plane } = await scene('v1');
    const got = await plane.post(V2, tensor(shape, data));
    expect([got.status, got.text]).toEqual([400, expect.stringContaining('inputs[0].shape: has')]);
  });

  test('of that kind is invalid in a V2 response', () => {
    const output = { name: 'y', datatype: 'FP32', data: [] };
    expect(tensorsOf({ outputs: [{ ...output, shape: [1e9, 0] }] })).toBeUndefined();
    expect(tensorsOf({ outputs: [{ ...output, shape: [2, 0] }] })).toHaveLength(1);
  });

  test('with a row in each byte makes no items before they are counted', async () => {
    const { plane, backend } = await scene('native');
    const many = tensor('[300000]', `[1${',1'.repeat(299_999)}]`);
    const got = await plane.post(V2, many);
    expect([got.status, got.text]).toEqual([413, expect.stringContaining('got 300000 rows')]);
    const columns = await plane.post(V1, { inputs: { x: Array<number>(3000).fill(1) } });
    expect([columns.status, columns.text]).toEqual([413, expect.stringContaining('got 3000 rows')]);
    expect(backend.seen).toHaveLength(0);
  });

  test('with more rows than the batch limit is not cut into them', () => {
    const head =
      '{"inputs":[{"name":"x","datatype":"BOOL","shape":[9],"parameters":{"binary_data_size":9}}]}';
    const message = { body: Buffer.from(`${head}${'\0'.repeat(9)}`), jsonBytes: head.length };
    expect(spliceV2(message, 8)).toBeUndefined();
    expect(spliceV2(message, 9)?.rows).toBe(9);
  });
});

test('a hundred thousand inputs are checked at once, and a repeated one is found', async () => {
  const { plane } = await scene('native');
  const inputs = Array.from(
    { length: 100_000 },
    (_, at) => `{"name":"${at}","datatype":"FP32","shape":[1],"data":[1]}`,
  );
  const got = await plane.post(V2, `{"inputs":[${inputs.join(',')},${inputs[7]}]}`);
  expect([got.status, got.text]).toEqual([
    400,
    expect.stringContaining('inputs: 7 is given twice'),
  ]);
});

describe('names', () => {
  const name = 'k'.repeat(100_000);
  const many = `{${Array.from({ length: 5000 }, (_, at) => `"${at}":1`).join(',')}}`;

  test('that would inflate the message a thousandfold are refused', async () => {
    const { plane, backend } = await scene('v2');
    const wrong = [
      [NATIVE, `{"input_data":{"${name}":${many}}}`],
      [V1, `{"instances":[{"${name}":${many}}]}`],
    ] as const;
    for (const [path, body] of wrong) {
      const got = await plane.post(path, body);
      expect([got.status, got.text]).toEqual([400, expect.stringContaining('too long names')]);
    }
    expect(backend.seen.filter(({ method }) => method === 'POST')).toHaveLength(0);
  });

  test('may be long, and many, and nested', () => {
    expect(leaves(parseObject(Buffer.from(`{"${name}":1}`)))).toEqual([[name, 1]]);
    expect(leaves(parseObject(Buffer.from(`{"a":{"b":${many}}}`)))[4999]).toEqual(['a.b.4999', 1]);
  });
});

describe('a value nested too deeply for recursion', () => {
  test.each([
    ['in the place of an object', NATIVE, `{"input_data":${DEEP}}`],
    ['under an unknown name', NATIVE, `{"input_data":{},"x":${DEEP}}`],
    ['in the place of a batch', BATCH, `{"requests":{"a":${DEEP}}}`],
  ])('is the caller’s fault, not an internal error: %s', async (_, path, body) => {
    const { plane } = await scene('native');
    const got = await plane.post(path, body);
    expect([got.status, got.text]).toEqual([400, expect.stringContaining('nested too deeply')]);
    expect(plane.faults).toEqual([]);
  });

  test.each([DEEP, `{"x":${DEEP}}`])('fails only its own item of a batch', async (input) => {
    const { plane, backend } = await scene('native');
    const got = await plane.post(
      BATCH,
      `{"requests":[{"input_data":${input}},{"input_data":{"x":1}}]}`,
    );
    const { results } = JSON.parse(got.text) as { results: readonly object[] };
    expect(results).toEqual([
      { error: expect.objectContaining({ code: 'INVALID_REQUEST' }) as object },
      expect.objectContaining({ output_data: { y: 2 } }),
    ]);
    const [sent] = backend.seen.map(({ body }) => body.toString());
    expect([sent, backend.seen.length]).toEqual([
      expect.stringMatching(/^[^[]*\[?\{"input_data":\{"x":1}}/),
      1,
    ]);
  });
});

test('of a million unknown fields a hundred are listed', async () => {
  const { plane } = await scene('native');
  const fields = Array.from({ length: 100_000 }, (_, at) => `"f${at}":1`);
  const got = await plane.post(NATIVE, `{"input_data":{},${fields.join(',')}}`);
  const { error } = JSON.parse(got.text) as { error: { details: readonly object[] } };
  expect([got.status, error.details.length]).toEqual([400, 100]);
});

describe('the model of an OpenAI call', () => {
  const onlyIris: Authenticate = () => ({
    ok: true,
    caller: { name: 'a', scopes: ['infer'], models: ['iris'] },
  });

  test.each([
    ['first', '{"model":"secret","model":"iris","messages":[]}'],
    ['last', '{"model":"iris","messages":[],"model":"secret"}'],
    ['by escapes', '{"mod\\u0065l":"secret","model":"iris","messages":[]}'],
    ['as Go reads it', '{"model":"iris","Model":"secret","messages":[]}'],
  ])('is not named a second time for another parser: %s', async (_, body) => {
    const { plane, backend } = await scene('openai', BEHAVE.openai, { authenticate: onlyIris });
    expect([400, 403]).toContain((await plane.post(CHAT, body)).status);
    expect(backend.seen).toHaveLength(0);
  });

  test('may appear within the messages any number of times', async () => {
    const { plane, backend } = await scene('openai', BEHAVE.openai, { authenticate: onlyIris });
    const body = {
      messages: [{ role: 'user', content: '"model":"x"', model: 'y' }],
      model: 'iris',
    };
    expect((await plane.post(CHAT, body)).status).toBe(200);
    expect(backend.seen).toHaveLength(1);
  });
});

test('the internal form of exact numbers is not visible to callers', async () => {
  const { plane } = await scene('native');
  const marked = writeJson(parseObject(Buffer.from('{"a":1.0}')));
  expect(marked).toBe('{"a":1.0}');
  for (const size of ['-1.0', '[1.0]', '{"a":1e2}', '1e400']) {
    const input = `{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":${size}}}`;
    const got = await plane.post(V2, `{"inputs":[${input}]}`);
    expect(got.status).toBe(400);
    expect(got.text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
  }
});

test('the largest of more probabilities than a call has arguments is found', () => {
  const probabilities = Array.from({ length: 300_000 }, (_, at) => at / 1e6);
  expect(confidenceOf({ probabilities })).toBe(0.299999);
  const data = JSON.stringify(probabilities);
  const output = `{"name":"probabilities","datatype":"FP32","shape":[1,300000],"data":${data}}`;
  expect(splicedAnswer(`{"outputs":[${output}]}`)?.confidence).toBe(0.299999);
});

test('a confidence of infinity is left out, and the response stays JSON', async () => {
  const { plane } = await scene('native', () => ({
    kind: 'answer',
    body: '{"result":1,"confidence":1e999}',
  }));
  const got = await plane.post(NATIVE, { input_data: {} });
  expect(JSON.parse(got.text)).toMatchObject({ output_data: 1, confidence: null });
});

test('rows with a lone surrogate do not mix with those of others', async () => {
  const behave: Behave = ({ body }) => {
    const { instances } = JSON.parse(body.toString()) as { instances: readonly unknown[] };
    return json({ predictions: instances });
  };
  const backend = await startBackend(behave);
  const plane = await startPlane();
  const inference = { batching: { maxSize: 2, maxDelayMs: 1000, rowsIndependent: true } };
  plane.route({ input: { ...speaking('v1'), inference }, ports: { stable: [backend.port] } });
  const broken = Buffer.from('{"instances":["a\xc3"]}', 'latin1');
  await plane.ask(V1, { method: 'POST', body: broken });
  expect(backend.seen[0]?.body.equals(broken)).toBe(true);
  expect(plane.joined).toEqual([]);
  await Promise.all(['é', 'b'].map((row) => plane.post(V1, { instances: [row] })));
  expect(plane.joined.map(({ requests }) => requests)).toEqual([2]);
});

test('a token of blanks is read in one step', () => {
  const get = (): string => `Bearer ${' '.repeat(1_000_000)}x`;
  expect(cohortKeyOf({ claim: 'sub' }, { get })).toBeUndefined();
});
