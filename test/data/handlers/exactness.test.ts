import type { Backend, Behaviour } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { TestPlane } from '../../support/plane';
import { startPlane, stopPlanes } from '../../support/plane';
import type { ServerName } from '../../support/servers';
import { speaking } from '../../support/servers';

// What numbers and texts become on their way between protocols: nothing is changed without a word.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const NATIVE = '/api/v1/models/iris/inference';
const BATCH = '/api/v1/models/iris/batch_inference';
const V1 = '/v1/models/iris:predict';
const V2 = '/v2/models/iris/infer';
const CHAT = '/openai/v1/chat/completions';
const EMBED = '/openai/v1/embeddings';

/** What the server says of its inputs: one in float rows of two, one in a column of one. */
const METADATA = {
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 2] },
    { name: 'age', datatype: 'FP32', shape: [-1, 1] },
    { name: 'word', datatype: 'BYTES', shape: [-1, 1] },
  ],
};

interface Scene {
  readonly plane: TestPlane;
  readonly backend: Backend;
}

async function answering(server: ServerName, body: string | Buffer): Promise<Scene> {
  const answer: Behaviour = { kind: 'answer', body };
  const backend = await startBackend(({ method }) => (method === 'GET' ? json(METADATA) : answer));
  const plane = await startPlane();
  plane.route({ input: speaking(server), ports: { stable: [backend.port] } });
  return { plane, backend };
}

const sent = ({ backend }: Scene): string => backend.seen.at(-1)?.body.toString() ?? '';

const v2Answer = (...outputs: readonly (readonly [string, string, string])[]): string => {
  const texts = outputs.map(
    ([name, shape, data]) => `{"name":"${name}","datatype":"FP32","shape":${shape},"data":${data}}`,
  );
  return `{"outputs":[${texts.join(',')}]}`;
};

describe('NaN, infinities and −0', () => {
  const numbers = '[NaN,-Infinity]';
  const words = '["NaN","-Infinity"]';
  const y = v2Answer(['y', '[1,2]', numbers]);
  const predictions = `{"predictions":[${numbers}]}`;
  const result = `{"result":{"y":["NaN",-0.0]}}`;

  test.each<readonly [ServerName, string, string, string, string, string]>([
    // Server, call, what is asked, what the server is asked, what it answers, what is answered.
    ['v2', NATIVE, `{"input_data":{"x":${words}}}`, `"data":${numbers}`, y, `{"y":${words}}`],
    ['v2', NATIVE, `{"input_data":{"x":${numbers}}}`, `"data":${numbers}`, y, `{"y":${words}}`],
    ['v2', NATIVE, '{"input_data":{"x":[-0.0,1]}}', '"data":[-0.0,1]', y, `{"y":${words}}`],
    ['v2', NATIVE, '{"input_data":{"word":"NaN"}}', '"data":["NaN"]', y, `{"y":${words}}`],
    ['v1', NATIVE, '{"input_data":{"a":["NaN",1]}}', '{"a":[NaN,1]}', predictions, words],
    ['v1', NATIVE, '{"input_data":{"a":"NaN"}}', '{"a":"NaN"}', predictions, words],
    ['v1', NATIVE, '{"input_data":{"a":-0.0}}', '{"a":-0.0}', predictions, words],
    ['native', NATIVE, `{"input_data":{"a":${numbers}}}`, `{"a":${words}}`, result, '["NaN",-0.0]'],
    ['v2', V1, `{"instances":[{"x":${numbers}}]}`, `"data":${numbers}`, y, `[${numbers}]`],
    ['native', V1, '{"instances":[{"a":NaN}]}', '{"a":"NaN"}', result, '{"y":[NaN,-0.0]}'],
    [
      'v1',
      V2,
      `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":${numbers}}]}`,
      `[${numbers}]`,
      predictions,
      `"data":${numbers}`,
    ],
    ['v2', V2, `{"inputs":[{"data":${numbers}}]}`, `"data":${numbers}`, y, y],
    ['v1', V1, `{"instances":[${numbers}]}`, `[${numbers}]`, predictions, predictions],
  ])('%s, called by %s with %s', async (server, path, asked, wanted, answer, told) => {
    const scene = await answering(server, answer);
    const got = await scene.plane.post(path, asked);
    expect([got.status, got.text]).toEqual([200, expect.stringContaining(told)]);
    expect(sent(scene)).toContain(wanted);
  });

  test('OpenAI has no word for them: a request is 400, an embedding 502', async () => {
    const { plane } = await answering('native', '{"result":{"embedding":[0.5,NaN]}}');
    const asked = await plane.post(CHAT, '{"model":"iris","messages":[],"top_p":NaN}');
    expect(asked.status).toBe(400);
    expect((await plane.post(EMBED, { model: 'iris', input: 'a' })).status).toBe(502);
  });
});

