import { createHash } from 'node:crypto';
import type { Behave } from '../support/backend';
import { freePort, json, startBackend, stopBackends } from '../support/backend';
import type { PlaneOptions, TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';
import type { Replica, Uploader } from '../support/uploads';
import {
  chunked,
  headOf,
  LAST,
  startReplica,
  startUploader,
  stopUploads,
} from '../support/uploads';

// Bodies that go to the model server while they come from the caller, on real sockets.

afterEach(async () => {
  await stopUploads();
  await stopPlanes();
  await stopBackends();
});

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes of which no part is like another. */
function bytesOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

const BODY = bytesOf(4 * MIB);
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const echo: Behave = ({ body, headers }) =>
  json({ digest: digest(body), bytes: body.length, framing: framingOf(headers) });
const framingOf = (headers: Readonly<Record<string, unknown>>): unknown =>
  headers['content-length'] ?? headers['transfer-encoding'];

interface Inference {
  readonly timeoutSeconds?: number;
  readonly maxConcurrency?: number;
  readonly maxBodyBytes?: number;
  readonly replayBytes?: number;
  readonly idempotent?: boolean;
  readonly batching?: {
    readonly maxSize: number;
    readonly maxDelayMs: number;
    readonly rowsIndependent: boolean;
  };
}

async function planeTo(
  ports: readonly number[],
  inference: Inference = {},
  options: PlaneOptions = {},
): Promise<TestPlane> {
  const plane = await startPlane({ random: () => 0, ...options });
  const input = { id: 'iris', inference: { maxConcurrency: 4, timeoutSeconds: 5, ...inference } };
  plane.route({ input, ports: { stable: ports } });
  return plane;
}

const arm = (plane: TestPlane) => plane.load.arms()[0];

/** Every slot is free, every job has ended, once. */
async function quiet(plane: TestPlane, statuses: readonly number[]): Promise<void> {
  await until(() => plane.outcomes.length >= statuses.length, 'the outcomes');
  await until(() => plane.load.active() === 0 && arm(plane)?.inFlight === 0, 'the slots');
  expect(plane.outcomes.map(({ status }) => status)).toEqual(statuses);
  expect(plane.faults).toEqual([]);
}

const blame = (plane: TestPlane): number | undefined => arm(plane)?.window.failures;

/** Sends a body as one piece or in chunks, and says that it is over. */
async function sendBody(caller: Uploader, body: Buffer, inChunks: boolean): Promise<void> {
  if (!inChunks) return caller.send(body);
  for (let at = 0; at < body.length; at += 50_000) {
    await caller.send(chunked(body.subarray(at, at + 50_000)));
  }
  await caller.send(LAST);
}

/** A caller whose first part, more than is read ahead, is at the replica. */
async function half(plane: TestPlane, replica: Replica, inChunks: boolean): Promise<Uploader> {
  const caller = startUploader(plane.port);
  await caller.send(headOf(inChunks ? undefined : BODY.length));
  const first = BODY.subarray(0, 2 * MIB);
  await caller.send(inChunks ? chunked(first) : first);
  await until(() => replica.bytes() > 2 * MIB, 'the first half at the replica');
  return caller;
}

const FRAMINGS = [
  ['of known length', false],
  ['in chunks', true],
] as const;

describe.each(FRAMINGS)('a body %s', (_, inChunks) => {
  const length = inChunks ? undefined : BODY.length;

  test('arrives byte for byte, framed as it came', async () => {
    const backend = await startBackend(echo);
    const plane = await planeTo([backend.port]);
    const caller = startUploader(plane.port);
    await caller.send(headOf(length));
    await sendBody(caller, BODY, inChunks);
    await caller.hears('}');
    const framing = inChunks ? 'chunked' : String(BODY.length);
    const told = JSON.stringify({ digest: digest(BODY), bytes: BODY.length, framing });
    expect(caller.text()).toContain(told);
    await quiet(plane, [200]);
  });

  test('reaches the replica before its end has arrived', async () => {
    const replica = await startReplica();
    const plane = await planeTo([replica.port]);
    const caller = await half(plane, replica, inChunks);
    const rest = BODY.subarray(2 * MIB);
    await caller.send(inChunks ? chunked(rest) : rest);
    if (inChunks) await caller.send(LAST);
    await until(() => replica.bytes() > BODY.length, 'the rest');
    replica.say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await caller.hears('\r\n\r\nok');
    await quiet(plane, [200]);
  });

  test('goes to another replica when the first is unreachable', async () => {
    const backend = await startBackend(echo);
    // Nothing was sent, so it does not matter whether it could be sent twice.
    const plane = await planeTo([await freePort(), backend.port], { idempotent: false });
    const caller = startUploader(plane.port);
    await caller.send(headOf(length));
    await sendBody(caller, BODY, inChunks);
    await caller.hears(digest(BODY));
    await quiet(plane, [200]);
    expect(plane.outcomes[0]?.tries).toBe(2);
  });

  test('is not sent twice when the replica breaks off in the middle', async () => {
    const replica = await startReplica();
    const other = await startReplica();
    const plane = await planeTo([replica.port, other.port]);
    const caller = await half(plane, replica, inChunks);
    replica.last().resetAndDestroy();
    await caller.hears('HTTP/1.1 502');
    await until(caller.isClosed, 'the end of the connection');
    await quiet(plane, [502]);
    expect([plane.outcomes[0]?.tries, blame(plane), other.bytes()]).toEqual([1, 1, 0]);
  });

  test('of a caller that disconnects closes the connection to the replica', async () => {
    const replica = await startReplica();
    const plane = await planeTo([replica.port]);
    const caller = await half(plane, replica, inChunks);
    caller.socket.destroy();
    await until(() => replica.connections() === 0, 'the end of its connection');
    await quiet(plane, [499]);
    expect(blame(plane)).toBe(0);
  });

  test('that stalls is a 408, and no replica is blamed', async () => {
    const replica = await startReplica();
    const plane = await planeTo([replica.port], {}, { callers: { bodyMs: 800 } });
    const caller = await half(plane, replica, inChunks);
    await caller.hears('HTTP/1.1 408');
    await until(() => caller.isClosed() && replica.connections() === 0, 'both connections closed');
    expect(caller.text()).toContain('connection: close');
    await quiet(plane, [408]);
    expect([blame(plane), arm(plane)?.replicas[0]?.ejectedUntil]).toEqual([0, undefined]);
  });

  test('that is answered before its end ends with the response, on both sides', async () => {
    const replica = await startReplica();
    const plane = await planeTo([replica.port]);
    const caller = await half(plane, replica, inChunks);
    replica.say('HTTP/1.1 422 Wrong\r\nContent-Length: 2\r\n\r\nno');
    await caller.hears('\r\n\r\nno');
    expect(caller.text()).toMatch(/^HTTP\/1\.1 422 [^]*connection: close/);
    await until(() => caller.isClosed() && replica.connections() === 0, 'both connections closed');
    await quiet(plane, [422]);
  });

  test('that a replica refuses by an early close is refused, without blame for the replica', async () => {
    const refusal = 'HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig';
    const replica = await startReplica((socket) =>
      socket.once('data', () => socket.end(refusal, () => socket.destroy())),
    );
    const plane = await planeTo([replica.port]);
    for (let nth = 1; nth <= 10; nth += 1) {
      const caller = startUploader(plane.port);
      await caller.send(headOf(length));
      void sendBody(caller, BODY, inChunks);
      await caller.hears('\r\n\r\nbig');
      await quiet(
        plane,
        Array.from({ length: nth }, () => 413),
      );
      caller.socket.destroy();
    }
    expect(blame(plane)).toBe(0);
  });

  test('continues while the response has begun', async () => {
    const replica = await startReplica();
    const plane = await planeTo([replica.port]);
    const caller = await half(plane, replica, inChunks);
    replica.say('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun');
    await caller.hears('begun');
    const rest = BODY.subarray(2 * MIB);
    await caller.send(inChunks ? chunked(rest) : rest);
    if (inChunks) await caller.send(LAST);
    await until(() => replica.bytes() > BODY.length, 'the rest');
    replica.say(' end');
    await caller.hears('begun end');
    await until(caller.isClosed, 'the end, as it was said');
    await quiet(plane, [200]);
  });
});

test('up to the limit a body is read whole, above it it is passed on', async () => {
  const backend = await startBackend(echo);
  const plane = await planeTo([backend.port], {}, { limits: { streamBytes: 100_000 } });
  const framings: unknown[] = [];
  for (const size of [100_000, 100_001]) {
    const caller = startUploader(plane.port);
    await caller.send(headOf(undefined));
    await sendBody(caller, BODY.subarray(0, size), true);
    await caller.hears(digest(BODY.subarray(0, size)));
    framings.push(framingOf(backend.seen.at(-1)?.headers ?? {}));
  }
  expect(framings).toEqual(['100000', 'chunked']);
});

test.each<[string, Inference]>([
  ['that may be sent again', { replayBytes: 2 * MIB }],
  ['that may go with others', { batching: { maxSize: 2, maxDelayMs: 1, rowsIndependent: true } }],
])('a body %s is read whole', async (_, inference) => {
  const backend = await startBackend(echo);
  const plane = await planeTo([backend.port], inference);
  const caller = startUploader(plane.port);
  await caller.send(headOf(undefined));
  await sendBody(caller, BODY.subarray(0, 1.5 * MIB), true);
  await caller.hears('}');
  expect(framingOf(backend.seen[0]?.headers ?? {})).toBe(String(1.5 * MIB));
});

test('a call that is copied for a shadow is read whole', async () => {
  const [backend, shadow] = await Promise.all([startBackend(echo), startBackend(echo)]);
  const plane = await planeTo([]);
  const candidates = [{ name: 'next', version: 'v2', shadow: 100 }];
  plane.route({
    input: { id: 'iris', candidates },
    ports: { stable: [backend.port], next: [shadow.port] },
  });
  const caller = startUploader(plane.port);
  await caller.send(headOf(undefined));
  await sendBody(caller, BODY.subarray(0, 1.5 * MIB), true);
  await caller.hears('}');
  expect(framingOf(backend.seen[0]?.headers ?? {})).toBe(String(1.5 * MIB));
});

test('a replica that stops reading stops its caller; nothing piles up in between', async () => {
  const size = 64 * MIB;
  const replica = await startReplica((socket) => socket.pause());
  const plane = await planeTo([replica.port], { maxBodyBytes: size });
  const caller = startUploader(plane.port);
  await caller.send(headOf(size));
  const before = process.memoryUsage().arrayBuffers;
  const piece = bytesOf(64 * KIB);
  const state = { sent: 0 };
  const sending = (async () => {
    while (state.sent < size) {
      await caller.send(piece);
      state.sent += piece.length;
    }
  })();
  await standsStill(() => state.sent);
  // What stands is in the kernel's buffers, of which each connection has two.
  expect(state.sent).toBeLessThan(size / 2);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(size / 2);
  expect(arm(plane)?.inFlight).toBe(1);
  replica.last().resume();
  await sending;
  await until(() => replica.bytes() > size, 'all of it');
  replica.say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  await caller.hears('\r\n\r\nok');
  await quiet(plane, [200]);
}, 30_000);

/** Resolves when a number has not changed for half a second. */
async function standsStill(value: () => number): Promise<void> {
  let [last, since] = [value(), Date.now()];
  while (Date.now() - since < 500) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (value() !== last) [last, since] = [value(), Date.now()];
  }
}

