import type { AuditEntry } from '../../runtime/audit';
import type { Authenticate } from '../../runtime/auth/port';
import { json, startBackend, stopBackends } from '../support/backend';
import type { Asking, TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const CLINIC: Authenticate = ({ fields }) =>
  fields.get('x-api-key') === 'secret-key'
    ? { ok: true, caller: { name: 'clinic', scopes: ['infer'] } }
    : { ok: false, code: 'UNAUTHENTICATED', message: 'no key' };

const HEADERS = { 'x-api-key': 'secret-key', 'x-request-id': 'r-1' };
const V2 = { outputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: [0.5] }] };
const BODY = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] };

async function audited(): Promise<{ plane: TestPlane; lines: AuditEntry[] }> {
  const lines: AuditEntry[] = [];
  const plane = await startPlane({ authenticate: CLINIC, audit: (line) => lines.push(line) });
  return { plane, lines };
}

const IRIS = { id: 'iris', version: 'v1', framework: 'custom', image: 'r.example/i:1' } as const;
const WHERE = { address: '127.0.0.1', requestId: 'r-1' };
const ENTRY = { caller: 'clinic', action: 'infer', model: 'iris', ...WHERE };
const FROM_STABLE = { ...ENTRY, arm: 'stable', version: 'v1' };

const calls: readonly (readonly [string, string, object, object])[] = [
  ['V2', '/v2/models/iris/infer', BODY, FROM_STABLE],
  ['native', '/api/v1/models/iris/inference', { input_data: { x: [1] } }, FROM_STABLE],
  [
    'a batch',
    '/api/v1/models/iris/batch_inference',
    { requests: [{ input_data: { x: [1] } }, { input_data: { x: [2] } }] },
    FROM_STABLE,
  ],
  ['a translated call', '/v1/models/iris:predict', { instances: [{ x: 1 }] }, FROM_STABLE],
];

test.each(calls)('%s leaves one line with caller and version', async (_, path, body, is) => {
  const backend = await startBackend(() => json(V2));
  const { plane, lines } = await audited();
  const server = { kind: 'custom', protocol: 'v2' } as const;
  plane.route({ input: { ...IRIS, server }, ports: { stable: [backend.port] } });
  const asking: Asking = { headers: HEADERS, body: JSON.stringify(body) };
  expect((await plane.ask(path, { method: 'POST', ...asking })).status).toBe(200);
  expect(lines).toEqual([{ ...is, status: 200, at: expect.any(Number), ms: expect.any(Number) }]);
  expect(JSON.stringify(lines)).not.toContain('secret-key');
});

test('a native call of a stream leaves the same line', async () => {
  const backend = await startBackend(() => json({ choices: [{ message: { content: 'hello' } }] }));
  const { plane, lines } = await audited();
  const server = { kind: 'custom', protocol: 'openai' } as const;
  plane.route({ input: { ...IRIS, server }, ports: { stable: [backend.port] } });
  const headers = { ...HEADERS, accept: 'text/event-stream' };
  const body = JSON.stringify({ input_data: { messages: [] } });
  const got = await plane.ask('/api/v1/models/iris/inference', { headers, body });
  expect(got.status).toBe(200);
  expect(lines).toMatchObject([FROM_STABLE]);
});

test('a refused caller leaves a line without a name', async () => {
  const { plane, lines } = await audited();
  const got = await plane.ask('/v2/models/iris/infer', {
    method: 'POST',
    headers: { 'x-request-id': 'r-2' },
    body: '{}',
  });
  expect(got.status).toBe(401);
  expect(lines).toEqual([
    {
      action: 'infer',
      caller: undefined,
      model: undefined,
      arm: undefined,
      version: undefined,
      status: 401,
      address: '127.0.0.1',
      requestId: 'r-2',
      at: expect.any(Number),
      ms: expect.any(Number),
    },
  ]);
});

test('a caller that disconnects leaves one line with 499', async () => {
  const backend = await startBackend(() => ({ kind: 'silence' }));
  const { plane, lines } = await audited();
  plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
  const gone = new AbortController();
  const asked = plane.ask('/v2/models/iris/infer', {
    method: 'POST',
    headers: HEADERS,
    body: JSON.stringify(BODY),
    signal: gone.signal,
  });
  await until(() => backend.seen.length === 1, 'the replica has it');
  gone.abort();
  await expect(asked).rejects.toThrow('aborted');
  await until(() => lines.length > 0, 'the line is there');
  expect(lines).toEqual([
    {
      ...ENTRY,
      arm: undefined,
      version: undefined,
      status: 499,
      at: expect.any(Number),
      ms: expect.any(Number),
    },
  ]);
});

test('a known caller without access to the model is recorded, with the model', async () => {
  const lines: AuditEntry[] = [];
  const authenticate: Authenticate = () => ({
    ok: true,
    caller: { name: 'clinic', scopes: ['infer'], models: ['rose'] },
  });
  const plane = await startPlane({ authenticate, audit: (line) => lines.push(line) });
  plane.route({ input: { id: 'iris' }, ports: {} });
  const post = { method: 'POST', headers: HEADERS, body: '{}' };
  expect((await plane.ask('/v2/models/iris/infer', post)).status).toBe(403);
  expect((await plane.ask('/v2/models/of-my-own/infer', post)).status).toBe(403);
  expect(lines).toMatchObject([
    { caller: 'clinic', model: 'iris', address: '127.0.0.1', status: 403 },
    // A name that only the caller knows may be any text.
    { caller: 'clinic', model: undefined, status: 403 },
  ]);
});

test.each([
  ['10.1.2.3', '10.1.2.3'],
  ['8.8.8.8, 2001:db8::1', '2001:db8::1'],
  ['not an address', '127.0.0.1'],
])('behind a trusted proxy that states %s the address is %s', async (told, address) => {
  const lines: AuditEntry[] = [];
  const plane = await startPlane({
    authenticate: CLINIC,
    audit: (line) => lines.push(line),
    trustedProxies: ['127.0.0.1'],
  });
  const headers = { ...HEADERS, 'x-forwarded-for': told };
  await plane.ask('/v2/models/iris/infer', { method: 'POST', headers, body: '{}' });
  expect(lines).toMatchObject([{ address }]);
});
