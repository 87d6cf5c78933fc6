import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { Backend, Behaviour } from '../support/backend';
import { startBackend, stopBackends } from '../support/backend';
import type { PlaneOptions, TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';

// Answers that come bit by bit, from the model server to the caller, on real sockets.

const callers: Socket[] = [];
afterEach(async () => {
  for (const socket of callers.splice(0)) socket.destroy();
  await stopPlanes();
  await stopBackends();
});

/** Parts that come when a test says so. */
function paced() {
  const waiting: ((part: string | undefined) => void)[] = [];
  const ready: (string | undefined)[] = [];
  const give = (part: string | undefined): void => {
    const next = waiting.shift();
    if (next === undefined) ready.push(part);
    else next(part);
  };
  async function* parts(): AsyncGenerator<string> {
    for (;;) {
      const part =
        ready.length > 0
          ? ready.shift()
          : await new Promise<string | undefined>((resolve) => waiting.push(resolve));
      if (part === undefined) return;
      yield part;
    }
  }
  return { parts, give, end: () => give(undefined) };
}

const EVENTS = { 'content-type': 'text/event-stream' };
const BIG = 'x'.repeat(1_000_000);

/** Piece after piece without an end, each when the one before was taken. */
async function* endless(): AsyncGenerator<string> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    yield BIG;
  }
}

interface Ground {
  readonly backend: Backend;
  readonly plane: TestPlane;
}

async function ground(behaviour: () => Behaviour, options: PlaneOptions = {}): Promise<Ground> {
  const backend = await startBackend(behaviour);
  const plane = await startPlane(options);
  const input = { id: 'iris', inference: { timeoutSeconds: 1, maxConcurrency: 4 } };
  plane.route({ input, ports: { stable: [backend.port] } });
  return { backend, plane };
}

/** A caller whose answer is seen as it comes. */
function caller(port: number): { readonly socket: Socket; readonly text: () => string } {
  const socket = connect(port, '127.0.0.1');
  callers.push(socket);
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  socket.write('POST /v2/models/iris/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}');
  return { socket, text: () => text };
}

const inFlight = (plane: TestPlane): number | undefined => plane.load.arms()[0]?.inFlight;
const isQuiet = ({ plane, backend }: Ground): boolean =>
  plane.load.active() === 0 && inFlight(plane) === 0 && backend.inFlight() === 0;

test.each([
  ['events', EVENTS],
  ['chunks', { 'content-type': 'application/octet-stream' }],
  ['a body of known length', { 'content-length': '24' }],
])('%s pass one by one: the first arrives before the second is made', async (_, headers) => {
  const { parts, give, end } = paced();
  const { plane } = await ground(() => ({ kind: 'parts', headers, parts: parts() }));
  const { text } = caller(plane.port);
  // The head does not wait for the first event.
  await until(() => text().includes('\r\n\r\n'), 'the head');
  for (const part of ['data: 1\n', 'data: 2\n', 'data: 3\n']) {
    expect(inFlight(plane)).toBe(1);
    give(part);
    await until(() => text().includes(part), part);
  }
  end();
  await until(() => plane.outcomes.length === 1, 'the outcome');
  expect(plane.outcomes[0]).toMatchObject({ status: 200 });
  expect(inFlight(plane)).toBe(0);
});

test('the slot is held until the last byte is out', async () => {
  const { parts, give, end } = paced();
  const { plane, backend } = await ground(() => ({ kind: 'parts', parts: parts() }));
  const four = Array.from({ length: 4 }, () => caller(plane.port));
  await until(() => four.every(({ text }) => text().includes('200 OK')), 'four heads');
  const fifth = caller(plane.port);
  await until(() => plane.load.arms()[0]?.queued === 1, 'the fifth in the queue');
  give('x');
  await until(() => four.some(({ text }) => text().includes('x\r\n')), 'a byte of one');
  expect([backend.seen.length, inFlight(plane)]).toEqual([4, 4]);
  end();
  await until(() => fifth.text().includes('200 OK'), 'the fifth');
  expect(backend.seen).toHaveLength(5);
});

