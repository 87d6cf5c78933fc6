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

test('keeps bytes and files under their digest, large ones in pieces', async () => {
  const large = Buffer.alloc(3 * 1024 * 1024 + 7, 'x');
  const file = join(home, 'large.onnx');
  writeFileSync(file, large);
  const small = await artifacts.keepPieces([Buffer.from('small')]);
  const copied = await artifacts.keepFile(file);
  expect([small, copied]).toEqual([digestOf(Buffer.from('small')), digestOf(large)]);
  expect(readFileSync(artifacts.pathOf(copied)).equals(large)).toBe(true);
  expect(readdirSync(folder).sort()).toEqual([`${small}.onnx`, `${copied}.onnx`].sort());
});

test('makes them readable for the owner only', async () => {
  const digest = await artifacts.keepPieces([Buffer.from('secret weights')]);
  expect(statSync(artifacts.pathOf(digest)).mode & 0o077).toBe(0);
});

test('detects damage, and repairs it when the same bytes are kept again', async () => {
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

test('reports missing bytes as not intact', async () => {
  expect(await artifacts.hold('0'.repeat(64))).toBe(false);
});

test('sweeps unused bytes, and none of a running change', async () => {
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

test('removes unfinished files of a crashed service', async () => {
  writeFileSync(join(folder, '.next-1'), 'half of a mod');
  const again = openArtifacts(folder);
  expect(readdirSync(folder)).toEqual([]);
  await expect(again.keepFile(join(home, 'nowhere'))).rejects.toThrow(/ENOENT/);
  expect(readdirSync(folder)).toEqual([]);
});
