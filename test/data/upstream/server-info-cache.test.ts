import type { ArmRoute } from '../../../runtime/core/routing/table';
import { createHttpClient } from '../../../runtime/data';
import { CallerSignal } from '../../../runtime/data/http/server/caller-signal';
import { createMetadataCache } from '../../../runtime/data/upstream/metadata-cache';
import type { Backend, Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes, until } from '../../support/plane';

// What a server says of its inputs: asked once, however many want to know, and not asked again and
// again where there is nothing to learn.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const INPUTS = { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }] };
const LONG_MS = 60_000;

interface Asking {
  readonly version?: string;
  readonly arm?: string;
  readonly remainingMs?: number;
  readonly signal?: CallerSignal;
}

function cacheOf(backend: Backend) {
  let now = 1_000_000;
  const upstream = createHttpClient();
  const cache = createMetadataCache(upstream, { now: () => now });
  const ask = async ({ version = 'v1', arm = 'stable', ...more }: Asking = {}) => {
    const { remainingMs = LONG_MS, signal = new CallerSignal() } = more;
    const route = { name: arm } as ArmRoute;
    const replica = backend.replica({ version });
    return cache.get('iris', { replica, arm: route, remainingMs, number: 1 }, signal);
  };
  const pass = (milliseconds: number): void => void (now += milliseconds);
  const known = () => cache.cached('iris', { name: 'stable', version: 'v1' } as ArmRoute);
  return { ask, known, pass, close: () => upstream.close() };
}

/** A server whose answer waits for `open`. */
async function slow(answer: ReturnType<typeof json>) {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const backend = await startBackend(() =>
    answer.kind === 'answer' ? { ...answer, after: opened } : answer,
  );
  return { backend, open };
}

test('concurrent callers share one request to the server', async () => {
  const { backend, open } = await slow(json(INPUTS));
  const { ask, known, close } = cacheOf(backend);
  const all = Array.from({ length: 20 }, () => ask());
  await until(() => backend.seen.length > 0, 'the server is asked');
  expect(known()).toBeUndefined();
  open();
  expect(await Promise.all(all)).toEqual(all.map(() => INPUTS));
  expect([await ask(), known()]).toEqual([INPUTS, INPUTS]);
  expect(backend.seen.map(({ url }) => url)).toEqual(['/v2/models/iris']);
  close();
});

test('a caller that leaves stops waiting, and the others still get the answer', async () => {
  const { backend, open } = await slow(json(INPUTS));
  const { ask, close } = cacheOf(backend);
  const signal = new CallerSignal();
  const first = ask({ signal });
  const second = ask();
  await until(() => backend.seen.length > 0, 'the server is asked');
  signal.abort();
  expect(await first).toBeUndefined();
  expect(backend.inFlight()).toBe(1);
  open();
  expect(await second).toEqual(INPUTS);
  expect(backend.seen).toHaveLength(1);
  close();
});

test('no call waits longer than its deadline', async () => {
  const { backend, open } = await slow(json(INPUTS));
  const { ask, close } = cacheOf(backend);
  expect(await ask({ remainingMs: 1 })).toBeUndefined();
  const patient = ask();
  open();
  expect(await patient).toEqual(INPUTS);
  close();
});

test.each<[string, Behave]>([
  ['a 404', () => json({ error: 'no' }, 404)],
  ['an answer without inputs', () => json({ name: 'iris' })],
  ['an empty list of inputs', () => json({ name: 'iris', inputs: [] })],
  ['an answer that is no JSON', () => ({ kind: 'answer', body: '<html>' })],
])('%s is remembered for 30 s, then it is asked again', async (_, behave) => {
  const backend = await startBackend(behave);
  const { ask, pass, close } = cacheOf(backend);
  expect([await ask(), await ask()]).toEqual([undefined, undefined]);
  pass(29_999);
  expect(await ask()).toBeUndefined();
  expect(backend.seen).toHaveLength(1);
  backend.become(() => json(INPUTS));
  pass(1);
  expect(await ask()).toEqual(INPUTS);
  pass(86_400_000);
  expect(await ask()).toEqual(INPUTS);
  expect(backend.seen).toHaveLength(2);
  close();
});

test.each<[string, Behave]>([
  ['is busy', () => json({ error: 'loading' }, 503)],
  ['turns callers away', () => json({ error: 'too many' }, 429)],
  ['breaks the connection', () => ({ kind: 'reset' })],
])('a server that %s is asked by the next call, too', async (_, behave) => {
  const backend = await startBackend(behave);
  const { ask, close } = cacheOf(backend);
  expect(await ask()).toBeUndefined();
  backend.become(() => json(INPUTS));
  expect(await ask()).toEqual(INPUTS);
  close();
});

test('each arm and each version has its own entry, also while a version rolls out', async () => {
  const backend = await startBackend((_, nth) => (nth % 2 === 0 ? json({}, 404) : json(INPUTS)));
  const { ask, close } = cacheOf(backend);
  const seen = [];
  for (const version of ['v1', 'v2', 'v1', 'v2']) seen.push(await ask({ version }));
  expect(seen).toEqual([INPUTS, undefined, INPUTS, undefined]);
  expect(await ask({ arm: 'next' })).toEqual(INPUTS);
  expect(backend.seen).toHaveLength(3);
  close();
});

test('entries of removed versions are dropped', async () => {
  const backend = await startBackend(() => json(INPUTS));
  const { ask, close } = cacheOf(backend);
  for (const version of ['v1', 'v2', 'v3', 'v3', 'v1']) await ask({ version });
  expect(backend.seen).toHaveLength(4);
  close();
});

test('a server without metadata is asked once, not with every native call', async () => {
  const backend = await startBackend(({ method }) =>
    method === 'GET' ? json({}, 404) : json({ outputs: [] }),
  );
  const plane = await startPlane();
  const server = { kind: 'custom' as const, image: 'a/b:1', protocol: 'v2' as const };
  plane.route({ input: { id: 'iris', server }, ports: { stable: [backend.port] } });
  const call = () => plane.post('/api/v1/models/iris/inference', { input_data: { x: [1] } });
  await Promise.all([call(), call(), call()]);
  expect((await call()).status).toBe(200);
  expect(backend.seen.map(({ method }) => method).sort()).toEqual([
    'GET',
    ...Array<string>(4).fill('POST'),
  ]);
});
