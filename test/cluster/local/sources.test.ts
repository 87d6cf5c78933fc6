import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseModel, withFiles } from '../../../lib/spec';
import type { Cluster, ReplicaRecord } from '../../../runtime/cluster/port';
import { statusOf } from '../../../runtime/core/lifecycle/status';
import { isReady, model, now, when } from '../conformance';
import { onnxBytes } from '../../support/onnxbytes';
import type { Place } from './support';
import { bytesOf, contentOf, open, place, replicasIn, REST } from './support';

let here: Place;
let cluster: Cluster;
let file: string;
beforeEach(async () => {
  here = place();
  file = join(here.models, 'm.onnx');
  cluster = await open(here);
});
afterEach(async () => {
  await cluster.close();
  here.remove();
});

const kept = (): readonly string[] => readdirSync(join(here.directory, 'artifacts'));

/** What the replica of an arm was started with, once all is as wished. */
async function served(version: string, arm = 'stable'): Promise<string> {
  await when(cluster, isReady('iris', version));
  const isIt = (one: ReplicaRecord): boolean => one.arm === arm && one.phase === 'ready';
  const found = await when(cluster, (seen) => replicasIn(cluster, seen).some(isIt));
  return bytesOf(replicasIn(cluster, found).find(isIt)?.port);
}

test('a new version with the same file name has the present file', async () => {
  await cluster.apply(model(), REST);
  expect(await served('1')).toBe('bytes of a model');
  writeFileSync(file, 'trained again');
  await cluster.apply(model({ version: '2' }), REST);
  expect(await served('2')).toBe('trained again');
});

test('a change within a version keeps the bytes, whatever the file is by now', async () => {
  await cluster.apply(model(), REST);
  await served('1');
  writeFileSync(file, 'trained again');
  await cluster.apply(model({ labels: { team: 'x' } }), REST);
  expect(await served('1')).toBe('bytes of a model');
});

test('a rollback restores the bytes of its revision, even when the file is gone', async () => {
  await cluster.apply(model(), REST);
  await served('1');
  writeFileSync(file, 'trained again');
  await cluster.apply(model({ version: '2' }), REST);
  rmSync(file);
  const first = (await cluster.history('iris')).at(-1);
  await cluster.apply(parseModel(first?.definition), REST);
  expect(await served('1')).toBe('bytes of a model');
});

test('a candidate and stable may have two states of one file', async () => {
  await cluster.apply(model(), REST);
  writeFileSync(file, 'trained again');
  await cluster.apply(model({ candidates: [{ version: '2', traffic: 5 }] }), REST);
  expect(await served('1')).toBe('bytes of a model');
  expect(await served('1', 'v2')).toBe('trained again');
  writeFileSync(file, 'something else');
  await cluster.apply(model({ version: '2' }), REST);
  expect(await served('2')).toBe('trained again');
});

test('a file that was trained again is a new revision of the same definition', async () => {
  const read = contentOf(here.models);
  await cluster.apply(withFiles(model(), read), REST);
  expect(await cluster.apply(withFiles(model(), read), REST)).toMatchObject({ changed: false });
  writeFileSync(file, 'trained again');
  expect(await cluster.apply(withFiles(model(), read), REST)).toMatchObject({ revision: 2 });
  await when(cluster, (seen) => replicasIn(cluster, seen).length === 2);
  await when(cluster, (seen) => replicasIn(cluster, seen).length === 1);
  expect(await served('1')).toBe('trained again');
  // By REST it comes without bytes, and is no change.
  expect(await cluster.apply(model(), REST)).toEqual({ revision: 2, changed: false });
});

test('bytes that come with a definition need no file, and must have the stated digest', async () => {
  rmSync(file);
  const bytes = Buffer.from('from elsewhere');
  const content = { name: 'm.onnx', bytes, sha256: 'f'.repeat(64) };
  const wrong = cluster.apply(
    withFiles(model(), () => content),
    REST,
  );
  await expect(wrong).rejects.toThrow(/changed while it was read/);
  expect(now(cluster).models.size).toBe(0);
  expect(kept()).toHaveLength(1);
  const right = contentOf(here.models);
  writeFileSync(file, bytes);
  const spec = withFiles(model(), right);
  rmSync(file);
  await cluster.apply(spec, REST);
  expect(await served('1')).toBe('from elsewhere');
});

