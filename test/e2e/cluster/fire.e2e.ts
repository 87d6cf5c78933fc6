import type { ModelInput } from '../../../lib/spec';
import type { Answer } from '../service';
import { until } from '../service';
import { kubectl } from './support/kubectl';
import type { Asked, Load } from './support/load';
import { steadyLoad } from './support/load';
import type { Place } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import type { StandIn } from './support/standin';
import { ASK, NODE, RATE, standIn } from './support/standin';

// Replicas come and go under a steady load: each request is answered. Answers take a second, so that
// many are under way whenever something changes.

const MODELS = '/api/v1/models';
const LABEL = 'ai-model.suoke.life/model';

let place: Place;
let load: Load | undefined;
beforeAll(async () => {
  place = await install('fire', { props: { longestTimeoutSeconds: 30 } });
});
afterEach(async () => {
  await load?.stop();
  load = undefined;
});
afterAll(() => place.end());

const slow = (id: string, env: StandIn = {}, more: Partial<ModelInput> = {}): ModelInput =>
  standIn(
    id,
    { DELAY_MS: '1000', ...env },
    {
      scaling: { minReplicas: 3, maxReplicas: 3 },
      inference: { timeoutSeconds: 10, maxConcurrency: 128 },
      ...more,
    },
  );

const native = (id: string): Asked => ({ path: `${MODELS}/${id}/inference`, body: ASK });

const ok = (answer: Answer): void => {
  if (answer.status > 299) throw new Error(`${answer.status}: ${answer.text}`);
};

const running = (id: string, version: string): Promise<unknown> =>
  place.status(
    id,
    ({ status, version: seen, replicas, why }) =>
      status === 'running' && seen === version && replicas.ready === replicas.desired && !why,
    150_000,
  );

const podsOf = async (id: string): Promise<string[]> =>
  (await place.kubectl('get', 'pods', '-l', `${LABEL}=${id}`, '-o', 'name')).trim().split('\n');

/** Until no pod of before is left: their last seconds are when requests are lost. */
const gone = (id: string, old: readonly string[]): Promise<unknown> =>
  until(
    'the old pods',
    () => podsOf(id),
    (all) => !all.some((one) => old.includes(one)),
    120_000,
  );

async function deployed(model: ModelInput): Promise<void> {
  await place.call('POST', `${MODELS}/deploy`, { config: model }).then(ok);
  await running(model.id, model.version);
}

async function noneFailed(): Promise<void> {
  const report = await load?.stop();
  load = undefined;
  console.log(
    `${report?.sent} requests, ${report?.rate} a second, ${report?.failed.length} failed`,
  );
  expect(report?.failed.slice(0, 5)).toEqual([]);
  expect(report?.rate).toBeGreaterThan(RATE * 0.9);
}

test('a rolling update, more and fewer replicas', async () => {
  await deployed(slow('rolled'));
  load = steadyLoad(place, native('rolled'), RATE);
  const old = await podsOf('rolled');
  ok(await place.call('PUT', `${MODELS}/rolled`, { config: { version: 'v2' } }));
  await running('rolled', 'v2');
  await gone('rolled', old);
  ok(await place.call('POST', `${MODELS}/rolled/scale`, { replicas: 5 }));
  await place.status('rolled', ({ replicas }) => replicas.ready === 5, 90_000);
  ok(await place.call('POST', `${MODELS}/rolled/scale`, { replicas: 3 }));
  await until(
    'three pods',
    () => podsOf('rolled'),
    (all) => all.length === 3,
    120_000,
  );
  await noneFailed();
});

test('a canary, its promotion, and the abort of the next', async () => {
  await deployed(slow('promoted'));
  load = steadyLoad(place, native('promoted'), RATE);
  const canary = (version: string): object => ({
    candidates: [{ version, traffic: 20, scaling: { min_replicas: 3, max_replicas: 3 } }],
  });
  ok(await place.call('PUT', `${MODELS}/promoted`, { config: canary('v2') }));
  await place.status('promoted', ({ arms }) => arms[1]?.replicas.ready === 3, 90_000);
  const old = await podsOf('promoted');
  ok(await place.call('POST', `${MODELS}/promoted/promote`, {}));
  await place.status(
    'promoted',
    ({ arms, status }) => arms.length === 1 && arms[0]?.version === 'v2' && status === 'running',
    150_000,
  );
  await gone('promoted', old);
  ok(await place.call('PUT', `${MODELS}/promoted`, { config: canary('v3') }));
  await place.status('promoted', ({ arms }) => arms[1]?.replicas.ready === 3, 90_000);
  ok(await place.call('POST', `${MODELS}/promoted/abort`, {}));
  await place.status('promoted', ({ arms }) => arms[1]?.traffic === 0);
  await noneFailed();
});

const nodeOf = (pod: string): Promise<string> =>
  place.kubectl('get', pod, '-o', 'jsonpath={.spec.nodeName}');

test('a node that is drained, within the budget', async () => {
  const nodes = (await kubectl(['get', 'nodes', '-o', 'name'])).trim().split('\n');
  if (nodes.length < 2)
    return console.warn('one node: nowhere to drain it to, so it is not drained');
  await deployed(slow('drained'));
  const old = await podsOf('drained');
  const node = await nodeOf(old[0] ?? '');
  load = steadyLoad(place, native('drained'), RATE);
  // Its own pods only: the other suites live on that node as well.
  const selector = `${LABEL}=drained`;
  const flags = ['--pod-selector', selector, '--delete-emptydir-data', '--timeout=150s'];
  try {
    await kubectl(['drain', node, ...flags]);
    await running('drained', 'v1');
    const left = await Promise.all((await podsOf('drained')).map(nodeOf));
    expect(left).not.toContain(node);
  } finally {
    await kubectl(['uncordon', node]);
  }
  await noneFailed();
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

test('a server that is deaf to SIGTERM and says 200 while it loads, by the template of its kind', async () => {
  const server = { kind: 'tensorflow-serving' } as const;
  await deployed(
    slow('deaf', {}, { framework: 'tensorflow', server, command: [NODE, '-e', DEAF] }),
  );
  load = steadyLoad(place, { path: '/v1/models/deaf:predict', body: { instances: [[1]] } }, RATE);
  const old = await podsOf('deaf');
  ok(await place.call('PUT', `${MODELS}/deaf`, { config: { version: 'v2' } }));
  await running('deaf', 'v2');
  await gone('deaf', old);
  await noneFailed();
});

test('the service itself is replaced and drained', async () => {
  await deployed(slow('served'));
  load = steadyLoad(place, native('served'), RATE);
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
  await noneFailed();
  expect(await refusals(place)).toEqual([]);
});
