import type { Socket } from 'node:net';
import type { Authenticate } from '../../../runtime/auth/port';
import type { Exchange } from '../../../runtime/data/http/exchange';
import { fieldsOf, keepsAlive } from '../../../runtime/data/http/fields';
import { BodyBuffer } from '../../../runtime/data/http/buffers/body-buffer';
import { DEFAULT_CALLER_LIMITS } from '../../../runtime/data/http/server/caller-limits';
import { ServerConnection } from '../../../runtime/data/http/server/server-connection';
import { json, startBackend, stopBackends } from '../../support/backend';
import { sendRaw, startPlane, stopPlanes } from '../../support/plane';
import { FakeSocket, plainly, settled } from './support';

// What callers may send to take our time, our memory, or an answer that is not theirs.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

test('a million blanks within a value are scanned once', () => {
  const value = `a${' '.repeat(1_000_000)}b`;
  // Looked at from each of them to the end it would be an hour.
  expect(fieldsOf(`x:  ${value}  \r\n\r\n`, 0).get('x')).toBe(value);
  const connection = `keep-alive${' '.repeat(1_000_000)}x, keep-alive `;
  expect(keepsAlive(fieldsOf(`connection: ${connection}\r\n\r\n`, 0), 0)).toBe(true);
});

test('blanks around a value are removed, a tab stays', () => {
  const fields = fieldsOf('a:\r\nb: \r\nc:    \r\nd:  e  \r\nf: \tg \r\n\r\n', 0);
  expect(fields.names.map((name) => fields.get(name))).toEqual(['', '', '', 'e', '\tg']);
});

describe('a body in pieces', () => {
  test('is complete, whatever their sizes', () => {
    const sizes = [1, 1, 1023, 1, 1024, 5, 70_000, 1, ...Array<number>(40_000).fill(1)];
    const pieces = new BodyBuffer();
    const given = sizes.map((size, at) => Buffer.alloc(size, at));
    for (const piece of given) pieces.add(piece);
    expect(pieces.size).toBe(Buffer.concat(given).length);
    expect(pieces.take().equals(Buffer.concat(given))).toBe(true);
    expect(pieces.take()).toHaveLength(0);
  });

  test('is copied together where they are small: no read buffer is retained', () => {
    const pieces = new BodyBuffer();
    const read = Buffer.from('abc');
    for (let at = 0; at < 3; at += 1) pieces.add(read.subarray(at, at + 1));
    read.fill('x', 1);
    expect(pieces.take().toString()).toBe('abc');
  });

  test('restarts a timeout that expired while the model worked', () => {
    const socket = new FakeSocket();
    const times: number[] = [];
    socket.setTimeout = (ms = -1) => {
      times.push(ms);
      return socket;
    };
    const asked: Exchange[] = [];
    const hooks = {
      handle: (exchange: Exchange) => void asked.push(exchange),
      limits: { ...DEFAULT_CALLER_LIMITS, keepAliveMs: 1234 },
      isClosing: () => false,
      refuse: plainly,
    };
    // oxlint-disable-next-line no-new
    new ServerConnection(socket as unknown as Socket, false, hooks);
    socket.emit('data', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.emit('timeout');
    asked[0]?.answer(200, '', 'ok');
    expect(times).toEqual([1234, 1234]);
    socket.destroy();
  });

  test('has a timeout between its parts; after the last the model may take its time', async () => {
    const socket = new FakeSocket();
    const times: number[] = [];
    socket.setTimeout = (ms = -1) => {
      times.push(ms);
      return socket;
    };
    const hooks = {
      handle: (exchange: Exchange) => void exchange.body(100),
      limits: { ...DEFAULT_CALLER_LIMITS, bodyMs: 1234 },
      isClosing: () => false,
      refuse: plainly,
    };
    // oxlint-disable-next-line no-new
    new ServerConnection(socket as unknown as Socket, false, hooks);
    socket.push('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab');
    await settled();
    expect(times.at(-1)).toBe(1234);
    socket.push('cd');
    await settled();
    // What takes long now is the model.
    socket.emit('timeout');
    expect([socket.destroyed, socket.written]).toEqual([false, '']);
    socket.destroy();
  });
});

test('a response without a body has no Content-Length, whatever its server sends', async () => {
  const bytes = 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-Own: a\r\n\r\n';
  const backend = await startBackend(() => ({ kind: 'raw', bytes, last: 'end' }));
  const plane = await startPlane();
  plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
  const call = 'POST /v2/models/iris/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}';
  const next = 'GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
  const [first, second] = (await sendRaw(plane.port, call + next)).split('\r\n\r\n');
  expect(first).toMatch(/^HTTP\/1\.1 204 No Content\r\nX-Own: a\r\n/);
  expect(first).not.toMatch(/content-length/i);
  expect(second).toMatch(/^HTTP\/1\.1 200 /);
});

describe('the body of a management call', () => {
  const byKey: Authenticate = ({ fields }) =>
    fields.get('x-api-key') === 'mine'
      ? { ok: true, caller: { name: 'me', scopes: ['admin'] } }
      : { ok: false, code: 'UNAUTHENTICATED', message: 'no such key' };

  test('is not read before the caller is authenticated', async () => {
    const app = await startBackend(() => json({ error: 'who?' }, 401));
    const management = { host: '127.0.0.1', port: app.port };
    const plane = await startPlane({ management, authenticate: byKey });
    const head = 'POST /models/deploy HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n';
    // The body never comes, and nobody waits for it.
    const answer = await sendRaw(plane.port, `${head}\r\n{`);
    expect(answer).toMatch(/^HTTP\/1\.1 401 .*connection: close/is);
    const [seen] = app.seen;
    expect([seen?.url, seen?.headers['content-length'], seen?.body.length]).toEqual([
      '/models/deploy',
      undefined,
      0,
    ]);
    const known = await plane.ask('/models/deploy', {
      method: 'POST',
      body: '{"a":1}',
      headers: { 'x-api-key': 'mine' },
    });
    expect([known.status, app.seen.at(-1)?.body.toString()]).toEqual([401, '{"a":1}']);
  });
});
