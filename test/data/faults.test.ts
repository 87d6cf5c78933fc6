import type { Behaviour } from '../support/backend';
import { freePort, json, startBackend, stopBackends } from '../support/backend';
import type { TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';

// Every way in which a model server fails: what the caller gets, who is to blame, what is left.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const BODY = '{"result":{"y":1}}';
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
const sized = (length: number, body = BODY): string =>
  `${HEAD}Content-Length: ${length}\r\n\r\n${body}`;
const WHOLE = sized(BODY.length);

/** The connection broke: what the caller has is not the whole. */
type Got = number | 'broken';

interface Fault {
  readonly does: Behaviour | 'refuses';
  /** What passes as it comes, and what is read whole before it is passed on. */
  readonly passed: Got;
  readonly read: Got;
  readonly blamed: boolean;
  /** Of the whole request: short where it is to pass, for on a busy machine all takes long. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 20_000;

const raw = (bytes: string, last: 'end' | 'reset' | 'stay'): Behaviour => ({
  kind: 'raw',
  bytes,
  last,
});
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const FAULTS: Readonly<Record<string, Fault>> = {
  // Nothing was sent: another one is asked, whatever the definition says.
  'refuses connections': { does: 'refuses', passed: 200, read: 200, blamed: true },
  'resets before a byte': { does: raw('', 'reset'), passed: 502, read: 502, blamed: true },
  'ends before a byte': { does: raw('', 'end'), passed: 502, read: 502, blamed: true },
  'resets in the head': {
    does: raw(WHOLE.slice(0, 30), 'reset'),
    passed: 502,
    read: 502,
    blamed: true,
  },
  'resets in the body': {
    does: raw(WHOLE.slice(0, -5), 'reset'),
    passed: 'broken',
    read: 502,
    blamed: true,
  },
  'says more than it sends': {
    does: raw(sized(99), 'end'),
    passed: 'broken',
    read: 502,
    blamed: true,
  },
  'sends more than it says': {
    does: raw(`${WHOLE}more`, 'end'),
    passed: 200,
    read: 200,
    blamed: false,
  },
  'ends in a chunk': {
    does: raw(`${HEAD}Transfer-Encoding: chunked\r\n\r\n20\r\n${BODY}`, 'end'),
    passed: 'broken',
    read: 502,
    blamed: true,
  },
  'sends chunks that are none': {
    does: raw(`${HEAD}Transfer-Encoding: chunked\r\n\r\n12\r\n${BODY}\r\nxyz\r\n`, 'stay'),
    passed: 502,
    read: 502,
    blamed: true,
  },
  'speaks no HTTP': {
    does: raw('SSH-2.0-x\r\n\r\n', 'stay'),
    passed: 502,
    read: 502,
    blamed: true,
  },
  'switches protocols': {
    does: raw('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', 'stay'),
    passed: 502,
    read: 502,
    blamed: true,
  },
  'has a head without an end': {
    does: raw(`${HEAD}X: ${'a'.repeat(100_000)}`, 'stay'),
    passed: 502,
    read: 502,
    blamed: true,
  },
  'is silent': {
    does: raw('', 'stay'),
    passed: 504,
    read: 504,
    blamed: true,
    timeoutMs: 200,
  },
  'is silent after the head': {
    does: raw(sized(99, ''), 'stay'),
    passed: 504,
    read: 504,
    blamed: true,
    timeoutMs: 200,
  },
  'is silent in the body': {
    does: raw(WHOLE.slice(0, -5), 'stay'),
    passed: 'broken',
    read: 504,
    blamed: true,
    // Its beginning must have come by then.
    timeoutMs: 3_000,
  },
  'drips its head': {
    does: { kind: 'drip', bytes: WHOLE, everyMs: 100 },
    passed: 504,
    read: 504,
    blamed: true,
    timeoutMs: 200,
  },
  'is slow, but in time': {
    does: { kind: 'drip', bytes: WHOLE, everyMs: 2 },
    passed: 200,
    read: 200,
    blamed: false,
  },
  'answers 503': { does: json({ error: 'busy' }, 503), passed: 503, read: 503, blamed: true },
  'answers 502': { does: json({ error: 'bad' }, 502), passed: 502, read: 502, blamed: true },
  // A fault of the model with this very input: the replica is well.
  'answers 500': { does: json({ error: 'oops' }, 500), passed: 500, read: 502, blamed: false },
  'answers 422': { does: json({ error: 'wrong' }, 422), passed: 422, read: 400, blamed: false },
};

const PATHS = { passed: '/v2/models/iris/infer', read: '/api/v1/models/iris/inference' } as const;

async function facing(
  { does, timeoutMs = TIMEOUT_MS }: Pick<Fault, 'does' | 'timeoutMs'>,
  idempotent: boolean,
): Promise<TestPlane> {
  const good = await startBackend(() => json({ result: { y: 2 } }));
  const port = does === 'refuses' ? await freePort() : (await startBackend(() => does)).port;
  // The first replica is the one that is chosen, and one failure takes it out.
  const plane = await startPlane({ random: () => 0, tuning: { consecutiveFailures: 1 } });
  const input = { id: 'iris', inference: { idempotent } };
  plane.route({ input, timeoutMs, ports: { stable: [port, good.port] } });
  return plane;
}

async function call(plane: TestPlane, path: string): Promise<Got> {
  try {
    return (await plane.post(path, { input_data: {} })).status;
  } catch {
    return 'broken';
  }
}

/** One outcome, no slot held; is the first replica out? */
async function isBlamed(plane: TestPlane): Promise<boolean> {
  await until(() => plane.load.active() === 0 && plane.outcomes.length === 1, 'its end');
  const [arm] = plane.load.arms();
  expect(arm?.replicas.map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  expect(arm).toMatchObject({ inFlight: 0, queued: 0 });
  expect(plane.faults).toEqual([]);
  return arm?.replicas[0]?.ejectedUntil !== undefined;
}

describe.each(Object.entries(FAULTS))('a replica that %s', (_, fault) => {
  test.each(['passed', 'read'] as const)('in a call that is %s', async (way) => {
    const plane = await facing(fault, false);
    expect(await call(plane, PATHS[way])).toBe(fault[way]);
    expect(await isBlamed(plane)).toBe(fault.blamed);
  });
});

test.each([
  ['resets before a byte', 200, 200],
  ['resets in the head', 200, 200],
  // What the caller has begun to get is not taken back.
  ['resets in the body', 'broken', 200],
  ['answers 503', 200, 200],
  // The deadline is used up, or it would come again.
  ['is silent', 504, 504],
  ['speaks no HTTP', 502, 502],
  ['answers 500', 500, 502],
])('a replica that %s, when another one may be tried', async (name, passed, read) => {
  const fault = FAULTS[name] ?? { does: 'refuses' };
  for (const [way, expected] of Object.entries({ passed, read })) {
    const plane = await facing(fault, true);
    expect(await call(plane, PATHS[way as keyof typeof PATHS])).toBe(expected);
    await isBlamed(plane);
  }
});

test('a slow body passes as it arrives', async () => {
  const text = 'fourteen bytes';
  const backend = await startBackend(() => ({ kind: 'parts', parts: dripped(text) }));
  const plane = await startPlane();
  // Less than all of it takes, and many times what passes between two bytes.
  const input = { id: 'iris', inference: { timeoutSeconds: 2 } };
  plane.route({ input, ports: { stable: [backend.port] } });
  const got = await plane.post(PATHS.passed, {});
  expect([got.status, got.text]).toEqual([200, text]);
});

async function* dripped(text: string): AsyncGenerator<string> {
  for (const one of text) {
    await later(200);
    yield one;
  }
}

test('the only replica is retried at once when a kept connection to it breaks', async () => {
  const backend = await startBackend(() => json({ ok: true }));
  // A second try that avoided the replica would come too late.
  const plane = await startPlane({ tuning: { avoidMs: 60_000 } });
  const input = { id: 'iris', inference: { timeoutSeconds: 10 } };
  plane.route({ input, ports: { stable: [backend.port] } });
  expect(await call(plane, PATHS.passed)).toBe(200);
  // So late that the server may have worked on it.
  const late = performance.now() + 1_000;
  backend.become((_, nth) => {
    jest.spyOn(performance, 'now').mockReturnValue(late);
    return nth === 2 ? { kind: 'reset' } : json({ ok: true });
  });
  expect(await call(plane, PATHS.passed)).toBe(200);
  jest.restoreAllMocks();
  expect(plane.outcomes.map(({ tries }) => tries)).toEqual([1, 2]);
});

test('a replica that alternates between success and failure costs no caller an error', async () => {
  const flapping = await startBackend((_, nth) =>
    nth % 2 === 0 ? json({ ok: true }) : raw(WHOLE.slice(0, nth % 40), 'reset'),
  );
  const well = await startBackend(() => json({ ok: true }));
  const plane = await startPlane();
  plane.route({ input: { id: 'iris' }, ports: { stable: [flapping.port, well.port] } });
  for (let round = 0; round < 30; round += 1) {
    const all = await Promise.all([0, 1, 2, 3].map(() => call(plane, PATHS.passed)));
    expect(all).toEqual([200, 200, 200, 200]);
  }
  expect(flapping.seen.length).toBeGreaterThan(4);
  expect(plane.load.arms()[0]).toMatchObject({ inFlight: 0, queued: 0 });
});