test('a replica that never reads runs into the timeout, and is blamed', async () => {
  const replica = await startReplica((socket) => socket.pause());
  const plane = await planeTo([replica.port], { maxBodyBytes: 64 * MIB, timeoutSeconds: 1 });
  const caller = startUploader(plane.port);
  await caller.send(headOf(64 * MIB));
  void caller.send(Buffer.alloc(63 * MIB));
  await caller.hears('HTTP/1.1 504');
  await quiet(plane, [504]);
  expect(blame(plane)).toBe(1);
});

test('a caller that is slower than the deadline of the replica does not make it late', async () => {
  const replica = await startReplica();
  const plane = await planeTo([replica.port], { timeoutSeconds: 1 });
  const caller = await half(plane, replica, false);
  await new Promise((resolve) => setTimeout(resolve, 1300));
  await caller.send(BODY.subarray(2 * MIB));
  await until(() => replica.bytes() > BODY.length, 'the rest');
  // Its time begins with the last byte.
  expect(plane.outcomes).toEqual([]);
  replica.say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  await caller.hears('\r\n\r\nok');
  await quiet(plane, [200]);
});

test('a caller that sends byte by byte does not hold a slot for long', async () => {
  const replica = await startReplica();
  const plane = await planeTo([replica.port], {}, { callers: { bodyMs: 800 } });
  const caller = await half(plane, replica, false);
  const drip = setInterval(() => caller.socket.write('x'), 10);
  await caller.hears('HTTP/1.1 408');
  clearInterval(drip);
  await quiet(plane, [408]);
});

