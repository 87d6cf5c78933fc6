import { at, findManifest, manifests, model } from '../support/manifests';
import type { Manifest } from '../support/manifests';

// What cdk8s-plus and habit get wrong, each looked for in the finished YAML.
const CONTAINER = 'spec.template.spec.containers.0';

function deployment(more: object = {}, environment: object = {}): Manifest {
  return findManifest(manifests(model(more), environment), 'Deployment', 'iris');
}

test('a GPU quantity is rendered in limits and requests', () => {
  const resources = at(deployment({ resources: { gpu: 2 } }), `${CONTAINER}.resources`);
  expect(at(resources, 'limits')).toMatchObject({ 'nvidia.com/gpu': '2' });
  expect(at(resources, 'requests')).toMatchObject({ 'nvidia.com/gpu': '2' });
});

test('another GPU resource replaces the default one', () => {
  const resources = { gpu: { count: 1, resource: 'amd.com/gpu' } };
  const limits = at(deployment({ resources }), `${CONTAINER}.resources.limits`);
  expect(limits).toEqual({ memory: '512Mi', 'amd.com/gpu': '1' });
});

test('preStop.sleep is rendered from 1.30 on, and as a command before', () => {
  const hook = (kubernetesVersion: string): unknown =>
    at(deployment({}, { kubernetesVersion }), `${CONTAINER}.lifecycle.preStop`);
  expect(hook('1.30')).toEqual({ sleep: { seconds: 15 } });
  expect(hook('1.29')).toEqual({ exec: { command: ['sleep', '15'] } });
});

test('no limit is rendered without a request for it: CPU is unlimited, memory equals the request', () => {
  expect(at(deployment(), `${CONTAINER}.resources`)).toEqual({
    requests: { cpu: '500m', memory: '512Mi', 'ephemeral-storage': '1Gi' },
    limits: { memory: '512Mi' },
  });
  const resources = { cpu: '1', memory: '2Gi', cpuLimit: '2' };
  expect(at(deployment({ resources }), `${CONTAINER}.resources.limits`)).toEqual({
    cpu: '2',
    memory: '2Gi',
  });
});

test('the startup probe checks this model and covers the whole budget', () => {
  const probe = at(
    deployment({ health: { startupSeconds: 601, periodSeconds: 7 } }),
    `${CONTAINER}.startupProbe`,
  );
  expect(probe).toMatchObject({ httpGet: { path: '/v2/models/iris/ready', port: 'http' } });
  const budget = Number(at(probe, 'failureThreshold')) * Number(at(probe, 'periodSeconds'));
  expect(budget).toBeGreaterThanOrEqual(601);
});

test('readiness checks whether the model is loaded, liveness only whether the process runs', () => {
  const made = deployment();
  expect(at(made, `${CONTAINER}.readinessProbe.httpGet.path`)).toBe('/v2/models/iris/ready');
  expect(at(made, `${CONTAINER}.livenessProbe.httpGet.path`)).toBe('/v2/health/live');
});

test('TensorFlow Serving has liveness by TCP, readiness by HTTP', () => {
  const made = deployment({ framework: 'tensorflow', source: 's3://m/1' });
  expect(at(made, `${CONTAINER}.livenessProbe`)).toMatchObject({ tcpSocket: { port: 'http' } });
  expect(at(made, `${CONTAINER}.startupProbe.tcpSocket`)).toBeUndefined();
  expect(at(made, `${CONTAINER}.readinessProbe.httpGet.path`)).toBe('/v1/models/iris/metadata');
});

test('a health path and port of the definition replace the defaults', () => {
  const made = deployment({
    framework: 'custom',
    image: 'example.com/iris:1',
    health: { path: '/up', port: 9000 },
  });
  const asked = { httpGet: { path: '/up', port: 9000 } };
  expect(at(made, `${CONTAINER}.readinessProbe`)).toMatchObject(asked);
  expect(at(made, `${CONTAINER}.startupProbe`)).toMatchObject(asked);
});

