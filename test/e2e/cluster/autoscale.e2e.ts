import { until } from '../service';
import { kubectl } from './support/kubectl';
import { steadyLoad } from './support/load';
import type { Place, Status } from './support/place';
import { install } from './support/place';
import { ASK, standIn } from './support/standin';

// The HorizontalPodAutoscaler as it is rendered, over what metrics-server measures.

/** Measures come every 15 s or so, and the autoscaler wants some. */
const MEASURED_MS = 180_000;

let place: Place;
beforeAll(async () => {
  place = await install('autoscale', { props: { minReplicas: 1 } });
});
afterAll(() => place.end());

const hasMetrics = (): Promise<boolean> =>
  kubectl(['get', '--raw', '/apis/metrics.k8s.io/v1beta1/nodes']).then(
    () => true,
    () => false,
  );

test('a model under load gets more replicas by CPU, and all of them answer', async () => {
  if (!(await hasMetrics())) return console.warn('no metrics-server: nothing is scaled by CPU');
  // A tenth of a core is ten times what is asked for. On a busy machine an answer may take long.
  const scaling = { minReplicas: 1, maxReplicas: 3 };
  const inference = { timeoutSeconds: 120, maxConcurrency: 128 };
  await place.applyModel(standIn('busy', { BURN_MS: '20' }, { scaling, inference }));
  await place.status('busy', ({ status }) => status === 'running', 60_000);
  const load = steadyLoad(place, { path: '/api/v1/models/busy/inference', body: ASK }, 5);
  await place.status('busy', ({ replicas }) => replicas.ready === 3, MEASURED_MS);
  const pods = async (): Promise<Set<string>> => {
    const health = (await place.call('GET', '/health/detailed')).json();
    const replicas = health.models[0].arms[0].replicas as { id: string; phase: string }[];
    return new Set(replicas.filter(({ phase }) => phase === 'ready').map(({ id }) => id));
  };
  await until('the router has all', pods, ({ size }) => size === 3);
  // The same measures are what the status tells.
  const isMeasured = ({ resource_usage: { cpu_cores: cores } }: Status): boolean =>
    cores !== null && cores > 0.02;
  await place.status('busy', isMeasured, 60_000);
  const { failed } = await load.stop();
  expect(failed).toEqual([]);
  const reason = '{.status.conditions[?(@.type=="ScalingActive")].reason}';
  const active = await place.kubectl('get', 'hpa', 'busy', '-o', `jsonpath=${reason}`);
  expect(active).toBe('ValidMetricFound');
});
