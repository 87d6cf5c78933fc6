import { join } from 'node:path';
import * as fc from 'fast-check';
import { DEFINITION_KEY, objectsOf } from '../../lib/objects';
import type { ModelSpec } from '../../lib/spec';
import { DefinitionError, definitionHash, parseEnvironment, parseModel } from '../../lib/spec';
import { models } from '../support/arbitrary';
import type { Manifest } from '../support/manifests';
import { at, findManifest, manifests, model, objects, specOf } from '../support/manifests';
import { importsOf, sourcesOf } from '../support/sources';
import { rounds } from '../support/rounds';

const DEFAULT = parseEnvironment();
const files = { './a.onnx': 'bytes', './iris.onnx': 'bytes' };

/** `file` sources become something every server can load. */
const renderable = models.map((given) =>
  Object.assign({}, given, given.source === './a.onnx' && { source: './a.tar.gz' }),
);

function faultsOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof DefinitionError) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('every valid definition gives the same objects each time, each name once', () => {
  fc.assert(
    fc.property(renderable, (given) => {
      const spec = specOf(given, files);
      const made = objectsOf(spec, DEFAULT);
      const names = made.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      expect(new Set(names).size).toBe(names.length);
      expect(
        names.every((name) => /^[A-Za-z]+\/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name)),
      ).toBe(true);
      expect(JSON.stringify(objectsOf(spec, DEFAULT))).toBe(JSON.stringify(made));
    }),
    { numRuns: rounds(40) },
  );
});

test('the stored definition is the definition: parsed again, it is equal', () => {
  fc.assert(
    fc.property(renderable, (given) => {
      const spec = specOf(given, files);
      const stored = objectsOf(spec, DEFAULT).find(({ metadata }) =>
        metadata.name.endsWith('--model'),
      );
      const data = (stored?.['data'] ?? {}) as Record<string, string>;
      const again = parseModel(JSON.parse(data[DEFINITION_KEY] ?? ''));
      expect(definitionHash(again.definition)).toBe(definitionHash(spec.definition));
    }),
    { numRuns: rounds(25) },
  );
});

test('objects of two models never have the same name', () => {
  fc.assert(
    fc.property(renderable, renderable, (first, second) => {
      const [one, other] = [specOf(first, files), specOf(second, files)];
      fc.pre(one.slug !== other.slug);
      const names = (spec: ModelSpec): string[] =>
        objectsOf(spec, DEFAULT).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      const known = new Set(names(one));
      expect(names(other).filter((name) => known.has(name))).toEqual([]);
    }),
    { numRuns: rounds(40) },
  );
});

test('candidate b of model a is not model a-b', () => {
  const candidate = manifests(
    model({ id: 'a', candidates: [{ name: 'b', version: 'v2', traffic: 1 }] }),
  );
  const other = manifests(model({ id: 'a-b' }));
  const selector = (all: readonly Manifest[], name: string): unknown =>
    at(findManifest(all, 'Deployment', name), 'spec.selector.matchLabels');
  expect(selector(candidate, 'a--b')).not.toEqual(selector(other, 'a-b'));
});

test('labels have one source: all objects of a model agree', () => {
  fc.assert(
    fc.property(renderable, (given) => {
      const spec = specOf(given, files);
      for (const { metadata } of objectsOf(spec, DEFAULT)) {
        expect(metadata.labels).toMatchObject({
          ...spec.labels,
          'ai-model.suoke.life/model': spec.slug,
          'app.kubernetes.io/name': spec.slug,
          'app.kubernetes.io/managed-by': 'ai-model-service',
        });
        expect(metadata.annotations).toHaveProperty(['ai-model.suoke.life/definition-hash']);
      }
    }),
    { numRuns: rounds(25) },
  );
});

test('a pod has the labels that its Deployment, autoscaler, budget and policy select', () => {
  const all = manifests(model({ scaling: { maxReplicas: 2 } }));
  const pod = at(findManifest(all, 'Deployment'), 'spec.template.metadata.labels');
  for (const [kind, path] of [
    ['Deployment', 'spec.selector.matchLabels'],
    ['PodDisruptionBudget', 'spec.selector.matchLabels'],
    ['NetworkPolicy', 'spec.podSelector.matchLabels'],
  ] as const) {
    expect(pod).toMatchObject(at(findManifest(all, kind), path) as object);
  }
});

test('a version that is not a label value is converted to one', () => {
  const labels = findManifest(manifests(model({ version: '1.0+gpu' })), 'Deployment').metadata;
  expect(labels.labels['app.kubernetes.io/version']).toBe('1.0_gpu');
});

describe('restarts of replicas', () => {
  const canary = (change: object): readonly Manifest[] =>
    manifests(
      model({
        candidates: [{ version: 'v2', traffic: 10, ...change }],
        scaling: { maxReplicas: 2 },
      }),
    );
  const templates = (all: readonly Manifest[]): unknown =>
    all.filter(({ kind }) => kind === 'Deployment').map((one) => at(one, 'spec.template'));

  test('do not follow a changed share, which changes only the stored definition', () => {
    const before = canary({ traffic: 10 });
    const after = canary({ traffic: 20 });
    expect(templates(after)).toEqual(templates(before));
    expect(findManifest(after, 'ConfigMap', 'iris--model')['data']).not.toEqual(
      findManifest(before, 'ConfigMap', 'iris--model')['data'],
    );
  });

  test('do not follow changed scaling, waivers or capabilities', () => {
    const plain = templates(manifests(model()));
    expect(templates(manifests(model({ scaling: { maxReplicas: 3 } })))).toEqual(plain);
    expect(templates(manifests(model({ capabilities: ['x'] })))).toEqual(plain);
    expect(templates(manifests(model({ name: 'Iris' })))).toEqual(plain);
  });

  test('follow a changed artifact, variable or image', () => {
    const plain = templates(manifests(model()));
    expect(templates(manifests(model({ env: { A: 'b' } })))).not.toEqual(plain);
    expect(templates(manifests(model({ source: './other.onnx' })))).not.toEqual(plain);
  });
});