test('replicas are never rendered', () => {
  const all = manifests(model({ scaling: { minReplicas: 3, maxReplicas: 3 } }));
  expect(at(findManifest(all, 'Deployment'), 'spec.replicas')).toBeUndefined();
  expect(at(findManifest(all, 'HorizontalPodAutoscaler'), 'spec')).toMatchObject({
    minReplicas: 3,
    maxReplicas: 3,
  });
});

test('a server that ignores SIGTERM, or drops requests at it, gets it only after its longest one', () => {
  const inference = { timeoutSeconds: 60 };
  for (const framework of ['tensorflow', 'sklearn']) {
    const made = deployment({ framework, source: 's3://m/1', inference });
    expect(at(made, `${CONTAINER}.lifecycle.preStop.sleep.seconds`)).toBe(75);
    expect(at(made, 'spec.template.spec.terminationGracePeriodSeconds')).toBe(80);
  }
  const onnx = deployment({ inference });
  expect(at(onnx, `${CONTAINER}.lifecycle.preStop.sleep.seconds`)).toBe(15);
  expect(at(onnx, 'spec.template.spec.terminationGracePeriodSeconds')).toBe(80);
});

test('the progress deadline includes the startup budget', () => {
  const made = deployment({ health: { startupSeconds: 1200, initialDelaySeconds: 30 } });
  expect(at(made, 'spec.progressDeadlineSeconds')).toBe(1290);
});

test.each([
  [4, 1],
  [5, '25%'],
])('with up to %s replicas the surge is %s', (maxReplicas, maxSurge) => {
  expect(at(deployment({ scaling: { maxReplicas } }), 'spec.strategy.rollingUpdate')).toEqual({
    maxUnavailable: 0,
    maxSurge,
  });
});

test.each([
  ['where the definition says so', { updateStrategy: 'replace' }, {}],
  ['where the quota has no GPU to spare', { resources: { gpu: 2 } }, { quota: { gpu: 2 } }],
])('an update ends an old replica first %s', (_, more, environment) => {
  expect(at(deployment(more, environment), 'spec.strategy.rollingUpdate')).toEqual({
    maxUnavailable: 1,
    maxSurge: 0,
  });
});

test('the progress deadline includes the download: by its size, else as long as the start', () => {
  const deadline = (source: unknown, more: object = {}): unknown =>
    at(deployment({ source, ...more }), 'spec.progressDeadlineSeconds');
  expect(deadline('./iris.onnx')).toBe(660);
  expect(deadline('pvc://claim/iris')).toBe(660);
  expect(deadline({ uri: 's3://m/iris.onnx', size: '10G' })).toBe(660 + 200);
  expect(deadline('s3://m/iris.onnx')).toBe(660 + 600);
  expect(deadline('s3://m/iris.onnx', { cache: { size: '1Gi' } })).toBe(660 + 600);
});

test('every volume of a pod has a limit, and disk is requested', () => {
  const llm = { framework: 'huggingface', type: 'llm', resources: { memory: '32Gi', gpu: 1 } };
  const made = deployment({ ...llm, source: { uri: 'hf://a/b@main', size: '14Gi' } });
  const volumes = at(made, 'spec.template.spec.volumes') as readonly { emptyDir?: object }[];
  expect(volumes.flatMap(({ emptyDir }) => emptyDir ?? [])).toEqual([
    { sizeLimit: '4Gi' },
    { sizeLimit: '20Gi' },
    { medium: 'Memory', sizeLimit: '16Gi' },
    { sizeLimit: '17920Mi' },
  ]);
  expect(at(made, `${CONTAINER}.resources.requests.ephemeral-storage`)).toBe('18944Mi');
  expect(at(made, `${CONTAINER}.resources.limits.ephemeral-storage`)).toBeUndefined();
});

