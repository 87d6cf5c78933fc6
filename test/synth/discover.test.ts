import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefinitionError, definitionHash } from '../../lib/spec';
import type { Definition } from '../../lib/synth';
import { discover, findEnvironment, loadDefinition, loadEnvironments } from '../../lib/synth';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'discover-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

async function faults(work: () => Promise<unknown>): Promise<string> {
  const error: unknown = await work().catch((reason: unknown) => reason);
  if (!(error instanceof DefinitionError)) throw error;
  return error.message.replaceAll(`${folder}/`, '');
}

const TS = (id: string, more = ''): string =>
  `import { defineModel } from '@suoke/ai-model-service';
   export default defineModel({ id: '${id}', version: 'v1', framework: 'onnx', source: 's3://m/x', ${more} });`;

test('definitions of every language and form are found, in the order of their names', async () => {
  write({
    'd.ts': TS('typed'),
    'c.mjs': `export default { id: 'module', version: 'v1', framework: 'onnx', source: 's3://m/x' };`,
    'b.cjs': `module.exports = { id: 'common', version: 'v1', framework: 'onnx', source: 's3://m/x' };`,
    'a.yaml': 'model_id: wire\nversion: v1\nframework: onnx\nrepository_url: s3://m/x\n',
    'e.json': '{"id":"json","version":"v1","framework":"onnx","source":"s3://m/x"}',
    '_helper.ts': 'export const nothing = 1;',
    'notes.md': '# notes',
    'types.d.ts': 'export type A = 1;',
    'x.test.ts': 'throw new Error("a test is not a definition");',
  });
  const found = await discover(folder);
  expect(found.map(({ spec }) => spec.id)).toEqual(['wire', 'common', 'module', 'typed', 'json']);
  expect(found.map(({ form }) => form)).toEqual(['wire', 'fields', 'fields', 'fields', 'fields']);
  expect(found[0]?.file).toBe(join(folder, 'a.yaml'));
});

test('a definition may import a helper, and is read again after that changed', async () => {
  write({
    '_team.ts': `export const labels = { team: 'a' };`,
    'x.ts': `import { labels } from './_team';\n${TS('x', 'labels')}`,
  });
  const team = async (): Promise<unknown> => (await discover(folder))[0]?.spec.labels['team'];
  expect(await team()).toBe('a');
  write({ '_team.ts': `export const labels = { team: 'b' };` });
  expect(await team()).toBe('b');
});

test('definitions may import the package without a build', async () => {
  write({
    'x.ts': `import { defineModel } from '@suoke/ai-model-service';
      import { definitionHash } from '@suoke/ai-model-service/spec';
      export default defineModel({ id: 'x', version: definitionHash({ weights: 1 }),
        framework: 'onnx', source: 's3://m/x' });`,
  });
  const { spec } = await loadDefinition(join(folder, 'x.ts'));
  expect(spec.version).toBe(definitionHash({ weights: 1 }));
});

