import { gzipSync } from 'node:zlib';
import type { Authenticate } from '../../../runtime/auth/port';
import type { Backend } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { Got, TestPlane } from '../../support/plane';
import { startPlane, stopPlanes } from '../../support/plane';
import type { ServerName } from '../../support/servers';
import { BEHAVE, speaking } from '../../support/servers';

// Every protocol of a caller with every protocol of a server, over real sockets.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

interface Scene {
  readonly plane: TestPlane;
  readonly backend: Backend;
}

async function scene(server: ServerName, input = {}): Promise<Scene> {
  const backend = await startBackend(BEHAVE[server]);
  const plane = await startPlane();
  plane.route({ input: { ...speaking(server), ...input }, ports: { stable: [backend.port] } });
  return { plane, backend };
}

const NATIVE = '/api/v1/models/iris/inference';
const V1 = '/v1/models/iris:predict';
const V2 = '/v2/models/iris/infer';
const CHAT = '/openai/v1/chat/completions';

const x = (data: readonly number[]) => [
  { name: 'x', datatype: 'FP32', shape: [data.length / 2, 2], data },
];
const y = (datatype: string, data: readonly number[], name = 'y') => [
  { name, datatype, shape: [data.length / 2, 2], data },
];
const chat = { model: 'iris', messages: [{ role: 'user', content: 'hi' }] };
const embed = { model: 'iris', input: 'hi' };
const native = { input_data: { x: [1, 2] } };
const one = { instances: [{ x: [1, 2] }] };
const two = { instances: [{ x: [1, 2] }, { x: [3, 4] }] };
const columns = {
  inputs: {
    x: [
      [1, 2],
      [3, 4],
    ],
  },
};

/** Server, path, what is asked, what must be in the answer, the server's path. */
type Row = readonly [ServerName, string, object, object, string];

const TABLE: readonly Row[] = [
  ['native', NATIVE, native, { output_data: { y: [2, 3] } }, '/inference'],
  ['v1', NATIVE, native, { output_data: { predictions: [2, 3] } }, V1],
  ['tfs', NATIVE, native, { output_data: { predictions: [2, 3] } }, V1],
  ['v2', NATIVE, native, { output_data: { y: [2, 3] } }, V2],
  [
    'openai',
    NATIVE,
    { input_data: { messages: chat.messages }, parameters: { temperature: 0 } },
    {
      output_data: { content: 'hello', role: 'assistant', finish_reason: 'stop' },
      confidence: null,
    },
    '/v1/chat/completions',
  ],
  [
    'openai',
    NATIVE,
    { input_data: { prompt: 'hi' } },
    { output_data: { text: 'hello', finish_reason: 'stop' } },
    '/v1/completions',
  ],
  [
    'openai',
    NATIVE,
    { input_data: { input: 'hi' } },
    { output_data: { embedding: [0.5, 1] } },
    '/v1/embeddings',
  ],
  ['native', V1, one, { predictions: [{ y: [2, 3] }] }, '/inference'],
  ['native', V1, two, { predictions: [{ y: [2, 3] }, { y: [4, 5] }] }, '/batch_inference'],
  [
    'native',
    V1,
    columns,
    {
      outputs: {
        y: [
          [2, 3],
          [4, 5],
        ],
      },
    },
    '/batch_inference',
  ],
  [
    'v1',
    V1,
    two,
    {
      predictions: [
        [2, 3],
        [4, 5],
      ],
    },
    V1,
  ],
  [
    'tfs',
    V1,
    two,
    {
      predictions: [
        [2, 3],
        [4, 5],
      ],
    },
    V1,
  ],
  [
    'v2',
    V1,
    two,
    {
      predictions: [
        [2, 3],
        [4, 5],
      ],
    },
    V2,
  ],
  ['v2', V1, { instances: [[1, 2]] }, { predictions: [[2, 3]] }, V2],
  [
    'v2',
    V1,
    columns,
    {
      outputs: [
        [2, 3],
        [4, 5],
      ],
    },
    V2,
  ],
  ['native', V2, { inputs: x([1, 2]) }, { outputs: y('INT64', [2, 3]) }, '/inference'],
  [
    'native',
    V2,
    { id: '7', inputs: x([1, 2, 3, 4]) },
    { model_name: 'iris', model_version: 'v1', id: '7', outputs: y('INT64', [2, 3, 4, 5]) },
    '/batch_inference',
  ],
  ['v1', V2, { inputs: x([1, 2]) }, { outputs: y('INT64', [2, 3], 'predictions') }, V1],
  [
    'tfs',
    V2,
    { id: 'a', inputs: x([1, 2, 3, 4]), outputs: [{ name: 'y' }] },
    { id: 'a', outputs: y('INT64', [2, 3, 4, 5]) },
    V1,
  ],
  ['v2', V2, { inputs: x([1, 2]) }, { outputs: y('FP32', [2, 3]) }, V2],
  [
    'native',
    CHAT,
    { ...chat, temperature: 0 },
    {
      object: 'chat.completion',
      model: 'iris',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hello' } }],
    },
    '/inference',
  ],
  [
    'native',
    '/openai/v1/completions',
    { model: 'iris', prompt: 'hi' },
    { object: 'text_completion', choices: [{ text: 'hello' }] },
    '/inference',
  ],
  [
    'native',
    '/openai/v1/embeddings',
    embed,
    { object: 'list', data: [{ index: 0, embedding: [0.5, 1] }] },
    '/inference',
  ],
  ['openai', CHAT, chat, { choices: [{ message: { content: 'hello' } }] }, '/v1/chat/completions'],
  ['openai', '/openai/v1/embeddings', embed, { data: [{ index: 0 }] }, '/v1/embeddings'],
];