test('chunks that exceed the limit are a 413, in the record too, and end the connection to the replica', async () => {
  const replica = await startReplica();
  const audited: (number | undefined)[] = [];
  const audit = ({ status }: { readonly status?: number | undefined }) => audited.push(status);
  const plane = await planeTo([replica.port], { maxBodyBytes: 3 * MIB }, { audit });
  const caller = await half(plane, replica, true);
  await caller.send(chunked(BODY.subarray(0, 1.5 * MIB)));
  await caller.hears('HTTP/1.1 413');
  expect(caller.text()).toContain(`the body has more than ${3 * MIB} bytes`);
  await until(() => replica.connections() === 0, 'the end of its connection');
  await until(caller.isClosed, 'the end of the caller');
  await quiet(plane, [413]);
  expect([blame(plane), audited]).toEqual([0, [413]]);
});

test('a length beyond the limit is a 413 before any replica is called', async () => {
  const replica = await startReplica();
  const plane = await planeTo([replica.port], { maxBodyBytes: 3 * MIB });
  const caller = startUploader(plane.port);
  await caller.send(headOf(BODY.length, { headers: 'Expect: 100-continue\r\n' }));
  await caller.hears('HTTP/1.1 413');
  expect([caller.text().includes('100 Continue'), replica.connections()]).toEqual([false, 0]);
  await quiet(plane, []);
});

