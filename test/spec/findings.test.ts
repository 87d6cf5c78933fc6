import type { EnvironmentInput, ModelInput } from '../../lib/spec';
import { findingsOf, parseEnvironment, parseModel, slugClashes } from '../../lib/spec';

const BASE: ModelInput = {
  id: 'iris',
  version: 'v1',
  framework: 'onnx',
  source: './iris.onnx',
};
const OWN: ModelInput = {
  ...BASE,
  source: undefined,
  image: 'suoke/iris:v1',
  server: { kind: 'custom' },
  runAsUser: 1000,
};

function rules(
  model: Partial<ModelInput>,
  environment: EnvironmentInput = {},
  more: { previous?: ModelInput; today?: string } = {},
): string[] {
  const found = findingsOf(parseModel({ ...BASE, ...model }), {
    environment: parseEnvironment(environment),
    previous: more.previous && parseModel(more.previous),
    today: more.today,
  });
  return found.map(({ rule, severity, path }) => `${severity} ${rule} ${path}`);
}

describe('findings', () => {
  test('are absent for a plain definition', () => {
    expect(rules({})).toEqual([]);
  });

  const digest = `suoke/iris:v1@sha256:${'0'.repeat(64)}`;
  const patch = (seconds: number): ModelInput['overrides'] => ({
    Deployment: { spec: { template: { spec: { terminationGracePeriodSeconds: seconds } } } },
  });
  const canary = { version: 'v2', traffic: 10 };

  test.each<[string, Partial<ModelInput>, EnvironmentInput, string[]]>([
    ['an image named by tag', OWN, {}, ['warning image-digest image']],
    ['an image named by digest', { ...OWN, image: digest }, {}, []],
    [
      'an objective that an operator watches',
      { slo: { availability: 99.9 } },
      { monitoring: { style: 'operator' } },
      [],
    ],
    [
      'an objective that nothing watches',
      { slo: { availability: 99.9 } },
      { monitoring: { style: 'none' } },
      ['warning slo-without-rules slo'],
    ],
    [
      'the same with annotations',
      { slo: { availability: 99.9 } },
      {},
      ['warning slo-without-rules slo'],
    ],
    [
      'an image without a server',
      { ...OWN, image: digest, server: undefined },
      {},
      ['warning native-image server'],
    ],
    [
      'an image that holds a known server',
      { ...OWN, image: digest, server: { kind: 'triton' } },
      {},
      [],
    ],
    [
      'an image with an unknown user',
      { ...OWN, image: digest, runAsUser: undefined },
      {},
      ['warning numeric-user runAsUser'],
    ],
    [
      'the same where the platform sets security',
      { ...OWN, image: digest, runAsUser: undefined },
      { podSecurity: 'platform' },
      [],
    ],
    [
      'a grace period that cuts requests off',
      { overrides: patch(30) },
      {},
      ['error grace-period overrides.Deployment'],
    ],
    ['a grace period that is long enough', { overrides: patch(50) }, {}, []],
    [
      'an artifact that cannot load in time',
      { source: { uri: 's3://m/x', size: '100Gi' } },
      {},
      ['error startup-budget health.startupSeconds'],
    ],
    [
      'an artifact with time to load',
      { source: { uri: 's3://m/x', size: '100Gi' }, health: { startupSeconds: 3600 } },
      {},
      [],
    ],
    ['a large cache, which says nothing of what lies on it', { cache: { size: '100Gi' } }, {}, []],
    [
      'a split without a stated cohort',
      { candidates: [canary] },
      {},
      ['warning cohort-key inference.cohort'],
    ],
    [
      'a split with a stated cohort',
      { candidates: [canary], inference: { cohort: { header: 'x-user-id' } } },
      {},
      [],
    ],
    ['a secret in clear', { env: { API_KEY: 'x' } }, {}, ['warning secret-literal env.API_KEY']],
    ['a secret by reference', { env: { API_KEY: { secret: 's', key: 'k' } } }, {}, []],
    [
      'more GPUs than the quota',
      { resources: { gpu: 2 }, scaling: { minReplicas: 2, maxReplicas: 3 } },
      { quota: { gpu: 5 } },
      ['error gpu-quota scaling.maxReplicas'],
    ],
    [
      'as many GPUs as the quota, so that an update has none to spare',
      { resources: { gpu: 2 }, scaling: { minReplicas: 2, maxReplicas: 3 } },
      { quota: { gpu: 6 } },
      ['warning update-replaces updateStrategy'],
    ],
    [
      'the same when the definition says that an update replaces',
      { updateStrategy: 'replace', resources: { gpu: 2 } },
      { quota: { gpu: 2 } },
      [],
    ],
    [
      'the same when the definition wants a surge',
      { updateStrategy: 'surge', resources: { gpu: 2 } },
      { quota: { gpu: 2 } },
      ['error gpu-quota updateStrategy'],
    ],
    [
      'GPUs for one replica more than the maximum',
      { resources: { gpu: 2 }, scaling: { minReplicas: 2, maxReplicas: 3 } },
      { quota: { gpu: 8 } },
      [],
    ],
    [
      'more memory than the quota, counted from the default of the environment',
      { scaling: { minReplicas: 2, maxReplicas: 3 } },
      { quota: { memory: '1Gi' } },
      ['error memory-quota scaling.maxReplicas'],
    ],
    [
      'more cores than the quota while an update runs',
      { resources: { cpu: '2' } },
      { quota: { cpu: '3' } },
      ['warning update-replaces updateStrategy'],
    ],
    [
      'one replica beside a disruption budget',
      { scaling: { minReplicas: 1, maxReplicas: 3 } },
      {},
      ['warning single-replica scaling.minReplicas'],
    ],
    ['two replicas beside one', { scaling: { minReplicas: 2, maxReplicas: 3 } }, {}, []],
    ['one replica that never has a disruption budget', { scaling: { maxReplicas: 1 } }, {}, []],
    [
      'a CPU limit below the request',
      { resources: { cpu: '2', cpuLimit: '500m' } },
      {},
      ['error cpu-limit-below-request resources.cpuLimit'],
    ],
    [
      'draining before 1.30 with an own image',
      { ...OWN, image: digest },
      { kubernetesVersion: '1.29' },
      ['warning needs-sleep-binary image'],
    ],
    [
      'batching of what may not be sent twice',
      {
        framework: 'sklearn',
        source: 's3://m/x',
        inference: { idempotent: false, batching: { maxSize: 8, maxDelayMs: 5 } },
      },
      {},
      [
        'warning batching-idempotent inference.batching',
        'warning batching-rows inference.batching.rowsIndependent',
      ],
    ],
    [
      'batching by the router of a model without a statement that its rows are independent',
      {
        framework: 'sklearn',
        source: 's3://m/x',
        inference: { batching: { maxSize: 8, maxDelayMs: 5 } },
      },
      {},
      ['warning batching-rows inference.batching.rowsIndependent'],
    ],
    [
      'batching by the router of a model whose rows are said to be independent',
      {
        framework: 'sklearn',
        source: 's3://m/x',
        inference: { batching: { maxSize: 8, maxDelayMs: 5, rowsIndependent: true } },
      },
      {},
      [],
    ],
    [
      'batching of it by the built-in server, which calls nothing again',
      { inference: { idempotent: false, batching: { maxSize: 8, maxDelayMs: 5 } } },
      {},
      [],
    ],
  ])('%s', (_, model, environment, expected) => {
    expect(rules(model, environment)).toEqual(expected);
  });

  test('dropping a candidate and taking its version in one step is an error', () => {
    const previous = { ...BASE, candidates: [canary], inference: { cohort: { cookie: 'uid' } } };
    expect(rules({ version: 'v2' }, {}, { previous })).toEqual([
      'error promote-in-one-step version',
    ]);
    expect(rules({}, {}, { previous })).toEqual([]);
  });

  test('a waiver silences a rule until its last day', () => {
    const waivers = [{ rule: 'image-digest', reason: 'mirrored by digest', until: '2030-01-31' }];
    expect(rules({ ...OWN, waivers }, {}, { today: '2030-01-31' })).toEqual([]);
    expect(rules({ ...OWN, waivers }, {}, { today: '2030-02-01' })).toEqual([
      'warning image-digest image',
      'warning waiver waivers[0]',
    ]);
  });

  test('a waiver of an unknown rule is itself a finding', () => {
    const waivers = [{ rule: 'image-digset', reason: 'a typing error', until: '2030-01-31' }];
    expect(rules({ waivers })).toEqual(['warning waiver waivers[0]']);
  });
});

test('two ids with one slug are found', () => {
  const one = parseModel({ ...BASE, id: 'a_b' });
  const two = parseModel({ ...BASE, id: 'a-b' });
  expect(slugClashes([one, two, parseModel(BASE)])).toEqual([[one, two]]);
});

test('the finding about an own image has its assumed protocol, and the alternatives', () => {
  const spec = parseModel({
    model_id: 'deep_tcm_diagnosis',
    version: 'v3.0.1',
    framework: 'tensorflow',
    docker_image: 'suoke/deep-tcm-diagnosis:v3.0.1',
  });
  const found = findingsOf(spec, { environment: parseEnvironment() });
  expect(found.find(({ rule }) => rule === 'native-image')).toMatchObject({
    reason:
      'no server is named, so suoke/deep-tcm-diagnosis:v3.0.1 will be called with the native protocol on port 8080: GET /health, POST /inference, POST /batch_inference (docs/native-server.md)',
    fix: expect.stringMatching(/server: \{ kind: custom \}.*v1, v2, tfs, openai/) as unknown,
  });
});
