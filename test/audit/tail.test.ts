import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { followLines, lastRecords, readable, wantedRecord } from '../../runtime/audit/tail';
import { until } from '../support/plane';

const folder = mkdtempSync(join(tmpdir(), 'audit-tail-'));
afterAll(() => rmSync(folder, { recursive: true }));

const line = (n: number, more: object = {}): string =>
  `${JSON.stringify({ time: 't', caller: 'a', action: 'infer', model: 'iris', n, ...more })}\n`;

test('the requested number of last lines is returned, the newest last', async () => {
  const file = join(folder, 'last.jsonl');
  const all = Array.from({ length: 20 }, (_, n) => line(n, { model: n % 2 ? 'rose' : 'iris' }));
  writeFileSync(file, `${all.join('')}{"torn`);
  const found = await lastRecords(file, 3, { model: 'rose' });
  expect(found.map(({ n }) => n)).toEqual([15, 17, 19]);
  expect(await lastRecords(file, 0, {})).toEqual([]);
});

test.each([
  [{}, true],
  [{ caller: 'a', model: 'iris', action: 'infer' }, true],
  [{ caller: 'b' }, false],
  [{ model: 'rose' }, false],
  [{ action: 'deploy' }, false],
])('the filter %j', (filter, isWanted) => {
  expect(wantedRecord(line(1), filter) !== undefined).toBe(isWanted);
  expect(wantedRecord('not JSON', filter)).toBeUndefined();
  expect(wantedRecord('null', filter)).toBeUndefined();
});

test('a line for people has the fields in order, without number and MAC', () => {
  const record = {
    time: '2026-01-02T03:04:05.000Z',
    caller: 'clinic',
    action: 'deploy',
    model: 'iris',
    revision: 3,
    status: 202,
    request_id: 'r-1',
    n: 7,
    mac: 'ab',
  };
  expect(readable(record)).toBe(
    '2026-01-02T03:04:05.000Z  202  deploy  iris  clinic  revision=3 request_id=r-1',
  );
});

test('a name cannot send control sequences to the terminal', () => {
  const caller = '\u001b[2J\r\nroot\u202e';
  const text = readable({ time: 't', caller, action: 'read', status: 401 });
  expect(text).toBe('t  401  read  -  ?[2J??root?  ');
});

test('following continues through a rotation, without repeated or missing lines', async () => {
  const file = join(folder, 'followed.jsonl');
  writeFileSync(file, line(0));
  const end = new AbortController();
  const seen: unknown[] = [];
  const following = (async () => {
    for await (const text of followLines(file, end.signal)) {
      seen.push(wantedRecord(text, {})?.['n']);
    }
  })();
  const say = async (n: number): Promise<void> => {
    appendFileSync(file, line(n).slice(0, 10));
    appendFileSync(file, line(n).slice(10));
    await until(() => seen.includes(n), `line ${n}`);
  };
  // What is there at first is not a line to come: only now is it known that it was opened.
  appendFileSync(file, line(1));
  await until(() => seen.length > 0 || (appendFileSync(file, line(2)), false), 'it follows');
  seen.length = 0;
  await say(3);
  appendFileSync(file, line(4));
  renameSync(file, `${file}.20260102T030405006Z`);
  appendFileSync(`${file}.20260102T030405006Z`, line(5));
  writeFileSync(file, line(6));
  await say(7);
  rmSync(file);
  writeFileSync(file, line(8));
  await until(() => seen.includes(8), 'line 8');
  end.abort();
  await following;
  expect(seen.filter((n) => n !== 2)).toEqual([3, 4, 5, 6, 7, 8]);
});