const CREDENTIALS = { authorization: 'Bearer secret', 'x-api-key': 'secret', cookie: 'a=secret' };

test.each(TABLE)('a server that speaks %s, called at %s with %j', async (...row) => {
  const [server, path, asked, answer, target] = row;
  const { plane, backend } = await scene(server);
  const headers = { ...CREDENTIALS, 'x-own': 'kept', 'x-request-id': 'r-1' };
  const got = await plane.post(path, asked, headers);
  expect([got.status, JSON.parse(got.text)]).toEqual([200, expect.objectContaining({})]);
  expect(JSON.parse(got.text)).toMatchObject(answer);
  expect(got.headers).toMatchObject({
    'content-type': 'application/json',
    'x-request-id': 'r-1',
    'x-ai-model-arm': 'stable',
    'x-ai-model-version': 'v1',
  });
  const seen = backend.seen.at(-1);
  expect(seen?.url).toBe(target);
  expect(seen?.headers).toMatchObject({ 'x-own': 'kept', 'x-request-id': 'r-1' });
  // Whatever is asked on the way, of metadata too.
  expect(backend.seen.map(({ rawHeaders }) => rawHeaders.join()).join()).not.toContain('secret');
});

/** What has no words there: a 400 in the caller's shape that says what the model offers. */
const REFUSED: readonly (readonly [ServerName, string, object])[] = [
  ['openai', V1, one],
  ['openai', V2, { inputs: x([1, 2]) }],
  ['v1', CHAT, chat],
  ['tfs', CHAT, chat],
  ['v2', CHAT, chat],
  ['native', '/openai/v1/responses', { model: 'iris', input: 'hi' }],
  ['v2', '/v1/models/iris:classify', one],
  ['native', '/v1/models/iris:explain', one],
  ['tfs', '/v1/models/iris:explain', one],
];

function messageOf(path: string, { text }: Got): string {
  const { error } = JSON.parse(text) as { error: string | { message: string; type: string } };
  if (path === NATIVE) return (error as { message: string }).message;
  if (!path.startsWith('/openai')) return error as string;
  const { message, type } = error as { message: string; type: string };
  expect(type).toBe('invalid_request_error');
  return message;
}

test.each(REFUSED)('a server that speaks %s has no words for %s', async (server, path, asked) => {
  const { plane, backend } = await scene(server);
  const got = await plane.post(path, asked);
  expect(got.status).toBe(400);
  const message = messageOf(path, got);
  expect(message).toContain(`model iris runs on a server that speaks ${server}, which has no `);
  expect(message).toContain('; it has POST /');
  expect(backend.seen).toEqual([]);
});

