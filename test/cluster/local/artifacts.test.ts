import { createHash } from 'node:crypto';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArtifactFolder } from '../../../runtime/cluster/local/artifacts';
import { openArtifacts } from '../../../runtime/cluster/local/artifacts';

let home: string;
let folder: string;
let artifacts: ArtifactFolder;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'artifacts-'));
  folder = join(home, 'kept');
  artifacts = openArtifacts(folder);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const NOBODY: ReadonlySet<string> = new Set();

test('bytes and files are kept under their digest, large ones in pieces', async () => {
  const large = Buffer.alloc(3 * 1024 * 1024 + 7, 'x');
  const file = join(home, 'large.onnx');
  writeFileSync(file, large);
  const small = await artifacts.keepPieces([Buffer.from('small')]);
  const copied = await artifacts.keepFile(file);
  expect([small, copied]).toEqual([digestOf(Buffer.from('small')), digestOf(large)]);
  expect(readFileSync(artifacts.pathOf(copied)).equals(large)).toBe(true);
  expect(readdirSync(folder).sort()).toEqual([`${small}.onnx`, `${copied}.onnx`].sort());
});

test('nobody but the owner may read them', async () => {
  const digest = await artifacts.keepPieces([Buffer.from('secret weights')]);
  expect(statSync(artifacts.pathOf(digest)).mode & 0o077).toBe(0);
});

test('damage is noticed, and the same bytes kept again mend it', async () => {
  const bytes = Buffer.from('a model');
  const digest = await artifacts.keepPieces([bytes]);
  expect(await artifacts.hold(digest)).toBe(true);
  writeFileSync(artifacts.pathOf(digest), 'a m0del');
  utimesSync(artifacts.pathOf(digest), 1, 1);
  expect(await artifacts.hold(digest)).toBe(false);
  expect(artifacts.isIntact(digest)).toBe(false);
  await artifacts.keepPieces([bytes]);
  expect(artifacts.isIntact(digest)).toBe(true);
});

test('bytes that are not there are not well', async () => {
  expect(await artifacts.hold('0'.repeat(64))).toBe(false);
});

test('a sweep takes what nobody wants, never what a change under way holds', async () => {
  const wanted = await artifacts.keepPieces([Buffer.from('wanted')]);
  const held = await artifacts.keepPieces([Buffer.from('held')]);
  const other = await artifacts.keepPieces([Buffer.from('other')]);
  await artifacts.hold(held);
  artifacts.release([wanted, held, other]);
  artifacts.sweep(new Set([wanted]));
  expect(readdirSync(folder).sort()).toEqual([`${wanted}.onnx`, `${held}.onnx`].sort());
  expect(artifacts.isIntact(other)).toBe(false);
  artifacts.release([held]);
  artifacts.sweep(NOBODY);
  expect(readdirSync(folder)).toEqual([]);
});

test('what was not finished when the service died is cleared away', async () => {
  writeFileSync(join(folder, '.next-1'), 'half of a mod');
  const again = openArtifacts(folder);
  expect(readdirSync(folder)).toEqual([]);
  await expect(again.keepFile(join(home, 'nowhere'))).rejects.toThrow(/ENOENT/);
  expect(readdirSync(folder)).toEqual([]);
});
