import type { Behave, Seen } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { Placed, TestPlane } from '../support/plane';
import { startPlane, stopPlanes } from '../support/plane';
import { LARGE_BYTES } from '../../runtime/shared/json-survey';
import { LargeThread } from '../../runtime/data/thread/large-thread';

// Large bodies and answers: nothing on the event loop reads them.

jest.setTimeout(60_000);

const MIB = 1024 * 1024;
const thread = new LargeThread();

afterEach(async () => {
  jest.restoreAllMocks();
  await stopPlanes();
  await stopBackends();
});
afterAll(() => thread.close());

const custom = (protocol: 'native' | 'v1' | 'v2'): Placed['input'] => ({
  id: 'm',
  framework: 'custom',
  image: 'registry.example.org/m:1',
  server: { kind: 'custom', protocol },
  inference: { maxBodyBytes: 12 * MIB },
});

interface Scene {
  readonly plane: TestPlane;
  readonly seen: readonly Seen[];
}

async function scene(protocol: 'native' | 'v1' | 'v2', behave: Behave): Promise<Scene> {
  const backend = await startBackend(behave);
  const plane = await startPlane({ thread });
  plane.route({ input: custom(protocol), ports: { stable: [backend.port] } });
  return { plane, seen: backend.seen };
}

/** The longest text that JSON.parse, and the longest that JSON.stringify, had on this thread. */
function longestSteps() {
  const longest = { parsed: 0, written: 0 };
  const { parse, stringify } = JSON;
  jest.spyOn(JSON, 'parse').mockImplementation((text: string, reviver) => {
    longest.parsed = Math.max(longest.parsed, text.length);
    return parse(text, reviver) as unknown;
  });
  jest.spyOn(JSON, 'stringify').mockImplementation((...args: unknown[]) => {
    const text = stringify(...(args as Parameters<typeof JSON.stringify>));
    longest.written = Math.max(longest.written, text?.length ?? 0);
    return text;
  });
  return longest;
}

const bodyText = ({ body }: { readonly body: Buffer }): string => body.toString('latin1');
const native = `/api/v1/models/m/inference`;
/** Numbers that change when they are read as doubles stand among them. */
const NUMBERS = Array.from({ length: 200_000 }, (_, at) => (at % 7 === 0 ? '1.0' : `${at}`)).join();
const EXACT = `${NUMBERS},9007199254740993`;

