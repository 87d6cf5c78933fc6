import type { Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { PlaneOptions } from '../support/plane';
import { startPlane, stopPlanes } from '../support/plane';
import { speaking } from '../support/servers';
import { parseConfig } from '../../runtime/app/config';

// Which headers pass is a list of names, both ways.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const NONE = { toServers: [], toCallers: [] };

async function routed(behave: Behave, options: PlaneOptions = {}) {
  const backend = await startBackend(behave);
  const plane = await startPlane({ extraHeaders: NONE, ...options });
  plane.route({ input: speaking('v2'), ports: { stable: [backend.port] } });
  return { backend, plane };
}

const INFER = '/v2/models/iris/infer';
const BODY = '{"inputs":[]}';
const ok: Behave = () => json({ outputs: [] });

/** Of proxies, logins and keys, in the spelling of servers that take `_` for `-` as well. */
const UNLISTED = [
  'X_Forwarded_For',
  'X_Real_IP',
  'X_API_KEY',
  'X-Remote-User',
  'X_Remote_User',
  'Remote-User',
  'Api-Key',
  'Api_Key',
  'X-Auth-Token',
  'X-Access-Token',
  'X-Auth-Request-Email',
  'X-Forwarded-User',
  'X-WEBAUTH-USER',
  'X-SSL-Client-Cert',
  'X-Amzn-Oidc-Identity',
  'X-Goog-Authenticated-User-Email',
  'X-MS-Client-Principal',
  'X-Original-URL',
  'X-HTTP-Method-Override',
  'X-Session-Token',
  'Kubeflow-Userid',
  'Impersonate-User',
  'X-User-Id',
  'Origin',
  'Referer',
  'Sec-Fetch-Mode',
  'If-None-Match',
  'Range',
  'Content_Type',
  'Accept_Encoding',
  'Inference_Header_Content_Length',
  'Set-Cookie',
];

test.each(UNLISTED)('%s of a caller reaches no model server', async (name) => {
  const { backend, plane } = await routed(ok);
  const headers = { [name]: 's3cret', origin: `http://127.0.0.1:${plane.port}` };
  expect((await plane.post(INFER, BODY, headers)).status).toBe(200);
  expect((await plane.ask('/v2/models/iris', { headers: { [name]: 's3cret' } })).status).toBe(200);
  expect(backend.seen).toHaveLength(2);
  for (const seen of backend.seen) expect(seen.rawHeaders).not.toContain('s3cret');
});

test('a trusted proxy states its caller; variants with underscores are ignored', async () => {
  const { backend, plane } = await routed(ok, { trustedProxies: ['127.0.0.1'] });
  await plane.post(INFER, BODY, { 'X-Remote-User': 'ann', X_Remote_User: 'eve', X_Real_IP: 'eve' });
  expect(backend.seen[0]?.headers['x-remote-user']).toBe('ann');
  expect(backend.seen[0]?.rawHeaders).not.toContain('eve');
});

test('listed headers pass unchanged', async () => {
  const { backend, plane } = await routed(ok);
  const listed = {
    accept: 'application/json',
    'accept-encoding': 'br',
    'accept-language': 'zh',
    'user-agent': 'client/1',
    tracestate: 'a=b',
    baggage: 'c=d',
    'x-b3-traceid': '1',
    'ce-id': '7',
    'idempotency-key': 'k',
  };
  await plane.post(INFER, BODY, listed);
  expect(backend.seen[0]?.headers).toMatchObject(listed);
});

test('further headers pass by configuration, but never credentials', async () => {
  const extraHeaders = { toServers: ['x-tenant'], toCallers: ['x-batch'] };
  const behave: Behave = () => ({
    kind: 'answer',
    headers: { 'x-batch': '7', 'x-other': '8' },
    body: '{}',
  });
  const { backend, plane } = await routed(behave, { extraHeaders });
  const got = await plane.post(INFER, BODY, { 'x-tenant': 'a', x_tenant: 'b', 'x-other': 'c' });
  expect(backend.seen[0]?.headers).toMatchObject({ 'x-tenant': 'a' });
  expect(backend.seen[0]?.rawHeaders).not.toEqual(expect.arrayContaining(['b']));
  expect(got.headers).toMatchObject({ 'x-batch': '7' });
  expect(got.headers).not.toHaveProperty('x-other');
  for (const name of ['authorization', 'x-api-key', 'cookie', 'x_tenant', 'X-Tenant', 'host']) {
    expect(() => parseConfig(`inference: { passed_headers: [${name}] }`)).toThrow('passed_headers');
  }
});

const HOSTILE = {
  'set-cookie': 'session=1',
  'clear-site-data': '"*"',
  'strict-transport-security': 'max-age=9',
  'access-control-allow-origin': '*',
  'access-control-allow-credentials': 'true',
  'alt-svc': 'h3="evil.example:443"',
  refresh: '0; url=http://evil.example',
  location: 'http://evil.example',
  link: '</x>; rel=preload',
  'www-authenticate': 'Basic realm="x"',
  'service-worker-allowed': '/',
  'x-accel-redirect': '/etc/passwd',
  'x-envoy-immediate-health-check-fail': 'true',
  sourcemap: '/x',
  nel: '{}',
  'report-to': '{}',
  'content-security-policy': "default-src 'unsafe-inline'",
  'x-powered-by': 'x',
};
const SAFE = { 'content-type': 'text/html', 'retry-after': '3', 'cache-control': 'no-store' };

test.each([200, 401, 404, 500])(
  'a server that answers %d cannot affect the origin of /docs',
  async (status) => {
    const headers = { ...HOSTILE, ...SAFE };
    const body = '<script>fetch("/api/v1/models/iris",{method:"DELETE"})</script>';
    const { plane } = await routed(() => ({ kind: 'answer', status, headers, body }));
    for (const got of [await plane.ask('/v2/models/iris'), await plane.post(INFER, BODY)]) {
      expect(got.status).toBe(status);
      expect(got.text).toBe(body);
      expect(got.headers).toMatchObject(SAFE);
      expect(got.headers['x-content-type-options']).toBe('nosniff');
      expect(got.headers['content-security-policy']).toBe(
        "sandbox; default-src 'none'; frame-ancestors 'none'",
      );
      const { 'content-security-policy': _, ...others } = HOSTILE;
      for (const name of Object.keys(others)) expect(got.headers).not.toHaveProperty(name);
    }
  },
);

test('responses of the router itself cannot be read as another type', async () => {
  const { plane } = await routed(ok);
  for (const path of ['/v2', '/v2/models/none', '/openai/v1/models', '/v2/nothing']) {
    expect((await plane.ask(path)).headers['x-content-type-options']).toBe('nosniff');
  }
});

const FORM = 'application/x-www-form-urlencoded';
test.each([
  [undefined, 'application/json'],
  [FORM, 'application/json'],
  [`${FORM}; charset=utf-8`, 'application/json'],
  ['text/plain', 'application/json'],
  ['text/json', 'application/json'],
  ['application/json', 'application/json'],
  ['application/json; charset=utf-8', 'application/json; charset=utf-8'],
  ['application/cbor', 'application/cbor'],
])('a body of type %s is forwarded as %s', async (given, sent) => {
  const backend = await startBackend(() => json({ predictions: [1], choices: [] }));
  const plane = await startPlane();
  plane.route(
    { input: { ...speaking('v1'), id: 'rows' }, ports: { stable: [backend.port] } },
    { input: { ...speaking('v2'), id: 'tensors' }, ports: { stable: [backend.port] } },
    { input: { ...speaking('openai'), id: 'chat' }, ports: { stable: [backend.port] } },
  );
  const headers: Record<string, string> = given === undefined ? {} : { 'content-type': given };
  const post = (path: string, body: string) => plane.ask(path, { method: 'POST', headers, body });
  await post('/v1/models/rows:predict', '{"instances":[1]}');
  await post('/v2/models/tensors/infer', BODY);
  await post('/openai/v1/chat/completions', '{"model":"chat","messages":[]}');
  expect(backend.seen.map((seen) => seen.headers['content-type'])).toEqual([sent, sent, sent]);
  for (const { rawHeaders } of backend.seen) {
    expect(rawHeaders.filter((name) => /^content.type$/i.test(name))).toHaveLength(1);
  }
});

test('binary tensors are forwarded as such, whatever type curl sends', async () => {
  const { backend, plane } = await routed(ok);
  const headers = { 'content-type': FORM, 'inference-header-content-length': '13' };
  await plane.ask(INFER, { method: 'POST', headers, body: BODY });
  expect(backend.seen[0]?.headers['content-type']).toBe('application/octet-stream');
});

test('a large streamed body has a type as well', async () => {
  const { backend, plane } = await routed(ok, { limits: { streamBytes: 1024 } });
  const body = `{"inputs":[],"x":"${'a'.repeat(100_000)}"}`;
  expect((await plane.ask(INFER, { method: 'POST', body })).status).toBe(200);
  expect(backend.seen[0]?.headers['content-type']).toBe('application/json');
});

test('a body that is too large is refused with the name of the limit', async () => {
  const backend = await startBackend(ok);
  const plane = await startPlane({ limits: { openaiBytes: 1000 } });
  plane.route({
    input: { ...speaking('v2'), inference: { maxBodyBytes: 1024 } },
    ports: { stable: [backend.port] },
  });
  const large = JSON.stringify({ model: 'iris', text: 'a'.repeat(2000) });
  const chat = await plane.post('/openai/v1/chat/completions', large);
  expect(chat.status).toBe(413);
  expect(chat.text).toContain('(inference.max_openai_body_bytes)');
  expect(chat.text).not.toContain('max_body_bytes');
  for (const path of [INFER, '/v1/models/iris:predict', '/api/v1/models/iris/inference']) {
    const got = await plane.post(path, large);
    expect(got.status).toBe(413);
    expect(got.text).toContain('(inference.max_body_bytes)');
  }
});