test('arms with the same artifact share one ConfigMap', () => {
  const all = manifests(model({ candidates: [{ version: 'v2', traffic: 1, env: { A: 'b' } }] }));
  const names = all.filter(({ metadata }) => metadata.name.includes('--artifact-'));
  expect(names).toHaveLength(1);
});

describe('faults that show when objects are made', () => {
  test('include a file too large for a ConfigMap, with stores to push it to', () => {
    const given = specOf(model(), { './iris.onnx': 'x'.repeat(700_001) });
    expect(faultsOf(() => objectsOf(given, DEFAULT))).toBe(
      'source: got "./iris.onnx (700001 bytes)", must be at most 700000 bytes to travel in a ConfigMap; push it to an object store or registry and name it: s3://bucket/key, gs://…, oci://…, https://…',
    );
  });

  test('exclude the largest file that fits into a ConfigMap', () => {
    const made = objectsOf(specOf(model(), { './iris.onnx': 'x'.repeat(700_000) }), DEFAULT);
    const artifact = made.find(({ metadata }) => metadata.name.includes('--artifact-'));
    expect(JSON.stringify(artifact).length).toBeLessThan(1_048_576);
    const content = Object.values(artifact?.['binaryData'] as Record<string, string>).join('');
    expect(Buffer.from(content, 'base64').toString()).toBe('x'.repeat(700_000));
  });

  test('include a file without its content', () => {
    expect(faultsOf(() => objectsOf(parseModel(model()), DEFAULT))).toMatch(
      /^source: got "\.\/iris\.onnx", must be a URI the cluster can load from/,
    );
  });

  test('are reported for all arms at once, with their paths', () => {
    const candidates = [{ version: 'v2', traffic: 1, source: './two.h5' }];
    const given = specOf(model({ framework: 'tensorflow', candidates }));
    expect(faultsOf(() => objectsOf(given, DEFAULT))).toBe(
      [
        'source: got "./iris.onnx", must be an archive (.tar.gz, .zip) of a folder, which tensorflow-serving loads; pack the folder, or name where it lies: s3://…, gs://…, hf://…, pvc://…',
        'candidates[0].source: got "./two.h5", must be an archive (.tar.gz, .zip) of a folder, which tensorflow-serving loads; pack the folder, or name where it lies: s3://…, gs://…, hf://…, pvc://…',
      ].join('\n'),
    );
  });

  test('include a framework without a runtime in MLServer, and Hugging Face without a task', () => {
    const server = { kind: 'mlserver' };
    expect(faultsOf(() => objects(model({ server, source: 's3://m/x' })))).toMatch(
      /^server\.implementation: is missing, must be given, since MLServer has no runtime/,
    );
    const hub = { framework: 'huggingface', source: 'hf://a/b' };
    expect(faultsOf(() => objects(model(hub)))).toMatch(
      /^env\.MLSERVER_MODEL_HUGGINGFACE_TASK: is missing/,
    );
    const env = { MLSERVER_MODEL_HUGGINGFACE_TASK: 'fill-mask' };
    expect(objects(model({ ...hub, env })).length).toBeGreaterThan(0);
  });

  test('include a custom server without an image', () => {
    const given = { framework: 'custom', source: 's3://m/x', server: { kind: 'custom' } };
    expect(faultsOf(() => objects(model(given)))).toMatch(/^image: is missing/);
  });

  test('include the service’s own names', () => {
    expect(faultsOf(() => objects(model({ id: 'ai_model_service-ops' })))).toMatch(
      /^id: got "ai_model_service-ops", must be a name that does not begin with/,
    );
  });
});

test('objects are made without reading anything: without modules of Node or code of cdk8s', () => {
  const imports = sourcesOf([join('lib', 'objects')]).flatMap((source) => importsOf(source));
  const values = imports.filter(({ typeOnly }) => !typeOnly).map(({ text }) => text);
  expect(values.filter((text) => !text.startsWith('.'))).toEqual([]);
});

test('the loader gets the private hosts that the environment allows, and no others', () => {
  const source = 's3://models/iris.onnx';
  const argsOf = (environment: object): unknown =>
    at(
      findManifest(manifests(model({ source }), environment), 'Deployment'),
      'spec.template.spec.initContainers.0.args',
    );
  const artifactHosts = ['artifactory.example.com', '*.corp.example.com:8443', '[fd12::1]'];
  const flags = artifactHosts.flatMap((host) => ['--allow-host', host]);
  expect(argsOf({ artifactHosts })).toEqual(expect.arrayContaining(flags));
  expect(argsOf({})).not.toContain('--allow-host');
  expect(() => parseEnvironment({ artifactHosts: ['https://x'] })).toThrow(/drop scheme and path/);
});
