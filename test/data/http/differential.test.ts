import { createServer, METHODS } from 'node:http';
import { seeded } from '../../core/simulator';
import { mutated } from '../../support/mutate';
import { FakeSocket, ours, settled } from './support';
import type { Seen } from './support';
import { rounds } from '../../support/rounds';

// What we accept, Node's own parser must read in the same way: same requests, same bodies, same end.
// What we refuse and it takes is our strictness. Mutations come from a seed: a failure repeats.

const ROUNDS = rounds(1_500);

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
  // Mostly it is all of them, and the first look says so.
  let middle = high - 1;
  while (low < high) {
    if ((await byUs(text.slice(0, middle), middle)).length >= count) high = middle;
    else low = middle + 1;
    middle = (low + high) >> 1;
  }
  return low;
}

test('mutated requests are read as Node reads them, or refused', async () => {
  const random = seeded(20_261_124);
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
}, 300_000);