test('invalid chunks are a 400, whenever they arrive', async () => {
  const replica = await startReplica();
  const plane = await planeTo([replica.port]);
  const caller = await half(plane, replica, true);
  await caller.send('no chunk\r\n');
  await caller.hears('HTTP/1.1 400');
  await until(() => caller.isClosed() && replica.connections() === 0, 'both connections closed');
  await quiet(plane, [400]);
  expect(blame(plane)).toBe(0);
});

test('a body that breaks after the response has begun ends it: it is never taken for whole', async () => {
  const replica = await startReplica();
  const plane = await planeTo([replica.port]);
  const caller = await half(plane, replica, true);
  replica.say('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun');
  await caller.hears('begun');
  await caller.send('no chunk\r\n');
  await until(() => caller.isClosed() && replica.connections() === 0, 'both connections closed');
  expect(caller.text().endsWith('begun')).toBe(true);
  await quiet(plane, [499]);
  expect(blame(plane)).toBe(0);
});

test("a body waits for a slot at its caller, without running into the caller's timeout", async () => {
  const replica = await startReplica();
  const options = { callers: { bodyMs: 800 } };
  const plane = await planeTo([replica.port], { maxConcurrency: 1 }, options);
  const first = startUploader(plane.port);
  await first.send(headOf(2, {}) + '{}');
  await until(() => replica.bytes() > 0, 'the first at the replica');
  const second = startUploader(plane.port);
  await second.send(headOf(2 * MIB));
  const sent = second.send(BODY.subarray(0, 2 * MIB));
  await until(() => arm(plane)?.queued === 1, 'the second in the queue');
  await new Promise((resolve) => setTimeout(resolve, 1200));
  expect([arm(plane)?.queued, replica.bytes() < 1000]).toEqual([1, true]);
  replica.say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  await sent;
  await until(() => replica.bytes() > 2 * MIB, 'the second at the replica');
  replica.say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  await second.hears('\r\n\r\nok');
  await quiet(plane, [200, 200]);
});

test('100 Continue is sent with a slot, and not without one', async () => {
  const backend = await startBackend(echo);
  const plane = await planeTo([backend.port]);
  const expects = { headers: 'Expect: 100-continue\r\n' };
  const caller = startUploader(plane.port);
  await caller.send(headOf(BODY.length, expects));
  await caller.hears('HTTP/1.1 100 Continue\r\n\r\n');
  await caller.send(BODY);
  await caller.hears(digest(BODY));
  expect(caller.text().match(/100 Continue/g)).toHaveLength(1);
  plane.route({ input: { id: 'iris' }, ports: { stable: [] } });
  const late = startUploader(plane.port);
  const headers = `${expects.headers}x-ai-model-deadline-ms: 50\r\n`;
  await late.send(headOf(BODY.length, { headers }));
  await late.hears('HTTP/1.1 503');
  expect(late.text()).not.toContain('100 Continue');
});

test.each(['1.0', '1.1'])(
  'a connection of HTTP/%s continues after a large body',
  async (version) => {
    const backend = await startBackend(echo);
    const plane = await planeTo([backend.port]);
    const caller = startUploader(plane.port);
    const head = headOf(BODY.length, { version, headers: 'Connection: keep-alive\r\n' });
    // The next two come with the last bytes of the one before.
    const all = [head, BODY, head, BODY, `GET /v2/health/live HTTP/1.0\r\n\r\n`];
    await caller.send(Buffer.concat(all.map((one) => Buffer.from(one))));
    await until(caller.isClosed, 'the end');
    expect(caller.text().match(/HTTP\/1\.1 200/g)).toHaveLength(3);
    expect(caller.text().match(new RegExp(digest(BODY), 'g'))).toHaveLength(2);
    // The connection to the replica served both.
    expect(backend.seen).toHaveLength(2);
    await quiet(plane, [200, 200]);
  },
);

test('a body in two parts may be followed by a long wait for the response', async () => {
  const replica = await startReplica();
  const plane = await planeTo([replica.port], {}, { callers: { bodyMs: 500 } });
  const caller = startUploader(plane.port);
  await caller.send(`${headOf(4)}ab`);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await caller.send('cd');
  await until(() => replica.text().includes('abcd'), 'the body');
  await new Promise((resolve) => setTimeout(resolve, 900));
  expect(caller.text()).toBe('');
  replica.say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  await caller.hears('\r\n\r\nok');
});
