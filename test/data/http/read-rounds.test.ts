import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { readAll } from '../../../runtime/data/upstream/collect';
import type {
  ExchangeFailure,
  Exchange,
  BodySink,
  BodySource,
} from '../../../runtime/data/http/exchange';
import { ChunkedDecoder } from '../../../runtime/data/http/buffers/chunked';
import {
  FREE_BYTES,
  READ_BYTES,
  ReadBudget,
  ROUND_BYTES,
  ROUND_CHUNKS,
} from '../../../runtime/data/http/buffers/read-budget';
import type { HttpClient } from '../../../runtime/data/http/client/client';
import { createHttpClient, awaitResponse } from '../../../runtime/data/http/client/client';
import { DEFAULT_CALLER_LIMITS } from '../../../runtime/data/http/server/caller-limits';
import { ServerConnection } from '../../../runtime/data/http/server/server-connection';
import { plainly } from './support';

// How many chunks of one byte a round of the event loop takes, over real sockets.

const CHUNKS = 600_000;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const CHUNK_BYTES = 6;
/** The budget, and two reads of 64 KiB: what was kept before anybody read the answer. */
const MOST = ROUND_CHUNKS + (2 * 65_536) / CHUNK_BYTES;

const BODY = LETTERS.repeat(CHUNKS / LETTERS.length + 1).slice(0, CHUNKS);
const TEXT = `${BODY.replace(/./g, '1\r\n$&\r\n')}0\r\n\r\n`;
const ANSWER = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${TEXT}`;
const REQUEST = `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${TEXT}`;

const servers: Server[] = [];
const sockets: Socket[] = [];
let client: HttpClient;
beforeEach(() => {
  client = createHttpClient();
});
afterEach(async () => {
  jest.restoreAllMocks();
  client.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(servers.splice(0).map((one) => new Promise((resolve) => one.close(resolve))));
});

async function listening(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const answering = (): Promise<number> =>
  listening((socket) => void socket.on('data', () => void socket.write(ANSWER, 'latin1')));

/** Counts the chunks of each round: one ends when what was set for its end is called. */
function counted(): { readonly rounds: number[] } {
  const rounds: number[] = [];
  let now = 0;
  // oxlint-disable-next-line typescript/unbound-method -- called with its decoder
  const { write } = ChunkedDecoder.prototype;
  jest.spyOn(ChunkedDecoder.prototype, 'write').mockImplementation(function (
    this: ChunkedDecoder,
    bytes,
    sink,
  ) {
    return write.call(this, bytes, (piece) => {
      if (now === 0) {
        setImmediate(() => {
          rounds.push(now);
          now = 0;
        });
      }
      now += 1;
      sink(piece);
    });
  });
  return { rounds };
}

async function asked(port: number, signal = new AbortController().signal) {
  const asking = {
    method: 'GET',
    target: '/',
    headers: 'host: x\r\n',
    body: undefined,
    timeoutMs: 20_000,
    signal,
    repeatable: true,
  };
  const result = await awaitResponse((asker) =>
    client.send({ host: '127.0.0.1', port }, asking, asker),
  );
  if (result.kind !== 'answered') throw new Error(result.kind);
  return result;
}

/** Rounds in which the kernel fills up with what the other side writes. */
async function filled(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('a response in chunks of one byte is read in many rounds, whole and in order', async () => {
  const { rounds } = counted();
  const answer = await asked(await answering());
  await filled();
  const body = await readAll(answer, CHUNKS, 20_000);
  expect(Buffer.isBuffer(body) && body.toString('latin1') === BODY).toBe(true);
  expect(Math.max(...rounds)).toBeLessThan(MOST);
  expect(rounds.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(CHUNKS - MOST);
});

/** Takes all, but after each piece it is slow for some rounds. */
function slowly(body: BodySource, done: (text: string) => void): BodySink {
  let text = '';
  return {
    data: (piece) => {
      text += piece.toString('latin1');
      setImmediate(() => setImmediate(() => body.resume()));
      return false;
    },
    end: () => done(text),
    fail: (why) => done(why.kind),
  };
}

test('a slow reader gets all of it in order', async () => {
  const { body } = await asked(await answering());
  const text = await new Promise<string>((resolve) => body.flow(slowly(body, resolve)));
  expect(text === BODY).toBe(true);
});

test('a caller that disconnects during a pause gets no more, and nothing else breaks', async () => {
  const port = await answering();
  const abort = new AbortController();
  const { body } = await asked(port, abort.signal);
  const told: string[] = [];
  let bytes = 0;
  await filled();
  const why = await new Promise<ExchangeFailure>((resolve) => {
    body.flow({
      data: (piece) => {
        bytes += piece.length;
        // After this read and before the next round.
        if (bytes > ROUND_CHUNKS) process.nextTick(() => abort.abort());
        if (abort.signal.aborted) told.push('data after the end');
        return true;
      },
      end: () => void told.push('end'),
      fail: resolve,
    });
  });
  await filled();
  expect(why).toEqual({ kind: 'aborted' });
  expect(told).toEqual([]);
  const again = await readAll(await asked(port), CHUNKS, 20_000);
  expect(Buffer.isBuffer(again) && again.length).toBe(CHUNKS);
});

/** Our server; `handle` gets every exchange. */
const serving = (handle: (exchange: Exchange) => void): Promise<number> =>
  listening((socket) => {
    const limits = DEFAULT_CALLER_LIMITS;
    const hooks = { handle, refuse: plainly, limits, isClosing: () => false };
    // oxlint-disable-next-line no-new
    new ServerConnection(socket, false, hooks);
  });

function caller(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  return socket.on('error', () => undefined);
}

test('a request in chunks of one byte is read in many rounds, and so is the next one', async () => {
  const { rounds } = counted();
  const isWhole: boolean[] = [];
  const port = await serving((exchange) => {
    void Promise.resolve(exchange.body(CHUNKS)).then((body) => {
      isWhole.push(body.toString('latin1') === BODY);
      exchange.answer(200, '', 'ok');
    });
  });
  const socket = caller(port);
  socket.write(REQUEST + REQUEST, 'latin1');
  let got = '';
  await new Promise<void>((resolve) => {
    socket.on('data', (bytes) => {
      got += bytes.toString('latin1');
      if (got.split('HTTP/1.1 200').length === 3) resolve();
    });
  });
  expect(isWhole).toEqual([true, true]);
  expect(Math.max(...rounds)).toBeLessThan(MOST);
});

test('a caller that breaks off within such a request is noticed, and its connection closed', async () => {
  let broken: (why: Error) => void;
  const why = new Promise<Error>((resolve) => (broken = resolve));
  const port = await serving((exchange) => {
    Promise.resolve(exchange.body(CHUNKS)).then(() => undefined, broken);
  });
  const socket = caller(port);
  socket.write(REQUEST.slice(0, -5), 'latin1', () => socket.destroy());
  expect((await why).message).toBe('the caller broke off');
});

/** Bytes beyond the free ones that `ServerConnection`s took in each round of the event loop. */
function countedBytes(): { readonly rounds: number[] } {
  const rounds: number[] = [];
  const taken = new Map<ReadBudget, number>();
  let now = 0;
  // oxlint-disable-next-line typescript/unbound-method -- called with its budget
  const { spendRead } = ReadBudget.prototype;
  jest.spyOn(ReadBudget.prototype, 'spendRead').mockImplementation(function (
    this: ReadBudget,
    bytes,
  ) {
    const before = taken.get(this) ?? 0;
    taken.set(this, before + bytes);
    const beyond = Math.min(bytes, before + bytes - FREE_BYTES);
    if (beyond > 0) {
      if (now === 0) {
        setImmediate(() => {
          rounds.push(now);
          now = 0;
        });
      }
      now += beyond;
    }
    spendRead.call(this, bytes);
  });
  return { rounds };
}

const LARGE_BYTES = 4 * 1024 * 1024;

test.each([1, 4, 40])('%d large bodies at once share the bytes of a round', async (count) => {
  const { rounds } = countedBytes();
  const sizes: number[] = [];
  const begun: Exchange[] = [];
  const port = await serving((exchange) => void begun.push(exchange));
  const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${LARGE_BYTES}\r\n\r\n`;
  const answered = Array.from({ length: count }, () => {
    const socket = caller(port);
    socket.write(head, 'latin1');
    socket.write(Buffer.alloc(LARGE_BYTES));
    return new Promise((resolve) => socket.once('data', resolve));
  });
  // All have more in the kernel than a round may read; then all are read.
  while (begun.length < count) await filled();
  await filled();
  for (const exchange of begun) {
    void Promise.resolve(exchange.body(LARGE_BYTES)).then((body) => {
      sizes.push(body.length);
      exchange.answer(200, '', 'ok');
    });
  }
  await Promise.all(answered);
  expect(sizes).toEqual(Array.from({ length: count }, () => LARGE_BYTES));
  // All connections begin in one round: when it is spent each is read once more before it waits for
  // its turn, and Node reads once more after `pause`. Without a budget it is twice as much and more.
  expect(Math.max(...rounds)).toBeLessThanOrEqual(ROUND_BYTES + count * 2 * READ_BYTES);
  const usual = rounds.toSorted((a, b) => a - b)[Math.floor(rounds.length / 2)] ?? 0;
  // Of those that wait so many go on as fill a round with one read each, once more after `pause`,
  // and some of the next round before its end is seen here. If all went on it would be five rounds.
  expect(usual).toBeLessThanOrEqual(3.25 * ROUND_BYTES);
});