describe('a large request', () => {
  test.each([
    ['v2', 'v2', /"data":\[1\.0,1,2,.*,9007199254740993\]/],
    ['v1', 'v1', /\[1\.0,1,2,.*,9007199254740993\]/],
    ['native', 'native', /\[1\.0,1,2,.*,9007199254740993\]/],
  ] as const)('of native reaches a %s server as a small one does', async (protocol, _, words) => {
    const answers: Record<string, Behave> = {
      v2: () => json({ outputs: [{ name: 'y', datatype: 'INT64', shape: [1], data: [7] }] }),
      v1: () => json({ predictions: [7] }),
      native: () => json({ result: 7, confidence: 0.5 }),
    };
    const { plane, seen } = await scene(protocol, answers[protocol] as Behave);
    const longest = longestSteps();
    const body = `{"input_data":{"x":[${EXACT}],"note":"a"},"parameters":{},"timeout":9}`;
    const got = await plane.post(
      native,
      protocol === 'v2' ? body.replace(',"note":"a"', '') : body,
    );
    expect([got.status, got.text]).toEqual([200, expect.stringContaining('7')]);
    const sent = seen.find(({ method }) => method === 'POST');
    expect(bodyText(sent as Seen)).toMatch(words);
    expect(longest.parsed).toBeLessThanOrEqual(LARGE_BYTES);
    expect(longest.written).toBeLessThanOrEqual(LARGE_BYTES);
  });

  test.each([
    [native, '{"input_data":1,"y":[', '"message":"y: got'],
    [native, '{"input_data":{"x":[', 'the body is not JSON'],
    ['/v1/models/m:predict', '{"instances":1,"y":[', 'instances'],
    ['/api/v1/models/m/batch_inference', '{"requests":1,"y":[', 'requests: got 1'],
  ])('to %s with a fault is refused with the reason: %s', async (path, begin, words) => {
    const { plane } = await scene('v2', () => json({}));
    const end = begin.includes('"x"') ? ']' : ']}';
    const got = await plane.post(path, `${begin}${NUMBERS}${end}`);
    expect([got.status, got.text]).toEqual([400, expect.stringContaining(words)]);
  });

  test('passes its time and its priority on', async () => {
    const { plane, seen } = await scene('native', () => json({ result: 1, confidence: 1 }));
    const body = `{"input_data":{"x":[${NUMBERS}]},"timeout":3,"priority":"low"}`;
    await plane.post(native, body);
    const deadline = Number(seen[0]?.headers['x-ai-model-deadline-ms']);
    expect(deadline).toBeLessThanOrEqual(3000);
  });

  test('of V1 is transcoded for a V2 server, and answered by rows', async () => {
    const { plane, seen } = await scene('v2', ({ body, method }) => {
      if (method === 'GET') return json({}, 404);
      const { inputs } = JSON.parse(body.toString()) as { inputs: { data: number[] }[] };
      const { length } = inputs[0]?.data ?? [];
      return json({
        outputs: [{ name: 'y', datatype: 'INT64', shape: [length], data: Array(length).fill(3) }],
      });
    });
    const got = await plane.post('/v1/models/m:predict', `{"instances":[${NUMBERS}]}`);
    expect([got.status, got.text.slice(0, 24)]).toEqual([200, '{"predictions":[3,3,3,3,']);
    expect(seen.at(-1)?.url).toBe('/v2/models/m/infer');
  });

  test('of OpenAI passes to its model, and to one that speaks native', async () => {
    const { plane, seen } = await scene('native', () =>
      json({ result: { content: 'hello' }, confidence: 1 }),
    );
    const longest = longestSteps();
    const text = 'a'.repeat(MIB);
    const got = await plane.post(
      '/openai/v1/chat/completions',
      `{"messages":[{"role":"user","content":"${text}"}],"\\u006dodel":"m"}`,
    );
    expect(JSON.parse(got.text)).toMatchObject({ choices: [{ message: { content: 'hello' } }] });
    expect(bodyText(seen[0] as Seen)).toContain(text);
    expect(longest.written).toBeLessThanOrEqual(LARGE_BYTES);
  });

  test.each([
    ['is not named', '"n":"m"', 'model: is missing'],
    ['is not text', '"model":7', 'model: is missing'],
    ['is named twice', '"model":"m","Model":"m"', 'model: is given twice'],
  ])('of OpenAI whose model %s is refused', async (_, members, words) => {
    const { plane } = await scene('native', () => json({}));
    const got = await plane.post('/openai/v1/embeddings', `{${members},"input":[${NUMBERS}]}`);
    expect([got.status, got.text]).toEqual([400, expect.stringContaining(words)]);
  });

  test('as a batch has results in order, and errors by item', async () => {
    const { plane, seen } = await scene('v1', ({ body }) => {
      const { instances } = JSON.parse(body.toString()) as { instances: object[] };
      return json({ predictions: [{ said: JSON.stringify(instances).length }] });
    });
    const large = `{"input_data":{"x":[${NUMBERS}]}}`;
    const body = `{"requests":[{"input_data":{"x":1}},${large},{"input_data":2},{"input_data":{"x":3}}]}`;
    const got = await plane.post('/api/v1/models/m/batch_inference', body);
    const { results, succeeded, failed } = JSON.parse(got.text) as {
      results: readonly { error?: object; output_data?: unknown }[];
      succeeded: number;
      failed: number;
    };
    expect([succeeded, failed, seen.length]).toEqual([3, 1, 3]);
    expect(results.map(({ error }) => error !== undefined)).toEqual([false, false, true, false]);
  });
});

