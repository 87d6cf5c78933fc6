import type { Authenticate, Caller } from '../../../runtime/auth/port';
import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { Placed, TestPlane } from '../../support/plane';
import { sendRaw, startPlane, stopPlanes } from '../../support/plane';

// Who may call what, which headers pass, and errors in the shape of each protocol.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const echo: Behave = ({ headers }) => json({ result: headers });

const OPENAI: Placed['input'] = {
  id: 'chat',
  framework: 'custom',
  image: 'registry.example.org/chat:1',
  server: { kind: 'custom', protocol: 'openai' },
};

const CALLERS: Readonly<Record<string, Caller>> = {
  app: { name: 'app', scopes: ['infer'], models: ['iris'] },
  reader: { name: 'reader', scopes: ['read'] },
  tester: { name: 'tester', scopes: ['infer', 'arms'] },
};

const byKey: Authenticate = ({ fields }) => {
  const caller = CALLERS[String(fields.get('x-api-key'))];
  return caller === undefined
    ? { ok: false, code: 'UNAUTHENTICATED', message: 'who are you?' }
    : { ok: true, caller };
};

async function routed(options: Parameters<typeof startPlane>[0] = {}) {
  const backend = await startBackend(echo);
  const plane = await startPlane(options);
  const candidates = [{ name: 'next', version: 'v2', source: './b.onnx', traffic: 0 }];
  plane.route(
    { input: { id: 'iris', candidates }, ports: { stable: [backend.port], next: [backend.port] } },
    { input: { id: 'empty' }, timeoutMs: 100, ports: {} },
    { input: OPENAI, ports: { stable: [backend.port] } },
  );
  return { plane, backend };
}

