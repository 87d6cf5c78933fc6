import { ApiObject, Chart, JsonPatch, Testing } from 'cdk8s';
import { ConfigMap, Secret, ServiceAccount } from 'cdk8s-plus-28';
import { ModelDeployment } from '../../lib/constructs';
import type { ModelDeploymentProps } from '../../lib/constructs';
import { DefinitionError, parseEnvironment } from '../../lib/spec';
import type { Manifest } from '../support/manifests';
import { at, findManifest, model, objects, specOf } from '../support/manifests';

const REMOTE: ModelDeploymentProps['model'] = {
  id: 'iris',
  version: 'v1',
  framework: 'onnx',
  source: 's3://models/iris.onnx',
  scaling: { maxReplicas: 3 },
  candidates: [{ version: 'v2', traffic: 10, scaling: { maxReplicas: 1 } }],
};

const manifestsOf = (chart: Chart): readonly Manifest[] => Testing.synth(chart) as Manifest[];

test('its objects are those of objectsOf, in their order', () => {
  const chart = Testing.chart();
  const spec = specOf(model());
  const made = new ModelDeployment(chart, 'model', { model: spec });
  expect(JSON.stringify(Testing.synth(chart))).toBe(JSON.stringify(objects(model())));
  expect(made.objects).toHaveLength(objects(model()).length);
});

test('its parts can be changed', () => {
  const chart = Testing.chart();
  const made = new ModelDeployment(chart, 'model', {
    model: REMOTE,
    environment: { networkPolicy: { from: [{ cidr: '10.0.0.0/8' }] } },
  });
  expect(made.deployment.name).toBe('iris');
  expect(made.autoscaler.kind).toBe('HorizontalPodAutoscaler');
  expect(made.disruptionBudget?.kind).toBe('PodDisruptionBudget');
  expect(made.definition.name).toBe('iris--model');
  expect(made.serviceAccount?.kind).toBe('ServiceAccount');
  expect(made.networkPolicy?.kind).toBe('NetworkPolicy');
  expect(made.service?.kind).toBe('Service');
  expect(
    made.arms.map(({ name, deployment, disruptionBudget }) => [
      name,
      deployment.name,
      disruptionBudget?.name,
    ]),
  ).toEqual([
    ['stable', 'iris', 'iris'],
    ['v2', 'iris--v2', undefined],
  ]);
  made.deployment.addJsonPatch(JsonPatch.add('/spec/paused', true));
  made.definition.metadata.addAnnotation('example.com/a', 'b');
  const all = manifestsOf(chart);
  expect(at(findManifest(all, 'Deployment', 'iris'), 'spec.paused')).toBe(true);
  expect(findManifest(all, 'ConfigMap').metadata.annotations).toMatchObject({
    'example.com/a': 'b',
  });
});

test('its findings use the given day and previous definition', () => {
  const waivers = [{ rule: 'image-digest', reason: 'mirrored by digest', until: '2030-01-31' }];
  const server = { kind: 'custom' };
  const own = {
    id: 'own',
    version: 'v1',
    framework: 'custom',
    image: 'a/b:1',
    server,
    runAsUser: 1000,
  };
  const rulesOf = (props: ModelDeploymentProps): readonly string[] =>
    new ModelDeployment(Testing.chart(), 'model', props).findings.map(({ rule }) => rule);
  const waived = { ...own, waivers } as ModelDeploymentProps['model'];
  expect(rulesOf({ model: waived })).toEqual([]);
  expect(rulesOf({ model: waived, today: '2030-01-31' })).toEqual([]);
  expect(rulesOf({ model: waived, today: '2030-02-01' })).toEqual(['image-digest', 'waiver']);
  const next = { id: 'iris', version: 'v2', framework: 'onnx', source: 's3://m/x' } as const;
  expect(rulesOf({ model: next, previous: REMOTE })).toEqual(['promote-in-one-step']);
});

test('its list of arms is a copy', () => {
  const made = new ModelDeployment(Testing.chart(), 'model', { model: REMOTE });
  (made.arms as unknown as unknown[]).length = 0;
  expect(made.arms).toHaveLength(2);
});

test('an account, Secrets and ConfigMaps of cdk8s-plus reach every pod', () => {
  const chart = Testing.chart();
  const serviceAccount = ServiceAccount.fromServiceAccountName(chart, 'given', 'team-account');
  const envFrom = [
    Secret.fromSecretName(chart, 'secret', 'iris--keys'),
    ConfigMap.fromConfigMapName(chart, 'map', 'iris--settings'),
  ];
  const made = new ModelDeployment(chart, 'model', { model: REMOTE, serviceAccount, envFrom });
  expect(made.serviceAccount).toBeUndefined();
  const deployments = manifestsOf(chart).filter(({ kind }) => kind === 'Deployment');
  expect(deployments).toHaveLength(2);
  for (const one of deployments) {
    expect(at(one, 'spec.template.spec.serviceAccountName')).toBe('team-account');
    expect(at(one, 'spec.template.spec.containers.0.envFrom')).toEqual([
      { secretRef: { name: 'iris--keys' } },
      { configMapRef: { name: 'iris--settings' } },
    ]);
  }
  expect(manifestsOf(chart).some(({ kind }) => kind === 'ServiceAccount')).toBe(false);
});

test('a broken definition makes no objects', () => {
  const chart = Testing.chart();
  const broken = { ...REMOTE, framework: 'onyx' } as unknown as ModelDeploymentProps['model'];
  expect(() => new ModelDeployment(chart, 'model', { model: broken })).toThrow(DefinitionError);
  expect(chart.node.findAll().filter((one) => ApiObject.isApiObject(one))).toEqual([]);
});

test('a definition that cannot work in the environment stops the App', () => {
  const app = Testing.app();
  const made = new ModelDeployment(new Chart(app, 'x'), 'model', {
    model: { ...(REMOTE as object), resources: { gpu: 4 } } as typeof REMOTE,
    environment: parseEnvironment({ quota: { gpu: 1 } }),
  });
  expect(made.findings.map(({ rule }) => rule)).toContain('gpu-quota');
  expect(() => app.synth()).toThrow(/all arms at their maximum need 16 GPUs/);
});

test('two models may be in one chart', () => {
  const chart = Testing.chart();
  for (const id of ['a', 'b']) {
    // oxlint-disable-next-line no-new
    new ModelDeployment(chart, id, { model: { ...(REMOTE as object), id } as typeof REMOTE });
  }
  const names = manifestsOf(chart).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  expect(new Set(names).size).toBe(names.length);
});
