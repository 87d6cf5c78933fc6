import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelInput } from '../../lib/spec';
import {
  armObjectName,
  armsOf,
  candidateNameOf,
  defaultServer,
  definitionHash,
  FRAMEWORKS,
  parseEnvironment,
  parseModel,
  quantityValue,
  stablePercent,
  versionLabel,
  withFiles,
} from '../../lib/spec';
import { modelJsonSchema } from '../../lib/spec/jsonschema';

const BASE: ModelInput = { id: 'iris', version: 'v1', framework: 'onnx', source: './iris.onnx' };

describe('a definition', () => {
  test('gets every default of the table', () => {
    expect(parseModel(BASE)).toMatchObject({
      name: 'iris',
      slug: 'iris',
      type: 'other',
      server: { kind: 'onnx' },
      resources: { cpuLimit: 'none' },
      scaling: { minReplicas: 1, maxReplicas: 1, targetCpuUtilization: 70 },
      health: { periodSeconds: 5, startupSeconds: 600 },
      inference: {
        timeoutSeconds: 30,
        maxConcurrency: 8,
        maxBatchSize: 32,
        idempotent: true,
        replayBytes: 65_536,
        cohort: { header: 'x-user-id' },
        maxBodyBytes: 10_485_760,
      },
      scheduling: { topologySpread: 'both', spot: false },
    });
  });

  test('with an image and no server speaks the native protocol', () => {
    const { source, ...rest } = BASE;
    const spec = parseModel({ ...rest, framework: 'tensorflow', image: 'suoke/tcm:v1' });
    expect(spec.server).toEqual({ kind: 'custom', protocol: 'native', port: 8080 });
    expect(source).toBeDefined();
  });

  test.each([
    ['tensorflow', 'tensorflow-serving'],
    ['onnx', 'onnx'],
    ['tensorrt', 'triton'],
    ['pytorch', 'triton'],
    ['sklearn', 'mlserver'],
    ['xgboost', 'mlserver'],
    ['huggingface', 'mlserver'],
  ] as const)('of framework %s is served by %s', (framework, kind) => {
    expect(defaultServer(framework, 'other', false).kind).toBe(kind);
  });

  test('of a language model from Hugging Face is served by vllm', () => {
    expect(defaultServer('huggingface', 'llm', false).kind).toBe('vllm');
  });

  test('has a server for every framework', () => {
    expect(
      FRAMEWORKS.map((framework) => defaultServer(framework, 'other', false).kind),
    ).toHaveLength(8);
  });

  test('has the same hash in any order of its keys', () => {
    const turned = Object.fromEntries(Object.entries(BASE).toReversed());
    expect(definitionHash(parseModel(turned).definition)).toBe(
      definitionHash(parseModel(BASE).definition),
    );
  });
});

describe('arms', () => {
  const spec = parseModel({
    ...BASE,
    resources: { cpu: '2', memory: '1Gi' },
    env: { A: '1', B: '2' },
    candidates: [
      { version: 'v2.0.0', traffic: 0.1, env: { B: '3' }, resources: { memory: '2Gi' } },
      { version: 'v3', name: 'next', traffic: 0.2, source: './next.onnx' },
      { version: 'v4', shadow: 50 },
    ],
  });

  test('are stable and the candidates, in the author’s order', () => {
    expect(spec.arms.map(({ name }) => name)).toEqual(['stable', 'v2-0-0', 'next', 'v4']);
  });

  test('leave the exact rest to stable', () => {
    expect(spec.arms[0].role).toEqual({ kind: 'traffic', percent: 99.7 });
    expect(stablePercent([])).toBe(100);
  });

  test('inherit fields that a candidate does not set', () => {
    expect(spec.arms[1]).toMatchObject({
      source: { uri: './iris.onnx', scheme: 'file' },
      resources: { cpu: '2', memory: '2Gi' },
      env: { A: '1', B: '3' },
      server: { kind: 'onnx' },
    });
    expect(spec.arms[2]?.source?.uri).toBe('./next.onnx');
  });

  test('compare a shadow by default with a small tolerance', () => {
    expect(spec.arms[3]?.role).toEqual({ kind: 'shadow', percent: 50, compare: { rel: 1e-3 } });
  });

  test('all get their files', () => {
    const bytes = new Uint8Array([1]);
    const filled = withFiles(spec, (uri) => ({ name: uri, bytes, sha256: 'x' }));
    expect(filled.arms.map((arm) => arm.source?.content?.name)).toEqual([
      './iris.onnx',
      './iris.onnx',
      './next.onnx',
      './iris.onnx',
    ]);
  });

  test('are the same when made from the parsed model', () => {
    expect(armsOf(spec)).toEqual(spec.arms);
  });
});

