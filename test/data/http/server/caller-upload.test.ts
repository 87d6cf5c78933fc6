import type { Socket } from 'node:net';
import type {
  RequestPayload,
  Exchange,
  BodySink,
  Upload,
} from '../../../../runtime/data/http/exchange';
import { DEFAULT_CALLER_LIMITS } from '../../../../runtime/data/http/server/caller-limits';
import { ServerConnection } from '../../../../runtime/data/http/server/server-connection';
import { FakeSocket, plainly, settled } from '../support';

// What of a body that is passed on is in our memory, byte by byte.

const KIB = 1024;
const PIECE = Buffer.alloc(64 * KIB, 'x');

/** One request whose body is taken as an upload beyond `whole` bytes. */
async function began(framing: string, whole: number, first = '') {
  const socket = new FakeSocket();
  const bodies: RequestPayload[] = [];
  const handle = async (exchange: Exchange): Promise<void> => {
    bodies.push(await exchange.upload(whole, 1 << 30));
  };
  const hooks = {
    handle: (one: Exchange) => void handle(one),
    limits: DEFAULT_CALLER_LIMITS,
    isClosing: () => false,
    refuse: plainly,
  };
  // oxlint-disable-next-line no-new
  new ServerConnection(socket as unknown as Socket, false, hooks);
  let pushed = 0;
  const push = (bytes: Buffer): void => {
    pushed += bytes.length;
    socket.push(bytes);
  };
  push(Buffer.from(`POST / HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n${first}`));
  await settled();
  /** What was taken from the socket. */
  const taken = (): number => pushed - socket.readableLength;
  return { socket, bodies, push, taken };
}

const uploadOf = (body: RequestPayload | undefined): Upload => {
  if (body === undefined || Buffer.isBuffer(body)) throw new Error('it was read whole');
  return body;
};

/** Takes pieces, one at a time. */
function taker() {
  const state = { bytes: 0, pieces: 0, ended: false };
  const sink: BodySink = {
    data: (piece) => {
      state.bytes += piece.length;
      state.pieces += 1;
      return false;
    },
    end: () => void (state.ended = true),
    fail: () => undefined,
  };
  return { sink, state };
}

test('a body of known length is read ahead only as far as it came with its head', async () => {
  const size = 100 * PIECE.length;
  const { bodies, push, taken, socket } = await began(`Content-Length: ${size}`, 1024 * KIB);
  for (let at = 0; at < 100; at += 1) push(PIECE);
  await settled();
  const upload = uploadOf(bodies[0]);
  expect([upload.length, upload.isUntouched]).toEqual([size, true]);
  // One read that tells that there is enough, and one that was on its way.
  expect(taken()).toBeLessThan(3 * PIECE.length);
  const { sink, state } = taker();
  upload.flow(sink);
  for (let turn = 0; turn < 200 && !state.ended; turn += 1) {
    await settled();
    // No more is taken from the caller than the server took, and some reads.
    expect(taken() - state.bytes).toBeLessThan(4 * PIECE.length);
    upload.resume();
  }
  expect([state.ended, state.bytes]).toEqual([true, size]);
  socket.destroy();
});

test('chunks are read ahead only as far as needed to decide whether they are many', async () => {
  const { bodies, push, taken, socket } = await began('Transfer-Encoding: chunked', 256 * KIB);
  const chunk = Buffer.concat([Buffer.from('10000\r\n'), PIECE, Buffer.from('\r\n')]);
  for (let at = 0; at < 100; at += 1) push(chunk);
  await settled();
  expect(uploadOf(bodies[0]).length).toBeUndefined();
  expect(taken()).toBeLessThan(256 * KIB + 4 * PIECE.length);
  socket.destroy();
});

test('thousands of small chunks in one read are one piece', async () => {
  const { bodies, push, socket } = await began('Transfer-Encoding: chunked', 100);
  push(Buffer.from('1\r\nx\r\n'.repeat(5000)));
  await settled();
  const { sink, state } = taker();
  uploadOf(bodies[0]).flow(sink);
  expect(state).toEqual({ bytes: 5000, pieces: 1, ended: false });
  socket.destroy();
});

test('an upload that is no longer wanted is read and discarded', async () => {
  const size = 100 * PIECE.length;
  const { bodies, push, taken, socket } = await began(`Content-Length: ${size}`, 1024 * KIB);
  const upload = uploadOf(bodies[0]);
  const { sink, state } = taker();
  push(PIECE);
  await settled();
  upload.flow(sink);
  upload.destroy();
  for (let at = 1; at < 100; at += 1) push(PIECE);
  for (let turn = 0; turn < 200 && taken() <= size; turn += 1) await settled();
  expect([state.pieces, state.ended, taken() > size]).toEqual([1, false, true]);
  socket.destroy();
});
