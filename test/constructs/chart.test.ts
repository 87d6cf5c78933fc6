import { App, Chart, Testing } from 'cdk8s';
import { Secret } from 'cdk8s-plus-28';
import type { ModelDeploymentProps, ModelServiceProps } from '../../lib/constructs';
import { ModelDeployment, ModelService } from '../../lib/constructs';
import { parseEnvironment } from '../../lib/spec';
import type { Manifest } from '../support/manifests';
import { at, findManifest } from '../support/manifests';

// What the constructs take from the chart that they stand in.

const MODEL = { id: 'iris', version: '1', framework: 'sklearn', source: 's3://m/iris' } as const;

type Environment = ModelDeploymentProps['environment'];

function addModel(chart: Chart, environment?: Environment, id: string = MODEL.id): ModelDeployment {
  return new ModelDeployment(chart, `model-${chart.node.children.length}`, {
    model: { ...MODEL, id },
    ...(environment !== undefined && { environment }),
  });
}

function addService(chart: Chart, props: ModelServiceProps = {}): ModelService {
  const count = chart.node.children.length;
  const keys = Secret.fromSecretName(chart, `keys-${count}`, 'keys');
  return new ModelService(chart, `service-${count}`, { envFrom: [keys], ...props });
}

const namespacesIn = (chart: Chart): readonly unknown[] => [
  ...new Set((Testing.synth(chart) as Manifest[]).map(({ metadata }) => metadata.namespace)),
];

const prod = (): Chart => new Chart(Testing.app(), 'x', { namespace: 'prod' });

test('a model is in the namespace of its chart, and admits routers there and in their own namespace', () => {
  const chart = prod();
  expect(addModel(chart).environment.namespace).toBe('prod');
  expect(namespacesIn(chart)).toEqual(['prod']);
  const policy = findManifest(Testing.synth(chart) as Manifest[], 'NetworkPolicy');
  expect(at(policy, 'spec.ingress.0.from.0.namespaceSelector.matchExpressions.0')).toMatchObject({
    key: 'kubernetes.io/metadata.name',
    values: ['prod', 'ai-model-service'],
  });
});

test('the service and its rights are in the namespace of its chart, where it reads models', () => {
  const chart = prod();
  addService(chart);
  expect(namespacesIn(chart)).toEqual(['prod']);
  const config = findManifest(Testing.synth(chart) as Manifest[], 'ConfigMap', 'ai-model-service');
  expect(at(config, 'data')).toMatchObject({
    'config.yaml': expect.stringMatching(/^ {2}namespace: prod\n {2}runtime_namespace: prod$/m),
  });
});

test.each<[string, Environment, string | undefined, string]>([
  ['the environment wins over the chart', { namespace: 'own' }, 'prod', 'own'],
  ['other fields of an environment leave the chart’s', { registry: 'r.example' }, 'prod', 'prod'],
  ['an undefined namespace counts as absent', { namespace: undefined }, 'prod', 'prod'],
  ['a parsed environment always has one', parseEnvironment({}), 'prod', 'ai-models'],
  ['without any it is ai-models', {}, undefined, 'ai-models'],
])('%s', (_, environment, namespace, expected) => {
  const chart = new Chart(Testing.app(), 'x', namespace === undefined ? {} : { namespace });
  addModel(chart, environment);
  expect(namespacesIn(chart)).toEqual([expected]);
  if (environment === undefined || 'gpu' in environment) return;
  const other = new Chart(Testing.app(), 'y', namespace === undefined ? {} : { namespace });
  expect(addService(other, { environment }).namespace).toBe(expected);
});

test('an invalid namespace is refused', () => {
  const chart = new Chart(Testing.app(), 'x', { namespace: 'Prod' });
  expect(() => addModel(chart)).toThrow(/^namespace: got "Prod", must be a namespace/);
});

test('the same model twice in a chart is refused, with the place of the first', () => {
  const chart = prod();
  addModel(chart);
  expect(() => addModel(chart)).toThrow(
    'id: got "iris", must be an id of its own: x/model-0 deploys this model to prod already; ' +
      'remove one of the two, or give one another id or namespace',
  );
});

test('two ids with the same object names in a chart are refused', () => {
  const chart = prod();
  addModel(chart, undefined, 'a_b');
  expect(() => addModel(chart, undefined, 'a-b')).toThrow(
    /^id: got "a-b", must be an id of its own/,
  );
});

test('the service twice in a chart is refused', () => {
  const chart = prod();
  addService(chart);
  expect(() => addService(chart)).toThrow(
    'environment.namespace: got "prod", must be a namespace of its own: x/service-0 installs the ' +
      'service there already',
  );
});

test('in another namespace, or another chart, the same model and service are accepted', () => {
  const chart = prod();
  addModel(chart);
  addModel(chart, { namespace: 'canary' });
  addService(chart);
  addService(chart, { environment: { namespace: 'canary' } });
  const app = new App();
  for (const cluster of ['east', 'west']) addModel(new Chart(app, cluster));
  expect(namespacesIn(chart)).toEqual(['prod', 'canary']);
});

test('a refused model does not block the next', () => {
  const chart = prod();
  expect(() => addModel(chart, undefined, 'Iris!')).toThrow(/^id: /);
  expect(addModel(chart).spec.id).toBe('iris');
});

test('each namespace to create is rendered once, before everything else', () => {
  const app = Testing.app();
  for (const [id, namespace] of [
    ['a', 'one'],
    ['b', 'two'],
    ['c', 'one'],
  ] as const) {
    const chart = new Chart(app, id, { namespace });
    addModel(chart, { createNamespace: true });
    addService(chart, { environment: { createNamespace: true } });
  }
  const made = Testing.synth(app.node.findChild('0000-namespace') as Chart) as Manifest[];
  expect(made.map(({ kind, metadata }) => [kind, metadata.name])).toEqual([
    ['Namespace', 'one'],
    ['Namespace', 'two'],
  ]);
});
