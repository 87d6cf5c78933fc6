import { until } from '../service';
import { apply } from './support/kubectl';
import { steadyLoad } from './support/load';
import type { Place } from './support/place';
import { install } from './support/place';
import { ASK, standIn } from './support/standin';
import { stored, storeObjects } from './support/store';

// Rollouts by evidence with two routers on a real cluster: by REST to the promotion, from Git to an
// abort, while the router that leads is killed.

const MODELS = '/api/v1/models';
/** Trials close as soon as their second is over; shares rise within seconds. */
const FAST = {
  unit: 'request',
  minRequests: 50,
  minSeconds: 3,
  gates: { failed: { margin: 20 }, slow: { margin: 50 } },
} as const;
const PER_SECOND = 50;
const FILE = 'health_assessment-v2.0.0.onnx';
const MEASURES = {
  input_data: {
    patient_info: { age: 50 },
    measurements: { bmi: 25, blood_pressure: 90, total_cholesterol: 200 },
  },
};

let place: Place;
beforeAll(async () => {
  place = await install('rollout');
  await apply(storeObjects(FILE), '--namespace', place.namespace);
  await place.kubectl('rollout', 'status', 'deployment/store', '--timeout=120s');
});
afterAll(() => place?.end());

// oxlint-disable-next-line typescript/no-explicit-any
const rolloutOf = (id: string) => async (): Promise<any> =>
  (await place.call('GET', `${MODELS}/${id}/rollout`)).json();

async function killLeader(): Promise<void> {
  const path = 'jsonpath={.spec.holderIdentity}';
  const holder = await place.kubectl('get', 'lease', 'ai-model-service', '-o', path);
  const pod = holder.replace(/_[^_]*$/, '');
  await place.kubectl('delete', 'pod', pod, '--grace-period=0', '--force', '--wait=false');
}

test('a good candidate goes to 100 % and is promoted while the leader is killed', async () => {
  const config = {
    id: 'good',
    version: 'v1',
    framework: 'onnx',
    source: stored(place.namespace, FILE),
    resources: { cpu: '10m', memory: '128Mi' },
    candidates: [{ name: 'next', version: 'v2', rollout: { ...FAST, steps: [20, 50, 100] } }],
  };
  const deployed = await place.call('POST', `${MODELS}/deploy`, { config });
  expect([deployed.status, deployed.text]).toEqual([202, expect.any(String)]);
  await place.status(
    'good',
    ({ arms }) => arms.every(({ replicas }) => replicas.ready > 0),
    60_000,
  );
  const load = steadyLoad(place, { path: `${MODELS}/good/inference`, body: MEASURES }, PER_SECOND);
  const first = await until('the second step', rolloutOf('good'), ({ step }) => step >= 2, 60_000);
  await killLeader();
  const done = await until(
    'it is done',
    rolloutOf('good'),
    ({ phase }) => phase === 'done',
    120_000,
  );
  expect(done.id).toBe(first.id);
  await place.status('good', ({ version, arms }) => version === 'v2' && arms.length === 1, 120_000);
  const { sent, failed } = await load.stop();
  // A router that is killed without warning takes the requests with it that it has just then.
  const lost = failed.filter(
    (text) => !/ECONNRESET|ECONNREFUSED|socket hang up|EHOSTUNREACH/.test(text),
  );
  console.log(`${sent} requests, ${failed.length} cut off by the kill`);
  expect(lost).toEqual([]);
  expect(failed.length).toBeLessThan(PER_SECOND * 3);
});

test('a candidate from Git whose replicas crash is aborted at once, and stays so', async () => {
  const model = standIn(
    'crash',
    {},
    {
      candidates: [
        {
          name: 'next',
          version: 'v2',
          env: { CRASH: 'no weights' },
          rollout: { unit: 'request', steps: [20, 100] },
        },
      ],
    },
  );
  await place.applyModel(model);
  const load = steadyLoad(place, { path: `${MODELS}/crash/inference`, body: ASK }, PER_SECOND);
  await place.status('crash', ({ arms }) => (arms[0]?.replicas.ready ?? 0) > 0, 60_000);
  const status = await until(
    'it is aborted',
    rolloutOf('crash'),
    ({ phase }) => phase === 'aborted',
    180_000,
  );
  expect(status.verdict.reason).toMatch(/restarted \d+ times/);
  await place.status('crash', ({ arms }) => arms[1]?.traffic === 0, 30_000);
  await load.stop();
});
