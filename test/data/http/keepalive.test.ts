import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import type { Exchange } from '../../../runtime/data/http/exchange';
import type { HttpClient } from '../../../runtime/data/http/client/client';
import {
  createHttpClient,
  DEFAULT_CLIENT,
  awaitResponse,
} from '../../../runtime/data/http/client/client';
import type { CallerLimits } from '../../../runtime/data/http/server/caller-limits';
import { DEFAULT_CALLER_LIMITS } from '../../../runtime/data/http/server/caller-limits';
import type { Listener } from '../../../runtime/shared/listen';
import { openHttpServer } from '../../../runtime/data/http/server/server';
import { readAll } from '../../../runtime/data/upstream/collect';
import { until } from '../../support/plane';
import { plainly, settled } from './support';

// Connections that are used again, and how they end, on both sides.

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Origin {
  readonly port: number;
  /** All connections there ever were, the oldest first. */
  readonly sockets: readonly Socket[];
  /** Requests that were read, over all connections. */
  readonly asked: () => number;
}

/** A server that answers each request with these bytes. */
async function origin(answer: string): Promise<Origin> {
  const sockets: Socket[] = [];
  let count = 0;
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => {
      count += 1;
      socket.write(answer, 'latin1');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as AddressInfo;
  return { port, sockets, asked: () => count };
}

function clientOf(more: Partial<typeof DEFAULT_CLIENT> = {}): HttpClient {
  const client = createHttpClient({ ...DEFAULT_CLIENT, ...more });
  ends.push(client.close);
  return client;
}

async function asked(
  client: HttpClient,
  port: number,
  repeatable = true,
  isAgain = false,
): Promise<string> {
  const { signal } = new AbortController();
  const body = Buffer.from('x');
  const headers = 'host: x\r\ncontent-length: 1\r\n';
  const asking = {
    method: 'POST',
    target: '/',
    headers,
    body,
    timeoutMs: 5000,
    signal,
    repeatable,
    isAgain,
  };
  const place = { host: '127.0.0.1', port };
  const result = await awaitResponse((asker) => client.send(place, asking, asker));
  if (result.kind === 'reset' && result.wasKept === true) return 'reset when kept';
  if (result.kind !== 'answered') return result.kind;
  return String(await readAll(result, 1000, 5000));
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('a server that closes a kept connection at its next use', () => {
  // What comes at once does so on a slow machine, too.
  beforeEach(() => {
    jest.spyOn(performance, 'now').mockReturnValue(performance.now());
  });
  afterEach(() => jest.restoreAllMocks());

  test('gets the request over a new one, since it had not arrived', async () => {
    const { port, sockets, asked: count } = await origin(OK);
    const client = clientOf();
    expect(await asked(client, port)).toBe('ok');
    // Closed in this very step: the client cannot have heard of it.
    sockets[0]?.destroy();
    expect(await asked(client, port)).toBe('ok');
    expect([sockets.length, count()]).toEqual([2, 2]);
  });

  test('does not get a non-idempotent request twice: it may have read it', async () => {
    const { port, sockets } = await origin(OK);
    const client = clientOf();
    expect(await asked(client, port, false)).toBe('ok');
    sockets[0]?.destroy();
    expect(await asked(client, port, false)).toBe('reset when kept');
    expect(sockets).toHaveLength(1);
  });

  test('gets even that again when no byte was sent', async () => {
    const { port, sockets } = await origin(OK);
    const client = clientOf();
    expect(await asked(client, port, false)).toBe('ok');
    // A reset lies in our kernel, which refuses the next write.
    sockets[0]?.resetAndDestroy();
    expect(await asked(client, port, false)).toBe('ok');
    expect(sockets).toHaveLength(2);
  });

  test('does not get it again when the close is noticed late: it may have run', async () => {
    const { port, sockets } = await origin(OK);
    const client = clientOf();
    expect(await asked(client, port)).toBe('ok');
    const late = asked(client, port);
    sockets[0]?.removeAllListeners('data').on('data', () => sockets[0]?.destroy());
    jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 101);
    expect(await late).toBe('reset when kept');
    expect(sockets).toHaveLength(1);
  });

  test('does not get it again when it had begun to answer', async () => {
    const { port, sockets } = await origin(OK);
    const client = clientOf();
    expect(await asked(client, port)).toBe('ok');
    sockets[0]?.removeAllListeners('data').on('data', () => {
      sockets[0]?.end('HTTP/1.1 200 OK\r\nContent-Le');
    });
    expect(await asked(client, port)).toBe('reset');
    expect(sockets).toHaveLength(1);
  });

  test('does not get it a third time after a new connection that breaks as well', async () => {
    const { port, sockets } = await origin('');
    const client = clientOf();
    const first = asked(client, port);
    await until(() => sockets.length === 1, 'a connection');
    sockets[0]?.destroy();
    expect(await first).toBe('reset');
    expect(sockets).toHaveLength(1);
  });
});

test('a retry uses no kept connection', async () => {
  const { port, sockets } = await origin(OK);
  const client = clientOf();
  expect(await asked(client, port)).toBe('ok');
  expect(await asked(client, port, true, true)).toBe('ok');
  expect(sockets).toHaveLength(2);
});

test('a non-idempotent request uses no connection that was idle for a while', async () => {
  const { port, sockets } = await origin(OK);
  const client = clientOf();
  const later = performance.now() + 300;
  const now = jest.spyOn(performance, 'now').mockImplementation(() => later - 300);
  await asked(client, port, false);
  await asked(client, port, false);
  expect(sockets).toHaveLength(1);
  now.mockImplementation(() => later);
  await asked(client, port);
  expect(sockets).toHaveLength(1);
  now.mockImplementation(() => later + 300);
  await asked(client, port, false);
  expect(sockets).toHaveLength(2);
  now.mockRestore();
});

test.each([
  ['its own time', '', 4000],
  ['what the server says, with a margin', 'Keep-Alive: timeout=3, max=9\r\n', 2000],
  ['nothing, when the server says less than that', 'Keep-Alive: timeout=1\r\n', 0],
])('an idle connection is used again within %s', async (_, header, ms) => {
  const answer = `HTTP/1.1 200 OK\r\n${header}Content-Length: 2\r\n\r\nok`;
  const { port, sockets } = await origin(answer);
  const client = clientOf();
  const now = jest.spyOn(performance, 'now');
  const start = performance.now();
  now.mockImplementation(() => start);
  await asked(client, port);
  now.mockImplementation(() => start + Math.max(0, ms - 1));
  await asked(client, port);
  expect(sockets).toHaveLength(ms === 0 ? 2 : 1);
  now.mockImplementation(() => start + 2 * ms);
  await asked(client, port);
  expect(sockets).toHaveLength(ms === 0 ? 3 : 2);
  now.mockRestore();
});

test.each(['close', 'Close', 'keep-alive, close'])(
  'a server that sends Connection: %s gets a new connection each time',
  async (word) => {
    const { port, sockets } = await origin(OK.replace('\r\n', `\r\nConnection: ${word}\r\n`));
    const client = clientOf();
    for (let round = 0; round < 3; round += 1) expect(await asked(client, port)).toBe('ok');
    expect(sockets).toHaveLength(3);
  },
);

test('a server that sends unrequested data loses its connection, and no responses are mixed up', async () => {
  const { port, sockets } = await origin(OK);
  const client = clientOf();
  await asked(client, port);
  sockets[0]?.write('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n');
  await until(() => sockets[0]?.destroyed === true, 'the connection closed');
  expect(await asked(client, port)).toBe('ok');
});

describe('a caller', () => {
  async function served(
    handle: (exchange: Exchange) => void,
    limits: Partial<CallerLimits> = {},
  ): Promise<Listener> {
    const server = await openHttpServer({
      host: '127.0.0.1',
      port: 0,
      maxConnections: 100,
      limits: { ...DEFAULT_CALLER_LIMITS, ...limits },
      handle,
      refuse: plainly,
    });
    ends.push(() => server.close(0));
    return server;
  }

  /** A caller that reads nothing until it is told to. */
  async function silent(port: number, text: string): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(text, 'latin1');
    await new Promise((resolve) => socket.once('connect', resolve));
    ends.push(() => void socket.destroy());
    return socket;
  }

  /** Begins to read; how many bytes came until the connection ended. */
  async function takenBy(socket: Socket): Promise<number> {
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await closed;
    return socket.bytesRead;
  }

  const BIG = Buffer.alloc(20_000_000, 'x');

  test('that reads slowly gets the whole of a response that ends the connection', async () => {
    const { port } = await served((exchange) => exchange.answer(200, '', BIG));
    const socket = await silent(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    // Longer than what is unread after a refusal is waited for.
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(await takenBy(socket)).toBeGreaterThan(BIG.length);
  });

  test('that does not read its last response is disconnected', async () => {
    const { port, close } = await served((one) => one.answer(200, '', BIG), { stallMs: 50 });
    const socket = await silent(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    // What it sends meanwhile does not prove that it reads.
    const more = setInterval(() => socket.write('x'), 10);
    await close(60_000);
    clearInterval(more);
    expect(await takenBy(socket)).toBeLessThan(BIG.length);
  });

  test('that sends requests without reading responses is not read further', async () => {
    let handled = 0;
    const { port } = await served((exchange) => {
      handled += 1;
      exchange.answer(200, '', BIG.subarray(0, 1_000_000));
    });
    const socket = await silent(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000));
    await until(() => handled > 0, 'the first one');
    for (let turn = 0; turn < 50; turn += 1) await settled();
    // What the kernel's buffers take, and one more.
    expect(handled).toBeLessThan(30);
    void takenBy(socket);
    await until(() => socket.bytesRead > 100_000_000, 'answers that are taken');
    expect(handled).toBeGreaterThan(100);
  });

  test('that sent its request in time is answered although the event loop was blocked meanwhile', async () => {
    let handled = 0;
    const answer = (exchange: Exchange): void => {
      handled += 1;
      exchange.answer(200, '', Buffer.from('ok'));
    };
    const { port } = await served(answer, { keepAliveMs: 100 });
    const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
    const socket = await silent(port, request);
    await until(() => handled === 1, 'the first one');
    await settled();
    socket.write(request, 'latin1');
    for (const end = Date.now() + 200; Date.now() < end;);
    await until(() => handled === 2, 'the second one');
    // Then it is idle, and ended.
    await takenBy(socket);
  });

  test('that connected while the event loop was blocked is answered before the shutdown', async () => {
    const { port, close } = await served((exchange) => exchange.answer(200, '', 'ok'));
    const texts = Array.from({ length: 20 }, () => {
      const socket = connect(port, '127.0.0.1');
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      return textOf(socket);
    });
    const closed = close(60_000);
    for (const end = Date.now() + 100; Date.now() < end;);
    await closed;
    for (const answer of await Promise.all(texts)) expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('whose body stops half-way gets an error', async () => {
    const { port } = await served(
      (exchange) => void Promise.resolve(exchange.body(100)).catch(() => undefined),
      {
        bodyMs: 30,
      },
    );
    const socket = await silent(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc');
    const chunks: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => void chunks.push(bytes));
    await takenBy(socket);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 408 /);
  });
});
