import type { ModelInput } from '../../../lib/spec';
import type { Place } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import type { StandIn } from './support/standin';
import { ASK, NODE, standIn } from './support/standin';
import type { Story } from './support/stories';
import { canDrain, drain, promoteAndAbort, scale, underLoad, update } from './support/stories';

// Replicas come and go under a steady load: each request is answered. Answers take a second, so that
// many are under way whenever something changes.

let place: Place;
beforeAll(async () => {
  place = await install('fire', { props: { longestTimeoutSeconds: 30 } });
});
afterAll(() => place.end());

const slow = (id: string, env: StandIn = {}, more: Partial<ModelInput> = {}): ModelInput =>
  standIn(
    id,
    { DELAY_MS: '1000', ...env },
    {
      scaling: { minReplicas: 3, maxReplicas: 3 },
      inference: { timeoutSeconds: 30, maxConcurrency: 128 },
      ...more,
    },
  );

const native = (id: string): Story => ({
  place,
  model: slow(id),
  asked: { path: `/api/v1/models/${id}/inference`, body: ASK },
});

test('an update, more and fewer replicas lose no request', async () => {
  const story = native('rolled');
  await underLoad(story, async () => {
    await update(story);
    await scale(story, 5);
  });
});

test('a canary, its promotion, and the abort of the next lose no request', async () => {
  const story = native('promoted');
  await underLoad(story, () => promoteAndAbort(story));
});

test('a node drained within the budget loses no request', async () => {
  if (!(await canDrain())) return;
  const story = native('drained');
  await underLoad(story, () => drain(story));
});

// TensorFlow Serving: deaf to SIGTERM, and its status is 200 while it loads; its metadata is not.
const DEAF = `
const { LOAD_MS = 3000 } = process.env;
const begun = Date.now();
const loading = () => Date.now() - begun < LOAD_MS;
require('http').createServer((request, response) => {
  request.resume();
  response.setHeader('content-type', 'application/json');
  if (request.url.endsWith('/metadata')) return response.writeHead(loading() ? 404 : 200).end('{}');
  if (request.method === 'GET') return response.end('{"model_version_status":[]}');
  if (loading()) return response.writeHead(404).end('{"error":"Servable not found"}');
  setTimeout(() => response.end('{"predictions":[[1]]}'), 1000);
}).listen(8501);
process.on('SIGTERM', () => undefined);
`;

test('a server that ignores SIGTERM and reports ready while it loads loses no request, by the template of its kind', async () => {
  const server = { kind: 'tensorflow-serving' } as const;
  // Its pods wait for the longest request before they are told to end: a short one, a short test.
  const inference = { timeoutSeconds: 10, maxConcurrency: 128 };
  const command = [NODE, '-e', DEAF];
  const model = slow('deaf', {}, { framework: 'tensorflow', server, command, inference });
  const asked = { path: '/v1/models/deaf:predict', body: { instances: [[1]] } };
  const story = { place, model, asked };
  await underLoad(story, () => update(story));
});

test('an update of the service loses no request, with its drain', async () => {
  await underLoad(native('served'), async () => {
    // The log of the first ones goes with them.
    expect(await refusals(place)).toEqual([]);
    const old = (
      await place.kubectl('get', 'pods', '-l', 'app=ai-model-service', '-o', 'name')
    ).trim();
    await place.kubectl('rollout', 'restart', 'deployment/ai-model-service');
    await place.kubectl('rollout', 'status', 'deployment/ai-model-service', '--timeout=120s');
    for (const pod of old.split('\n')) {
      await place.kubectl('wait', '--for=delete', pod, '--timeout=60s');
    }
  });
  expect(await refusals(place)).toEqual([]);
});
