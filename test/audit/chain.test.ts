import { createSecretKey } from 'node:crypto';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readChainKey } from '../../runtime/audit';
import type { ChainReport } from '../../runtime/audit/verify';
import { recordFiles, verifyChain } from '../../runtime/audit/verify';
import { ENTRY, heard, openAudit, ticking } from './support';

const folder = mkdtempSync(join(tmpdir(), 'audit-chain-'));
afterAll(() => rmSync(folder, { recursive: true }));

const KEY = createSecretKey('0123456789abcdef0123456789abcdef', 'latin1');
const OTHER = createSecretKey('another-key-another-key-another!', 'latin1');
let count = 0;
const newFile = (): string => {
  const inner = mkdtempSync(join(folder, 'x-'));
  return join(inner, `audit-${(count += 1)}.jsonl`);
};

/** A record of an opening and so many changes. */
async function written(changes: number, file = newFile(), chainKey = KEY): Promise<string> {
  const audit = openAudit({ file, chainKey, instance: 'pod-a' });
  for (let index = 0; index < changes; index += 1) {
    audit.record({ ...ENTRY, requestId: `r-${index}` });
  }
  await audit.close();
  return file;
}

const linesIn = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);
const messages = ({ faults }: ChainReport): string[] =>
  faults.map(({ line, message }) => `${line}: ${message}`);