describe('a native call of several rows to a V2 server', () => {
  const rows = v2Answer(
    ['label', '[2]', '[1,0]'],
    ['probabilities', '[2,2]', '[0.25,0.75,0.875,0.125]'],
  );

  test('takes a column for an input of [batch,1], and has a confidence for each row', async () => {
    const scene = await answering('v2', rows);
    const got = await scene.plane.post(NATIVE, '{"input_data":{"age":[35,20]}}');
    expect(JSON.parse(got.text)).toMatchObject({ confidence: [0.75, 0.875] });
    expect(sent(scene)).toContain('"shape":[2,1],"data":[35,20]');
    // The short way and the long way agree.
    const timed = await scene.plane.post(NATIVE, '{"input_data":{"age":[35,20]},"timeout":5}');
    expect(JSON.parse(timed.text)).toMatchObject({ confidence: [0.75, 0.875] });
    expect(sent(scene)).toContain('"shape":[2,1],"data":[35,20]');
  });

  test('takes the confidence that the model says of each row', async () => {
    const own = v2Answer(['confidence', '[2,1]', '[0.5,NaN]'], ['probabilities', '[2,1]', '[1,1]']);
    const { plane } = await answering('v2', own);
    const got = await plane.post(NATIVE, '{"input_data":{"age":[35,20]}}');
    expect(JSON.parse(got.text)).toMatchObject({ confidence: [0.5, null] });
  });

  test('has none where no output has a row for each', async () => {
    const { plane } = await answering('v2', v2Answer(['probabilities', '[3]', '[0.1,0.2,0.7]']));
    const several = await plane.post(NATIVE, '{"input_data":{"age":[35,20]}}');
    expect(JSON.parse(several.text)).toMatchObject({ confidence: null });
    const one = await plane.post(NATIVE, '{"input_data":{"age":35}}');
    expect(JSON.parse(one.text)).toMatchObject({ confidence: 0.7 });
  });
});

test('a native server says the confidence of each row itself', async () => {
  const { plane } = await answering('native', '{"result":{"y":[1,2]},"confidence":[0.5,null]}');
  const got = await plane.post(NATIVE, '{"input_data":{"age":[35,20]}}');
  expect(JSON.parse(got.text)).toMatchObject({ confidence: [0.5, null] });
});

describe('text that is not UTF-8', () => {
  const broken = (before: string, after: string): Buffer =>
    Buffer.concat([Buffer.from(before), Buffer.of(0xc4, 0xe3), Buffer.from(after)]);

  test.each([
    [NATIVE, '{"input_data":{"a":"', '"}}'],
    [NATIVE, '{"timeout":5,"input_data":{"a":"', '"}}'],
    [BATCH, '{"requests":[{"input_data":{"a":"', '"}}]}'],
    [V1, '{"instances":[{"a":"', '"}]}'],
    [V2, '{"inputs":[{"name":"', '"}]}'],
    [CHAT, '{"model":"iris","messages":[{"role":"user","content":"', '"}]}'],
  ])('is refused in a call of %s, with its place', async (path, before, after) => {
    const { plane, backend } = await answering('native', '{"result":1}');
    const got = await plane.ask(path, { body: broken(before, after) });
    expect([got.status, got.text]).toEqual([
      400,
      expect.stringContaining(`the body is not UTF-8, as JSON must be: byte ${before.length}`),
    ]);
    expect(backend.seen).toEqual([]);
  });

  test.each<readonly [ServerName, string, string, string, object]>([
    ['native', NATIVE, '{"result":"', '"}', { input_data: {} }],
    ['native', BATCH, '{"results":[{"result":"', '"}]}', { requests: [{ input_data: {} }] }],
    ['v1', NATIVE, '{"predictions":["', '"]}', { input_data: {} }],
    ['v2', V1, '{"outputs":[],"a":"', '"}', { instances: [{ age: 1 }] }],
    ['openai', NATIVE, '{"choices":[{"text":"', '"}]}', { input_data: { prompt: 'a' } }],
  ])('in the answer of a %s server to %s is a 502', async (server, path, before, after, asked) => {
    const { plane } = await answering(server, broken(before, after));
    const got = await plane.post(path, asked);
    const wanted = `it is not UTF-8, as JSON must be: byte ${before.length} (from 0) is not part of a character`;
    if (path === BATCH) expect(got.text).toContain(wanted);
    else expect([got.status, got.text]).toEqual([502, expect.stringContaining(wanted)]);
  });

  test('passes unchanged where only the server reads it', async () => {
    const { plane, backend } = await answering('v1', broken('{"predictions":["', '"]}'));
    const asked = broken('{"instances":["', '"]}');
    expect((await plane.ask(V1, { body: asked })).status).toBe(200);
    expect(backend.seen.at(-1)?.body).toEqual(asked);
  });
});

test('half of a surrogate pair goes on as the escape that it came as', async () => {
  const scene = await answering('v2', '{"outputs":[]}');
  await scene.plane.post(NATIVE, String.raw`{"input_data":{"word":"\ud800"},"timeout":5}`);
  expect(sent(scene)).toContain(String.raw`"data":["\ud800"]`);
});
