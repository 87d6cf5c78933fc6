import { Testing } from 'cdk8s';
import { Secret } from 'cdk8s-plus-28';
import { createAuthority } from '../../support/certificates';
import { until } from '../service';
import { kubectl } from './support/kubectl';
import { steadyLoad } from './support/load';
import type { Place } from './support/place';
import { install, namespaceOf } from './support/place';
import { refusals } from './support/refusals';
import { ASK, standIn } from './support/standin';
import { takesZero } from './support/zero';

// The service answers external.metrics.k8s.io itself, through the API server's aggregation layer, and
// autoscalers scale by it: up, and to zero and back where the API server lets them.

const API = 'v1beta1.external.metrics.k8s.io';
const TLS = 'metrics-tls';

const inference = { timeoutSeconds: 60, maxConcurrency: 128, maxQueueDepth: 1000 };

/** A cluster has one server of external metrics. */
async function other(): Promise<string> {
  return kubectl(['get', 'apiservice', API, '--ignore-not-found', '-o', 'name']);
}

async function installed(zero: boolean): Promise<Place> {
  const authority = createAuthority('serving');
  const namespace = namespaceOf('metrics');
  const { cert, key } = authority.issue('x', `ai-model-service-metrics.${namespace}.svc`);
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: TLS, namespace },
    stringData: { 'tls.crt': cert, 'tls.key': key },
  };
  const tls = Secret.fromSecretName(Testing.chart(), 'tls', TLS);
  return install('metrics', {
    props: { externalMetrics: { tls, ca: authority.cert } },
    extra: [secret],
    environment: { kubernetesVersion: zero ? '1.37' : '1.30' },
  });
}

function externalMetrics(): void {
  let place: Place;
  let zero = false;
  beforeAll(async () => {
    const found = await other();
    if (found !== '') throw new Error(`${found} exists already; use another cluster`);
    zero = await takesZero('default');
    place = await installed(zero);
  });
  afterAll(() => place.end());

  test('the API server calls the service, and gets an answer', async () => {
    const path = 'jsonpath={.status.conditions[?(@.type=="Available")].status}';
    const available = (): Promise<string> => kubectl(['get', 'apiservice', API, '-o', path]);
    await until('the APIService', available, (status) => status === 'True', 60_000);
  });

  test('a model gets replicas by its waiting requests', async () => {
    const scaling = { minReplicas: 1, maxReplicas: 5, targetConcurrency: 4 };
    const model = standIn('waited', { DELAY_MS: '1000' }, { scaling, inference });
    await place.applyModel(model);
    await place.status('waited', ({ status }) => status === 'running', 60_000);
    // Eleven a second for a second each: eleven at a time, four for a replica.
    const path = '/api/v1/models/waited/inference';
    const load = steadyLoad(place, { path, body: ASK }, 11);
    await place.status('waited', ({ replicas }) => replicas.ready >= 3, 120_000);
    const { failed } = await load.stop();
    expect(failed).toEqual([]);
  });

  test('an autoscaler puts a model to sleep, and 200 requests wake it', async () => {
    if (!zero) return console.warn('this API server refuses minReplicas 0; the service does it');
    const scaling = {
      minReplicas: 0,
      maxReplicas: 2,
      targetConcurrency: 100,
      scaleDownWindowSeconds: 10,
    };
    const model = standIn('sleepy', { DELAY_MS: '100' }, { scaling, inference });
    await place.applyModel(model);
    await place.status('sleepy', ({ replicas }) => replicas.ready === 1, 60_000);
    await place.status('sleepy', ({ replicas }) => replicas.desired === 0, 120_000);
    const reason = '{.metadata.annotations}{.spec.minReplicas}';
    const least = await place.kubectl('get', 'hpa', 'sleepy', '-o', `jsonpath=${reason}`);
    expect(least).toMatch(/0$/);
    const ask = (): ReturnType<Place['call']> =>
      place.call('POST', '/api/v1/models/sleepy/inference', ASK);
    const answers = await Promise.all(Array.from({ length: 200 }, ask));
    expect(answers.filter(({ status }) => status !== 200).map(({ text }) => text)).toEqual([]);
  });

  test('the rendered rights are sufficient', async () => {
    expect(await refusals(place)).toEqual([]);
  });
}

describe('external metrics', externalMetrics);