describe('a large response', () => {
  const outputs = `[{"name":"y","datatype":"FP64","shape":[1,200001],"data":[${EXACT}]}]`;

  test('of V2 becomes a native result, with the numbers of the server', async () => {
    const { plane } = await scene('v2', () => ({
      kind: 'answer',
      headers: { 'content-type': 'application/json' },
      body: `{"outputs":${outputs}}`,
    }));
    const longest = longestSteps();
    const got = await plane.post(native, { input_data: { x: [1] } });
    expect(got.status).toBe(200);
    expect(got.text).toContain(`"output_data":{"y":[${EXACT}]},"confidence":null,`);
    expect(longest.parsed).toBeLessThanOrEqual(LARGE_BYTES);
  });

  test('of a batch keeps its outputs and confidences', async () => {
    const result = `{"result":[${EXACT}],"confidence":0.25}`;
    const { plane } = await scene('native', () => ({
      kind: 'answer',
      body: `{"results":[${result},{"error":{"message":"no"}},${result}]}`,
    }));
    const requests = [1, 2, 3].map((x) => ({ input_data: { x } }));
    const got = await plane.post('/api/v1/models/m/batch_inference', { requests });
    const { results } = JSON.parse(got.text) as { results: readonly object[] };
    expect(results[1]).toEqual({ error: { code: 'INVALID_REQUEST', message: 'no' } });
    expect(got.text.split(`"output_data":[${EXACT}],"confidence":0.25`)).toHaveLength(3);
  });

  test.each([
    ['of nothing but open lists', '['.repeat(40 * MIB)],
    ['of nested lists', `{"result":${'['.repeat(MIB)}${']'.repeat(MIB)}}`],
    ['that is cut off', `{"result":[${NUMBERS}`],
  ])('%s is invalid, and the caller gets an error at once', async (_, body) => {
    const { plane } = await scene('native', () => ({ kind: 'answer', body }));
    const longest = longestSteps();
    const got = await plane.post(native, { input_data: { x: 1 } });
    expect([got.status, got.text]).toEqual([
      502,
      expect.stringContaining('invalid response for its protocol'),
    ]);
    expect(longest.parsed).toBeLessThanOrEqual(LARGE_BYTES);
  });

  test('of many numbers below the limit is copied as text, without the thread', async () => {
    const answer = `{"outputs":[{"name":"y","datatype":"FP64","shape":[1,20000],"data":[${Array(20_000).fill('0.5').join()}]}]}`;
    const { plane } = await scene('v2', ({ method }) =>
      method === 'GET' ? json({}, 404) : { kind: 'answer', body: answer },
    );
    const tasks = jest.spyOn(thread, 'run');
    const got = await plane.post(native, { input_data: { x: Array(20_000).fill(0.5) } });
    expect([got.status, tasks.mock.calls]).toEqual([200, []]);
    expect(JSON.parse(got.text)).toMatchObject({ output_data: { y: { length: 20_000 } } });
  });

  test('that is an error is parsed only as far as a message may be long', async () => {
    const body = `{"error":${'['.repeat(20 * MIB)}`;
    const { plane } = await scene('native', () => ({ kind: 'answer', status: 500, body }));
    const longest = longestSteps();
    const got = await plane.post(native, { input_data: { x: 1 } });
    expect(got.status).toBe(502);
    expect(longest.parsed).toBeLessThanOrEqual(16_384);
  });
});

describe('a body beyond the limits', () => {
  const keys = Array.from({ length: 900_000 }, (_, at) => `"${at.toString(16)}":1`).join();

  test.each([
    ['very many names', '/openai/v1/embeddings', `{"model":"m","input":"a",${keys}}`, 413],
    ['very many names for V1', '/v1/models/m:predict', `{"instances":[{${keys}}]}`, 413],
    ['very many lists', native, `{"input_data":{"x":[${'[],'.repeat(MIB)}[]]}}`, 413],
    ['depth', native, `{"input_data":{"x":${'['.repeat(MIB)}${']'.repeat(MIB)}}}`, 400],
  ])(
    'is refused by the name of the limit, while others are served: %s',
    async (_, path, body, status) => {
      const { plane } = await scene('native', () => json({ result: 1, confidence: 1 }));
      const longest = longestSteps();
      const refused = plane.post(path, body);
      const other = await plane.post(native, { input_data: { x: 1 } });
      expect(other.status).toBe(200);
      expect([(await refused).status, longest.parsed <= LARGE_BYTES]).toEqual([status, true]);
    },
  );

  test('that needs more memory than the thread has fails alone', async () => {
    const small = new LargeThread({ heapMib: 16 });
    const backend = await startBackend(() => json({ result: 1, confidence: 1 }));
    const plane = await startPlane({ thread: small });
    plane.route({ input: custom('native'), ports: { stable: [backend.port] } });
    const objects = Array.from({ length: 300_000 }, (_, at) => `{"a${at % 10}":[1]}`).join();
    const got = await plane.post(native, `{"input_data":{"x":[${objects}]},"timeout":5}`);
    expect([got.status, got.text]).toEqual([413, expect.stringContaining('more memory or time')]);
    const next = await plane.post(native, `{"input_data":{"x":"${'a'.repeat(MIB)}"}}`);
    expect(next.status).toBe(200);
    small.close();
  });
});
