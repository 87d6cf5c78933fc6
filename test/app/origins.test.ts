import type { Service } from '../../runtime/app/service';
import { crossOrigin, isKnownHost } from '../../runtime/shared/origins';
import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { Asking } from '../support/plane';
import { ask } from '../support/plane';
import { projectFolder, serviceIn } from './support';

// What web pages may do with a service that the browser they are shown in can reach.

let folder: ReturnType<typeof projectFolder>;
let service: Service | undefined;
let backend: Backend;

beforeEach(async () => {
  folder = projectFolder();
  backend = await startBackend(() => json({ outputs: [] }));
});

afterEach(async () => {
  await service?.close();
  service = undefined;
  await stopBackends();
  folder.remove();
});

async function started(more = '', rest = ''): Promise<number> {
  const server = `server: { port: 0, accept_seconds: 0${more} }\n${rest}`;
  service = await serviceIn(folder.path, server, [backend]);
  return Number(new URL(service.url).port);
}

const CHANGES: readonly (readonly [string, string, string | undefined])[] = [
  ['POST', '/api/v1/models/iris/abort', undefined],
  ['DELETE', '/api/v1/models/iris', undefined],
  ['PUT', '/api/v1/models/iris', '{"config":{}}'],
  ['POST', '/api/v1/models/iris/scale', '{"replicas":0}'],
  ['POST', '/api/v1/models/deploy', '{"config":{}}'],
  ['POST', '/v2/models/iris/infer', '{"inputs":[]}'],
  ['POST', '/v1/models/iris:predict', '{"instances":[1]}'],
  ['POST', '/api/v1/models/iris/inference', '{"input_data":{"x":[1]}}'],
  ['POST', '/api/v1/models/iris/batch_inference', '{"requests":[]}'],
  ['POST', '/openai/v1/chat/completions', '{"model":"iris","messages":[]}'],
];

const foreigners = (port: number): readonly Asking['headers'][] => [
  { origin: 'http://203.0.113.5' },
  { origin: 'http://203.0.113.5:8080' },
  { origin: 'http://[2001:db8::1]' },
  { origin: 'http://evil.localhost' },
  { origin: 'http://localhost:1' },
  { origin: `http://localhost.evil.example:${port}` },
  { origin: 'https://evil.example' },
  { origin: 'null' },
  { origin: '' },
  { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { origin: `http://127.0.0.1:${port}.evil.example` },
  { origin: `http://evil@127.0.0.1:${port}` },
  { origin: 'http://203.0.113.5', connection: 'origin' },
  { 'sec-fetch-site': 'cross-site', connection: 'sec-fetch-site' },
];

test.each(CHANGES)('a page of another origin must not %s %s', async (method, path, body) => {
  const port = await started();
  for (const headers of foreigners(port)) {
    for (const type of ['application/json', 'text/plain', undefined]) {
      const typed = { ...headers, ...(type !== undefined && { 'content-type': type }) };
      const asking = { method, headers: typed, ...(body !== undefined && { body }) };
      const got = await ask(port, path, asking);
      expect([headers, got.status]).toEqual([headers, 403]);
      expect(got.text).not.toContain('set-cookie');
    }
  }
  expect(backend.seen.filter((seen) => seen.method === 'POST')).toEqual([]);
});

test('a page of the service itself may change models and call them', async () => {
  const port = await started();
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`]) {
    const own = { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' };
    const typed = { ...own, 'content-type': 'application/json' };
    const infer = { headers: typed, body: '{"inputs":[]}' };
    expect((await ask(port, '/v2/models/iris/infer', infer)).status).toBe(200);
    const traffic = { headers: typed, body: '{"candidate":"none","percent":1}' };
    expect((await ask(port, '/api/v1/models/iris/traffic', traffic)).status).toBe(400);
    const abort = await ask(port, '/api/v1/models/iris/abort', { method: 'POST', headers: own });
    expect(abort.status).toBeLessThan(403);
  }
});

test('the body of a page must be JSON, or tensors that a foreign page cannot send', async () => {
  const port = await started();
  const own = { origin: `http://127.0.0.1:${port}` };
  const infer = (headers: Asking['headers']) =>
    ask(port, '/v2/models/iris/infer', { headers: { ...own, ...headers }, body: '{"inputs":[]}' });
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    expect((await infer({ 'content-type': type })).status).toBe(415);
  }
  expect((await infer({})).status).toBe(415);
  const put = { method: 'PUT', headers: { ...own, 'content-type': 'text/plain' }, body: '{}' };
  expect((await ask(port, '/api/v1/models/iris', put)).status).toBe(415);
  for (const type of ['application/json; charset=utf-8', 'application/vnd.api+json']) {
    expect((await infer({ 'content-type': type })).status).toBe(200);
  }
  const binary = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': '13',
  };
  expect((await infer(binary)).status).toBe(200);
});

