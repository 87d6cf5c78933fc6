import { objectsOf } from '../../lib/objects';
import type { EnvironmentInput, ModelInput } from '../../lib/spec';
import { findingsOf, parseEnvironment, parseModel } from '../../lib/spec';
import { parseConfig } from '../../runtime/app/config';

// What an environment gives to models whose definition leaves it out: images' registry, resources.

const base = { id: 'm', version: '1', source: 's3://models/m' } as const;

const DEFAULTS: EnvironmentInput = {
  registry: 'registry.suoke.life',
  defaultResources: { cpu: '2', memory: '8Gi', gpu: '1' },
};

interface Pod {
  readonly tolerations?: readonly object[];
  readonly containers: readonly {
    readonly image: string;
    readonly resources: { readonly requests: object; readonly limits: object };
  }[];
}

function podOf(given: ModelInput, environment: EnvironmentInput = DEFAULTS): Pod {
  const made = objectsOf(parseModel(given), parseEnvironment(environment));
  const deployment = made.find(({ kind }) => kind === 'Deployment');
  if (deployment === undefined) throw new Error('every model has a Deployment');
  return (deployment['spec'] as { readonly template: { readonly spec: Pod } }).template.spec;
}

const GPU = { 'nvidia.com/gpu': '1' };
const PLAIN = { cpu: '2', memory: '8Gi', 'ephemeral-storage': '1Gi' };

test.each<[string, ModelInput, object]>([
  ['vllm', { ...base, framework: 'huggingface', type: 'llm' }, GPU],
  ['triton', { ...base, framework: 'pytorch' }, GPU],
  ['onnx', { ...base, framework: 'onnx', source: 's3://models/m.onnx' }, {}],
  ['mlserver', { ...base, framework: 'sklearn' }, {}],
  ['tensorflow-serving', { ...base, framework: 'tensorflow' }, {}],
  ['an own image', { ...base, framework: 'tensorflow', image: 'suoke/diagnosis:1' }, {}],
])('%s gets the resources of the environment, and a GPU if it uses one', (_, given, gpu) => {
  const pod = podOf(given);
  expect(pod.containers[0]?.resources.requests).toEqual({ ...PLAIN, ...gpu });
  expect(pod.tolerations).toEqual(
    gpu === GPU ? [expect.objectContaining({ key: 'nvidia.com/gpu' })] : undefined,
  );
});

test('values of the definition are not replaced', () => {
  const own = { cpu: '500m', gpu: { count: 2, resource: 'amd.com/gpu' } };
  expect(podOf({ ...base, framework: 'pytorch', resources: own }).containers[0]?.resources).toEqual(
    {
      requests: { cpu: '500m', memory: '8Gi', 'ephemeral-storage': '1Gi', 'amd.com/gpu': '2' },
      limits: { memory: '8Gi', 'amd.com/gpu': '2' },
    },
  );
});

test('a model that spans two GPUs gets two', () => {
  const server = { kind: 'vllm', tensorParallelSize: 2 } as const;
  const pod = podOf({ ...base, framework: 'huggingface', type: 'llm', server });
  expect(pod.containers[0]?.resources.limits).toMatchObject({ 'nvidia.com/gpu': '2' });
});

test('GPUs of the environment count against its quota', () => {
  const spec = parseModel({ ...base, framework: 'pytorch', scaling: { maxReplicas: 4 } });
  const environment = parseEnvironment({ ...DEFAULTS, quota: { gpu: 1 } });
  expect(findingsOf(spec, { environment }).map(({ rule }) => rule)).toContain('gpu-quota');
});

test.each([
  ['suoke/diagnosis:1', 'registry.suoke.life/suoke/diagnosis:1'],
  ['diagnosis:1', 'registry.suoke.life/diagnosis:1'],
  ['docker.io/suoke/diagnosis:1', 'docker.io/suoke/diagnosis:1'],
  ['localhost/diagnosis:1', 'localhost/diagnosis:1'],
  ['registry:5000/diagnosis:1', 'registry:5000/diagnosis:1'],
  ['Registry/diagnosis:1', 'Registry/diagnosis:1'],
])('the image %s is pulled as %s', (image, expected) => {
  expect(podOf({ ...base, framework: 'tensorflow', image }).containers[0]?.image).toBe(expected);
});

test('the configuration of the service and environments.ts give the same objects', () => {
  const { environment } = parseConfig(`
kubernetes: { namespace: suoke-life, environment: {} }
models:
  registry: registry.suoke.life
  default_resources: { cpu: "2", memory: "8Gi", gpu: "1" }
`).kubernetes;
  expect(environment).toEqual(parseEnvironment(DEFAULTS));
});