describe('what cannot be said is refused before anybody is asked', () => {
  const many = { inference: { maxBatchSize: 2 } };
  const three = { instances: [{ x: [1, 1] }, { x: [1, 1] }, { x: [1, 1] }] };

  test.each<readonly [string, ServerName, string, unknown, number, string]>([
    ['no JSON', 'v2', V1, '{', 400, 'the body is not JSON'],
    [
      'NaN',
      'native',
      CHAT,
      '{"model":"iris","messages":[],"top_p":NaN}',
      400,
      'the body is not JSON',
    ],
    ['no object', 'v1', V2, '[1]', 400, 'the body must be a JSON object'],
    ['ragged rows', 'v2', V1, { instances: [{ x: [[1], 2] }] }, 400, 'lists of one level'],
    [
      'a stray input',
      'v2',
      V1,
      { instances: [{ z: 1 }] },
      400,
      'unknown input z; the inputs are x',
    ],
    ['V2 parameters', 'tfs', V2, { inputs: x([1, 2]), parameters: { a: 1 } }, 400, 'parameters.a'],
    ['too many rows', 'native', V1, three, 413, 'at most 2 are allowed (inference.max_batch_size)'],
    [
      'rows without names',
      'native',
      V1,
      { instances: [1] },
      400,
      'instances[0]: must be an object',
    ],
    ['nothing', 'native', CHAT, { model: 'iris' }, 400, 'messages: is missing'],
    ['depth', 'v2', V1, `{"instances":${'['.repeat(2e5)}${']'.repeat(2e5)}}`, 400, 'too deeply'],
    ['depth', 'v1', V2, deep(), 400, 'too deeply'],
    [
      'depth',
      'v2',
      NATIVE,
      `{"input_data":{"x":${'['.repeat(2e5)}${']'.repeat(2e5)}}}`,
      400,
      'too',
    ],
  ])('%s, of a server that speaks %s', async (_, server, path, asked, status, words) => {
    const { plane, backend } = await scene(server, many);
    const got = await plane.post(path, asked);
    expect([got.status, messageOf(path, got)]).toEqual([status, expect.stringContaining(words)]);
    expect(backend.seen.filter(({ method }) => method === 'POST')).toEqual([]);
    expect(plane.faults).toEqual([]);
  });
});

function deep(): string {
  const data = `${'['.repeat(2e5)}${']'.repeat(2e5)}`;
  return `{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":${data}}]}`;
}

describe('what a server answers', () => {
  test.each<readonly [ServerName, string, object, string]>([
    ['v2', V1, one, 'no input x'],
    ['v1', V2, { inputs: x([1, 2]) }, 'no input x'],
    ['native', V1, one, 'no input x'],
    ['native', CHAT, chat, 'no input x'],
  ])('an error of %s at %s is told in the caller’s shape', async (server, path, asked, words) => {
    const { plane, backend } = await scene(server);
    backend.become(({ method }) =>
      method === 'GET' ? json({}, 404) : json({ error: 'no input x' }, 422),
    );
    const got = await plane.post(path, asked);
    expect([got.status, messageOf(path, got)]).toEqual([400, words]);
  });

  test.each<readonly [ServerName, string, object]>([
    ['v2', V1, one],
    ['v1', V2, { inputs: x([1, 2]) }],
    ['native', V1, two],
    ['native', V2, { inputs: x([1, 2]) }],
  ])('what is not the protocol of %s is a 502 at %s', async (server, path, asked) => {
    const { plane, backend } = await scene(server);
    const nested = `{"outputs":${'['.repeat(2e5)}${']'.repeat(2e5)}}`;
    for (const body of ['hello', '{}', '{"results":[1]}', '{"outputs":[{}]}', nested]) {
      backend.become(({ method }) => (method === 'GET' ? json({}, 404) : { kind: 'answer', body }));
      const got = await plane.post(path, asked);
      expect([got.status, messageOf(path, got)]).toEqual([
        502,
        "model iris returned an invalid response for its protocol; look at its server's log",
      ]);
    }
    expect(plane.faults).toEqual([]);
  });

  test('a chat without text is an error in OpenAI’s shape', async () => {
    const { plane, backend } = await scene('native');
    backend.become(() => json({ result: { label: 'a' } }));
    const got = await plane.post(CHAT, chat);
    expect([got.status, JSON.parse(got.text).error]).toEqual([
      502,
      expect.objectContaining({
        message: expect.stringContaining('has no text'),
        type: 'server_error',
        code: 'upstream_protocol_error',
      }),
    ]);
  });

  test('a row that fails makes the call fail, with its message', async () => {
    const { plane } = await scene('native');
    const instances = [{ x: [1, 2] }, { x: ['a'] }];
    const v1 = await plane.post(V1, { instances });
    expect([v1.status, messageOf(V1, v1)]).toEqual([400, 'row 1: x must hold numbers']);
  });

  test('integers beyond 2^53 are exact, and NaN is what V1 has for it', async () => {
    const { plane, backend } = await scene('v2');
    const outputs = '[{"name":"y","datatype":"INT64","shape":[1,2],"data":[9007199254740993,NaN]}]';
    backend.become(({ method }) =>
      method === 'GET' ? json({ inputs: [] }) : { kind: 'answer', body: `{"outputs":${outputs}}` },
    );
    const got = await plane.post(V1, '{"instances":[{"x":9007199254740993}]}');
    expect(got.text).toBe('{"predictions":[[9007199254740993,NaN]]}');
    expect(backend.seen.at(-1)?.body.toString()).toContain('"data":[9007199254740993]');
  });

  test('one that broke is tried again elsewhere', async () => {
    const bad = await startBackend(() => ({ kind: 'reset' }));
    const good = await startBackend(BEHAVE.v1);
    const plane = await startPlane();
    plane.route({ input: speaking('v1'), ports: { stable: [bad.port, good.port] } });
    const all = await Promise.all(
      Array.from({ length: 10 }, () => plane.post(V2, { inputs: x([1, 2]) })),
    );
    expect(all.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(bad.seen.length).toBeGreaterThan(0);
  });
});

describe('bodies as clients send them', () => {
  test('compressed', async () => {
    const { plane } = await scene('v2');
    const body = gzipSync(JSON.stringify(two));
    const headers = { 'content-encoding': 'gzip', 'accept-encoding': 'gzip' };
    const got = await plane.ask(V1, { method: 'POST', headers, body });
    expect([got.status, JSON.parse(got.text)]).toEqual([
      200,
      {
        predictions: [
          [2, 3],
          [4, 5],
        ],
      },
    ]);
  });

  test('binary tensors, without a Content-Type', async () => {
    const { plane, backend } = await scene('tfs');
    const tail = Buffer.from(Float32Array.of(1, 2).buffer);
    const parameters = { binary_data_size: tail.length };
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters }];
    const head = JSON.stringify({ inputs, parameters: { binary_data_output: true } });
    const got = await plane.ask(V2, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(head.length) },
      body: Buffer.concat([Buffer.from(head), tail]),
    });
    expect([got.status, JSON.parse(got.text)]).toMatchObject([
      200,
      { outputs: y('INT64', [2, 3], 'predictions') },
    ]);
    expect(got.headers['inference-header-content-length']).toBeUndefined();
    expect(backend.seen[0]?.headers['inference-header-content-length']).toBeUndefined();
    expect(backend.seen[0]?.body.toString()).toBe('{"instances":[{"x":[1,2]}]}');
  });
});

