import { connect } from 'node:net';
import type {
  Exchange,
  DeliveryOutcome,
  BodySink,
  BodySource,
} from '../../../runtime/data/http/exchange';
import type { Listener } from '../../../runtime/shared/listen';
import { openHttpServer } from '../../../runtime/data/http/server/server';
import { ask, sendRaw } from '../../support/plane';
import { ours, plainly, settled } from './support';

let server: Listener;
let handle: (exchange: Exchange) => Promise<void> | void;
beforeEach(async () => {
  const options = { host: '127.0.0.1', port: 0, maxConnections: 100, refuse: plainly };
  server = await openHttpServer({ ...options, handle: (exchange) => handle(exchange) });
});
afterEach(() => server.close(0));

const echo = async (exchange: Exchange): Promise<void> => {
  const body = await exchange.body(1 << 24);
  exchange.answer(200, `x-path: ${exchange.path}${exchange.query}\r\n`, body);
};

/** Passes a source on; resolves with how that ended. */
const streamed = (exchange: Exchange, source: BodySource): Promise<DeliveryOutcome> =>
  new Promise((resolve) => exchange.stream(200, '', source, resolve));

const bodiesOf = (raw: string): readonly string[] =>
  raw
    .split(/HTTP\/1\.1 /)
    .slice(1)
    .map((one) => one.slice(one.indexOf('\r\n\r\n') + 4));