test.each([
  ['before the head', undefined, (): Behaviour => ({ kind: 'silence' })],
  [
    'after the head',
    { by: 'caller', kind: 'answer' },
    (): Behaviour => ({ kind: 'raw', bytes: 'HTTP/1.1 200 OK\r\n\r\n', last: 'stay' }),
  ],
  [
    'in the middle',
    { by: 'caller', kind: 'stream' },
    (): Behaviour => ({ kind: 'parts', headers: EVENTS, parts: endless() }),
  ],
])(
  'a caller that disconnects %s closes the server’s connection',
  async (where, broken, behaviour) => {
    const scene = await ground(behaviour);
    const { plane, backend } = scene;
    const { socket, text } = caller(plane.port);
    await until(() => backend.seen.length === 1, 'the request at the server');
    if (where !== 'before the head') await until(() => text().includes('200 OK'), 'the head');
    expect(backend.connections()).toBe(1);
    socket.destroy();
    await until(() => backend.connections() === 0, 'the socket closed');
    await until(() => isQuiet(scene), 'everything ended');
    expect(plane.outcomes).toMatchObject([{ status: 499 }]);
    expect(plane.outcomes[0]?.broken).toEqual(broken);
    expect(plane.load.arms()[0]?.window.failures).toBe(0);
  },
);

test.each([
  ['stream', 'Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nda\r\n'],
  ['answer', 'Content-Length: 9\r\n\r\n{"a"'],
])('a server that ends in the middle of a %s is counted as such', async (kind, rest) => {
  const bytes = `HTTP/1.1 200 OK\r\n${rest}`;
  const { plane } = await ground(() => ({ kind: 'raw', bytes, last: 'reset' }));
  caller(plane.port);
  await until(() => plane.outcomes.length === 1, 'the outcome');
  expect(plane.outcomes).toMatchObject([{ status: 502, broken: { by: 'server', kind } }]);
});

test('a caller that stops reading is disconnected after a while, and blocks no other', async () => {
  const { parts, give, end } = paced();
  const answers = [endless, parts];
  const scene = await ground(() => ({ kind: 'parts', parts: (answers.shift() ?? endless)() }), {
    callers: { stallMs: 100 },
  });
  const { plane } = scene;
  const slow = caller(plane.port);
  await until(() => slow.text().includes('200 OK'), 'the head');
  slow.socket.pause();
  const other = caller(plane.port);
  give('fine');
  await until(() => other.text().includes('fine'), 'the other');
  end();
  await until(() => isQuiet(scene), 'everything ended');
  expect(plane.outcomes.map(({ status }) => status).sort()).toEqual([200, 499]);
  // It is the caller's own doing: nobody is blamed.
  expect(plane.load.arms()[0]?.window.failures).toBe(0);
});

test('a slow caller does not count as a silent server', async () => {
  const pieces = Array.from({ length: 30 }, () => BIG);
  async function* all(): AsyncGenerator<string> {
    for (const piece of pieces) yield piece;
  }
  const scene = await ground(() => ({ kind: 'parts', parts: all() }), {
    callers: { stallMs: 20_000 },
  });
  const { socket, text } = caller(scene.plane.port);
  await until(() => text().includes('200 OK'), 'the head');
  socket.pause();
  // Longer than a server may be silent.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(scene.plane.outcomes).toHaveLength(0);
  socket.resume();
  await until(() => isQuiet(scene), 'everything ended');
  expect(scene.plane.outcomes).toMatchObject([{ status: 200 }]);
  expect(scene.plane.outcomes[0]?.failure).toBeUndefined();
});

test('a server that falls silent in the middle is given up, and the caller sees the break', async () => {
  const { parts, give } = paced();
  const scene = await ground(() => ({ kind: 'parts', headers: EVENTS, parts: parts() }));
  const { plane, backend } = scene;
  const { socket, text } = caller(plane.port);
  give('data: 1\n\n');
  await until(() => text().includes('data: 1'), 'the first event');
  await until(() => socket.destroyed, 'the break');
  expect(text().endsWith('0\r\n\r\n')).toBe(false);
  await until(() => isQuiet(scene) && backend.connections() === 0, 'everything ended');
  expect(plane.outcomes).toMatchObject([
    { status: 502, failure: expect.stringContaining('cut off') },
  ]);
  expect(plane.load.arms()[0]?.window.failures).toBe(1);
});