describe('names', () => {
  test.each([
    ['v3.0.2', 'v3-0-2'],
    ['2024.1', 'v2024-1'],
    ['V1+GPU', 'v1-gpu'],
    ['v1.0.0-rc.1+build.77', 'v1-0-0-rc-1-b'],
  ])('of a candidate of version %s are %s', (version, name) => {
    expect(candidateNameOf(version)).toBe(name);
  });

  test('of an arm’s objects come from model and candidate', () => {
    expect(armObjectName('deep_tcm', 'stable')).toBe('deep-tcm');
    expect(armObjectName('deep_tcm', 'v2')).toBe('deep-tcm--v2');
  });

  test('fit a DNS label at their longest', () => {
    expect(armObjectName('a'.repeat(48), 'b'.repeat(13))).toHaveLength(63);
  });

  test('of versions become label values', () => {
    expect(versionLabel('v1.0+gpu')).toBe('v1.0_gpu');
  });
});

test.each([
  ['500m', 0.5],
  ['2', 2],
  ['1Gi', 1_073_741_824],
  ['1.5G', 1_500_000_000],
  ['x', Number.NaN],
])('quantity %s is %d', (text, value) => {
  expect(quantityValue(text)).toBe(value);
});

describe('an environment', () => {
  test('may be empty', () => {
    expect(parseEnvironment()).toMatchObject({
      namespace: 'ai-models',
      kubernetesVersion: '1.30',
      podSecurity: 'restricted',
      monitoring: { style: 'annotations' },
      gpu: { resource: 'nvidia.com/gpu' },
    });
  });

  test('refuses unknown fields, with the place', () => {
    expect(() =>
      parseEnvironment({ kubernetesVersion: '1.27', namepsace: 'x' }, 'prod.yaml'),
    ).toThrow(
      'prod.yaml: kubernetesVersion: got "1.27", must be 1.28 or newer, as major.minor; write for example 1.30\n' +
        'prod.yaml: namepsace: unknown field; did you mean namespace?',
    );
  });
});

test.each([
  ['monitoring.namespaceLabels', { monitoring: { namespaceLabels: {} } }],
  ['runtime.labels', { runtime: { labels: {} } }],
  ['networkPolicy.from[0].podLabels', { networkPolicy: { from: [{ podLabels: {} }] } }],
  ['networkPolicy.from[0].namespaceLabels', { networkPolicy: { from: [{ namespaceLabels: {} }] } }],
])('an environment cannot admit all by %s', (field, environment) => {
  expect(() => parseEnvironment(environment)).toThrow(
    `${field}: got {}, must be at least one label`,
  );
});

describe('the JSON Schema', () => {
  const file = join(__dirname, '..', '..', 'schema', 'model.schema.json');

  test('in the repository is up to date', () => {
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(modelJsonSchema());
  });

  test('has every field in both forms and no other', () => {
    const { then: wire, else: fields } = modelJsonSchema() as Record<
      string,
      { properties: object; additionalProperties: boolean }
    >;
    expect(Object.keys(fields?.properties ?? {})).toContain('scaling');
    expect(Object.keys(wire?.properties ?? {})).toContain('scaling_config');
    expect([fields?.additionalProperties, wire?.additionalProperties]).toEqual([false, false]);
  });
});

test('the spec module loads no cdk8s', () => {
  const script = `require('tsx/cjs'); require('./lib/spec/public'); console.log(Object.keys(require.cache).filter((f) => /cdk8s|constructs/.test(f)).length)`;
  const out = execFileSync(process.execPath, ['-e', script], { cwd: join(__dirname, '..', '..') });
  expect(String(out).trim()).toBe('0');
});

describe('text that no manifest and no process can hold', () => {
  const base = { id: 'a', version: '1', framework: 'sklearn', source: 's3://m/x' };

  test.each([
    ['name', { name: 'ab\ud800c' }, 'name: holds U+D800 at character 3'],
    ['env', { env: { V: '\udfff' } }, 'env.V: holds U+DFFF at character 1'],
    ['a key', { annotations: { '\ud83d': 'x' } }, 'annotations["\\ud83d"]: holds U+D83D'],
    ['args', { args: ['ok', 'x\ude00\ud83d'] }, 'args[1]: holds U+DE00 at character 2'],
    ['overrides', { overrides: { Job: { spec: { x: '\ud800' } } } }, 'overrides.Job.spec.x: holds'],
    ['a NUL', { env: { V: 'a\0b' } }, 'env.V: holds U+0000 at character 2'],
  ])('%s is refused with its path and the character', (_, more, message) => {
    expect(() => parseModel({ ...base, ...more })).toThrow(message);
  });

  test('has the path of its author in wire form', () => {
    const wire = { model_id: 'a', version: '1', framework: 'onnx', repository_url: 's3://m/x' };
    expect(() => parseModel({ ...wire, environment_variables: { V: '\ud800' } })).toThrow(
      'environment_variables.V: holds U+D800',
    );
  });

  test('does not include whole surrogate pairs', () => {
    expect(parseModel({ ...base, name: '😀' }).name).toBe('😀');
  });
});