test('files are read relative to their definition, with their digests', async () => {
  write({ 'x.ts': TS('x').replace('s3://m/x', './x.onnx'), 'x.onnx': 'abc' });
  const [found] = (await discover(folder)) as [Definition];
  const content = found.spec.arms[0].source?.content;
  expect(content?.name).toBe('x.onnx');
  expect(Buffer.from(content?.bytes ?? []).toString()).toBe('abc');
  expect(content?.sha256).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('a large file is found as well, for servers on this machine', async () => {
  write({ 'x.ts': TS('x').replace('s3://m/x', './x.onnx'), 'x.onnx': 'x'.repeat(800_000) });
  const { spec } = await loadDefinition(join(folder, 'x.ts'));
  expect(spec.arms[0].source?.content?.bytes.length).toBe(800_000);
});

test('all faults of all files are reported at once, with lines where the file has any', async () => {
  write({
    'a.yaml': 'model_id: a\nversion: v1\nframework: onyx\nrepository_url: ./none.onnx\n',
    'b.yaml':
      'model_id: b\nversion: v1\nframework: onnx\nrepository_url: ./none.onnx\nscaling_config:\n  min_replicas: 3\n  max_replicas: 1\n',
    'c.ts': 'export const x = 1;',
    'd.ts': 'export default {;',
    'e.yaml': 'a: [1',
    'f.json': '{"model_id":"f","version":"v1","framework":"onnx","repository_url":"./none.onnx"}',
    'g.ts': TS('g').replace('s3://m/x', './none.onnx'),
  });
  const lines = (await faults(() => discover(folder)))
    .split('\n')
    .filter((line) => /^[a-g]\./.test(line));
  expect(lines).toEqual([
    expect.stringMatching(/^a\.yaml:3: framework: got "onyx", must be one of/),
    'b.yaml:7: scaling_config.max_replicas: got 1, must be ≥ `min_replicas` (3); raise it or lower `min_replicas`',
    expect.stringMatching(/^c\.ts: has no default export; write `export default defineModel/),
    expect.stringMatching(/^d\.ts: cannot be loaded: /),
    expect.stringMatching(/^e\.yaml:1:\d+: the \[ that opens here is not closed; /),
    expect.stringMatching(
      /^f\.json:1: repository_url: got "\.\/none\.onnx", must be the path of a file/,
    ),
    expect.stringMatching(/^g\.ts: source: got "\.\/none\.onnx", must be the path of a file/),
  ]);
});

test('a digest other than the file’s is a fault', async () => {
  const source = `{ uri: './x.onnx', sha256: '${'0'.repeat(64)}' }`;
  write({ 'x.ts': TS('x').replace(`'s3://m/x'`, source), 'x.onnx': 'abc' });
  expect(await faults(() => discover(folder))).toMatch(
    /^x\.ts: source\.sha256: got "0+…?.*must be the digest of \.\/x\.onnx, ba7816bf/,
  );
});

test('a folder is not an artifact', async () => {
  write({ 'x.ts': TS('x').replace('s3://m/x', '.') });
  expect(await faults(() => discover(folder))).toMatch(/must be a file \(pack a folder into one\)/);
});

test('two models with one name in Kubernetes are reported with both files', async () => {
  write({ 'a.ts': TS('a-b'), 'b.ts': TS('a_b'), 'c.ts': TS('a-b') });
  expect((await faults(() => discover(folder))).split('\n')).toEqual([
    'b.ts: the ids a-b and a_b give the same object names (a.ts); rename one of the models',
    'c.ts: the id a-b is taken (a.ts); rename one of the models',
  ]);
});

test('a missing folder is a fault, an empty one is not', async () => {
  expect(await discover(folder)).toEqual([]);
  expect(await faults(() => discover(join(folder, 'none')))).toBe(
    'none: is not a folder; name the folder of your model definitions',
  );
});

describe('environments', () => {
  test('are the default one without a file, in dist itself', async () => {
    const { all, inFolders } = await loadEnvironments(folder);
    expect(all.map(({ namespace }) => namespace)).toEqual(['ai-models']);
    expect(inFolders).toBe(false);
  });

  test('have no folder if there is one, and a folder each in a list', async () => {
    write({ 'environments.yaml': 'namespace: models\nkubernetes_version: "1.31"\n' });
    expect(await loadEnvironments(folder)).toMatchObject({
      all: [{ namespace: 'models', kubernetesVersion: '1.31' }],
      inFolders: false,
    });
    write({
      'environments.ts': `import { defineEnvironment } from '@suoke/ai-model-service';
        export default [defineEnvironment({ name: 'staging' }), defineEnvironment({ name: 'production' })];`,
    });
    const several = await loadEnvironments(folder);
    expect(several).toMatchObject({
      all: [{ name: 'staging' }, { name: 'production' }],
      inFolders: true,
    });
    expect(findEnvironment(several, 'production')).toMatchObject({
      all: [{ name: 'production' }],
      inFolders: true,
    });
    expect(await faults(async () => Promise.resolve(findEnvironment(several, 'prod')))).toBe(
      'no environment is called prod, there are: staging, production; choose one of them',
    );
  });

  test('report the faults of all, with their place', async () => {
    write({
      'environments.yaml': '- name: a\n  namespce: x\n- name: a\n  kubernetes_version: "1.2"\n',
    });
    expect((await faults(() => loadEnvironments(folder))).split('\n')).toEqual([
      expect.stringMatching(/^environments\.yaml:2: \[0\]\.namespce: .*did you mean namespace\?/),
      expect.stringMatching(/^environments\.yaml:4: \[1\]\.kubernetes_version: got "1\.2"/),
    ]);
  });

  test('must exist and have different names', async () => {
    write({ 'environments.yaml': '- name: a\n- name: a\n' });
    expect(await faults(() => loadEnvironments(folder))).toBe(
      'environments.yaml: two environments are called a; rename one',
    );
    write({ 'environments.yaml': '[]' });
    expect(await faults(() => loadEnvironments(folder))).toMatch(/holds no environment/);
  });
});

describe('an artifact beside its definition', () => {
  const sourceOf = async (file: string): Promise<string | undefined> =>
    (await loadDefinition(join(folder, file))).spec.source?.uri;

  test('has the name of the file or of the model, and need not be named', async () => {
    write({
      'any.yaml': 'model_id: first\nversion: "1"\nframework: onnx\n',
      'any.onnx': 'x',
      'other.ts': TS('second').replace("source: 's3://m/x',", ''),
      'second.onnx': 'x',
    });
    expect(await sourceOf('any.yaml')).toBe('./any.onnx');
    expect(await sourceOf('other.ts')).toBe('./second.onnx');
  });

  test('is ignored when the definition has a source', async () => {
    write({
      'a.yaml': 'model_id: a\nversion: v1\nframework: onnx\nrepository_url: s3://m/x\n',
      'a.onnx': 'x',
      'b.yaml': 'model_id: b\nversion: v1\nframework: onnx\ndocker_image: b/b:1\n',
      'b.onnx': 'x',
    });
    expect(await sourceOf('a.yaml')).toBe('s3://m/x');
    expect(await sourceOf('b.yaml')).toBeUndefined();
  });

  test('is not searched outside the folder', async () => {
    write({ 'c.yaml': 'model_id: ../c\nversion: v1\nframework: onnx\n' });
    await expect(loadDefinition(join(folder, 'c.yaml'))).rejects.toThrow(/model_id/);
  });
});

test.each([
  ['empty.yaml', '', 'empty.yaml: is empty; write a definition, or remove the file'],
  ['empty.json', ' ', 'empty.json: is empty; write a definition, or remove the file'],
  ['comma.json', '{"id": "a",\n}', /^comma\.json:2:1: is not JSON: .*; correct it$/],
  ['end.json', '{"id": "a"', /^end\.json:1:11: is not JSON: .*; correct it$/],
  ['list.yaml', 'a: [1,\nb: 2\n', /^list\.yaml:1:4: the \[ that opens here is not closed; .*$/],
  ['broken.ts', 'export default {\n id: "a\n}', /^broken\.ts: cannot be loaded: [^\n]+; correct/],
  [
    'number.yaml',
    'model_id: a\nversion: 1\nframework: onnx\nrepository_url: s3://a/b',
    'number.yaml:2: version: got 1, must be a string; put it in quotes: "1"',
  ],
  [
    'twice.json',
    '{"model_id": "a",\n"version": "1",\n"version": "2"}',
    'twice.json:3:1: version: is given twice, in lines 2 and 3; remove one',
  ],
  [
    'inner.json',
    '{"resources": {"cpu": 1, "\\u0063pu": 2}}',
    'inner.json:1:26: resources.cpu: is given twice in line 1; remove one',
  ],
  [
    'twice.yaml',
    'model_id: a\nenv:\n  A: "1"\n  B: "1"\n  A: "2"\n',
    'twice.yaml:5:3: env.A: is given twice, in lines 3 and 5; remove one',
  ],
  [
    'several.yaml',
    'model_id: a\n---\nmodel_id: b\n',
    'several.yaml:2:1: a second YAML document begins here; put each definition in a file of its own',
  ],
  [
    'tag.yaml',
    'model_id: a\nname: !secret b\n',
    'tag.yaml:2:7: the tag !secret is not known here; remove it, or put the value in quotes',
  ],
  [
    'alias.yaml',
    'model_id: a\nname: *none\n',
    /^alias\.yaml:2:1: the anchor &none does not stand above \*none; .*$/,
  ],
  ['deep.json', '['.repeat(1000), /^deep\.json:1:\d+: is not JSON: is nested more than 40 deep/],
  ['words.json', '{"a": NaN}', 'words.json:1:7: is not JSON: a value is expected here; correct it'],
  ['X.TS', 'export default 1', /^X\.TS: has its extension in capitals/],
])('%s is refused in one line', async (name, text, expected) => {
  write({ [name]: text });
  const said = await faults(() => loadDefinition(join(folder, name)));
  if (typeof expected === 'string') expect(said).toBe(expected);
  else expect(said).toMatch(expected);
});

describe('a model of another tool beside the definitions', () => {
  const XGBOOST = '{"learner":{"attributes":{}},"version":[1,7,6]}';

  test('is an artifact, when a definition names it as its source', async () => {
    write({
      'model.json': XGBOOST,
      'x.yaml': 'model_id: x\nversion: v1\nframework: xgboost\nrepository_url: ./model.json\n',
    });
    expect((await discover(folder)).map(({ spec }) => spec.id)).toEqual(['x']);
  });

  test('is not a definition otherwise: the sentence has the correction', async () => {
    write({ 'model.json': XGBOOST });
    expect(await faults(() => discover(folder))).toBe(
      'model.json: is not a model definition: it has no model_id (or id) and no framework, but "learner", "version"; if it is an artifact, name it as the source of a definition or move it to a folder below, and if it is a definition, write model_id, version and framework',
    );
  });

  test('is told from a definition without an id, which gets its missing fields', async () => {
    write({ 'x.yaml': 'version: v1\nframework: onnx\n' });
    expect(await faults(() => discover(folder))).toMatch(/x\.yaml:1: id: is missing/);
  });
});
