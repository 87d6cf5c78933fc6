import type { ModelInput } from '../../../lib/spec';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes } from '../../support/plane';

// The allow-list: which calls pass to which servers as they are.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const source = 's3://models/iris';
const image = 'registry.example.org/iris:1';
const custom = (protocol: 'native' | 'v1' | 'v2' | 'tfs' | 'openai'): Partial<ModelInput> => ({
  framework: 'custom',
  image,
  server: { kind: 'custom', protocol },
});

const SERVERS: Readonly<Record<string, Partial<ModelInput>>> = {
  onnx: {},
  'tensorflow-serving': { framework: 'tensorflow', source },
  triton: { framework: 'tensorrt', source, server: { kind: 'triton' } },
  mlserver: { framework: 'sklearn', source },
  vllm: { framework: 'huggingface', type: 'llm', source: 'hf://org/name@main' },
  native: custom('native'),
  v1: custom('v1'),
  v2: custom('v2'),
  tfs: custom('tfs'),
  openai: custom('openai'),
};

const V2 = ['POST /v2/models/iris/infer', 'GET /v2/models/iris'];
const TFS = [
  'POST /v1/models/iris:predict',
  'POST /v1/models/iris:classify',
  'POST /v1/models/iris:regress',
  'GET /v1/models/iris',
  'GET /v1/models/iris/metadata',
];
const OPENAI = ['chat/completions', 'completions', 'embeddings', 'responses'].map(
  (call) => `POST /openai/v1/${call}`,
);
const ALL = [...V2, ...TFS, 'POST /v1/models/iris:explain', ...OPENAI];

const PASSING: Readonly<Record<string, readonly string[]>> = {
  onnx: [
    ...V2,
    'POST /v1/models/iris:predict',
    'GET /v1/models/iris',
    'GET /v1/models/iris/metadata',
  ],
  'tensorflow-serving': TFS,
  triton: V2,
  mlserver: V2,
  vllm: OPENAI,
  native: [],
  v1: [...TFS, 'POST /v1/models/iris:explain'],
  v2: V2,
  tfs: TFS,
  openai: OPENAI,
};

// The body is of no protocol, so that whatever is read is refused and only what passes comes through.
const BODY = '{"model":"iris","own":[]}';

test.each(Object.keys(SERVERS))(
  '%s gets its own calls as they are, and no others',
  async (name) => {
    const backend = await startBackend(() => json({ name: 'iris' }));
    const plane = await startPlane();
    plane.route({ input: { id: 'iris', ...SERVERS[name] }, ports: { stable: [backend.port] } });
    const passed: string[] = [];
    for (const call of ALL) {
      const [method = '', path = ''] = call.split(' ');
      const before = backend.seen.length;
      const got = await plane.ask(path, { method, ...(method === 'POST' && { body: BODY }) });
      const seen = backend.seen.slice(before);
      const same = seen.some(({ url, body }) =>
        method === 'GET' ? path === url : body.toString() === BODY,
      );
      if (same) passed.push(call);
      else if (method === 'POST') expect([call, got.status, seen]).toEqual([call, 400, []]);
    }
    expect(passed.sort()).toEqual([...(PASSING[name] ?? [])].sort());
  },
);

test('an unsupported call is refused with the supported ones, in each protocol’s shape', async () => {
  const backend = await startBackend(() => json({}));
  const plane = await startPlane();
  plane.route({ input: { id: 'iris', ...SERVERS['vllm'] }, ports: { stable: [backend.port] } });
  const has =
    'POST /openai/v1/chat/completions, POST /openai/v1/completions, POST /openai/v1/embeddings, ' +
    'POST /openai/v1/responses, POST /api/v1/models/iris/inference, ' +
    'POST /api/v1/models/iris/batch_inference, GET /v2/models/iris, GET /v1/models/iris';
  const v2 = await plane.post('/v2/models/iris/infer', {});
  expect([v2.status, JSON.parse(v2.text)]).toEqual([
    400,
    { error: `model iris runs on vllm, which has no infer (v2); it has ${has}` },
  ]);
  plane.route({ input: { id: 'iris', ...SERVERS['triton'] }, ports: { stable: [backend.port] } });
  const chat = await plane.post('/openai/v1/responses', { model: 'iris' });
  expect([chat.status, JSON.parse(chat.text).error]).toMatchObject([
    400,
    {
      type: 'invalid_request_error',
      message: expect.stringContaining('which has no responses (openai); it has POST /v2/models'),
    },
  ]);
});

describe('a path that router and server could read differently', () => {
  const scene = async () => {
    const backend = await startBackend(() => json({}));
    const plane = await startPlane();
    plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
    return { backend, plane };
  };

  test.each([
    '/v2/models/iris/infer/',
    '/v2/models/%69ris/infer',
    '/v2/models/iris/versions/v%31/infer',
  ])('reaches the server in one form: %s', async (path) => {
    const { backend, plane } = await scene();
    expect((await plane.post(`${path}?a=%2f..`, {})).status).toBe(200);
    expect(backend.seen.map(({ url }) => url)).toEqual(['/v2/models/iris/infer?a=%2f..']);
  });

  test.each([
    '//v2/models/iris/infer',
    '/v2//models/iris/infer',
    '/v2/models//iris/infer',
    '/v2/models/iris/infer//',
    '/V2/models/iris/infer',
    '/v2/models/iris/../iris/infer',
    '/v2/models/./iris/infer',
    '/v2/models/%2e%2e/infer',
    '/v2/models/../repository/models/iris/unload',
    '/v2/models/iris%2finfer',
    '/v2/models/iris%2Finfer/infer',
    '/v2/models/iris/versions/%2e%2e%2f1/infer',
    '/v2/models/iris%00/infer',
    '/v2/models/iris%zz/infer',
    '/v2/models/iris;a=b/infer',
    '/v2/models/iris/infer%3fa',
    '/v1/models/iris:predict:predict',
    '/v1/models/iris%3apredict',
    '/openai/v1/../../metrics',
  ])('reaches no server: %s', async (path) => {
    const { backend, plane } = await scene();
    // 405: written as %2f a slash is part of a name, and of a model by it one may ask what it is.
    expect([404, 405]).toContain((await plane.post(path, { model: 'iris' })).status);
    expect([404, 405]).toContain((await plane.ask(path)).status);
    expect(backend.seen).toEqual([]);
  });
});

test('paths outside the protocols reach no server', async () => {
  const backend = await startBackend(() => json({}));
  const plane = await startPlane();
  plane.route({ input: { id: 'iris', ...SERVERS['vllm'] }, ports: { stable: [backend.port] } });
  for (const path of ['/openai/v1/load_lora_adapter', '/openai/v1/files', '/v1/models/iris:load']) {
    expect((await plane.post(path, { model: 'iris' })).status).toBe(404);
  }
  expect(backend.seen).toEqual([]);
});