test('vLLM runs as the user of its image, and gets its name, which older images lack', () => {
  const made = deployment({ framework: 'huggingface', type: 'llm', source: 'hf://a/b@main' });
  const env = at(made, `${CONTAINER}.env`) as readonly object[];
  expect(env).toEqual([
    { name: 'HOME', value: '/home/vllm' },
    { name: 'LOGNAME', value: 'vllm' },
    { name: 'USER', value: 'vllm' },
  ]);
  expect(at(made, `${CONTAINER}.securityContext.runAsUser`)).toBe(2000);
  expect(at(made, 'spec.template.spec.securityContext.fsGroup')).toBe(2000);
  const mounts = at(made, `${CONTAINER}.volumeMounts`) as readonly { mountPath: string }[];
  expect(mounts.map(({ mountPath }) => mountPath)).toContain('/home/vllm');
});

test('an autoscaler reaches zero only where the API server accepts it, and not by CPU', () => {
  const scaling = { minReplicas: 0, maxReplicas: 2, targetConcurrency: 1 };
  const rendered = (kubernetesVersion: string): readonly [unknown, readonly unknown[]] => {
    const all = manifests(model({ scaling }), { kubernetesVersion });
    const { minReplicas, metrics } = findManifest(all, 'HorizontalPodAutoscaler')['spec'] as {
      minReplicas: number;
      metrics: { type: string }[];
    };
    return [minReplicas, metrics.map(({ type }) => type)];
  };
  expect(rendered('1.36')).toEqual([1, ['Resource', 'External']]);
  expect(rendered('1.37')).toEqual([0, ['External']]);
});

test('one replica has no disruption budget, which would only block drains', () => {
  const kinds = (maxReplicas: number): readonly string[] =>
    manifests(model({ scaling: { maxReplicas } })).map(({ kind }) => kind);
  expect(kinds(1)).not.toContain('PodDisruptionBudget');
  expect(kinds(2)).toContain('PodDisruptionBudget');
});

test('a variable reaches the process as written, with its dollar signs', () => {
  const env = { A: '$(B) costs $5', B: 'x', C: 'a$b', D: '$$' };
  const all = at(deployment({ env }), `${CONTAINER}.env`) as readonly object[];
  expect(all).toEqual([
    { name: 'A', value: '$$(B) costs $$5' },
    { name: 'B', value: 'x' },
    { name: 'C', value: 'a$b' },
    { name: 'D', value: '$$$$' },
    { name: 'HOME', value: '/tmp' },
  ]);
});

test('the account has no token, neither by itself nor in the pod', () => {
  const all = manifests(model());
  expect(findManifest(all, 'ServiceAccount')['automountServiceAccountToken']).toBe(false);
  expect(
    at(findManifest(all, 'Deployment'), 'spec.template.spec.automountServiceAccountToken'),
  ).toBe(false);
});

test('the last output of a crash is readable without the right to read logs', () => {
  expect(at(deployment(), `${CONTAINER}.terminationMessagePolicy`)).toBe('FallbackToLogsOnError');
});

test('our own image has a group of its own, other images keep theirs', () => {
  const user = (more: object): unknown => {
    const { runAsUser, runAsGroup } = at(deployment(more), `${CONTAINER}.securityContext`) as {
      readonly runAsUser?: number;
      readonly runAsGroup?: number;
    };
    return [runAsUser, runAsGroup];
  };
  expect(user({})).toEqual([10_001, 10_001]);
  expect(user({ runAsUser: 2000 })).toEqual([2000, undefined]);
  expect(user({ framework: 'sklearn', source: 's3://m/1' })).toEqual([1000, undefined]);
  const own = { framework: 'custom', source: undefined, image: 'a/b:1', runAsUser: 10_001 };
  expect(user(own)).toEqual([10_001, undefined]);
  const loader = at(
    deployment({ source: 's3://m/1' }),
    'spec.template.spec.initContainers.0.securityContext',
  );
  expect(loader).toMatchObject({ runAsUser: 10_001, runAsGroup: 10_001 });
});
