import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import type { HttpClient } from '../../../runtime/data/http/client/client';
import { createHttpClient, awaitResponse } from '../../../runtime/data/http/client/client';
import { readAll } from '../../../runtime/data/upstream/collect';

// A model server may be broken or hostile: its answer is one that can be read in one way, or none.

const servers: Server[] = [];
let client: HttpClient;
let sockets: Socket[] = [];
beforeEach(() => {
  client = createHttpClient();
});
afterEach(async () => {
  client.close();
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await Promise.all(servers.splice(0).map((one) => new Promise((resolve) => one.close(resolve))));
});

/** A server that answers every request with the next of these bytes. */
async function answering(...answers: readonly string[]): Promise<number> {
  let at = 0;
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => {
      const text = answers[at % answers.length] ?? '';
      at += 1;
      const [now = '', then] = text.split('<END>');
      socket.write(now, 'latin1');
      if (then !== undefined) socket.end();
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function asked(port: number, method = 'GET', timeoutMs = 2000): Promise<string> {
  const { signal } = new AbortController();
  const asking = {
    method,
    target: '/',
    headers: 'host: x\r\n',
    body: undefined,
    timeoutMs,
    signal,
    repeatable: true,
    takesRedirects: true,
  };
  const place = { host: '127.0.0.1', port };
  const result = await awaitResponse((asker) => client.send(place, asking, asker));
  if (result.kind !== 'answered') return result.kind;
  const body = await readAll(result, 1000, 500);
  return Buffer.isBuffer(body) ? `${result.status} ${body.toString('latin1')}` : body.kind;
}

test.each([
  ['length', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', '200 ok'],
  ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', '200 ok'],
  ['the end of the connection', 'HTTP/1.1 200 OK\r\n\r\nok<END>', '200 ok'],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nok<END>', '200 ok'],
  ['no reason', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok', '200 ok'],
  [
    'an interim answer before',
    'HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    '200 ok',
  ],
  [
    'a thousand interim answers in one read',
    `${'HTTP/1.1 100\r\n\r\n'.repeat(1000)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`,
    '200 ok',
  ],
  [
    'chunks with extensions and a trailer',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a="b";c\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n',
    '200 ok',
  ],
  ['204 without a body', 'HTTP/1.1 204 No Content\r\n\r\n', '204 '],
  [
    '304 with the length of what it would be',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    '304 ',
  ],
])('a response that ends by %s is read', async (_, answer, expected) => {
  expect(await asked(await answering(answer))).toBe(expected);
});

test.each([
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['another protocol', 'ICY 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['no status line', 'Content-Length: 2\r\n\r\nok'],
  ['status 99', 'HTTP/1.1 99 X\r\nContent-Length: 2\r\n\r\nok'],
  ['status 600', 'HTTP/1.1 600 X\r\nContent-Length: 2\r\n\r\nok'],
  ['status abc', 'HTTP/1.1 abc X\r\nContent-Length: 2\r\n\r\nok'],
  ['status with a sign', 'HTTP/1.1 +20 X\r\nContent-Length: 2\r\n\r\nok'],
  ['a second version', 'HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['an empty line before it', '\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['no blank before the reason', 'HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok'],
  ['two blanks before the status', 'HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok'],
  ['a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok'],
  [
    'an interim answer with a body',
    'HTTP/1.1 103 Early\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  ],
  [
    'status 101 after an interim one',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n',
  ],
  [
    'a flood of interim answers',
    `${'HTTP/1.1 103 Early\r\n\r\n'.repeat(1001)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`,
  ],
  ['status 101', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
  [
    'length and chunks',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'],
  ['length with a sign', 'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok'],
  ['length of 2^64', 'HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok'],
  ['lengths in a list', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok'],
  ['an empty length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok'],
  ['a hexadecimal length', 'HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok'],
  ['a length with a tab', 'HTTP/1.1 200 OK\r\nContent-Length: 2\t\r\n\r\nok'],
  [
    'length and chunks and status 204',
    'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n',
  ],
  ['chunked twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n'],
  ['a line without a colon', 'HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\nok'],
  [
    'a head of 17 kB in one read',
    `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(17_000)}\r\nContent-Length: 2\r\n\r\nok`,
  ],
  [
    'a chunk size that overflows',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n',
  ],
  [
    'a chunk extension without an end',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;${'a'.repeat(9000)}\r\nok\r\n0\r\n\r\n`,
  ],
  [
    'a bare LF behind a chunk size',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n',
  ],
  [
    'a length in its trailer',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n',
  ],
  [
    'a trailer without an end',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${'X: 1\r\n'.repeat(9000)}`,
  ],
  ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok'],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok'],
  ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok'],
  ['a blank before a colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok'],
  ['an invalid header name', 'HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 2\r\n\r\nok'],
  ['NUL in a value', 'HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 2\r\n\r\nok'],
  [
    'a head of 100 kB',
    `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(100_000)}\r\nContent-Length: 2\r\n\r\nok`,
  ],
  ['a thousand headers', `HTTP/1.1 200 OK\r\n${'X: 1\r\n'.repeat(1000)}\r\n`],
  ['an invalid chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'],
  [
    'a chunk longer than it says',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n',
  ],
])('a response with %s is invalid: a protocol error', async (_, answer) => {
  expect(await asked(await answering(answer))).toBe('protocol');
});

test.each([
  ['before the head', '<END>'],
  ['in the head', 'HTTP/1.1 200 OK\r\nContent-Le<END>'],
  ['in the body', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok<END>'],
  ['in a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok<END>'],
  [
    'before the last chunk',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n<END>',
  ],
])('a response that breaks %s is a reset', async (_, answer) => {
  expect(await asked(await answering(answer))).toBe('reset');
});

test('a silent server is a timeout, and a closed port is unreachable', async () => {
  expect(await asked(await answering(''), 'GET', 50)).toBe('timeout');
  const port = await answering('');
  await new Promise((resolve) => servers.pop()?.close(resolve));
  expect(await asked(port)).toBe('unreached');
});

test('connections are kept, except with bytes after the response', async () => {
  const clean = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const port = await answering(clean);
  for (let round = 0; round < 3; round += 1) expect(await asked(port)).toBe('200 ok');
  expect(sockets).toHaveLength(1);
  const before = sockets.length;
  const dirty = await answering(`${clean}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
  for (let round = 0; round < 3; round += 1) expect(await asked(dirty)).toBe('200 ok');
  expect(sockets.length - before).toBe(3);
});

test.each([
  ['204 with a body', 'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok', '204 '],
  ['304 with a body', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok', '304 '],
  [
    '204 with chunks',
    'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    '204 ',
  ],
  ['more than it says', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokok', '200 ok'],
  ['an empty line behind', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n', '200 ok'],
])(
  'a response with %s is read, but its connection is not used again',
  async (_, answer, expected) => {
    const port = await answering(answer);
    for (let round = 0; round < 3; round += 1) expect(await asked(port)).toBe(expected);
    expect(sockets).toHaveLength(3);
  },
);

test('endless interim responses do not hold a request beyond its time', async () => {
  const port = await answering('HTTP/1.1 100 Continue\r\n\r\n');
  const more = setInterval(() => {
    for (const socket of sockets) socket.write('HTTP/1.1 102 Processing\r\n\r\n');
  }, 5);
  expect(await asked(port, 'GET', 100)).toBe('timeout');
  clearInterval(more);
});

test('HEAD has no body whatever its length', async () => {
  const port = await answering('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n');
  expect(await asked(port, 'HEAD')).toBe('200 ');
  expect(await asked(port, 'HEAD')).toBe('200 ');
  expect(sockets).toHaveLength(1);
});

test('thousands of chunks of one byte are delivered in a few pieces', async () => {
  const chunks = `${'1\r\nx\r\n'.repeat(5000)}0\r\n\r\n`;
  const port = await answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
  const { signal } = new AbortController();
  const asking = { method: 'GET', target: '/', headers: 'host: x\r\n', body: undefined };
  const rules = { timeoutMs: 2000, signal, repeatable: true };
  const result = await awaitResponse((asker) =>
    client.send({ host: '127.0.0.1', port }, { ...asking, ...rules }, asker),
  );
  if (result.kind !== 'answered') throw new Error(result.kind);
  const pieces: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const data = (piece: Buffer): boolean => pieces.push(piece.toString('latin1')) > 0;
    result.body.flow({ data, end: resolve, fail: reject });
  });
  expect(pieces.join('')).toBe('x'.repeat(5000));
  expect(pieces.length).toBeLessThan(200);
});
