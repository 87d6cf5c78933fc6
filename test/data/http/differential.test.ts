import { createServer, METHODS } from 'node:http';
import { FakeSocket, ours, settled } from './support';
import type { Seen } from './support';

// What we accept, Node's own parser must read in the same way: same requests, same bodies, same end.
// What we refuse and it takes is our strictness. Mutations come from a seed: a failure repeats.

const CORPUS = [
  'GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n',
  'POST /b HTTP/1.1\r\nHost: x:80\r\nContent-Length: 5\r\n\r\nhello',
  'POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n',
  'POST /d HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc',
  'PUT /e HTTP/1.1\r\nhost: [::1]:8080\r\ncontent-length: 0\r\nConnection: close\r\n\r\n',
  'DELETE /f HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=b\r\n\r\n',
];
/** `DIFFERENTIAL_ROUNDS=100000` takes a minute. */
const ROUNDS = Number(process.env['DIFFERENTIAL_ROUNDS'] ?? 5000);

const PIECES = [
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '0',
  '1',
  'a',
  '\0',
  '\x0b',
  '\x7f',
  '\xff',
  '\r\n\r\n',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'chunked',
  'Host: y\r\n',
  '0\r\n\r\n',
  'Connection: close\r\n',
  'HTTP/1.0',
  'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'Expect: 100-continue\r\n',
];

/** mulberry32 */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function mutated(random: () => number): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let text = pick(CORPUS) + pick(CORPUS);
  for (let count = Math.floor(random() * 4); count > 0; count -= 1) {
    const at = Math.floor(random() * text.length);
    const cut = random() < 0.5 ? 0 : 1 + Math.floor(random() * 3);
    text = text.slice(0, at) + (random() < 0.7 ? pick(PIECES) : '') + text.slice(at + cut);
  }
  return text;
}

/** Feeds a message in two reads, cut somewhere. */
async function feed(socket: FakeSocket, text: string, cut: number): Promise<void> {
  socket.push(Buffer.from(text.slice(0, cut), 'latin1'));
  await new Promise((resolve) => setImmediate(resolve));
  if (!socket.destroyed) socket.push(Buffer.from(text.slice(cut), 'latin1'));
  await settled();
}

async function byNode(text: string, cut: number): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  const server = createServer({ requireHostHeader: true }, (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('error', () => undefined);
    request.on('end', () => {
      const { method = '', url = '' } = request;
      seen.push({ method, url, body: Buffer.concat(pieces).toString('latin1') });
      response.end('ok');
    });
  });
  server.on('clientError', (_, socket) => socket.destroy());
  const socket = new FakeSocket();
  socket.on('error', () => undefined);
  server.emit('connection', socket);
  await feed(socket, text, cut);
  socket.destroy();
  return seen;
}

async function byUs(text: string, cut: number): Promise<readonly Seen[]> {
  const { socket, seen } = ours();
  await feed(socket, text, cut);
  socket.destroy();
  return seen;
}

/** How many bytes our engine needs to see so many requests: what is behind them it has not read. */
async function bytesOf(text: string, count: number): Promise<number> {
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((await byUs(text.slice(0, middle), middle)).length >= count) high = middle;
    else low = middle + 1;
  }
  return low;
}

test('mutated requests are read as Node reads them, or refused', async () => {
  const random = randomOf(20_261_124);
  const differing: unknown[] = [];
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const text = mutated(random);
    const cut = Math.floor(random() * text.length);
    const mine = await byUs(text, cut);
    // llhttp knows a list of methods, and stops at any other.
    const unknown = mine.findIndex(({ method }) => !METHODS.includes(method));
    const compared = unknown < 0 ? mine : mine.slice(0, unknown);
    if (compared.length === 0) continue;
    accepted += compared.length;
    // Node reports a request only if what lies behind it in the same read is right, too.
    const whole = text.slice(0, await bytesOf(text, compared.length));
    const nodes = await byNode(whole, Math.min(cut, whole.length));
    if (JSON.stringify(compared) !== JSON.stringify(nodes))
      differing.push({ whole, compared, nodes });
  }
  expect(differing).toEqual([]);
  // The comparison means something only when much is accepted.
  expect(accepted).toBeGreaterThan(ROUNDS / 2);
}, 60_000);
