import { createSecretKey } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KnownRecord } from '../../runtime/audit/verify';
import { recordFiles, verifyChain } from '../../runtime/audit/verify';
import { ENTRY, heard, openAudit, ticking } from './support';

// Somebody who can write the files, but has no key, removes lines of a record.

const folder = mkdtempSync(join(tmpdir(), 'audit-deletions-'));
afterAll(() => rmSync(folder, { recursive: true }));

const KEY = createSecretKey('0123456789abcdef0123456789abcdef', 'latin1');
const newFile = (): string => join(mkdtempSync(join(folder, 'x-')), 'audit.jsonl');

/** A run of the service: an opening and so many changes. @returns the MAC of the last line */
async function run(file: string, changes: number, instance = 'pod-a'): Promise<string> {
  const audit = openAudit({ file, chainKey: KEY, instance, log: heard() });
  for (let index = 0; index < changes; index += 1) audit.record(ENTRY);
  await audit.close();
  return audit.status().head?.mac ?? '';
}

const linesIn = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);
const write = (file: string, lines: readonly string[]): void =>
  writeFileSync(file, `${lines.join('\n')}\n`);

async function faultsOf(file: string, known?: KnownRecord): Promise<string[]> {
  const { faults } = await verifyChain(await recordFiles(file), KEY, known);
  return faults.map(({ line, message }) => `${line}: ${message}`);
}

/** A record of 4 and 3 lines; garbage at the end of the first file made the service begin another. */
async function interrupted(garbage = 'garbage\n'): Promise<{ file: string; old: string }> {
  const file = newFile();
  await run(file, 3);
  appendFileSync(file, garbage);
  await run(file, 2);
  const [old = ''] = await recordFiles(file);
  return { file, old };
}

test('the chain goes on behind a file whose last lines do not fit', async () => {
  const { file, old } = await interrupted();
  expect(await faultsOf(file)).toEqual([
    '5: has no MAC: it was put in or changed, or written without a chain',
  ]);
  write(old, linesIn(old).slice(0, 4));
  expect(await faultsOf(file)).toEqual([]);
});

test('the chain goes on from the last line, though older ones were copied behind it', async () => {
  const file = newFile();
  await run(file, 3);
  const lines = linesIn(file);
  write(file, [...lines, ...lines.slice(0, 2), 'garbage']);
  await run(file, 2);
  expect(JSON.parse(linesIn(file)[0] ?? '')).toMatchObject({ action: 'chain', n: 5 });
});

test('lines that are cut off a file that was put away are missed', async () => {
  const { file, old } = await interrupted();
  write(old, linesIn(old).slice(0, 2));
  expect(await faultsOf(file)).toEqual([
    '1: goes on from another line than the one before: is number 5 after number 2: lines 3 to 4 are missing',
  ]);
});

test('deleted old files are missed, unless the number is allowed', async () => {
  const { file, old } = await interrupted();
  rmSync(old);
  const finding =
    '1: is number 5, the first of the record: lines 1 to 4 are missing; if their files were deleted on purpose, allow it: --from 5';
  expect(await faultsOf(file)).toEqual([finding]);
  expect(await faultsOf(file, { from: 5 })).toEqual([]);
  expect(await faultsOf(file, { from: 4 })).toEqual([finding.replace('lines 1', 'lines 4')]);
});

test('a new chain after other lines is a finding, unless its MAC is allowed', async () => {
  const file = newFile();
  await run(file, 2);
  copyFileSync(file, `${file}.20260101T000000000Z`);
  rmSync(file);
  await run(file, 2);
  const { mac } = JSON.parse(linesIn(file)[0] ?? '') as { mac: string };
  expect(await faultsOf(file)).toEqual([
    `1: begins a new chain after number 3: lines may be missing before it; if the service began it on purpose, allow it: --new-chain ${mac.slice(0, 12)}`,
  ]);
  expect(await faultsOf(file, { newChains: [mac.slice(0, 12)] })).toEqual([]);
});

test('a file that was copied to the name of a rotated one is a finding', async () => {
  const file = newFile();
  await run(file, 2);
  copyFileSync(file, `${file}.20260101T000000000Z`);
  const { mac } = JSON.parse(linesIn(file)[0] ?? '') as { mac: string };
  const expected = ['1: is number 1 again: the file was copied'];
  expect(await faultsOf(file)).toEqual(expected);
  expect(await faultsOf(file, { newChains: [mac] })).toEqual(expected);
});

test('an older copy of the record is found by a head that was noted before', async () => {
  const file = newFile();
  await run(file, 2);
  copyFileSync(file, `${file}.copy`);
  const before = await run(file, 2);
  copyFileSync(`${file}.copy`, file);
  const after = await run(file, 2);
  const heads = [after, before];
  const report = await verifyChain(await recordFiles(file), KEY, { heads });
  expect(report).toMatchObject({ faultCount: 0, missingHeads: [before] });
});

test('no chain begins from an opening without the key, and the newest 20 are reported', async () => {
  const file = newFile();
  await run(file, 0);
  appendFileSync(file, (linesIn(file)[0] ?? '').replace('pod-a', 'pod-b') + '\n');
  const { spans } = await verifyChain([file], KEY);
  expect(spans.map(({ instance }) => instance)).toEqual(['pod-a']);
  rmSync(file);
  for (let index = 0; index < 25; index += 1) await run(file, 0, `pod-${index}`);
  const report = await verifyChain([file], KEY);
  expect(report).toMatchObject({ faultCount: 0, spanCount: 25 });
  expect(report.spans).toHaveLength(20);
  expect(report.spans.at(-1)).toMatchObject({ instance: 'pod-24', end: { n: 25 } });
});

test('rotation renames the file that a link names, and the record is read as one', async () => {
  const file = newFile();
  const volume = join(file, '../volume');
  mkdirSync(volume);
  symlinkSync('volume/real.jsonl', file);
  const rotation = { bytes: 1000, keep: 2 };
  const audit = openAudit({ file, chainKey: KEY, rotation, clock: ticking() });
  for (let index = 0; index < 12; index += 1) {
    audit.record(ENTRY);
    await audit.flush();
  }
  await audit.close();
  expect(lstatSync(file).isSymbolicLink()).toBe(true);
  expect(readdirSync(volume)).toHaveLength(3);
  expect(await recordFiles(file)).toHaveLength(3);
  expect(await faultsOf(file, { from: 100 })).toEqual([]);
});
