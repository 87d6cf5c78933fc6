import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelInput, ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import type { MemoryCluster } from '../support/memory-cluster';
import { createMemoryCluster } from '../support/memory-cluster';
import { ClusterError } from '../../runtime/cluster/port';
import type { Definitions } from '../../runtime/app/definitions';
import { createDefinitions } from '../../runtime/app/definitions';
import { IRIS } from '../core/support';

// The folder of definitions leads; what REST did to a model whose file is unchanged stays.

let folder: string;
let cluster: MemoryCluster;
let files: Map<string, ModelSpec>;
let definitions: Definitions;
/** File → what is wrong with it. */
let faulty: Map<string, string>;

const spec = (more: Partial<ModelInput> = {}): ModelSpec => parseModel({ ...IRIS, ...more });
const put = (more: Partial<ModelInput> = {}): void => {
  const one = spec(more);
  files.set(one.id, one);
};

const start = (over: Partial<MemoryCluster> = {}): Definitions =>
  createDefinitions({
    cluster: { ...cluster, ...over },
    load: async () => {
      const all = [...files].map(([id, one]) => ({ spec: one, file: `models/${id}.yaml` }));
      const broken = [...faulty].map(([file, message]) => ({ file, message }));
      return { specs: all.filter(({ file }) => !faulty.has(file)), broken };
    },
    memory: join(folder, 'state', 'applied.json'),
  });

function versions(): Readonly<Record<string, string>> {
  const watch = cluster.watch(() => undefined);
  watch.stop();
  return Object.fromEntries(
    [...watch.snapshot().models].map(([id, record]) => [id, record.spec.version]),
  );
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'definitions-'));
  cluster = createMemoryCluster({ now: Date.now });
  files = new Map();
  faulty = new Map();
  definitions = start();
});
afterEach(async () => {
  await cluster.close();
  rmSync(folder, { recursive: true });
});

test('applies new files, skips unchanged ones, and makes a revision of changed ones', async () => {
  put();
  put({ id: 'triage' });
  expect(await definitions.sync()).toMatchObject({ applied: ['iris', 'triage'], unchanged: [] });
  expect(await definitions.sync()).toMatchObject({ applied: [], unchanged: ['iris', 'triage'] });
  put({ version: 'v2' });
  expect(await definitions.sync()).toMatchObject({ applied: ['iris'], unchanged: ['triage'] });
  expect(versions()).toEqual({ iris: 'v2', triage: 'v1' });
  expect((await cluster.history('iris')).map(({ by, version }) => [by, version])).toEqual([
    ['files', 'v2'],
    ['files', 'v1'],
  ]);
});

test('treats an artifact that was trained again under the same name as a change', async () => {
  const trained = (sha256: string): void => {
    const one = spec();
    const [arm, ...rest] = one.arms;
    const content = { sha256, bytes: 1, path: 'iris.onnx' };
    const changed = { ...arm, source: { ...arm?.source, content } };
    files.set(one.id, { ...one, arms: [changed, ...rest] } as never);
  };
  trained('a'.repeat(64));
  expect((await definitions.sync()).applied).toEqual(['iris']);
  trained('a'.repeat(64));
  expect((await definitions.sync()).unchanged).toEqual(['iris']);
  trained('b'.repeat(64));
  expect((await definitions.sync()).applied).toEqual(['iris']);
});

test('keeps changes by REST until the file changes, also over a restart', async () => {
  put();
  await definitions.sync();
  await cluster.apply(spec({ version: 'v9' }), { by: 'me', manager: 'rest', force: true });
  await definitions.sync();
  await start().sync();
  expect(versions()).toEqual({ iris: 'v9' });
  put({ version: 'v2' });
  await definitions.sync();
  expect(versions()).toEqual({ iris: 'v2' });
});

test('removes the model of a deleted file, unless REST has taken it over', async () => {
  put();
  put({ id: 'triage' });
  await definitions.sync();
  await cluster.apply(spec({ id: 'triage', version: 'v9' }), {
    by: 'me',
    manager: 'rest',
    force: true,
  });
  files.clear();
  expect((await definitions.sync()).removed).toEqual(['iris']);
  expect(versions()).toEqual({ triage: 'v9' });
});

test('changes nothing when the folder cannot be read', async () => {
  put();
  await definitions.sync();
  const broken = createDefinitions({
    cluster,
    load: () => Promise.reject(new Error('models is not a folder')),
    memory: join(folder, 'state', 'applied.json'),
  });
  await expect(broken.sync()).rejects.toThrow('is not a folder');
  expect(versions()).toEqual({ iris: 'v1' });
});