describe('errors have the shape of the protocol', () => {
  const shapes: Readonly<Record<string, (message: unknown) => object>> = {
    native: (message) => ({
      status: 'error',
      error: { code: expect.any(String), message, details: expect.any(Array) },
      timestamp: expect.any(String),
    }),
    kserve: (message) => ({ error: message }),
    openai: (message) => ({
      error: { message, type: expect.any(String), code: expect.any(String), param: null },
    }),
  };

  test.each([
    ['POST', '/api/v1/models/nope/inference', '{"input_data":{}}', 404, 'native'],
    ['POST', '/api/v1/models/nope/batch_inference', '{"requests":[{}]}', 404, 'native'],
    ['POST', '/v2/models/nope/infer', '{}', 404, 'kserve'],
    ['GET', '/v2/models/nope', undefined, 404, 'kserve'],
    ['POST', '/v2/models/iris/versions/v9/infer', '{}', 404, 'kserve'],
    ['POST', '/v1/models/nope:predict', '{}', 404, 'kserve'],
    ['POST', '/v1/models/chat:predict', '{}', 400, 'kserve'],
    ['POST', '/openai/v1/chat/completions', '{"model":"nope"}', 404, 'openai'],
    ['POST', '/openai/v1/chat/completions', '{"model":"iris"}', 400, 'openai'],
    ['POST', '/openai/v1/chat/completions', '{}', 400, 'openai'],
    ['POST', '/openai/v1/chat/completions', '{', 400, 'openai'],
    ['POST', '/v2/models/empty/infer', '{}', 503, 'kserve'],
    ['GET', '/v2/models/iris/config', undefined, 404, 'kserve'],
    ['GET', '/openai/v1/files', undefined, 404, 'openai'],
  ])('%s %s → %s', async (method, path, body, status, shape) => {
    const { plane, backend } = await routed();
    const got = await plane.ask(path, { method, ...(body !== undefined && { body }) });
    expect(got.status).toBe(status);
    expect(JSON.parse(got.text)).toEqual(shapes[shape]?.(expect.any(String)));
    expect(got.headers).toMatchObject({
      'content-type': 'application/json',
      'x-request-id': 'id-1',
    });
    expect(backend.seen).toHaveLength(0);
  });

  test('503 says when to come back', async () => {
    const { plane } = await routed();
    const got = await plane.post('/api/v1/models/empty/inference', { input_data: {} });
    expect(got.status).toBe(503);
    expect(Number(got.headers['retry-after'])).toBeGreaterThan(0);
  });

  test.each(['/api/v1/models/iris/inference', '/v2/models/iris/infer', '/v1/models/iris:predict'])(
    '405 of %s says which method it takes',
    async (path) => {
      const { plane } = await routed();
      for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PROPFIND']) {
        const got = await plane.ask(path, { method });
        expect([got.status, got.headers['allow']]).toEqual([405, 'POST']);
      }
      const got = await plane.ask(path, { method: 'OPTIONS' });
      expect([got.status, got.headers['allow'], got.text]).toEqual([204, 'POST', '']);
    },
  );

  test.each([
    ['/api/v1/models/iris/inference', 'POST'],
    ['/v2/models/iris', 'GET, HEAD'],
    ['/v1/models', 'GET, HEAD'],
    ['/', 'GET, HEAD'],
  ])('OPTIONS of %s says which methods it takes, without a body', async (path, allow) => {
    const { plane } = await routed();
    const got = await plane.ask(path, { method: 'OPTIONS' });
    expect([got.status, got.headers['allow'], got.text]).toEqual([204, allow, '']);
    expect((await plane.ask(path, { method: 'PUT' })).headers['allow']).toBe(allow);
  });

  test('OPTIONS of nothing is a 404', async () => {
    const { plane } = await routed();
    expect((await plane.ask('/v2/nothing', { method: 'OPTIONS' })).status).toBe(404);
  });

  test('413 for a body that is too large, and the connection ends', async () => {
    const backend = await startBackend(echo);
    const plane = await startPlane();
    const input = { id: 'iris', inference: { maxBodyBytes: 1024 } };
    plane.route({ input, ports: { stable: [backend.port] } });
    const got = await plane.post('/api/v1/models/iris/inference', ' '.repeat(1025));
    expect([got.status, JSON.parse(got.text).error.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    const head = 'POST /v2/models/iris/infer HTTP/1.1\r\nhost: x\r\n';
    const raw = await sendRaw(plane.port, `${head}content-length: 2000\r\n\r\n`);
    expect(raw).toMatch(/^HTTP\/1\.1 413 /);
    expect(backend.seen).toHaveLength(0);
  });

  test.each([
    ['zstd', '{}', 415],
    ['gzip', '{}', 400],
  ])('a body that says it is %s', async (encoding, body, status) => {
    const { plane } = await routed();
    const got = await plane.post('/api/v1/models/iris/inference', body, {
      'content-encoding': encoding,
    });
    expect(got.status).toBe(status);
  });
});

describe('who may call', () => {
  const paths = [
    ['POST', '/api/v1/models/iris/inference', '{"input_data":{}}'],
    ['POST', '/api/v1/models/iris/batch_inference', '{"requests":[{"input_data":{}}]}'],
    ['POST', '/v2/models/iris/infer', '{}'],
    ['GET', '/v2/models/iris', undefined],
    ['GET', '/v2/models/iris/ready', undefined],
    ['POST', '/v2/repository/index', '{}'],
    ['GET', '/v1/models', undefined],
    ['GET', '/openai/v1/models', undefined],
    ['GET', '/openai/v1/models/chat', undefined],
    ['GET', '/', undefined],
    ['POST', '/openai/v1/chat/completions', '{"model":"chat"}'],
  ] as const;

  test.each(paths)(
    '%s %s: nobody unknown, nobody without the scope',
    async (method, path, body) => {
      const { plane, backend } = await routed({ authenticate: byKey });
      const asking = { method, ...(body !== undefined && { body }) };
      const unknown = await plane.ask(path, asking);
      expect(unknown.status).toBe(401);
      expect(unknown.headers['www-authenticate']).toContain('Bearer');
      const reader = await plane.ask(path, { ...asking, headers: { 'x-api-key': 'reader' } });
      expect(reader.status).toBe(403);
      expect(backend.seen).toHaveLength(0);
    },
  );

  test('a caller of one model neither calls nor sees another', async () => {
    const { plane } = await routed({ authenticate: byKey });
    const headers = { 'x-api-key': 'app' };
    const chat = await plane.post('/openai/v1/chat/completions', { model: 'chat' }, headers);
    expect(chat.status).toBe(403);
    expect((await plane.post('/v2/models/empty/infer', {}, headers)).status).toBe(403);
    expect(JSON.parse((await plane.ask('/v1/models', { headers })).text)).toEqual({
      models: ['iris'],
    });
    expect(JSON.parse((await plane.ask('/openai/v1/models', { headers })).text).data).toEqual([]);
    const index = await plane.ask('/v2/repository/index', { headers, body: '{}' });
    expect(JSON.parse(index.text)).toEqual([
      { name: 'iris', version: 'v1', state: 'READY', reason: '' },
    ]);
  });

  test('an arm is chosen by name only with the scope for it', async () => {
    const { plane } = await routed({ authenticate: byKey });
    const ask = (key: string, arm: string) =>
      plane.post(
        '/api/v1/models/iris/inference',
        { input_data: {} },
        { 'x-api-key': key, 'x-ai-model-arm': arm },
      );
    expect((await ask('app', 'next')).status).toBe(403);
    const got = await ask('tester', 'next');
    expect([got.status, got.headers['x-ai-model-version']]).toEqual([200, 'v2']);
    expect((await ask('tester', 'nope')).text).toContain('must be one of stable, next');
    for (const path of ['/v2/models/iris/versions/v2', '/v2/models/iris/versions/v2/ready']) {
      expect((await plane.ask(path, { headers: { 'x-api-key': 'app' } })).status).toBe(403);
    }
    const headers = { 'x-api-key': 'app' };
    const infer = await plane.post('/v2/models/iris/versions/v2/infer', {}, headers);
    expect(infer.status).toBe(403);
  });

  test('a version in a V2 path is the arm that has it', async () => {
    const { plane } = await routed();
    const got = await plane.post('/v2/models/iris/versions/v2/infer', {});
    expect([got.status, got.headers['x-ai-model-arm']]).toEqual([200, 'next']);
  });

  test('while that arm rolls it is answered by replicas that run the version already', async () => {
    const [old, rolled] = await Promise.all([startBackend(echo), startBackend(echo)]);
    const plane = await startPlane();
    const standing = (...ports: readonly number[]): void =>
      plane.route({
        input: { id: 'iris', version: 'v2' },
        ports: { stable: ports },
        runs: { [old.port]: 'v1' },
      });
    const V2 = '/v2/models/iris/versions/v2';
    standing(old.port, rolled.port);
    for (let at = 0; at < 8; at += 1) {
      const got = await plane.post(`${V2}/infer`, {});
      expect([got.status, got.headers['x-ai-model-version']]).toEqual([200, 'v2']);
    }
    await plane.ask(V2);
    expect([old.seen.length, rolled.seen.length]).toEqual([0, 9]);
    expect((await plane.ask(`${V2}/ready`)).status).toBe(200);
    standing(old.port);
    expect((await plane.ask(`${V2}/ready`)).status).toBe(503);
    expect((await plane.ask('/v2/models/iris/ready')).status).toBe(200);
  });
});

describe('headers', () => {
  const callNative = async (plane: TestPlane, headers: Readonly<Record<string, string>>) => {
    const got = await plane.post('/api/v1/models/iris/inference', { input_data: {} }, headers);
    return { got, sent: JSON.parse(got.text).output_data as Readonly<Record<string, string>> };
  };

  const SECRETS = {
    authorization: 'Bearer s3cret-token',
    'x-api-key': 's3cret-key',
    cookie: 'session=s3cret',
    'proxy-authorization': 'Basic s3cret',
  };

  test.each([
    ['/api/v1/models/iris/inference', '{"input_data":{}}'],
    ['/api/v1/models/iris/batch_inference', '{"requests":[{"input_data":{}}]}'],
    ['/v2/models/iris/infer', '{}'],
    ['/v1/models/iris:predict', '{}'],
    ['/openai/v1/chat/completions', '{"model":"chat"}'],
  ])('no credential of a caller reaches a model server through %s', async (path, body) => {
    const { plane, backend } = await routed();
    await plane.post(path, body, SECRETS);
    expect(backend.seen.length).toBeGreaterThan(0);
    for (const { rawHeaders, body: bytes } of backend.seen) {
      expect(rawHeaders.join('\n') + bytes.toString()).not.toContain('s3cret');
    }
  });

  test('of one connection stay there; what Connection names, too', async () => {
    const { plane } = await routed();
    const { sent } = await callNative(plane, {
      connection: 'keep-alive, x-hop',
      'x-hop': '1',
      te: 'trailers',
      upgrade: 'websocket',
      'x-kept': 'yes',
    });
    expect(Object.keys(sent)).not.toEqual(expect.arrayContaining(['x-hop']));
    expect(sent).not.toHaveProperty('te');
    expect(sent).not.toHaveProperty('upgrade');
    expect(sent).toMatchObject({ 'x-kept': 'yes' });
  });

  test('X-Forwarded-* of strangers are not believed, those of our proxies are', async () => {
    const given = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' };
    const { plane: open } = await routed();
    expect((await callNative(open, given)).sent).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
    });
    const { plane: behind } = await routed({ trustedProxies: ['127.0.0.0/8'] });
    expect((await callNative(behind, given)).sent).toMatchObject({
      'x-forwarded-for': '203.0.113.9, 127.0.0.1',
      'x-forwarded-proto': 'https',
    });
  });

  test('ids and traces pass when they are sane, else they are made anew', async () => {
    const { plane } = await routed();
    const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const good = await callNative(plane, { 'x-request-id': 'call-7', traceparent: trace });
    expect(good.got.headers).toMatchObject({ 'x-request-id': 'call-7', traceparent: trace });
    expect(good.sent).toMatchObject({ 'x-request-id': 'call-7', traceparent: trace });
    const bad = await callNative(plane, { 'x-request-id': 'a b', traceparent: '00-x' });
    expect(bad.got.headers['x-request-id']).toBe('id-1');
    expect(bad.sent).not.toHaveProperty('traceparent');
  });

  test('what a server says of itself and of us does not reach the caller', async () => {
    const backend = await startBackend(() => ({
      kind: 'answer',
      body: '{}',
      headers: { server: 'secret/1.0', 'x-ai-model-arm': 'forged', 'x-own': 'kept' },
    }));
    const plane = await startPlane();
    plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
    const { headers } = await plane.post('/v2/models/iris/infer', {});
    expect(headers).not.toHaveProperty('server');
    expect(headers).toMatchObject({ 'x-ai-model-arm': 'stable', 'x-own': 'kept' });
  });
});

