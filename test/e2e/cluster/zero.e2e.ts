import { objectsOf } from '../../../lib/objects';
import type { ModelInput } from '../../../lib/spec';
import { parseModel } from '../../../lib/spec';
import type { KubeApi } from '../../../runtime/cluster/kubernetes/client/api';
import { openKubernetes } from '../../../runtime/cluster/kubernetes/client/client';
import type { Answer } from '../service';
import { until } from '../service';
import { apply } from './support/kubectl';
import type { Place, Status } from './support/place';
import { install } from './support/place';
import { ASK, sleepy } from './support/standin';
import { standingIn } from './support/standing';
import { takesZero } from './support/zero';

// An API server whose autoscalers stop at one (HPAScaleToZero is off, as it is before 1.37), and a
// service that was told otherwise. Where they go down to 0, metrics.e2e.ts has them do so.

const MODELS = '/api/v1/models';

const definition: ModelInput = sleepy();

let place: Place;
let api: KubeApi;
let refuses = false;
beforeAll(async () => {
  refuses = !(await takesZero('default'));
  if (!refuses) return;
  place = await install('zero', { environment: { kubernetesVersion: '1.37' } });
  ({ api } = await openKubernetes({}));
});
afterAll(async () => {
  if (!refuses) return;
  api.close();
  await place.end();
});

const TAKES_ZERO = 'this API server takes minReplicas 0: nothing to be refused';

/** Refused at the rehearsal, with what to do; nothing of it is there. */
async function isRefused(ask: () => Promise<Answer>): Promise<void> {
  const before = await standingIn(api, place.namespace);
  const answer = await ask();
  expect(answer.status).toBe(400);
  const { code, message, details } = answer.json().error;
  expect(code).toBe('INVALID_MODEL_CONFIG');
  expect(message).toMatch(
    /^HorizontalPodAutoscaler\/sleepy: .* set kubernetesVersion .*below 1\.37/,
  );
  expect(details).toEqual([expect.objectContaining({ field: 'spec.minReplicas' })]);
  expect(await standingIn(api, place.namespace)).toEqual(before);
}

test('a model rendered for 1.37 is refused by REST, and has no objects', async () => {
  if (!refuses) return console.warn(TAKES_ZERO);
  const { command: _, ...config } = definition;
  await isRefused(() => place.call('POST', `${MODELS}/deploy`, { config }));
});

test('an existing model stays unchanged when scaling to 0 is refused', async () => {
  if (!refuses) return console.warn(TAKES_ZERO);
  const awake = { ...definition, scaling: { ...definition.scaling, minReplicas: 1 } };
  // REST has no word for the entry point of a stand-in: what Git gave it stays when REST goes on with it.
  await place.applyModel(awake);
  await place.status('sleepy', ({ status }) => status === 'running', 60_000);
  const made = await place.call('POST', `${MODELS}/deploy?force=true`, { config: awake });
  expect(made.status).toBeLessThan(300);
  const config = { scaling_config: { min_replicas: 0 } };
  await isRefused(() => place.call('PUT', `${MODELS}/sleepy`, { config }));
  expect((await place.call('DELETE', `${MODELS}/sleepy?force=true`)).status).toBe(202);
  const left = ['get', 'configmap', 'sleepy--model', '--ignore-not-found', '-o', 'name'];
  await until(
    'its end',
    () => place.kubectl(...left),
    (name) => name === '',
    60_000,
  );
});

test('a dry run of kubectl is refused, too', async () => {
  if (!refuses) return console.warn(TAKES_ZERO);
  const asked = place.applyModel(definition, '--dry-run=server');
  await expect(asked).rejects.toThrow(/spec\.minReplicas: Invalid value: 0/);
  expect(await place.kubectl('get', 'deployments', 'sleepy', '--ignore-not-found')).toBe('');
});

test('rendered for an older version it sleeps and wakes by the service', async () => {
  if (!refuses) return console.warn(TAKES_ZERO);
  const older = { ...place.environment, kubernetesVersion: '1.30' };
  await apply(objectsOf(parseModel(definition), older));
  await place.status('sleepy', ({ replicas }) => replicas.ready === 1, 60_000);
  const least = 'jsonpath={.spec.minReplicas}';
  expect(await place.kubectl('get', 'hpa', 'sleepy', '-o', least)).toBe('1');
  const isAsleep = ({ replicas }: Status): boolean =>
    replicas.desired === 0 && replicas.current === 0;
  await place.status('sleepy', isAsleep, 90_000);
  const ask = (): Promise<Answer> => place.call('POST', `${MODELS}/sleepy/inference`, ASK);
  const answers = await Promise.all(Array.from({ length: 200 }, ask));
  expect(answers.filter(({ status }) => status !== 200).map(({ text }) => text)).toEqual([]);
  const said = /"minReplicas0":"refused","by":"service"/;
  await until('what the service says', place.logs, (text) => said.test(text));
});
