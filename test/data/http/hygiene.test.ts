import { networkInterfaces } from 'node:os';
import { gzipSync } from 'node:zlib';
import type { Authenticate } from '../../../runtime/auth/port';
import type { Service } from '../../control/support';
import { serve } from '../../control/support';
import type { Backend, Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { PlaneOptions, TestPlane } from '../../support/plane';
import { sendRaw, startPlane, stopPlanes } from '../../support/plane';

// What belongs to HTTP itself, on the paths of both planes: the real app stands behind the engine.

let service: Service;
beforeAll(async () => {
  service = await serve();
});
afterAll(() => service.close());
afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const echo: Behave = ({ headers, body }) => ({
  kind: 'answer',
  headers: { 'x-got': JSON.stringify(headers) },
  body,
});
const METADATA = { name: 'iris', versions: ['1'], platform: 'x', inputs: [], outputs: [] };
const server: Behave = (seen, nth) => (seen.method === 'GET' ? json(METADATA) : echo(seen, nth));

interface Ground {
  readonly plane: TestPlane;
  readonly backend: Backend;
}

async function ground(options: PlaneOptions = {}, behave = server): Promise<Ground> {
  const backend = await startBackend(behave);
  const { hostname: host, port } = new URL(service.url);
  const plane = await startPlane({ management: { host, port: Number(port) }, ...options });
  const inference = { maxBodyBytes: 100_000 };
  plane.route({ input: { id: 'iris', inference }, ports: { stable: [backend.port] } });
  return { plane, backend };
}

const CLOSE = 'Connection: close\r\n';
const get = (path: string, more = CLOSE): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const post = (path: string, body: string, more = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;

const INFERENCE = ['/v2/models/iris', '/v2', '/v1/models', '/v2/health/live', '/openai/v1/models'];
const MANAGEMENT = ['/health/live', '/api/v1/models', '/openapi.json'];

describe('Upgrade', () => {
  const H2C =
    'Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n';

  test.each([...INFERENCE, ...MANAGEMENT])('to h2c is ignored: %s', async (path) => {
    const { plane } = await ground();
    expect(await sendRaw(plane.port, get(path, H2C))).toMatch(/^HTTP\/1\.1 200 /);
  });

  test.each([
    H2C,
    'HTTP2-Settings: AAMA\r\nUpgrade: h2c\r\nConnection: close\r\n',
    'Upgrade: TLS/1.3\r\nConnection: upgrade, close\r\n',
  ])('never reaches a model server: %j', async (more) => {
    const { plane, backend } = await ground();
    const raw = await sendRaw(plane.port, post('/v2/models/iris/infer', '{}', more));
    expect(raw).toMatch(/^HTTP\/1\.1 200 /);
    for (const name of ['upgrade', 'http2-settings']) {
      expect(backend.seen[0]?.headers).not.toHaveProperty(name);
    }
  });

  test.each(['/v2/models/iris', '/v2', '/health/live', '/api/v1/models/iris/inference'])(
    'to WebSocket is refused with the reason: %s',
    async (path) => {
      const { plane, backend } = await ground();
      const more =
        'Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
      const raw = await sendRaw(plane.port, get(path, more));
      expect(raw).toMatch(/^HTTP\/1\.1 400 [^]*connection: close[^]*WebSockets are not supported/);
      expect(backend.seen).toHaveLength(0);
    },
  );

  test.each([
    ['CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', 400],
    ['CONNECT /v2 HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ])('%j is refused, and the connection ends', async (request, status) => {
    const { plane } = await ground();
    const raw = await sendRaw(plane.port, request + get('/v2'));
    expect(raw).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(raw.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
  });
});

describe('methods', () => {
  test.each([...INFERENCE, '/v2/models/iris/ready', ...MANAGEMENT])(
    'HEAD of %s has the head of GET and no body',
    async (path) => {
      const { plane } = await ground();
      const [got, head] = await Promise.all([
        plane.ask(path, { method: 'GET' }),
        plane.ask(path, { method: 'HEAD' }),
      ]);
      const without = ({ headers }: typeof got) => {
        const { 'x-request-id': _id, date: _date, ...rest } = headers;
        return rest;
      };
      expect([head.status, head.text]).toEqual([got.status, '']);
      expect(without(head)).toEqual(without(got));
      expect(got.text).not.toBe('');
    },
  );

  test.each([
    ['/v2/models/iris', 'GET, HEAD'],
    ['/v2/models/iris/infer', 'POST'],
    ['/v1/models/iris:predict', 'POST'],
    ['/openai/v1/chat/completions', 'POST'],
    ['/openai/v1/models', 'GET, HEAD'],
    ['/api/v1/models/iris/batch_inference', 'POST'],
    ['/api/v1/models', 'GET, HEAD'],
    ['/health/live', 'GET, HEAD'],
  ])(
    'OPTIONS of %s is 204 with its methods; another method is 405 with the same',
    async (path, allow) => {
      const { plane, backend } = await ground();
      const options = await plane.ask(path, { method: 'OPTIONS' });
      expect([options.status, options.headers['allow'], options.text]).toEqual([204, allow, '']);
      expect(options.headers['x-request-id']).toBeDefined();
      for (const method of ['PATCH', 'TRACE', 'PROPFIND', 'M-SEARCH', 'FOO', 'get', 'SOURCE']) {
        const body = method === 'FOO' ? '{}' : '';
        const more = `Content-Length: ${body.length}\r\n${CLOSE}`;
        const raw = await sendRaw(
          plane.port,
          `${method} ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n${body}`,
        );
        expect([method, raw.slice(9, 12), /\r\nallow: ([^\r]*)/i.exec(raw)?.[1]]).toEqual([
          method,
          '405',
          allow,
        ]);
      }
      expect(backend.seen).toHaveLength(0);
    },
  );

  test('OPTIONS of an unknown path is 404', async () => {
    const { plane } = await ground();
    for (const path of ['/v2/nothing', '/nothing']) {
      expect((await plane.ask(path, { method: 'OPTIONS' })).status).toBe(404);
    }
  });
});

test('pipelined requests of both planes are answered in order', async () => {
  const { plane } = await ground({}, async (seen, nth) => {
    // The first ones take longest.
    for (let turn = nth; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return server(seen, nth);
  });
  const requests = [
    post('/v2/models/iris/infer', '{"at":0}'),
    get('/health/live', ''),
    post('/v2/models/iris/infer', '{"at":1}'),
    get('/v2/health/live', ''),
    get('/api/v1/models/nobody', ''),
    post('/v2/models/iris/infer', '{"at":2}'),
    get('/v1/models'),
  ];
  const raw = await sendRaw(plane.port, requests.join(''));
  const marks = [/\{"at":\d\}/, /"status":"\w+"/, /\{"live":true\}/, /\{"models":\["iris"\]\}/];
  const all = raw.match(new RegExp(marks.map(({ source }) => source).join('|'), 'g')) ?? [];
  expect(all).toEqual([
    '{"at":0}',
    expect.stringContaining('status'),
    '{"at":1}',
    '{"live":true}',
    '"status":"error"',
    '{"at":2}',
    '{"models":["iris"]}',
  ]);
});

describe('Expect: 100-continue', () => {
  const nobody: Authenticate = () => ({ ok: false, code: 'UNAUTHENTICATED', message: 'who?' });
  const waiting = (path: string, length: number): string =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;

  test.each([
    [413, '/v2/models/iris/infer', 100_001, {}],
    [413, '/api/v1/models/iris/inference', 100_001, {}],
    [401, '/v2/models/iris/infer', 10, { authenticate: nobody }],
    [401, '/openai/v1/chat/completions', 10, { authenticate: nobody }],
    [404, '/v2/models/nobody/infer', 10, {}],
    [405, '/v2/models/iris', 10, {}],
  ])('with %i of %s is answered without the body', async (status, path, length, options) => {
    const { plane, backend } = await ground(options);
    const raw = await sendRaw(plane.port, waiting(path, length));
    expect(raw).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close`));
    expect(backend.seen).toHaveLength(0);
  });

  test('is answered with 100 Continue, then with the response', async () => {
    const { plane, backend } = await ground();
    const got = await plane.ask('/v2/models/iris/infer', {
      headers: { expect: '100-continue' },
      body: '{"a":1}',
    });
    expect([got.status, got.text]).toEqual([200, '{"a":1}']);
    expect(backend.seen[0]?.headers).not.toHaveProperty('expect');
  });
});

describe('compressed bodies', () => {
  test('pass unchanged to a server of the caller’s protocol', async () => {
    const { plane, backend } = await ground();
    const body = gzipSync('{"inputs":[]}');
    const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' };
    const got = await plane.ask('/v2/models/iris/infer', { headers, body });
    expect(got.body.equals(body)).toBe(true);
    expect(backend.seen[0]?.body.equals(body)).toBe(true);
    expect(backend.seen[0]?.headers).toMatchObject(headers);
  });

  test.each([
    ['/api/v1/models/iris/inference', {}],
    ['/api/v1/models/iris/batch_inference', {}],
    ['/openai/v1/chat/completions', { limits: { openaiBytes: 100_000 } }],
  ])('are refused as soon as they inflate too far: %s', async (path, options) => {
    const { plane, backend } = await ground(options);
    const body = gzipSync(Buffer.alloc(10 * 1024 * 1024));
    expect(body.length).toBeLessThan(20_000);
    const got = await plane.ask(path, { headers: { 'content-encoding': 'gzip' }, body });
    expect([got.status, got.text]).toEqual([
      413,
      expect.stringContaining('more than 100000 bytes'),
    ]);
    expect(backend.seen).toHaveLength(0);
  });
});

test('callers and replicas may have IPv6 addresses', async () => {
  const six = networkInterfaces()['lo']?.some(({ address }) => address === '::1') === true;
  if (!six) return console.warn('skipped: this machine has no ::1');
  const backend = await startBackend(echo, '::1');
  const plane = await startPlane({ host: '::1', trustedProxies: ['::1'] });
  plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] }, host: '::1' });
  const answer = await fetch(`http://[::1]:${plane.port}/v2/models/iris/infer`, {
    method: 'POST',
    body: '{}',
    headers: { 'x-forwarded-for': '2001:db8::7' },
  });
  expect(answer.status).toBe(200);
  expect(backend.seen[0]?.headers).toMatchObject({
    host: `[::1]:${backend.port}`,
    'x-forwarded-for': '2001:db8::7, ::1',
  });
});