describe('arms of one model that speak differently', () => {
  const next = {
    name: 'next',
    version: 'v2',
    image: 'registry.example.org/next:2',
    server: { kind: 'custom', protocol: 'tfs' },
    traffic: 50,
  } as const;

  async function mixed(authenticate?: Authenticate) {
    const [stable, other] = await Promise.all([startBackend(BEHAVE.v2), startBackend(BEHAVE.tfs)]);
    const plane = await startPlane(authenticate && { authenticate });
    const input = { ...speaking('v2'), candidates: [next] };
    plane.route({ input, ports: { stable: [stable.port], next: [other.port] } });
    return { plane, stable, other };
  }

  test.each([
    [V2, { inputs: x([1, 2]) }, { outputs: [{ data: [2, 3] }] }],
    [V1, { instances: [[1, 2]] }, { predictions: [[2, 3]] }],
    [NATIVE, native, { output_data: expect.anything() }],
  ])('each gets %s in its own words', async (path, asked, answer) => {
    const { plane, stable, other } = await mixed();
    const all = await Promise.all(Array.from({ length: 10 }, () => plane.post(path, asked)));
    expect(all.map(({ status }) => status)).toEqual(Array(10).fill(200));
    for (const { text } of all) expect(JSON.parse(text)).toMatchObject(answer);
    const versions = all.map(({ headers }) => headers['x-ai-model-version']);
    expect(new Set(versions)).toEqual(new Set(['v1', 'v2']));
    expect([stable.seen.at(-1)?.url, other.seen.at(-1)?.url]).toEqual([V2, V1]);
  });

  test('the one that understands the call gets its bytes as they are', async () => {
    const { plane, stable } = await mixed();
    const body = `{ "inputs" : ${JSON.stringify(x([1, 2]))}, "parameters":{"own":1}}`;
    const headers = { 'x-ai-model-arm': 'stable' };
    const got = await plane.post(V2, body, headers);
    expect([got.status, stable.seen[0]?.body.toString()]).toEqual([200, body]);
    const refused = await plane.post(V2, body, { 'x-ai-model-arm': 'next' });
    expect([refused.status, messageOf(V2, refused)]).toEqual([
      400,
      expect.stringContaining('parameters.own'),
    ]);
  });

  test('a body that only one of them takes is refused when it is the other’s turn', async () => {
    const { plane, other } = await mixed();
    const body = { inputs: x([1, 2]), parameters: { own: 1 } };
    const all = await Promise.all([1, 2, 3, 4].map(() => plane.post(V2, body)));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 200, 400, 400]);
    expect(other.seen).toEqual([]);
    // Nobody is blamed for it.
    expect(plane.load.arms().map(({ window }) => window.failures)).toEqual([0, 0]);
  });
});
