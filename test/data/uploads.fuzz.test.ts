import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { seeded } from '../core/simulator';
import { json, startBackend, stopBackends } from '../support/backend';
import type { TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';
import type { Uploader } from '../support/uploads';
import {
  chunked,
  headOf,
  LAST,
  startReplica,
  startUploader,
  stopUploads,
} from '../support/uploads';
import { rounds } from '../support/rounds';

// Bodies cut, delayed, broken off and spoiled by chance: what arrives is what was sent, and every
// slot comes back.

afterEach(async () => {
  await stopUploads();
  await stopPlanes();
  await stopBackends();
});

const MAX_BODY = 250_000;
const STREAM_ABOVE = 20_000;
const CALLS = rounds(40);
const AT_A_TIME = 10;

type Random = () => number;
const whole = (random: Random, most: number): number => Math.floor(random() * most);
const byteBy = (random: Random) => (): number => whole(random, 256);
/** Bytes to cut bodies from. */
const POOL = Buffer.from(Array.from({ length: 2 * MAX_BODY }, byteBy(seeded(99))));

type Plan = 'whole' | 'abort' | 'spoil';

/** A call as it will be made. */
interface Call {
  readonly model: 'fair' | 'rough';
  readonly trace: string;
  readonly body: Buffer;
  readonly inChunks: boolean;
  readonly plan: Plan;
  /** Bytes of the body before that happens. */
  readonly at: number;
}

function callOf(random: Random, index: number): Call {
  const size = whole(random, random() < 0.5 ? 2 * STREAM_ABOVE : 1.2 * MAX_BODY);
  const chance = random();
  const inChunks = random() < 0.5;
  const plan = chance < 0.15 ? 'abort' : chance < 0.25 && inChunks ? 'spoil' : 'whole';
  return {
    model: random() < 0.6 ? 'fair' : 'rough',
    trace: (index + 1).toString(16).padStart(32, '0'),
    body: POOL.subarray(index, index + size),
    inChunks,
    plan,
    at: whole(random, size),
  };
}

async function pause(random: Random): Promise<void> {
  const chance = random();
  if (chance < 0.5) return;
  if (chance < 0.9) return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => setTimeout(resolve, whole(random, 6)));
}

async function sendPart(
  random: Random,
  caller: Uploader,
  bytes: Buffer,
  inChunks: boolean,
): Promise<void> {
  const largest = random() < 0.1 ? 40 : 60_000;
  for (let at = 0, sent = 0; at < bytes.length && !caller.isClosed(); sent += 1) {
    // Many small ones in the beginning, then the rest.
    const size = 1 + (sent < 100 ? whole(random, largest) : bytes.length);
    const piece = bytes.subarray(at, at + size);
    at += size;
    await caller.send(inChunks ? chunked(piece) : piece);
    await pause(random);
  }
}

/** Makes a call; the text of the answer, as far as it came. */
async function make(random: Random, port: number, call: Call): Promise<string> {
  const { body, inChunks, plan, at, trace } = call;
  const caller = startUploader(port);
  const headers = `traceparent: 00-${trace}-bbbbbbbbbbbbbbbb-01\r\nConnection: close\r\n`;
  const path = `/v2/models/${call.model}/infer`;
  await caller.send(headOf(inChunks ? undefined : body.length, { path, headers }));
  const part = plan === 'whole' ? body : body.subarray(0, at);
  await sendPart(random, caller, part, inChunks);
  if (plan === 'abort') caller.socket.destroy();
  else if (plan === 'spoil') await caller.send('zz\r\n');
  else if (inChunks) await caller.send(LAST);
  await until(caller.isClosed, `the end of ${JSON.stringify({ ...call, body: body.length })}`);
  return caller.text();
}

/** A server that reads by fits and starts, answers too early, or breaks off. */
function rough(random: Random): (socket: Socket) => void {
  return (socket) => {
    const [patience, kind] = [whole(random, 150_000), whole(random, 3)];
    let seen = 0;
    socket.on('data', ({ length }: Buffer) => {
      seen += length;
      socket.pause();
      setTimeout(() => socket.resume(), whole(random, 3));
      if (seen < patience) return;
      if (kind === 0) socket.resetAndDestroy();
      else if (kind === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.end();
    });
    // What is smaller than its patience is answered, too.
    const late = setTimeout(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), 100);
    socket.on('close', () => clearTimeout(late));
  };
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function check({ model, body, plan }: Call, text: string): void {
  const [, first = ''] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
  if (plan === 'abort') return;
  // A rough server may have broken off what it began.
  if (model === 'rough') expect(['', '200', '400', '413', '502', '503']).toContain(first);
  else if (plan === 'spoil') expect(['400', '413']).toContain(first);
  else if (body.length > MAX_BODY) expect(first).toBe('413');
  else expect([first, text.includes(digest(body))]).toEqual(['200', true]);
}

async function checkEnd(plane: TestPlane, calls: readonly Call[]): Promise<void> {
  await until(() => plane.load.active() === 0, 'the end of every job');
  const arms = plane.load.arms();
  expect(arms.map(({ inFlight, queued }) => [inFlight, queued])).toEqual([
    [0, 0],
    [0, 0],
  ]);
  expect(plane.faults).toEqual([]);
  const traces = plane.outcomes.map(({ traceId }) => traceId);
  expect(new Set(traces).size).toBe(traces.length);
  const isAnswered = ({ model, plan, body }: Call): boolean =>
    model === 'fair' && plan === 'whole' && body.length <= MAX_BODY;
  const well = new Set(calls.filter(isAnswered).map(({ trace }) => trace));
  const counted = plane.outcomes.filter(({ traceId }) => well.has(traceId ?? ''));
  expect(counted.map(({ status }) => status)).toEqual([...well].map(() => 200));
  expect(arms.find(({ model }) => model === 'fair')?.window.failures).toBe(0);
}

test.each([20_270_101, 7, 4242])(
  'many bodies, seed %i: every body arrives as sent, and every slot is freed',
  async (seed) => {
    const random = seeded(seed);
    const backend = await startBackend(({ body }) => json({ digest: digest(body) }));
    const replica = await startReplica(rough(seeded(seed + 1)));
    const plane = await startPlane({ limits: { streamBytes: STREAM_ABOVE } });
    const inference = { maxBodyBytes: MAX_BODY, replayBytes: 5000, maxConcurrency: 4 };
    plane.route(
      { input: { id: 'fair', inference }, ports: { stable: [backend.port] } },
      { input: { id: 'rough', inference }, ports: { stable: [replica.port] } },
    );
    const calls = Array.from({ length: CALLS }, (_, index) => callOf(random, index));
    const left = [...calls];
    const work = async (own: Random): Promise<void> => {
      for (let call = left.pop(); call !== undefined; call = left.pop()) {
        check(call, await make(own, plane.port, call));
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, (_, at) => work(seeded(seed + 10 + at))));
    await checkEnd(plane, calls);
    await until(() => backend.inFlight() === 0, 'the backend');
  },
  60_000,
);
