import type { ModelInput } from '../../../lib/spec';
import type { Answer } from '../service';
import { until } from '../service';
import type { Place } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import { ASK, standIn } from './support/standin';

// All by Git: manifests that `kubectl apply` brings, and a service that writes nothing but in an emergency.

const MODELS = '/api/v1/models';
const CALL = `${MODELS}/story/inference`;
/** From the API server's answer to what the routers do. */
const SOON_MS = 2000;

let place: Place;
beforeAll(async () => {
  place = await install('git', { props: { mode: 'gitops' } });
});
afterAll(() => place.end());

const withShare = (traffic: number): ModelInput =>
  standIn('story', {}, { candidates: [{ version: 'v2', traffic, env: { ANSWER: 'two' } }] });

const infer = (): Promise<Answer> => place.call('POST', CALL, ASK);

/** What each of the pods is, to see whether any was made anew. */
const pods = (): Promise<string> =>
  place.kubectl(
    'get',
    'pods',
    '-l',
    'ai-model.suoke.life/model=story',
    '-o',
    'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount}{"\\n"}{end}',
  );

const shareOf = async (): Promise<number | undefined> =>
  (await place.status('story', () => true)).arms[1]?.traffic;

test('kubectl apply alone makes a model routable, and the runtime sees it at once', async () => {
  await place.applyModel(withShare(10));
  await place.status('story', ({ arms }) => arms.length === 2, SOON_MS);
  expect((await place.status('story', () => true)).manager).toBe('kubectl');
  const ready = ['rollout', 'status', 'deployment/story', '--timeout=60s'];
  await place.kubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
  await until('an answer', infer, ({ status }) => status === 200, SOON_MS);
  await place.kubectl(...ready);
});

test('a changed share is in force within two seconds, and restarts no pod', async () => {
  const before = await pods();
  await place.applyModel(withShare(50));
  await until('the share', shareOf, (share) => share === 50, SOON_MS);
  await place.applyModel(withShare(20));
  await until('the share', shareOf, (share) => share === 20, SOON_MS);
  expect(await pods()).toBe(before);
});

test('a definition by REST is refused, with the plan', async () => {
  const answer = await place.call('PUT', `${MODELS}/story`, { config: { version: 'v9' } });
  expect(answer.status).toBe(409);
  const { error } = answer.json();
  expect(error.code).toBe('READ_ONLY');
  expect(error.details).toContainEqual(
    expect.objectContaining({ do: 'change', object: 'Deployment/story' }),
  );
});

test('an emergency abort by REST holds until the next definition', async () => {
  expect((await place.call('POST', `${MODELS}/story/abort`, {})).status).toBe(202);
  await until('the share', shareOf, (share) => share === 0, SOON_MS);
  const { conditions } = await place.status('story', () => true);
  expect(conditions).toContainEqual(
    expect.objectContaining({ type: 'Overridden', status: 'True' }),
  );
  const answers = await Promise.all(Array.from({ length: 50 }, infer));
  expect(new Set(answers.map((one) => one.json().model_version as string))).toEqual(
    new Set(['v1']),
  );
  await place.applyModel(withShare(30));
  await until('the share', shareOf, (share) => share === 30, SOON_MS);
});

test('a terminating pod gets no more calls, and its successor gets them within two seconds', async () => {
  const names = await place.kubectl(
    'get',
    'pods',
    '-l',
    'ai-model.suoke.life/arm=stable',
    '-o',
    'name',
  );
  const [old = ''] = names.trim().split('\n');
  await place.kubectl('delete', old, '--wait=false');
  await place.kubectl('rollout', 'status', 'deployment/story', '--timeout=60s');
  const replicas = async (): Promise<string[]> => {
    const health = (await place.call('GET', '/health/detailed')).json();
    const arms = health.models[0].arms as {
      name: string;
      replicas: { id: string; phase: string }[];
    }[];
    return (
      arms[0]?.replicas.map(({ id, phase }) => `pod/${id.split('/').pop() ?? ''} ${phase}`) ?? []
    );
  };
  const seen = await until(
    'the successor',
    replicas,
    (all) => all.some((one) => one.endsWith(' ready')),
    SOON_MS,
  );
  expect(seen).not.toContain(`${old} ready`);
  expect((await infer()).status).toBe(200);
});

test('a model removed from Git is gone within two seconds', async () => {
  await place.kubectl('delete', 'configmap', 'story--model');
  await until('no such model', infer, ({ status }) => status === 404, SOON_MS);
});

test('the Role of gitops mode is sufficient for all of it', async () => {
  expect(await refusals(place)).toEqual([]);
});
