import { gzipSync } from 'node:zlib';
import { parseJsonPath } from '../../lib/config';
import type { AuditEntry } from '../../runtime/audit';
import { payloadSampler } from '../../runtime/audit';
import { createAuthenticate, newKey } from '../../runtime/auth';
import type { Behaviour } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { Asking, TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';

// The payload of an inference in its line: as the caller sent and got it, redacted.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const KEY = newKey();
const MAX_BYTES = 2000;
const X = '"[redacted]"';

interface Recorded {
  readonly plane: TestPlane;
  readonly lines: AuditEntry[];
  readonly ask: (path: string, body?: Buffer | string, more?: Asking['headers']) => Promise<void>;
}

async function recorded(
  answer: Behaviour,
  protocol: 'v2' | 'openai' = 'v2',
  redact = ['$..secret', '$.inputs[*].data', '$.outputs[*].data'],
): Promise<Recorded> {
  const lines: AuditEntry[] = [];
  const backend = await startBackend(() => answer);
  const { authenticate } = createAuthenticate(
    {
      mode: 'api_key',
      keys: [{ name: 'clinic', sha256: KEY.sha256, scopes: ['infer'], models: ['iris', 'rose'] }],
    },
    { loopback: false },
  );
  const plane = await startPlane({
    authenticate,
    audit: (line) => void lines.push(line),
    payload: payloadSampler({
      sampleRatio: 1,
      models: ['iris'],
      redact: redact.map((path) => parseJsonPath(path) ?? []),
      maxBytes: MAX_BYTES,
      random: () => 0,
    }),
  });
  const server = { kind: 'custom', protocol } as const;
  const input = { framework: 'custom', image: 'r.example/i:1', server } as const;
  plane.route(
    ...['iris', 'rose'].map((id) => ({
      input: { ...input, id },
      ports: { stable: [backend.port] },
    })),
  );
  const ask: Recorded['ask'] = async (path, body, more) => {
    const method = body === undefined ? 'GET' : 'POST';
    const headers = { 'x-api-key': KEY.key, 'content-type': 'application/json', ...more };
    await plane.ask(path, { method, headers, ...(body !== undefined && { body }) }).catch(() => '');
    await until(() => lines.length > 0, 'the line is there');
  };
  return { plane, lines, ask };
}

const INFER = '/v2/models/iris/infer';
const CHAT = '/openai/v1/chat/completions';
const BODY = '{ "inputs": [{"name":"x","datatype":"FP64","shape":[1],"data":[1.10]}] }';
const ANSWER = '{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[0.5]}],"n":1.50}';

test('a V2 call that is passed on is recorded in both directions, without redacted values', async () => {
  const { ask, lines } = await recorded({ kind: 'answer', body: ANSWER });
  await ask(INFER, BODY);
  expect(lines).toHaveLength(1);
  expect(lines[0]?.payload).toBe(
    `{"request":{"body":{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":${X}}]}},` +
      `"answer":{"body":{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":${X}}],"n":1.50}}}`,
  );
});

test('a native call is recorded as the caller sent and got it', async () => {
  const { ask, lines } = await recorded({ kind: 'answer', body: ANSWER });
  await ask('/api/v1/models/iris/inference', '{"input_data":{"x":[1],"secret":"s"}}');
  const payload = JSON.parse(lines[0]?.payload ?? '') as Record<string, { body: object }>;
  expect(payload['request']).toEqual({ body: { input_data: { x: [1], secret: '[redacted]' } } });
  expect(payload['answer']?.body).toMatchObject({ model_id: 'iris' });
});

test('an OpenAI call names its model in the body', async () => {
  const { ask, lines } = await recorded({ kind: 'answer', body: '{"choices":[]}' }, 'openai');
  await ask(CHAT, '{"model":"iris","messages":[],"secret":1}');
  expect(lines[0]?.payload).toBe(
    `{"request":{"body":{"model":"iris","messages":[],"secret":${X}}},"answer":{"body":{"choices":[]}}}`,
  );
});

test('the error of an item in a batch, which may quote a value, is replaced', async () => {
  const { ask, lines } = await recorded({ kind: 'answer', body: ANSWER });
  const items = '[{"input_data":{"secret":"s"}},{"input_data":"secret"}]';
  await ask('/api/v1/models/iris/batch_inference', `{"requests":${items}}`);
  expect(lines[0]?.status).toBe(200);
  const { answer } = JSON.parse(lines[0]?.payload ?? '') as { answer: { body: object } };
  expect(answer.body).toMatchObject({ results: [{}, { error: '[redacted]' }] });
});

const EVENTS: Behaviour = {
  kind: 'answer',
  headers: { 'content-type': 'text/event-stream' },
  body: 'data: {"secret":1}\n\n',
};
const OK: Behaviour = { kind: 'answer', body: ANSWER };
const LARGE: Behaviour = { kind: 'answer', body: `"${'x'.repeat(MAX_BYTES)}"` };

test.each<readonly [string, Behaviour, string | Buffer, object, string | undefined, string]>([
  ['events', EVENTS, BODY, {}, undefined, 'stream'],
  ['a large answer', LARGE, BODY, {}, undefined, 'too_large'],
  [
    'an answer that breaks off',
    { kind: 'half', body: '{"secret":' },
    BODY,
    {},
    undefined,
    'incomplete',
  ],
  ['an error of the server', json({ error: 'secret 42' }, 400), BODY, {}, undefined, 'error'],
  ['a compressed request', OK, gzipSync(BODY), { 'content-encoding': 'gzip' }, 'compressed', ''],
  ['binary tensors', OK, '{}\0', { 'inference-header-content-length': '2' }, 'binary', ''],
  ['a large request', OK, `{"x":"${'x'.repeat(MAX_BYTES)}"}`, {}, 'too_large', ''],
  ['a request that is streamed', OK, `{"x":"${'x'.repeat(2 ** 21)}"}`, {}, 'too_large', ''],
])('of %s the line says why it is left out', async (_, answer, body, headers, request, is) => {
  const { ask, lines } = await recorded(answer);
  await ask(INFER, body, { ...headers });
  const payload = JSON.parse(lines[0]?.payload ?? '') as Record<string, object>;
  if (request !== undefined) expect(payload['request']).toEqual({ omitted: request });
  else expect(payload['request']).toHaveProperty('body');
  if (is !== '') expect(payload['answer']).toEqual({ omitted: is });
});

test('an error of the router, which may quote a value, is left out where values are redacted', async () => {
  const body = '{"input_data":{"secret":42},"timeout":"secret 42"}';
  const { ask, lines } = await recorded(OK);
  await ask('/api/v1/models/iris/inference', body);
  expect(lines[0]?.status).toBe(400);
  expect(JSON.parse(lines[0]?.payload ?? '')).toMatchObject({ answer: { omitted: 'error' } });

  const open = await recorded(OK, 'v2', []);
  await open.ask('/api/v1/models/iris/inference', body);
  expect(JSON.parse(open.lines[0]?.payload ?? '')).toMatchObject({
    answer: { body: { error: { code: 'INVALID_REQUEST' } } },
  });
});

test.each([
  ['another model', INFER.replace('iris', 'rose'), BODY, {}],
  ['another model by its body', CHAT, '{"model":"rose"}', {}],
  ['a model that does not exist', INFER.replace('iris', 'lily'), BODY, {}],
  ['a caller that is not recognized', INFER, BODY, { 'x-api-key': 'wrong' }],
])('nothing is recorded of %s', async (_, path, body, headers) => {
  const { ask, lines } = await recorded(OK);
  await ask(path, body, headers as Asking['headers']);
  expect(lines).toHaveLength(1);
  expect(lines[0]?.payload).toBeUndefined();
});

test('a caller that leaves first leaves what it sent', async () => {
  const { plane, lines } = await recorded({ kind: 'silence' });
  const gone = new AbortController();
  const asked = plane.ask(INFER, {
    method: 'POST',
    headers: { 'x-api-key': KEY.key },
    body: BODY,
    signal: gone.signal,
  });
  await until(() => plane.load.arms().some(({ inFlight }) => inFlight > 0), 'it is at the server');
  gone.abort();
  await expect(asked).rejects.toThrow('aborted');
  await until(() => lines.length > 0, 'the line is there');
  expect(Object.keys(JSON.parse(lines[0]?.payload ?? '') as object)).toEqual(['request']);
});
