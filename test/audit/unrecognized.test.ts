import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordFiles } from '../../runtime/audit/verify';
import { ENTRY, openAudit, ticking } from './support';

// Anyone who reaches the port can be refused, as often as it likes.

const folder = mkdtempSync(join(tmpdir(), 'audit-unrecognized-'));
afterAll(() => rmSync(folder, { recursive: true }));

const STRANGER = { ...ENTRY, caller: undefined, status: 401 };
type Line = Readonly<Record<string, unknown>>;

const linesIn = (file: string): Line[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

test('requests without a key do not push the line of a change out of the files', async () => {
  const file = join(folder, 'rotated.jsonl');
  const rotation = { bytes: 65_536, keep: 2 };
  const audit = openAudit({ file, rotation, clock: ticking() });
  audit.record({ ...ENTRY, requestId: 'of-the-admin' });
  for (let index = 0; index < 16_000; index += 1) {
    const entry = { ...STRANGER, address: `192.0.2.${index % 250}`, requestId: `r-${index}` };
    if (index % 2 === 0) audit.record(entry);
    else audit.recordSoon(entry);
    if (index % 100 === 0) await audit.flush();
  }
  await audit.close();
  expect(await recordFiles(file)).toEqual([file]);
  const lines = linesIn(file);
  expect(lines[0]).toMatchObject({ caller: 'clinic', request_id: 'of-the-admin' });
  expect(lines).toHaveLength(22);
  expect(lines.at(-1)).toEqual({
    time: expect.any(String),
    action: 'refused',
    lines: 15_980,
  });
});

test('one address leaves room for others, and each 10 seconds begin anew', async () => {
  const file = join(folder, 'addresses.jsonl');
  const clock = ticking();
  const audit = openAudit({ file, clock });
  const ask = (address: string, times: number): void => {
    for (let index = 0; index < times; index += 1) audit.record({ ...STRANGER, address });
  };
  ask('192.0.2.1', 8);
  ask('192.0.2.2', 1);
  await audit.flush();
  clock.pass(10_000);
  ask('192.0.2.1', 1);
  await audit.close();
  expect(linesIn(file).map(({ address, lines }) => address ?? lines)).toEqual([
    ...Array.from({ length: 5 }, () => '192.0.2.1'),
    '192.0.2.2',
    3,
    '192.0.2.1',
  ]);
});

test('lines with a caller are not limited', async () => {
  const file = join(folder, 'callers.jsonl');
  const audit = openAudit({ file, clock: ticking() });
  for (let index = 0; index < 100; index += 1) audit.recordSoon({ ...ENTRY, status: 403 });
  await audit.close();
  expect(linesIn(file)).toHaveLength(100);
});
