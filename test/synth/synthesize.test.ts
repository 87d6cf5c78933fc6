import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiObject, App, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { ModelDeployment, namespaceChart } from '../../lib/constructs';
import type { EnvironmentInput, ModelSpec } from '../../lib/spec';
import { DefinitionError, parseEnvironment, parseModel } from '../../lib/spec';
import type { Environments } from '../../lib/synth';
import {
  checkManifests,
  discover,
  FindingsError,
  loadEnvironments,
  previousIn,
  synthesize,
  writeManifests,
} from '../../lib/synth';
import { LinearApp } from '../../lib/synth/linear-app';
import { model, specOf } from '../support/manifests';

const ROOT = join(__dirname, '..', '..');
let out: string;
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'synth-'));
});
afterEach(() => rmSync(out, { recursive: true }));

function environments(...given: readonly EnvironmentInput[]): Environments {
  return { all: given.map((one) => parseEnvironment(one)), inFolders: given.length > 1 };
}

const contents = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.yaml'))
      .sort()
      .map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  );

const given = [
  { spec: specOf(model()) },
  {
    spec: specOf(
      model({ id: 'deep_x', candidates: [{ version: 'v2', traffic: 5 }], env: { A: 'y' } }),
    ),
  },
];

function throughConstructs(app: App, environment: EnvironmentInput): void {
  const parsed = parseEnvironment(environment);
  namespaceChart(app, parsed);
  for (const { spec } of given) {
    const chart = new Chart(app, spec.id);
    // oxlint-disable-next-line no-new
    new ModelDeployment(chart, 'model', { model: spec, environment: parsed });
  }
  app.synth();
}

test('synthesize, constructs in the linear App and constructs in cdk8s’ own give the same bytes', () => {
  const environment = { createNamespace: true, monitoring: { style: 'operator' as const } };
  const direct = Object.fromEntries(synthesize(given, environments(environment)).files);
  const [linear, stock] = [join(out, 'linear'), join(out, 'stock')];
  throughConstructs(new LinearApp({ outdir: linear }), environment);
  throughConstructs(new App({ outdir: stock }), environment);
  expect(contents(linear)).toEqual(direct);
  // cdk8s puts a hash into the name of a chart with `_` in its id; the content is the same.
  expect(Object.values(contents(stock)).sort()).toEqual(Object.values(direct).sort());
  expect(Object.keys(direct).sort()).toEqual([
    '0000-namespace.k8s.yaml',
    'deep_x.k8s.yaml',
    'iris.k8s.yaml',
  ]);
});

test('the linear App leaves other output modes to cdk8s', () => {
  const build = (app: App): Record<string, string> => {
    const add = (scope: Construct, id: string): ApiObject =>
      new ApiObject(scope, id, { apiVersion: 'v1', kind: 'ConfigMap', data: { id } });
    const [first, second] = [new Chart(app, 'first'), new Chart(app, 'second')];
    const needed = add(second, 'needed');
    add(first, 'needing').addDependency(needed);
    app.synth();
    return contents(app.outdir);
  };
  const linear = build(new LinearApp({ outdir: join(out, 'a') }));
  expect(linear).toEqual(build(new App({ outdir: join(out, 'b') })));
  expect(Object.keys(linear)).toEqual(['0000-second.k8s.yaml', '0001-first.k8s.yaml']);
});