test('requests of curl pass: no browser headers, no body or its form type', async () => {
  const port = await started();
  const infer = {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: '{"inputs":[]}',
  };
  expect((await ask(port, '/v2/models/iris/infer', infer)).status).toBe(200);
  const abort = await ask(port, '/api/v1/models/iris/abort', { method: 'POST' });
  expect(abort.status).not.toBe(403);
});

test('pages of this machine may read', async () => {
  const port = await started();
  const headers = { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site' };
  expect((await ask(port, '/api/v1/models', { headers })).status).toBe(200);
  expect((await ask(port, '/docs', { headers: { 'sec-fetch-site': 'cross-site' } })).status).toBe(
    200,
  );
});

test('behind a proxy with another host the origin is compared with the host that the proxy states', async () => {
  const call = (port: number, origin: string) =>
    ask(port, '/v2/models/iris/infer', {
      headers: { origin, 'x-forwarded-host': 'models.example', 'content-type': 'application/json' },
      body: '{"inputs":[]}',
    });
  const open = 'auth: { mode: none }';
  const port = await started(", trusted_proxies: ['127.0.0.1']", open);
  expect((await call(port, 'https://models.example')).status).toBe(200);
  expect((await call(port, 'https://models.example:8443')).status).toBe(403);
  expect((await call(port, `http://127.0.0.1:${port}`)).status).toBe(403);
  const change = {
    method: 'POST',
    headers: { origin: 'https://models.example', 'x-forwarded-host': 'models.example' },
  };
  const abort = await ask(port, '/api/v1/models/iris/abort', change);
  expect(abort.status).not.toBe(403);
  await service?.close();
  // A stranger says nothing of that kind.
  expect((await call(await started('', open), 'https://models.example')).status).toBe(403);
});

test('further origins are allowed by configuration', async () => {
  const origins = ", allowed_origins: ['https://console.example']";
  const port = await started(origins, 'auth: { mode: none }');
  const call = (origin: string) =>
    ask(port, '/v2/models/iris/infer', {
      headers: { origin, 'sec-fetch-site': 'cross-site', 'content-type': 'application/json' },
      body: '{"inputs":[]}',
    });
  expect((await call('https://console.example')).status).toBe(200);
  const refused = await call('https://console.example.evil');
  expect(refused.status).toBe(403);
  expect(refused.text).toContain('server.allowed_origins');
});

test.each([
  ['http://models.example', 'models.example:80', true],
  ['https://models.example', 'MODELS.example:443', true],
  ['https://models.example', 'models.example', true],
  ['http://models.example', 'models.example:443', false],
  ['http://models.example:8080', 'models.example', false],
  ['http://models.example/x', 'models.example', false],
  ['models.example', 'models.example', false],
  ['http://a, http://b', 'a', false],
  ['http://constructor', 'toString', false],
])('the origin %s is of the host %s: %s', (origin, host, isOwn) => {
  const headers = new Map([['origin', origin]]);
  const refused = crossOrigin({ method: 'POST', headers, host, allowedOrigins: [] });
  expect(refused === undefined).toBe(isOwn);
});

test.each([
  [undefined, true],
  ['10.0.0.7:9090', true],
  ['[fd00::1]:9090', true],
  ['localhost', true],
  ['ai-model-service', true],
  ['ai-model-service.ai.svc:9090', true],
  ['ai-model-service.ai.svc.cluster.local', true],
  ['evil.example', false],
  ['evil.example.:9090', false],
  ['cluster.local.evil.example', false],
  ['printer.local', false],
  ['127.0.0.1.nip.example', false],
  ['router.example:9090', true],
])('the ops port answers to the host %s: %s', (host, may) => {
  expect(isKnownHost(host, ['router.example'])).toBe(may);
});
