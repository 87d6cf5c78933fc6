import { connect } from 'node:net';
import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { sendRaw, startPlane, stopPlanes, until } from '../../support/plane';
import { speaking } from '../../support/servers';
import type { Service } from '../../../runtime/app/service';
import { projectFolder, serviceIn } from '../../app/support';

// Callers that end their side of the connection with their request, and targets and versions that
// few clients use.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

/** Sends all of it, ends its side, and reads until the other side ends. */
function halfClosed(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let got = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('data', (chunk) => {
      got += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(got));
    socket.on('end', () => socket.destroy());
    socket.end(bytes, 'latin1');
  });
}

const post = (path: string, body: string, more = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
const PREDICT = '/v1/models/iris:predict';
const ROWS = '{"instances":[1]}';

async function routed(behave: Behave) {
  const backend = await startBackend(behave);
  const plane = await startPlane();
  plane.route({ input: speaking('v1'), ports: { stable: [backend.port] } });
  return { backend, plane };
}

/** An answer that comes when it is told to. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test('a caller that ends its side gets its response', async () => {
  const { plane } = await routed(() => json({ predictions: [2] }));
  const got = await halfClosed(plane.port, post(PREDICT, ROWS));
  expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(got).toMatch(/\{"predictions":\[2\]\}$/);
  expect(plane.outcomes[0]?.status).toBe(200);
});

test('a slow response arrives as well, whole and once', async () => {
  const { open, opened } = gate();
  const { plane, backend } = await routed(async () => {
    await opened;
    return json({ predictions: [2] });
  });
  const asking = halfClosed(plane.port, post(PREDICT, ROWS));
  await until(() => backend.seen.length === 1, 'the request');
  // Long enough for a byte or two to be sent ahead.
  await new Promise((resolve) => setTimeout(resolve, 60));
  open();
  const got = await asking;
  expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(got.match(/HTTP/g)).toHaveLength(1);
  expect(got).toMatch(/\{"predictions":\[2\]\}$/);
});

test('a late error is whole, too', async () => {
  const { open, opened } = gate();
  const { plane, backend } = await routed(async () => {
    await opened;
    return { kind: 'garbage', bytes: 'nonsense' };
  });
  const asking = halfClosed(plane.port, post(PREDICT, ROWS));
  await until(() => backend.seen.length === 1, 'the request');
  await new Promise((resolve) => setTimeout(resolve, 60));
  open();
  expect(await asking).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
});

test('events continue after the caller has ended its side', async () => {
  const { open, opened } = gate();
  async function* parts(): AsyncGenerator<string> {
    yield 'data: 1\n\n';
    await opened;
    yield 'data: 2\n\n';
  }
  const { plane, backend } = await routed(() => ({
    kind: 'parts',
    headers: { 'content-type': 'text/event-stream' },
    parts: parts(),
  }));
  const asking = halfClosed(plane.port, post(PREDICT, ROWS));
  await until(() => backend.seen.length === 1, 'the request');
  await new Promise((resolve) => setTimeout(resolve, 60));
  open();
  const [head = '', body = ''] = (await asking).split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(body).toContain('data: 1');
  // Zeros before a size change nothing.
  expect(body).toMatch(/\r\n0*9\r\ndata: 2\n\n\r\n0+$/);
});

test('all requests that came before the end are answered', async () => {
  const { plane } = await routed(() => json({ predictions: [2] }));
  const got = await halfClosed(plane.port, post(PREDICT, ROWS).repeat(3));
  expect(got.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
});

test('a complete body of megabytes is answered, and an incomplete one is forwarded to no server', async () => {
  const { plane, backend } = await routed(() => json({ predictions: [2] }));
  const large = `{"instances":["${' '.repeat(3_000_000)}"]}`;
  expect(await halfClosed(plane.port, post(PREDICT, large))).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  const cut = post(PREDICT, ROWS).slice(0, -1);
  expect(await halfClosed(plane.port, cut)).toBe('');
  expect(await halfClosed(plane.port, cut.slice(0, 40))).toBe('');
  expect(backend.seen).toHaveLength(1);
});

test('a caller that has gone frees its slot while its model still works', async () => {
  const { plane, backend } = await routed(() => ({ kind: 'silence' }));
  const socket = connect(plane.port, '127.0.0.1', () => socket.write(post(PREDICT, ROWS)));
  await until(() => backend.inFlight() === 1, 'the request');
  socket.destroy();
  await until(() => backend.inFlight() === 0, 'the end of the call');
  await until(() => plane.outcomes.length === 1, 'the outcome');
  expect(plane.outcomes[0]?.status).toBe(499);
});

test('a caller that leaves a stream of events in a pause frees its slot', async () => {
  async function* parts(): AsyncGenerator<string> {
    yield 'data: 1\n\n';
    await new Promise(() => undefined);
  }
  const headers = { 'content-type': 'text/event-stream' };
  const { plane, backend } = await routed(() => ({ kind: 'parts', headers, parts: parts() }));
  const socket = connect(plane.port, '127.0.0.1', () => socket.write(post(PREDICT, ROWS)));
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  await until(() => plane.outcomes.length === 1, 'the outcome');
  expect(plane.outcomes[0]?.status).toBe(499);
  expect(backend.seen).toHaveLength(1);
});

describe('the whole service', () => {
  let folder: ReturnType<typeof projectFolder>;
  let service: Service;
  let port: number;
  beforeEach(async () => {
    folder = projectFolder();
    const server = 'server: { port: 0, accept_seconds: 0, keep_alive_seconds: 1 }';
    service = await serviceIn(folder.path, server, [await startBackend(() => json({}))]);
    port = Number(new URL(service.url).port);
  });
  afterEach(async () => {
    await service.close();
    folder.remove();
  });

  test('answers a management call', async () => {
    const got = await halfClosed(port, 'GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(got).toContain('"models"');
  });

  test.each(['/health/live', '/api/v1/models', '/v2'])(
    'sends a body to HTTP/1.0 without Host: %s',
    async (path) => {
      const got = await sendRaw(port, `GET ${path} HTTP/1.0\r\n\r\n`);
      expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(got).toMatch(/\r\n\r\n\{.+/s);
    },
  );

  test('reads an absolute target as its path, with its host', async () => {
    const get = (target: string, host: string, version = '1.1') =>
      sendRaw(port, `GET ${target} HTTP/${version}\r\n${host}Connection: close\r\n\r\n`);
    const own = `http://localhost:${port}`;
    for (const path of ['/health/live', '/v2', '/api/v1/models?limit=1', '']) {
      expect(await get(own + path, 'Host: localhost\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    }
    expect(await get(`HTTP://127.0.0.1/v2`, 'Host: evil.example\r\n')).toMatch(/^HTTP\/1\.1 200 /);
    expect(await get(`${own}/v2`, '', '1.0')).toMatch(/^HTTP\/1\.1 200 /);
    expect(await get('http://evil.example/v2', 'Host: localhost\r\n')).toMatch(/^HTTP\/1\.1 403 /);
    expect(await get(`${own}/nothing`, 'Host: x\r\n')).toMatch(/^HTTP\/1\.1 404 /);
  });

  test.each([
    'http:///v2',
    'http://a@localhost/v2',
    'http://localhost/v2#x',
    'ftp://localhost/v2',
    'http://local host/v2',
    'localhost/v2',
  ])('answers 400 to the target %s', async (target) => {
    const bytes = `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('requires one valid Host header for an absolute target, too', async () => {
    for (const host of ['', 'Host: a\r\nHost: b\r\n', 'Host: a b\r\n']) {
      const bytes = `GET http://localhost/v2 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;
      expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
    }
  });

  test.each(['GET /v2 HTTP/1.1\nHost: localhost\n\n', 'GET /v2 HTTP/1.1\r\nHost: localhost\n\n'])(
    'refuses at once a head with lines that end with LF: %j',
    async (bytes) => {
      expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
    },
  );
});