test('keeps the last good definition of a broken file, and applies the others', async () => {
  put();
  put({ id: 'triage' });
  await definitions.sync();
  faulty.set('models/iris.yaml', 'models/iris.yaml: version: is missing');
  put({ id: 'triage', version: 'v2' });
  const report = await definitions.sync();
  expect(report).toMatchObject({ applied: ['triage'], removed: [] });
  const broken = [
    { file: 'models/iris.yaml', message: 'models/iris.yaml: version: is missing', id: 'iris' },
  ];
  expect(report.broken).toEqual(broken);
  expect(definitions.broken()).toEqual(broken);
  expect(versions()).toEqual({ iris: 'v1', triage: 'v2' });
  // Also after a restart, and without a new revision when it is mended to what it was.
  expect((await start().sync()).broken).toEqual(broken);
  faulty.clear();
  expect(await definitions.sync()).toMatchObject({ applied: [], unchanged: ['iris', 'triage'] });
  expect(definitions.broken()).toEqual([]);
});

test('reports a broken file at the first start, and applies the others', async () => {
  put();
  faulty.set('models/new.yaml', 'models/new.yaml: id: is missing');
  expect(await definitions.sync()).toMatchObject({ applied: ['iris'] });
  expect(definitions.broken()).toEqual([
    { file: 'models/new.yaml', message: 'models/new.yaml: id: is missing' },
  ]);
});

test('removes the model of a deleted file while another file is broken', async () => {
  put();
  put({ id: 'triage' });
  await definitions.sync();
  faulty.set('models/iris.yaml', 'broken');
  files.delete('triage');
  expect((await definitions.sync()).removed).toEqual(['triage']);
  expect(versions()).toEqual({ iris: 'v1' });
});

test('removes nothing while a broken file may hold the model under a new name', async () => {
  put();
  await definitions.sync();
  files.clear();
  faulty.set('models/renamed.yaml', 'broken');
  expect((await definitions.sync()).removed).toEqual([]);
  faulty.clear();
  expect((await definitions.sync()).removed).toEqual(['iris']);
});

test('treats any exception while a model is applied as its refusal', async () => {
  put();
  put({ id: 'triage' });
  const picky = start({
    apply: (one, options) => {
      if (one.id === 'iris') throw new TypeError('a defect');
      return cluster.apply(one, options);
    },
  });
  expect(await picky.sync()).toMatchObject({
    applied: ['triage'],
    refused: [{ id: 'iris', message: 'a defect' }],
  });
});

test('reads the state of an earlier release without files', async () => {
  put();
  await definitions.sync();
  const memory = join(folder, 'state', 'applied.json');
  const { iris } = JSON.parse(readFileSync(memory, 'utf8')) as { iris: { digest: string } };
  writeFileSync(memory, JSON.stringify({ iris: iris.digest }));
  expect((await definitions.sync()).unchanged).toEqual(['iris']);
  writeFileSync(memory, JSON.stringify({ iris: iris.digest }));
  files.clear();
  expect((await definitions.sync()).removed).toEqual(['iris']);
});

test('reports a refused model, applies the others, and tries again', async () => {
  put();
  put({ id: 'triage' });
  let refuse = true;
  const picky = start({
    apply: (one, options) =>
      refuse && one.id === 'iris'
        ? Promise.reject(new ClusterError('INVALID_MODEL_CONFIG', 'needs a cluster'))
        : cluster.apply(one, options),
  });
  expect(await picky.sync()).toMatchObject({
    applied: ['triage'],
    refused: [{ id: 'iris', message: 'needs a cluster' }],
  });
  refuse = false;
  expect(await picky.sync()).toMatchObject({ applied: ['iris'], refused: [] });
});

test('reads all files again when its state is broken or missing', async () => {
  put();
  await definitions.sync();
  writeFileSync(join(folder, 'state', 'applied.json'), '{"iris');
  expect(await definitions.sync()).toMatchObject({ applied: [], unchanged: ['iris'] });
  expect(JSON.parse(readFileSync(join(folder, 'state', 'applied.json'), 'utf8'))).toHaveProperty(
    'iris',
  );
  expect(existsSync(join(folder, 'state', 'applied.json.next'))).toBe(false);
});

test('runs overlapping passes one after the other', async () => {
  put();
  const [first, second] = await Promise.all([definitions.sync(), definitions.sync()]);
  expect([first.applied, second.unchanged]).toEqual([['iris'], ['iris']]);
});