test('bytes that no revision uses are deleted', async () => {
  for (let version = 1; version <= 12; version += 1) {
    writeFileSync(file, `bytes ${version}`);
    await cluster.apply(model({ version: String(version) }), REST);
  }
  expect(kept()).toHaveLength(10);
  await cluster.remove('iris', REST);
  await when(cluster, ({ models }) => !models.has('iris'));
  expect(kept()).toHaveLength(0);
});

test('damaged bytes are repaired from the models folder at the next start', async () => {
  await cluster.apply(model(), REST);
  await served('1');
  await cluster.close();
  writeFileSync(join(here.directory, 'artifacts', kept()[0] ?? ''), 'damaged');
  cluster = await open(here);
  expect(await served('1')).toBe('bytes of a model');
});

test('lost bytes are a failure with its cause, and a new deployment ends it', async () => {
  await cluster.apply(model(), REST);
  await served('1');
  await cluster.close();
  rmSync(join(here.directory, 'artifacts', kept()[0] ?? ''));
  rmSync(file);
  const told: string[] = [];
  cluster = await open(here, { warn: (message) => told.push(message) });
  const { models } = await when(
    cluster,
    (seen) => seen.models.get('iris')?.arms[0]?.why !== undefined,
  );
  const record = models.get('iris');
  expect(record && statusOf(record)).toMatchObject({
    status: 'failed',
    serving: false,
    why: { cause: 'artifact-missing' },
  });
  expect(told.join()).toContain('./m.onnx that were kept are lost or damaged');
  writeFileSync(file, 'here again');
  await cluster.apply(model({ version: '2' }), REST);
  expect(await served('2')).toBe('here again');
});

const refusals: readonly (readonly [string, object, RegExp])[] = [
  ['an image', { image: 'a/b:1', source: undefined, framework: 'custom' }, /in its own image/],
  ['Triton', { server: { kind: 'triton' } }, /needs the server triton/],
  ['an object store', { source: 's3://bucket/m.onnx' }, /only files are loaded/],
  ['a Secret', { env: { A: { secret: 's', key: 'k' } } }, /environment_variables\.A/],
  ['a debugger', { env: { NODE_OPTIONS: '--inspect' } }, /NODE_OPTIONS changes what the server/],
  ['a library of its own', { env: { LD_PRELOAD: './x.so' } }, /LD_PRELOAD/],
  ['a file elsewhere', { source: '../../../etc/hostname' }, /outside the models folder/],
  ['a file above', { source: '..' }, /outside the models folder/],
  ['a file that is not there', { source: './nowhere.onnx' }, /not there/],
  ['a folder', { source: '.' }, /which is not a file/],
  ['other bytes', { source: { uri: './m.onnx', sha256: '0'.repeat(64) } }, /must be 0000/],
  [
    'a candidate that is an image',
    { candidates: [{ version: '2', image: 'a/b:2', server: { kind: 'custom' }, traffic: 1 }] },
    /candidate v2 of iris cannot run here/,
  ],
];

test.each(refusals)(
  'a model that needs %s is refused with a sentence',
  async (_, change, words) => {
    await expect(cluster.apply(model(change), REST)).rejects.toThrow(words);
    expect(now(cluster).models.size).toBe(0);
    await cluster.close();
    expect(readdirSync(join(here.directory, 'models'))).toEqual([]);
  },
);

test('a link does not lead out of the models folder, and a pipe does not block', async () => {
  symlinkSync('/etc/hostname', join(here.models, 'link.onnx'));
  const linked = cluster.apply(model({ source: './link.onnx' }), REST);
  await expect(linked).rejects.toThrow(/outside the models folder/);
  execFileSync('mkfifo', [join(here.models, 'pipe.onnx')]);
  const piped = cluster.apply(model({ source: './pipe.onnx' }), REST);
  await expect(piped).rejects.toThrow(/which is not a file/);
});