test('readiness of a model is the router’s to tell: nothing is asked, nothing is counted', async () => {
  const { plane, backend } = await routed();
  const ready = async (path: string) => {
    const got = await plane.ask(path);
    return [got.status, JSON.parse(got.text)];
  };
  expect(await ready('/v2/models/iris/ready')).toEqual([200, { name: 'iris', ready: true }]);
  expect(await ready('/v2/models/empty/ready')).toEqual([503, { name: 'empty', ready: false }]);
  expect(await ready('/v2/models/iris/versions/v2/ready')).toEqual([
    200,
    { name: 'iris', ready: true },
  ]);
  expect([backend.seen.length, plane.outcomes.length]).toEqual([0, 0]);
});

test('asking what a model is counts as no inference', async () => {
  const { plane, backend } = await routed();
  await plane.ask('/v2/models/iris');
  await plane.ask('/v2/models/iris/versions/v2');
  expect([backend.seen.length, plane.outcomes.length]).toEqual([2, 0]);
  await plane.post('/v2/models/iris/infer', {});
  expect(plane.outcomes).toHaveLength(1);
});

test('the router is not ready when the service is not', async () => {
  const plane = await startPlane({ isReady: () => false });
  const got = await plane.ask('/v2/health/ready');
  expect([got.status, JSON.parse(got.text)]).toEqual([503, { ready: false }]);
  expect((await plane.ask('/v2/health/live')).status).toBe(200);
});

