import type { Seen } from '../../support/backend';
import { startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes, until } from '../../support/plane';
import { BEHAVE, speaking } from '../../support/servers';

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const V2 = '/v2/models/iris/infer';
const V1 = '/v1/models/iris:predict';
const NATIVE = '/api/v1/models/iris/inference';
const BATCH = '/api/v1/models/iris/batch_inference';
const TENSOR = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] };
const ROWS = { instances: [{ x: [1, 2] }] };
const ITEM = { input_data: { x: [1, 2] } };
const ITEMS = { requests: [ITEM] };

async function routed() {
  const backend = await startBackend(BEHAVE.v2);
  const plane = await startPlane();
  const inference = { maxConcurrency: 1, maxQueueDepth: 8, timeoutSeconds: 30 };
  plane.route({ input: { ...speaking('v2'), inference }, ports: { stable: [backend.port] } });
  return { backend, plane };
}

const told = ({ headers }: Seen): number => Number(headers['x-ai-model-deadline-ms']);

test.each([
  [V2, TENSOR],
  [V1, ROWS],
  [NATIVE, ITEM],
  [NATIVE, { ...ITEM, timeout: 20 }],
  [BATCH, ITEMS],
  [BATCH, { ...ITEMS, timeout: 20 }],
])('what a caller has left shortens the time of %s %j', async (path, body) => {
  const { backend, plane } = await routed();
  const got = await plane.post(path, body, { 'x-ai-model-deadline-ms': '5000' });
  expect(got.status).toBe(200);
  const left = told(backend.seen.at(-1) as Seen);
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(5000);
});

test('never makes the deadline later', async () => {
  const { backend, plane } = await routed();
  await plane.post(V2, TENSOR, { 'x-ai-model-deadline-ms': '99000' });
  expect(told(backend.seen[0] as Seen)).toBeLessThanOrEqual(30_000);
});

test('answers 504 when the deadline has passed', async () => {
  const { backend, plane } = await routed();
  backend.become(() => ({ kind: 'silence' }));
  const got = await plane.post(V2, TENSOR, { 'x-ai-model-deadline-ms': '30' });
  expect([got.status, JSON.parse(got.text).error]).toEqual([
    504,
    expect.stringContaining('did not answer in time'),
  ]);
});

test.each([
  ['x-ai-model-deadline-ms', '1.5', 'got "1.5", must be the whole milliseconds that are left'],
  ['x-ai-model-deadline-ms', '-1', 'got "-1", must be the whole milliseconds that are left'],
  ['x-ai-model-priority', 'urgent', 'must be one of critical, high, normal, low'],
])('%s: %s is a 400 that says what may stand there', async (name, value, message) => {
  const { backend, plane } = await routed();
  const got = await plane.post(V2, TENSOR, { [name]: value });
  expect([got.status, JSON.parse(got.text)]).toEqual([
    400,
    { error: expect.stringMatching(`^${name}: .*${message}`) },
  ]);
  expect(backend.seen).toEqual([]);
});

test('priority counts in every protocol, and the body’s value counts before the header’s', async () => {
  const { backend, plane } = await routed();
  await plane.post(V2, TENSOR);
  let release: () => void = () => undefined;
  const after = new Promise<void>((resolve) => {
    release = resolve;
  });
  backend.become((seen, nth) =>
    seen.headers['x-tenant'] === 'first'
      ? { kind: 'answer', after, body: '{}' }
      : BEHAVE.v2(seen, nth),
  );
  const begun = backend.seen.length;
  const asked = [plane.post(V2, TENSOR, { 'x-tenant': 'first' })];
  await until(() => backend.seen.length > begun, 'the slot is taken');
  const queued = async (path: string, body: object, name: string, priority: string) => {
    const before = plane.load.active();
    asked.push(plane.post(path, body, { 'x-tenant': name, 'x-ai-model-priority': priority }));
    await until(() => plane.load.active() > before, `${name} waits`);
  };
  await queued(V2, TENSOR, 'low', 'low');
  await queued(V1, ROWS, 'critical', 'Critical');
  // The body's word: before "low", behind "critical".
  await queued(NATIVE, { ...ITEM, priority: 'high' }, 'high', 'low');
  release();
  await Promise.all(asked);
  const inferred = backend.seen.slice(begun).filter(({ url }) => url === V2);
  const names = inferred.map(({ headers }) => headers['x-tenant']);
  expect(names).toEqual(['first', 'critical', 'high', 'low']);
});