test('a name that begins with two dots is still inside', async () => {
  writeFileSync(join(here.models, '..m.onnx'), 'odd');
  await cluster.apply(model({ source: './..m.onnx' }), REST);
  expect(await served('1')).toBe('odd');
});

describe('a model with its weights in another file', () => {
  const weights = 'weights of a model';
  const external = (location: string): Buffer => onnxBytes({ location, length: weights.length });

  test('is stored with them, and restored when both files are gone', async () => {
    writeFileSync(file, external('m.onnx.data'));
    writeFileSync(join(here.models, 'm.onnx.data'), weights);
    await cluster.apply(model(), REST);
    expect(await served('1')).toContain(weights);
    rmSync(file);
    rmSync(join(here.models, 'm.onnx.data'));
    await cluster.close();
    cluster = await open(here);
    expect(await served('1')).toContain(weights);
  });

  test('may be pinned by the digest of the model file', async () => {
    writeFileSync(file, external('m.onnx.data'));
    writeFileSync(join(here.models, 'm.onnx.data'), weights);
    const sha256 = createHash('sha256').update(external('m.onnx.data')).digest('hex');
    const pinned = { source: { uri: './m.onnx', sha256 } };
    await cluster.apply(model(pinned), REST);
    expect(await served('1')).toContain(weights);
    // What was kept for this digest is what it means, whatever the file is by now.
    writeFileSync(file, onnxBytes());
    const labelled = { ...pinned, labels: { team: 'x' } };
    expect(await cluster.apply(model(labelled), REST)).toMatchObject({ revision: 2 });
    expect(await served('1')).toContain(weights);
    const source = { uri: './m.onnx', sha256: '0'.repeat(64) };
    await expect(cluster.apply(model({ source }), REST)).rejects.toThrow(/must be 0000/);
  });

  test('does not load them from outside the models folder, nor through a link', async () => {
    writeFileSync(file, external('link.data'));
    symlinkSync('/etc/hostname', join(here.models, 'link.data'));
    await expect(cluster.apply(model(), REST)).rejects.toThrow(/outside the models folder/);
    writeFileSync(file, external('../../etc/hostname'));
    await expect(cluster.apply(model(), REST)).rejects.toThrow(/outside its folder/);
  });

  test('is refused without them', async () => {
    writeFileSync(file, external('m.onnx.data'));
    await expect(cluster.apply(model(), REST)).rejects.toThrow(
      'repository_url: got "./m.onnx", which has its weights in m.onnx.data, which is not there',
    );
  });
});

test('a Git LFS pointer, a pickle and an empty file are refused with the given name', async () => {
  for (const [bytes, words] of [
    ['version https://git-lfs.github.com/spec/v1\n', 'which is a pointer of Git LFS'],
    [Buffer.from([0x80, 4, 0x95]), 'which is a Python pickle'],
    ['', 'which is empty'],
  ] as const) {
    writeFileSync(file, bytes);
    await expect(cluster.apply(model(), REST)).rejects.toThrow(
      `repository_url: got "./m.onnx", ${words}`,
    );
  }
});

test('a file that neither has the name of a model nor looks like one is refused', async () => {
  writeFileSync(join(here.models, 'm.yaml'), 'id: iris');
  await expect(cluster.apply(model({ source: './m.yaml' }), REST)).rejects.toThrow(
    'repository_url: got "./m.yaml", which is plain text, not an ONNX model',
  );
  // An ONNX file may have any name.
  writeFileSync(join(here.models, 'm.bin'), onnxBytes());
  await cluster.apply(model({ source: './m.bin' }), REST);
});

test('a broken file under a new version is refused; the old bytes are not used for it', async () => {
  writeFileSync(file, onnxBytes());
  await cluster.apply(model(), REST);
  writeFileSync(file, 'version https://git-lfs.github.com/spec/v1\n');
  await expect(cluster.apply(model({ version: '2' }), REST)).rejects.toThrow(
    'repository_url: got "./m.onnx", which is a pointer of Git LFS',
  );
  await cluster.apply(model({ scaling: { maxReplicas: 2 } }), REST);
});