test('begins with a line that names the instance and the time', async () => {
  const file = await written(0);
  expect(JSON.parse(linesIn(file)[0] ?? '')).toEqual({
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    action: 'chain',
    instance: 'pod-a',
    previous: '0'.repeat(64),
    n: 1,
    mac: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('verifies with its key only, when the record is unchanged', async () => {
  const file = await written(20);
  const report = await verifyChain([file], KEY);
  expect(report).toMatchObject({ lines: 21, faultCount: 0, tornBytes: 0, files: 1 });
  expect(report.spans).toEqual([
    {
      instance: 'pod-a',
      begin: { file, line: 1, n: 1 },
      end: { file, line: 21, n: 21, mac: expect.any(String) },
    },
  ]);
  expect((await verifyChain([file], OTHER)).faultCount).toBe(21);
});

type Tampering = readonly [string, (lines: string[]) => string[], readonly string[]];
const swapped = (lines: string[], a: number, b: number): string[] =>
  lines.with(a, lines[b] ?? '').with(b, lines[a] ?? '');

const tamperings: readonly Tampering[] = [
  [
    'a changed line',
    (lines) => lines.with(4, (lines[4] ?? '').replace('"clinic"', '"somebody"')),
    ['5: was changed, or the line before it was'],
  ],
  [
    'a number that was changed',
    (lines) => lines.with(4, (lines[4] ?? '').replace('"n":5', '"n":4')),
    [
      '5: is number 4 after number 4: it was moved, or put in',
      '6: is number 6 after number 4: line 5 is missing',
    ],
  ],
  [
    'a MAC that was changed',
    (lines) =>
      lines.with(4, (lines[4] ?? '').replace(/"mac":"../, '"mac":"zz'.replace('zz', '00'))),
    ['5: was changed, or the line before it was', '6: was changed, or the line before it was'],
  ],
  [
    'a removed line',
    (lines) => lines.toSpliced(4, 1),
    ['5: is number 6 after number 4: line 5 is missing'],
  ],
  [
    'removed lines',
    (lines) => lines.toSpliced(4, 3),
    ['5: is number 8 after number 4: lines 5 to 7 are missing'],
  ],
  [
    'lines removed at the beginning',
    (lines) => lines.slice(3),
    ['1: does not open a chain: lines before are missing'],
  ],
  [
    'two lines that changed places',
    (lines) => swapped(lines, 4, 5),
    [
      '5: is number 6 after number 4: line 5 is missing',
      '6: is number 5 after number 6: it was moved, or put in',
      '7: is number 7 after number 5: line 6 is missing',
    ],
  ],
  [
    'a line that stands twice',
    (lines) => lines.toSpliced(5, 0, lines[4] ?? ''),
    ['6: is number 5 after number 5: it was moved, or put in'],
  ],
  [
    'a line without a MAC',
    (lines) => lines.toSpliced(5, 0, '{"time":"2026-01-01T00:00:00.000Z","action":"deploy"}'),
    ['6: has no MAC: it was put in or changed, or written without a chain'],
  ],
  [
    'a line whose MAC was made without the key',
    (lines) => lines.toSpliced(5, 0, `{"time":"x","n":6,"mac":"${'ab'.repeat(32)}"}`),
    [
      '6: was changed, or the line before it was',
      '7: is number 6 after number 6: it was moved, or put in',
    ],
  ],
  [
    'an opening that was put in',
    (lines) =>
      lines.toSpliced(
        5,
        0,
        `{"time":"x","action":"chain","instance":"pod-a","previous":"${'0'.repeat(64)}","n":1,"mac":"${'ab'.repeat(32)}"}`,
      ),
    [
      '6: was changed, or the line before it was',
      '7: is number 6 after number 1: lines 2 to 5 are missing',
    ],
  ],
  [
    'a byte that no text has',
    (lines) => lines.with(4, (lines[4] ?? '').replace('clinic', 'clini\u00e9')),
    ['5: was changed, or the line before it was'],
  ],
];

test.each(tamperings)('verification finds %s, and the place', async (_, tamper, expected) => {
  const file = await written(9);
  writeFileSync(file, `${tamper(linesIn(file)).join('\n')}\n`);
  expect(messages(await verifyChain([file], KEY))).toEqual(expected);
});

test('verification finds lines cut off at the end, by a head that was noted before', async () => {
  const file = await written(9);
  const head = (await verifyChain([file], KEY)).spans[0]?.end.mac ?? '';
  const heads = [head.slice(0, 12)];
  expect(await verifyChain([file], KEY, { heads })).toMatchObject({ missingHeads: [] });
  writeFileSync(file, `${linesIn(file).slice(0, 7).join('\n')}\n`);
  const report = await verifyChain([file], KEY, { heads });
  expect(report).toMatchObject({ faultCount: 0, missingHeads: heads });
});

test('the head is logged every five minutes with changes, and at the end', async () => {
  const log = heard();
  const clock = ticking();
  const file = newFile();
  const audit = openAudit({ file, chainKey: KEY, log, clock });
  audit.record(ENTRY);
  await audit.flush();
  clock.pass(300_000);
  clock.pass(300_000);
  expect(log.told).toEqual([expect.stringMatching(/^audit: the chain is at \{"n":2,"mac":"/)]);
  audit.record(ENTRY);
  await audit.close();
  const { head } = audit.status();
  expect(log.told[1]).toBe(`audit: the chain is at ${JSON.stringify(head)}`);
  expect(linesIn(file).at(-1)).toContain(head?.mac);
});

test('a restart continues from the last line, and records it', async () => {
  const file = await written(3);
  await written(3, file);
  const report = await verifyChain([file], KEY);
  expect(report).toMatchObject({ lines: 8, faultCount: 0, spans: [{ end: { n: 8 } }] });
  expect(report.spans).toHaveLength(1);
  expect(linesIn(file)[4]).toContain('"action":"chain"');
});

test('another key, or lines without a chain, begin another file', async () => {
  const file = await written(3);
  const log = heard();
  for (const chainKey of [OTHER, undefined, KEY]) {
    const audit = openAudit({ file, log, ...(chainKey && { chainKey }) });
    audit.record(ENTRY);
    await audit.close();
  }
  expect(log.warned).toEqual(
    Array.from(
      { length: 2 },
      () => 'audit: the last lines of the file do not fit the chain key; another file is begun',
    ),
  );
  const files = await recordFiles(file);
  expect(files).toHaveLength(3);
  expect(await verifyChain([file], KEY)).toMatchObject({ lines: 2, faultCount: 0 });
});

const MIB = 1024 * 1024;

test('a file at its size limit is rotated, and the chain runs through all files', async () => {
  const file = newFile();
  const audit = openAudit({ file, chainKey: KEY, rotation: { bytes: MIB }, instance: 'pod-a' });
  for (let round = 0; round < 4; round += 1) {
    for (let index = 0; index < 3000; index += 1) audit.recordSoon(ENTRY);
    await audit.flush();
  }
  await audit.close();
  const files = await recordFiles(file);
  expect(files.length).toBeGreaterThan(2);
  for (const one of files) {
    expect(statSync(one).size).toBeLessThanOrEqual(MIB);
    expect(statSync(one).mode & 0o777).toBe(0o600);
    // Each can be verified alone, when those before it are gone.
    expect(await verifyChain([one], KEY, { from: 12_000 })).toMatchObject({ faultCount: 0 });
  }
  const report = await verifyChain(files, KEY);
  expect(report).toMatchObject({ faultCount: 0, lines: 12_000 + files.length });
  expect(report.spans).toHaveLength(1);
  const [first, , ...rest] = files;
  const gap = await verifyChain([first ?? '', ...rest], KEY);
  expect(messages(gap)).toEqual([
    expect.stringMatching(/^1: goes on from another line than the one before: .* are missing$/),
  ]);
});

test('a file is rotated by its age, and old ones are deleted by number', async () => {
  const file = newFile();
  const clock = ticking(Date.UTC(2026, 0, 1));
  const HOUR = 3_600_000;
  const audit = openAudit({ file, clock, rotation: { ms: 24 * HOUR, keep: 2 } });
  for (let hour = 0; hour < 24 * 6; hour += 12) {
    audit.record({ ...ENTRY, at: clock.now() });
    await audit.flush();
    clock.pass(12 * HOUR);
  }
  await audit.close();
  const name = file.split('/').at(-1) ?? '';
  expect(readdirSync(join(file, '..')).toSorted()).toEqual([
    name,
    `${name}.20260105T000000000Z`,
    `${name}.20260106T000000000Z`,
  ]);
  expect(linesIn(file)).toHaveLength(2);
});

test('a file that cannot be rotated grows on, and the reason is logged once a minute', async () => {
  // With the time behind it the name is longer than a name may be.
  const file = join(folder, `${'x'.repeat(240)}.jsonl`);
  const clock = ticking(Date.UTC(2026, 0, 1));
  const log = heard();
  const audit = openAudit({ file, clock, log, rotation: { ms: 1000 } });
  for (const ms of [1000, 1000, 1000, 57_999, 1]) {
    audit.record({ ...ENTRY, at: clock.now() });
    await audit.flush();
    clock.pass(ms);
  }
  expect(log.warned).toEqual([
    expect.stringMatching(/^audit: the file could not be rotated: ENAMETOOLONG/),
  ]);
  audit.record(ENTRY);
  await audit.close();
  expect(log.warned).toHaveLength(2);
  expect(linesIn(file)).toHaveLength(6);
});

test('a file that was moved or removed is begun again, with the chain', async () => {
  const file = newFile();
  const clock = ticking();
  const audit = openAudit({ file, chainKey: KEY, clock, log: heard() });
  audit.record(ENTRY);
  await audit.flush();
  renameSync(file, `${file}.moved`);
  clock.pass(1000);
  audit.record(ENTRY);
  await audit.flush();
  unlinkSync(file);
  clock.pass(1000);
  audit.record(ENTRY);
  await audit.close();
  expect(await verifyChain([`${file}.moved`], KEY)).toMatchObject({ lines: 2, faultCount: 0 });
  expect(messages(await verifyChain([file], KEY))).toEqual([
    '1: is number 5, the first of the record: lines 1 to 4 are missing; if their files were deleted on purpose, allow it: --from 5',
  ]);
  const last = await verifyChain([file], KEY, { from: 5 });
  expect(last).toMatchObject({ lines: 2, faultCount: 0, spans: [{ begin: { n: 5 } }] });
});

test('a line too long to be one is a fault, and the lines after it are verified', async () => {
  const file = await written(3);
  const lines = linesIn(file);
  const long = 'x'.repeat(3 * MIB);
  writeFileSync(file, `${[...lines.slice(0, 2), long, ...lines.slice(2)].join('\n')}\n${long}`);
  const report = await verifyChain([file], KEY);
  expect(messages(report)).toEqual([
    '3: has more than 1048576 bytes: it was put in',
    '6: has more than 1048576 bytes: it was put in',
  ]);
  expect(report).toMatchObject({ lines: 4, spans: [{ begin: { n: 1 }, end: { n: 4 } }] });
});

test('a short chain key is refused with the command to make one', () => {
  const file = newFile();
  writeFileSync(file, 'short\n');
  expect(() => readChainKey(file)).toThrow(
    /has 5 bytes, must have 16 or more; make one: openssl rand -hex 32/,
  );
  appendFileSync(file, '0123456789abcdef');
  expect(readChainKey(file).symmetricKeySize).toBe(22);
});
