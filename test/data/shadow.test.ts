import type { Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const NATIVE = '/api/v1/models/iris/inference';
const live: Behave = () => json({ result: { label: 'a', p: 0.5 } });

async function mirrored(shadow: Behave, compare = { rel: 0.01 }) {
  const [one, other] = await Promise.all([startBackend(live), startBackend(shadow)]);
  const plane = await startPlane();
  plane.route({
    input: {
      id: 'iris',
      candidates: [{ name: 'next', version: 'v2', source: './next.onnx', shadow: 100, compare }],
    },
    ports: { stable: [one.port], next: [other.port] },
  });
  return { plane, live: one, shadow: other };
}

const reported = async (plane: TestPlane, count = 1) => {
  await until(() => plane.shadows.length === count, `${count} reports`);
  return plane.shadows;
};

test.each([
  ['agree', { label: 'a', p: 0.501 }, []],
  ['disagree', { label: 'a', p: 0.6 }, ['p']],
  ['disagree', { label: 'b', p: 0.6, q: 1 }, ['label', 'p', 'q']],
] as const)('the copy is compared: %s', async (verdict, result, differing) => {
  const { plane, shadow } = await mirrored(() => json({ result }));
  const got = await plane.post(NATIVE, { input_data: { x: 1 } });
  expect(JSON.parse(got.text)).toMatchObject({ model_version: 'v1', output_data: { label: 'a' } });
  expect(await reported(plane)).toEqual([
    { model: 'iris', arm: 'next', requestId: 'id-1', verdict, differing },
  ]);
  expect(JSON.parse(shadow.seen[0]?.body.toString() ?? '')).toEqual({ input_data: { x: 1 } });
});

test('what becomes of the copy is nothing to the caller', async () => {
  const { plane } = await mirrored(() => ({ kind: 'reset' }));
  expect((await plane.post(NATIVE, { input_data: {} })).status).toBe(200);
  expect(await reported(plane)).toMatchObject([{ verdict: 'failed', differing: [] }]);
});

test('the caller does not wait for the copy, and copies beyond the budget are dropped', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { plane, shadow } = await mirrored(() => ({
    kind: 'answer',
    after: held,
    body: '{"result":{"label":"a","p":0.5}}',
  }));
  const statuses: number[] = [];
  for (let at = 0; at < 30; at += 1) {
    statuses.push((await plane.post(NATIVE, { input_data: {} })).status);
  }
  expect(statuses).toEqual(Array(30).fill(200));
  await until(() => plane.shadows.length > 0, 'copies dropped');
  const dropped = plane.shadows.length;
  expect(new Set(plane.shadows.map(({ verdict }) => verdict))).toEqual(new Set(['dropped']));
  release();
  await reported(plane, 30);
  expect(plane.shadows.filter(({ verdict }) => verdict === 'agree')).toHaveLength(30 - dropped);
  expect(shadow.seen).toHaveLength(30 - dropped);
});

test('a call of a named arm is a test of it and is not copied', async () => {
  const { plane, live: stable, shadow } = await mirrored(live);
  await plane.post(NATIVE, { input_data: {} }, { 'x-ai-model-arm': 'stable' });
  await plane.post(NATIVE, { input_data: {} });
  await reported(plane);
  expect([stable.seen.length, shadow.seen.length]).toEqual([2, 1]);
});
