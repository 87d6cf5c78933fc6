import fc from 'fast-check';
import type { ModelInput } from '../../lib/spec';
import { DefinitionError, fromWire, parseModel, toWire, updateModel } from '../../lib/spec';
import { models } from '../support/arbitrary';
import { rounds } from '../support/rounds';

const SEED: ModelInput = {
  id: 'deep_tcm_diagnosis',
  name: '深度中医诊断模型',
  version: 'v3.0.1',
  type: 'tcm_diagnosis',
  framework: 'tensorflow',
  image: 'suoke/tcm-diagnosis:v3.0.1',
  resources: { cpu: '2', memory: '8Gi', gpu: 1 },
  scaling: { minReplicas: 1, maxReplicas: 5, targetCpuUtilization: 70 },
  health: { path: '/health', initialDelaySeconds: 30, periodSeconds: 10 },
  env: { MODEL_PATH: '/models/tcm' },
};

describe('the wire form', () => {
  test('has the historic names, and snake_case elsewhere', () => {
    expect(toWire(SEED)).toEqual({
      model_id: 'deep_tcm_diagnosis',
      name: '深度中医诊断模型',
      version: 'v3.0.1',
      model_type: 'tcm_diagnosis',
      framework: 'tensorflow',
      docker_image: 'suoke/tcm-diagnosis:v3.0.1',
      resource_requirements: { cpu: '2', memory: '8Gi', 'nvidia.com/gpu': '1' },
      scaling_config: { min_replicas: 1, max_replicas: 5, target_cpu_utilization: 70 },
      health_check: { path: '/health', initial_delay: 30, period: 10 },
      environment_variables: { MODEL_PATH: '/models/tcm' },
    });
  });

  test('of a valid definition converts back to it', () => {
    fc.assert(
      fc.property(models, (model) => {
        expect(fromWire(toWire(model))).toEqual(model);
      }),
    );
  });

  test('is unchanged by a round trip through field names', () => {
    fc.assert(
      fc.property(models, (model) => {
        const wire = toWire(model);
        expect(toWire(fromWire(wire) as ModelInput)).toEqual(wire);
      }),
    );
  });

  test('and the field form are the same definition', () => {
    fc.assert(
      fc.property(models, (model) => {
        expect(parseModel(toWire(model))).toEqual(parseModel(model));
      }),
    );
  });

  test('leaves the keys of free-form maps alone', () => {
    const env = { docker_image: 'a', modelId: 'b', 'nvidia.com/gpu': 'c' };
    const model: ModelInput = { ...SEED, env: { modelId: 'b' }, labels: { docker_image: 'a' } };
    expect(toWire(model)).toMatchObject({
      environment_variables: { modelId: 'b' },
      labels: { docker_image: 'a' },
    });
    expect(fromWire({ environment_variables: env })).toEqual({ env });
  });

  test('is stored without the defaults, so that a patch keeps its meaning', () => {
    const stored = parseModel({ id: 'a', version: '1', framework: 'onnx', source: './a.onnx' });
    expect(stored.definition).toEqual({
      model_id: 'a',
      version: '1',
      framework: 'onnx',
      repository_url: './a.onnx',
    });
    const scaled = updateModel(stored.definition, { scaling_config: { min_replicas: 3 } });
    expect(scaled.scaling.maxReplicas).toBe(3);
  });
});

describe('an update', () => {
  const stored = parseModel(SEED).definition;

  test('of version and image is enough for a rolling update', () => {
    const next = updateModel(stored, { version: 'v3.0.2', docker_image: 'suoke/tcm:v3.0.2' });
    expect(next).toMatchObject({ version: 'v3.0.2', image: 'suoke/tcm:v3.0.2', id: SEED.id });
  });

  test('may be written in field names too', () => {
    const next = updateModel(stored, { scaling: { maxReplicas: 9 } });
    expect(next.scaling).toMatchObject({ minReplicas: 1, maxReplicas: 9 });
  });

  test('removes with null and replaces whole lists', () => {
    const next = updateModel(stored, { health: null, candidates: [] });
    expect(next.health.initialDelaySeconds).toBe(0);
    expect(next.definition).not.toHaveProperty('health_check');
  });

  test('that breaks the definition is refused with its faults', () => {
    expect(() => updateModel(stored, { scaling_config: { min_replicas: 6 } })).toThrow(
      'scaling.maxReplicas: got 5, must be ≥ `minReplicas` (6)',
    );
  });
});

describe('for any input', () => {
  const odd = fc.oneof(
    fc.jsonValue({ depthSize: 'medium' }),
    fc.anything(),
    fc.record({ id: fc.jsonValue(), model_id: fc.jsonValue(), scaling: fc.jsonValue() }),
    fc
      .tuple(models, fc.string(), fc.jsonValue())
      .map(([model, key, value]) => ({ ...model, [key]: value })),
    fc
      .tuple(
        models,
        fc.constantFrom('scaling', 'server', 'env', 'candidates', 'overrides'),
        fc.jsonValue(),
      )
      .map(([model, key, value]) => ({ ...model, [key]: value })),
  );

  test('the parser returns a definition or a DefinitionError, never another exception', () => {
    fc.assert(
      fc.property(odd, (value) => {
        try {
          expect(parseModel(value).definition).toHaveProperty('model_id');
        } catch (error) {
          expect(error).toBeInstanceOf(DefinitionError);
          expect((error as DefinitionError).faults.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: rounds(200) },
    );
  });

  test.each([100, 10_000])('nesting %i deep is refused, not followed', (depth) => {
    const text = `{"id":"a","overrides":{"Deployment":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}}`;
    expect(() => parseModel(JSON.parse(text))).toThrow('nested at most 40 deep');
  });

  test('a value that contains itself is refused', () => {
    const loop: Record<string, unknown> = { id: 'a' };
    loop['env'] = loop;
    expect(() => parseModel(loop)).toThrow('nested at most 40 deep');
  });

  test('a huge list is refused before it is read', () => {
    expect(() => parseModel({ id: 'a', args: Array(60_000).fill('x') })).toThrow(
      'at most 50000 values',
    );
  });

  test('__proto__ neither passes nor changes any prototype', () => {
    const evil = JSON.parse('{"id":"a","env":{"__proto__":{"polluted":"yes"}}}') as unknown;
    expect(() => parseModel(evil)).toThrow('env.__proto__');
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  });
});