test('answers pipelined requests in order', async () => {
  handle = async (exchange) => {
    // The first takes longest.
    const turns = exchange.path === '/1' ? 5 : 1;
    for (let turn = 0; turn < turns; turn += 1) await settled();
    exchange.answer(200, '', exchange.path);
  };
  const requests = ['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n`);
  const raw = await sendRaw(server.port, `${requests.join('\r\n')}Connection: close\r\n\r\n`);
  expect(bodiesOf(raw)).toEqual(['/1', '/2', '/3']);
});

test('tells the end of a request, also without a bound for memory', async () => {
  const ended = new Promise<string>((resolve) => {
    handle = (exchange) => {
      exchange.held.onRelease(() => resolve(exchange.path));
      exchange.answer(200, '', 'x');
    };
  });
  await sendRaw(server.port, 'GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(await ended).toBe('/a');
});

test('reads a request the same however the network splits it', async () => {
  const text =
    'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n';
  for (let cut = 1; cut < text.length; cut += 1) {
    const { socket, seen } = ours();
    socket.push(Buffer.from(text.slice(0, cut), 'latin1'));
    await settled();
    socket.push(Buffer.from(text.slice(cut), 'latin1'));
    await settled();
    expect(seen).toEqual([
      { method: 'POST', url: '/a', body: 'abcde' },
      { method: 'GET', url: '/b', body: '' },
    ]);
    socket.destroy();
  }
});

test.each([0, 1, 16_384, 16_385, 5_000_000])(
  'passes a body of %i bytes in and out',
  async (size) => {
    handle = echo;
    const body = Buffer.alloc(size, 'äöü');
    const got = await ask(server.port, '/x?y=z', { method: 'POST', body });
    expect([got.status, got.headers['x-path'], got.body.equals(body)]).toEqual([
      200,
      '/x?y=z',
      true,
    ]);
  },
);

/** A source of pieces that waits when it is told to. */
function sourceOf(
  pieces: readonly Buffer[],
  ending: 'end' | 'fail' = 'end',
): BodySource & { readonly given: () => number } {
  let at = 0;
  let sink: BodySink | undefined;
  const give = (): void => {
    const to = sink;
    if (to === undefined) return;
    while (at < pieces.length) {
      at += 1;
      if (!to.data(pieces[at - 1] as Buffer)) return;
    }
    sink = undefined;
    if (ending === 'end') to.end();
    else to.fail({ kind: 'reset', message: 'broke' });
  };
  return {
    flow: (to) => {
      sink = to;
      give();
    },
    resume: () => give(),
    destroy: () => {
      sink = undefined;
    },
    given: () => at,
  };
}

test('streams a response in chunks, at the pace of a slow caller', async () => {
  const piece = Buffer.alloc(100_000, 'x');
  const source = sourceOf(Array.from({ length: 300 }, () => piece));
  handle = async (exchange) => void (await streamed(exchange, source));
  const socket = connect(server.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await new Promise((resolve) => socket.once('readable', resolve));
  for (let turn = 0; turn < 50; turn += 1) await settled();
  // Thirty megabytes fit into no buffer of a kernel.
  expect(source.given()).toBeLessThan(300);
  let size = 0;
  socket.on('data', (bytes: Buffer) => void (size += bytes.length));
  await new Promise((resolve) => socket.once('close', resolve));
  expect(source.given()).toBe(300);
  expect(size).toBeGreaterThan(30_000_000);
});

test.each([
  ['HTTP/1.1', 'transfer-encoding: chunked', '2\r\nab\r\n1\r\nc\r\n0\r\n\r\n'],
  ['HTTP/1.0', 'connection: close', 'abc'],
])('streams a response of unknown length to %s', async (version, header, body) => {
  handle = async (exchange) =>
    void (await streamed(exchange, sourceOf([Buffer.from('ab'), Buffer.from('c')])));
  const raw = await sendRaw(
    server.port,
    `GET / ${version}\r\nHost: x\r\nConnection: close\r\n\r\n`,
  );
  expect(raw).toContain(header);
  expect(bodiesOf(raw)).toEqual([body]);
});

test('ends the connection of a broken stream: a part is never taken for the whole', async () => {
  let sent: string | undefined;
  handle = async (exchange) => {
    sent = await streamed(exchange, sourceOf([Buffer.from('half')], 'fail'));
  };
  const raw = await sendRaw(server.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  expect(sent).toBe('source_broke');
  expect(raw.endsWith('0\r\n\r\n')).toBe(false);
});

test('notices a caller that disconnects, before and within the response', async () => {
  const seen: string[] = [];
  handle = async (exchange) => {
    exchange.signal.addEventListener('abort', () => seen.push('aborted'));
    const never: BodySource = {
      flow: (sink) => void sink.data(Buffer.from('x')),
      resume: () => undefined,
      destroy: () => seen.push('destroyed'),
    };
    if (exchange.path === '/stream') seen.push(await streamed(exchange, never));
  };
  for (const path of ['/wait', '/stream']) {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    if (path === '/stream') await new Promise((resolve) => socket.once('data', resolve));
    else await new Promise((resolve) => setTimeout(resolve, 20));
    socket.destroy();
    const before = seen.length;
    while (seen.length === before) await settled();
  }
  await settled();
  expect(seen.toSorted()).toEqual(['aborted', 'aborted', 'caller_gone', 'destroyed']);
});

test('sends 100 Continue when the body is wanted, and only then', async () => {
  handle = async (exchange) => {
    if (exchange.path === '/no') return exchange.answer(403, '', 'no');
    exchange.answer(200, '', await exchange.body(10));
  };
  const head = (path: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n`;
  const { socket, seen } = ours();
  socket.push(Buffer.from(head('/yes')));
  await settled();
  expect(socket.written).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  socket.push(Buffer.from('ok'));
  await settled();
  expect(seen).toEqual([{ method: 'POST', url: '/yes', body: 'ok' }]);
  socket.destroy();
  const refused = await sendRaw(server.port, head('/no'));
  expect(refused).toMatch(/^HTTP\/1\.1 403 /);
});

test('answers HEAD and with 204 without a body, and keeps the connection', async () => {
  for (const body of ['body', Buffer.alloc(100_000, 'x')]) {
    handle = (exchange) => exchange.answer(exchange.path === '/none' ? 204 : 200, '', body);
    const raw = await sendRaw(
      server.port,
      'HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    expect(bodiesOf(raw)).toEqual(['', '', body.toString()]);
    expect(raw.match(new RegExp(`content-length: ${body.length}\r`, 'g'))).toHaveLength(2);
  }
});

test('keeps a connection of HTTP/1.0 on request', async () => {
  handle = echo;
  const kept = 'GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n';
  const raw = await sendRaw(server.port, `${kept}GET /2 HTTP/1.0\r\n\r\n`);
  expect(raw.match(/x-path: \/\d/g)).toEqual(['x-path: /1', 'x-path: /2']);
  expect(raw).toContain('connection: keep-alive');
});

test('refuses a body beyond its limit, and the refusal arrives', async () => {
  handle = async (exchange) => {
    const body = await Promise.resolve(exchange.body(10)).catch((error: Error) => error.message);
    exchange.answer(413, '', body as string);
  };
  for (const framing of ['content-length: 1000000', 'transfer-encoding: chunked']) {
    const text = framing.startsWith('c')
      ? 'x'.repeat(1_000_000)
      : `f4240\r\n${'x'.repeat(1_000_000)}\r\n0\r\n\r\n`;
    const raw = await sendRaw(
      server.port,
      `POST / HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n${text}`,
    );
    expect(raw).toMatch(/^HTTP\/1\.1 413 [^]*more than 10 bytes$/);
  }
});

test('answers received requests on shutdown, and does not wait for silent connections', async () => {
  const began = new Promise<void>((resolve) => {
    handle = async (exchange) => {
      resolve();
      for (let turn = 0; turn < 20; turn += 1) await settled();
      exchange.answer(200, '', 'late');
    };
  });
  const silent = connect(server.port, '127.0.0.1');
  await new Promise((resolve) => silent.once('connect', resolve));
  const answer = sendRaw(server.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await began;
  await server.close(10_000);
  expect(await answer).toMatch(/connection: close[^]*late$/);
  silent.destroy();
});
