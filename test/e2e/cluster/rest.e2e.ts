import type { Answer } from '../service';
import { until } from '../service';
import { apply } from './support/kubectl';
import type { Place } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import { ASK, standIn } from './support/standin';
import { stored, storeObjects } from './support/store';

// From an empty cluster, all by REST: one model from its first version to its end.

const MODELS = '/api/v1/models';
const RISK = `${MODELS}/risk`;
const MEASURES = {
  input_data: {
    patient_info: { age: 50 },
    measurements: { bmi: 25, blood_pressure: 90, total_cholesterol: 200 },
  },
};
const FILES = ['health_assessment-v2.0.0.onnx', 'deep_tcm_diagnosis-v3.0.1.onnx'];

let place: Place;
beforeAll(async () => {
  place = await install('rest');
  await apply(storeObjects(...FILES), '--namespace', place.namespace);
  await place.kubectl('rollout', 'status', 'deployment/store', '--timeout=120s');
});
afterAll(() => place.end());

const small = { cpu: '10m', memory: '128Mi' };
const ok = (answer: Answer): Answer => {
  if (answer.status > 299) throw new Error(`${answer.status}: ${answer.text}`);
  return answer;
};
const post = (path: string, body: object): Promise<Answer> => place.call('POST', path, body);

/** The versions that answer a number of callers. */
async function versions(id: string, callers: number, body: object = ASK): Promise<string[]> {
  const asked = Array.from({ length: callers }, async () => {
    const { model_version: version } = ok(await post(`${MODELS}/${id}/inference`, body)).json();
    return version as string;
  });
  return Promise.all(asked);
}

const share = (all: readonly string[], version: string): number =>
  all.filter((one) => one === version).length / all.length;

test('an ONNX model from an object store is deployed and answers', async () => {
  const source = stored(place.namespace, 'health_assessment-v2.0.0.onnx');
  const config = { id: 'risk', version: 'v1', framework: 'onnx', source, resources: small };
  const rehearsal = ok(await post(`${MODELS}/deploy?dry_run=true`, { config })).json();
  expect(rehearsal.objects.length).toBeGreaterThan(3);
  expect(ok(await post(`${MODELS}/deploy`, { config })).status).toBe(202);
  await place.status('risk', ({ status }) => status === 'running', 90_000);
  const answer = ok(await post(`${RISK}/inference`, MEASURES)).json();
  expect(answer).toMatchObject({ model_id: 'risk', model_version: 'v1' });
  expect(answer.output_data).not.toEqual({});
});

test('the life of a model: canary, promotion, a version that crashes, rollback, scale, end', async () => {
  const { candidates: _, ...definition } = standIn('story');
  // REST has no word for its entry point: what Git gave it stays when REST goes on with it.
  await place.applyModel(definition);
  await place.status('story', ({ status }) => status === 'running', 60_000);
  ok(await post(`${MODELS}/deploy?force=true`, { config: definition }));

  const patch = { candidates: [{ version: 'v2', traffic: 10, env: { ANSWER: 'two' } }] };
  ok(await place.call('PUT', `${MODELS}/story`, { config: patch }));
  await place.status('story', ({ arms }) => arms[1]?.replicas.ready === 1, 60_000);
  const tenth = share(await versions('story', 300), 'v2');
  expect(tenth).toBeGreaterThan(0.05);
  expect(tenth).toBeLessThan(0.16);
  ok(await post(`${MODELS}/story/traffic`, { candidate: 'v2', percent: 50 }));
  await place.status('story', ({ arms }) => arms[1]?.traffic === 50);
  const half = await until(
    'half of the callers',
    () => versions('story', 200),
    (all) => {
      return Math.abs(share(all, 'v2') - 0.5) < 0.1;
    },
  );
  expect(new Set(half)).toEqual(new Set(['v1', 'v2']));

  ok(await post(`${MODELS}/story/promote`, { candidate: 'v2' }));
  const done = await place.status(
    'story',
    ({ arms, status }) => arms.length === 1 && arms[0]?.version === 'v2' && status === 'running',
    120_000,
  );
  expect(new Set(await versions('story', 20))).toEqual(new Set(['v2']));

  ok(
    await place.call('PUT', `${MODELS}/story`, {
      config: { version: 'v3', environment_variables: { CRASH: 'the weights are broken' } },
    }),
  );
  const failed = await place.status('story', ({ why }) => why?.cause === 'crash', 60_000);
  expect(failed).toMatchObject({ status: 'failed', serving: true });
  expect(failed.why?.message).toContain('the weights are broken');
  expect(new Set(await versions('story', 50))).toEqual(new Set(['v2']));

  ok(await post(`${MODELS}/story/rollback`, { revision: done.revision }));
  await place.status('story', ({ status, why }) => status === 'running' && why === null, 60_000);
  expect(new Set(await versions('story', 20))).toEqual(new Set(['v2']));

  ok(await post(`${MODELS}/story/scale`, { replicas: 2 }));
  await place.status('story', ({ replicas }) => replicas.ready === 2, 60_000);
  ok(await post(`${MODELS}/story/scale`, { replicas: 0 }));
  await place.status('story', ({ status }) => status === 'stopped');
  expect((await post(`${MODELS}/story/inference`, ASK)).status).toBe(503);
});

test('nothing is left of a deleted model', async () => {
  for (const id of ['story', 'risk']) ok(await place.call('DELETE', `${MODELS}/${id}`));
  const KINDS =
    'deployments,replicasets,pods,configmaps,services,serviceaccounts,secrets,jobs,networkpolicies,' +
    'horizontalpodautoscalers,poddisruptionbudgets,controllerrevisions,persistentvolumeclaims';
  const left = (): Promise<string> =>
    place.kubectl('get', KINDS, '-l', 'ai-model.suoke.life/model', '-o', 'name');
  await until('no object of a model', left, (names) => names === '', 120_000);
  const state = await place.kubectl('get', 'configmap', 'ai-model-service-state', '-o', 'json');
  expect((JSON.parse(state) as { data?: object }).data ?? {}).toEqual({});
  const all = await place.kubectl('get', KINDS, '-o', 'name');
  expect(all.split('\n').filter((name) => /story|risk/.test(name))).toEqual([]);
  expect((await place.call('GET', `${MODELS}/story`)).status).toBe(404);
});

test('the rendered Role is sufficient for all of it, and a smaller one is not', async () => {
  expect(await refusals(place)).toEqual([]);
  await place.kubectl('delete', 'rolebinding', 'ai-model-service-models');
  const source = stored(place.namespace, 'health_assessment-v2.0.0.onnx');
  const config = { id: 'late', version: 'v1', framework: 'onnx', source, resources: small };
  const refused = await post(`${MODELS}/deploy`, { config });
  expect(refused.status).toBeGreaterThanOrEqual(500);
  expect(await refusals(place)).not.toEqual([]);
});