test('a model that OpenAI’s list has not is not found one by one either', async () => {
  const { plane } = await routed();
  for (const id of ['iris', 'nobody']) {
    const got = await plane.ask(`/openai/v1/models/${id}`);
    const { error } = JSON.parse(got.text) as { error: object };
    expect([got.status, error]).toEqual([
      404,
      expect.objectContaining({ code: 'model_not_found', type: 'invalid_request_error' }),
    ]);
  }
});

test.each(['/v2', '/v2/health/ready', '/v2/models/iris', '/v1/models/iris', '/openai/v1/models'])(
  'HEAD of %s has the head of GET and no body',
  async (path) => {
    const { plane, backend } = await routed();
    const got = await plane.ask(path);
    const head = await plane.ask(path, { method: 'HEAD' });
    const own = new Set(['x-request-id', 'date']);
    const named = ({ headers }: typeof got) =>
      Object.entries(headers).filter(([name]) => !own.has(name));
    expect([head.status, named(head), head.text]).toEqual([got.status, named(got), '']);
    expect(backend.seen.map(({ method }) => method)).not.toContain('HEAD');
  },
);

test('the trace of a request is in its account', async () => {
  const { plane } = await routed();
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  await plane.post('/v2/models/iris/infer', {}, { traceparent });
  await plane.post('/v2/models/iris/infer', {});
  expect(plane.outcomes.map(({ traceId }) => traceId)).toEqual(['a'.repeat(32), undefined]);
});