test('a failing validation stops the linear App with cdk8s’ message', () => {
  const failure = (app: App): unknown => {
    const chart = new Chart(app, 'x');
    chart.node.addValidation({ validate: () => ['wrong'] });
    try {
      app.synth();
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  };
  expect(failure(new LinearApp({ outdir: out }))).toBe(failure(new App({ outdir: out })));
});

test('two environments get a folder each, whole and different only where they differ', () => {
  const { files } = synthesize(
    given,
    environments(
      { name: 'staging', namespace: 'staging' },
      { name: 'production', namespace: 'production' },
    ),
  );
  expect([...files.keys()]).toEqual([
    'staging/iris.k8s.yaml',
    'staging/deep_x.k8s.yaml',
    'production/iris.k8s.yaml',
    'production/deep_x.k8s.yaml',
  ]);
  const staging = files.get('staging/iris.k8s.yaml') ?? '';
  expect(files.get('production/iris.k8s.yaml')).toBe(
    staging.replaceAll(/(namespace: |- )staging$/gm, (line) =>
      line.replace('staging', 'production'),
    ),
  );
});

test('two environments: the whole manifests', () => {
  const golden = join(ROOT, 'test', 'golden', 'synth', 'two-environments');
  const { files } = synthesize(
    [{ spec: specOf(model({ image: 'team/iris-server:1.2', server: { kind: 'onnx' } })) }],
    environments(
      { name: 'staging', namespace: 'models-staging', networkPolicy: false },
      {
        name: 'production',
        namespace: 'models',
        createNamespace: true,
        registry: 'registry.example.com/ai',
        imagePullSecrets: ['registry'],
        kubernetesVersion: '1.32',
        defaultResources: { cpu: '1', memory: '1Gi' },
      },
    ),
  );
  if (process.env['UPDATE_GOLDEN'] === '1') writeManifests(golden, files);
  expect(contents(golden)).toEqual(Object.fromEntries(files));
});

test('a warning is returned, an error stops before anything is written', () => {
  const env = { API_KEY: 'abc' };
  const warned = synthesize([{ spec: specOf(model({ env })) }], environments({}));
  expect(warned.findings.map(({ rule }) => rule)).toEqual(['secret-literal']);
  const gpus = { spec: specOf(model({ resources: { gpu: 4 } })), file: 'models/iris.ts' };
  expect(() => synthesize([gpus], environments({ quota: { gpu: 2 } }))).toThrow(
    'models/iris.ts: scaling.maxReplicas: all arms at their maximum need 4 GPUs, the quota is 2; lower `maxReplicas`, or raise the quota (gpu-quota)',
  );
  expect(() =>
    synthesize([{ spec: specOf(model({ env })) }], environments({}), { strict: true }),
  ).toThrow(FindingsError);
});

test('a waiver ends on its day', () => {
  const waivers = [{ rule: 'secret-literal', reason: 'not a secret at all', until: '2030-01-01' }];
  const spec = specOf(model({ env: { API_KEY: 'abc' }, waivers }));
  const rules = (today: string): readonly string[] =>
    synthesize([{ spec }], environments({}), { today }).findings.map(({ rule }) => rule);
  expect(rules('2029-12-31')).toEqual([]);
  expect(rules('2030-01-02')).toEqual(['secret-literal', 'waiver']);
});

test('faults that show only when objects are made name the file, in its author’s form', () => {
  const spec = parseModel({
    model_id: 'a',
    version: 'v1',
    framework: 'onnx',
    repository_url: './a',
  });
  const two = [
    { spec, file: 'a.yaml', form: 'wire' as const },
    { spec: { ...spec, id: 'b' }, file: 'b.ts' },
  ];
  let message = '';
  try {
    synthesize(two, environments({}));
  } catch (error) {
    if (error instanceof DefinitionError) ({ message } = error);
  }
  expect(message).toMatch(/^a\.yaml: repository_url: got "\.\/a".*\nb\.ts: source: got "\.\/a"/);
});

describe('the output folder', () => {
  const { files } = synthesize(given, environments({}));
  const manifestOf = (id: string): string =>
    (files.get('iris.k8s.yaml') ?? '').replaceAll('iris', id);

  test('matches the definitions: changed files are written, those of removed models deleted', () => {
    writeFileSync(join(out, 'gone.k8s.yaml'), manifestOf('gone'));
    // A chart of somebody's own App: several models, or one under the chart's name.
    writeFileSync(join(out, 'models.k8s.yaml'), [...files.values()].join('---\n'));
    writeFileSync(join(out, 'chart.k8s.yaml'), manifestOf('other'));
    writeFileSync(join(out, 'mine.k8s.yaml'), 'kind: ConfigMap');
    writeFileSync(join(out, 'README.md'), 'mine');
    expect(writeManifests(out, files)).toEqual({
      written: ['deep_x.k8s.yaml', 'iris.k8s.yaml'],
      unchanged: [],
      removed: ['gone.k8s.yaml'],
    });
    expect(readdirSync(out).sort()).toEqual([
      'README.md',
      'chart.k8s.yaml',
      'deep_x.k8s.yaml',
      'iris.k8s.yaml',
      'mine.k8s.yaml',
      'models.k8s.yaml',
    ]);
  });

  test('is not touched where nothing changed', () => {
    writeManifests(out, files);
    const before = statSync(join(out, 'iris.k8s.yaml')).mtimeMs;
    writeFileSync(join(out, 'deep_x.k8s.yaml'), 'old');
    const again = writeManifests(out, files);
    expect(again).toEqual({
      written: ['deep_x.k8s.yaml'],
      unchanged: ['iris.k8s.yaml'],
      removed: [],
    });
    expect(statSync(join(out, 'iris.k8s.yaml')).mtimeMs).toBe(before);
  });

  test('is compared without writing', () => {
    writeManifests(out, files);
    expect(checkManifests(out, files)).toEqual([]);
    writeFileSync(join(out, 'iris.k8s.yaml'), 'old');
    writeFileSync(join(out, 'gone.k8s.yaml'), manifestOf('gone'));
    rmSync(join(out, 'deep_x.k8s.yaml'));
    expect(checkManifests(out, files)).toEqual([
      { file: 'deep_x.k8s.yaml', kind: 'missing' },
      { file: 'gone.k8s.yaml', kind: 'stale' },
      { file: 'iris.k8s.yaml', kind: 'changed' },
    ]);
    expect(readFileSync(join(out, 'iris.k8s.yaml'), 'utf8')).toBe('old');
    expect(checkManifests(join(out, 'none'), files).map(({ kind }) => kind)).toEqual([
      'missing',
      'missing',
    ]);
  });

  test('keeps nothing when several environments become one, or one becomes several', () => {
    const several = synthesize(given, environments({ name: 'a' }, { name: 'b' })).files;
    writeManifests(out, files);
    expect(writeManifests(out, several).removed).toEqual(['deep_x.k8s.yaml', 'iris.k8s.yaml']);
    expect(writeManifests(out, files).removed).toHaveLength(4);
  });

  test('keeps the folders of the other environments', () => {
    const staging = synthesize(given, {
      all: [parseEnvironment({ name: 'staging' })],
      inFolders: true,
    });
    mkdirSync(join(out, 'production'));
    writeFileSync(join(out, 'production', 'iris.k8s.yaml'), 'theirs');
    writeManifests(out, staging.files);
    expect(readFileSync(join(out, 'production', 'iris.k8s.yaml'), 'utf8')).toBe('theirs');
    expect(existsSync(join(out, 'staging', 'iris.k8s.yaml'))).toBe(true);
  });
});

test('the committed dist/ is up to date with models/', async () => {
  const { files } = synthesize(await discover(join(ROOT, 'models')), await loadEnvironments(ROOT));
  expect(checkManifests(join(ROOT, 'dist'), files)).toEqual([]);
});

test('cdk8s synth gives dist/ as well', () => {
  const tsx = join(ROOT, 'node_modules', '.bin', 'tsx');
  const done = spawnSync(process.execPath, [tsx, 'main.ts'], {
    cwd: ROOT,
    env: { ...process.env, CDK8S_OUTDIR: out, NODE_OPTIONS: '' },
    encoding: 'utf8',
  });
  expect(done.stderr).toBe('');
  expect(contents(out)).toEqual(contents(join(ROOT, 'dist')));
});

describe('the previous definition', () => {
  const versionOf = (version: string, candidates: readonly object[]): ModelSpec =>
    parseModel({
      id: 'iris',
      version,
      framework: 'onnx',
      source: 's3://m/x',
      inference: { cohort: { header: 'x-user-id' } },
      candidates,
    });
  const candidate = { version: 'v2', traffic: 50 };
  const synth = (spec: ModelSpec) =>
    synthesize([{ spec }], environments({}), { previous: previousIn(out) });

  test('is read from the committed manifests: promoting in one step is refused, in two it is not', () => {
    writeManifests(out, synth(versionOf('v1', [candidate])).files);
    expect(previousIn(out)('iris.k8s.yaml')?.arms.map(({ version }) => version)).toEqual([
      'v1',
      'v2',
    ]);
    expect(() => synth(versionOf('v2', []))).toThrow(/promote-in-one-step/);
    const between = { name: 'v2', version: 'v2', traffic: 100 };
    writeManifests(out, synth(versionOf('v2', [between])).files);
    expect(synth(versionOf('v2', [])).findings).toEqual([]);
  });

  test('is unknown when the manifest is missing or damaged', () => {
    const { files } = synth(versionOf('v1', [candidate]));
    const text = files.get('iris.k8s.yaml') ?? '';
    for (const damaged of ['', 'x: [', text.replace('"version": "v1"', '"version": 7')]) {
      writeFileSync(join(out, 'iris.k8s.yaml'), damaged);
      expect(previousIn(out)('iris.k8s.yaml')).toBeUndefined();
    }
    expect(previousIn(join(out, 'nowhere'))('iris.k8s.yaml')).toBeUndefined();
  });
});