test('an answer without a body to wait for keeps its connection', async () => {
  const { plane } = await routed();
  const raw = await sendRaw(
    plane.port,
    'GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\nGET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  );
  expect(raw.match(/200 OK/g)).toHaveLength(2);
});

test('the router answers for itself where the protocol asks about servers', async () => {
  const { plane } = await routed();
  const get = async (path: string) => JSON.parse((await plane.ask(path)).text);
  expect(await get('/v2')).toMatchObject({ name: 'ai-model-service', version: '1.2.3' });
  expect(await get('/v2/health/live')).toEqual({ live: true });
  expect(await get('/v2/health/ready')).toEqual({ ready: true });
  expect(await get('/')).toEqual({ status: 'alive' });
  expect(await get('/v1/models')).toEqual({ models: ['iris', 'empty', 'chat'] });
  expect(await get('/openai/v1/models/chat')).toMatchObject({ id: 'chat', object: 'model' });
  expect(await get('/openai/v1/models')).toMatchObject({ data: [{ id: 'chat', object: 'model' }] });
});

test('the router is alive but not ready while it may not be sent requests', async () => {
  let isReady = true;
  const plane = await startPlane({ isReady: () => isReady });
  const probe = async (path: string) => {
    const got = await plane.ask(path);
    return [got.status, JSON.parse(got.text)];
  };
  expect(await probe('/v2/health/ready')).toEqual([200, { ready: true }]);
  isReady = false;
  expect(await probe('/v2/health/ready')).toEqual([503, { ready: false }]);
  expect(await probe('/v2/health/live')).toEqual([200, { live: true }]);
});

test('the same caller stays with one version; requests of other callers do not change that', async () => {
  const backends = await Promise.all([1, 2].map(() => startBackend(echo)));
  const plane = await startPlane();
  const candidates = [{ name: 'next', version: 'v2', source: './b.onnx', traffic: 50 }];
  plane.route({
    input: { id: 'iris', candidates },
    ports: { stable: [backends[0]?.port ?? 0], next: [backends[1]?.port ?? 0] },
  });
  const versionsOf = async (user: string) => {
    const versions = new Set<unknown>();
    for (let at = 0; at < 5; at += 1) {
      const got = await plane.post('/v2/models/iris/infer', {}, { 'x-user-id': user });
      versions.add(got.headers['x-ai-model-version']);
    }
    return versions;
  };
  const all = new Set<unknown>();
  for (let user = 0; user < 20; user += 1) {
    const own = await versionsOf(`user-${user}`);
    expect(own.size).toBe(1);
    own.forEach((one) => all.add(one));
  }
  expect([...all].sort()).toEqual(['v1', 'v2']);
});
