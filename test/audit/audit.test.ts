import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { AuditEntry } from '../../runtime/audit';
import { until } from '../support/plane';
import { heard, openAudit } from './support';

const folder = mkdtempSync(join(tmpdir(), 'audit-'));
afterAll(() => rmSync(folder, { recursive: true }));

const entry: AuditEntry = {
  at: Date.UTC(2026, 0, 2, 3, 4, 5),
  caller: 'clinic',
  action: 'deploy',
  model: 'iris',
  revision: 3,
  requestId: 'r-1',
  status: 202,
};
const LINE =
  '{"time":"2026-01-02T03:04:05.000Z","caller":"clinic","action":"deploy","model":"iris","revision":3,"status":202,"request_id":"r-1"}\n';

/** A stream that completes a write only when told to. */
function slowStream(): { stream: Writable; text: () => string; go: () => void } {
  const done: (() => void)[] = [];
  let text = '';
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, callback) => {
      text += chunk.toString();
      done.push(callback);
    },
  });
  return { stream, text: () => text, go: () => done.splice(0).forEach((one) => one()) };
}

test('appends a change as one JSON line', async () => {
  const file = join(folder, 'a.jsonl');
  for (const _ of [1, 2]) {
    const audit = openAudit({ file });
    audit.record(entry);
    await audit.close();
  }
  expect(readFileSync(file, 'utf8')).toBe(LINE + LINE);
});

test('a payload is JSON within the line, as it was written', async () => {
  const file = join(folder, 'payload.jsonl');
  const audit = openAudit({ file });
  audit.recordSoon({ ...entry, payload: '{"request":{"body":{"x":1.50}}}' });
  await audit.close();
  expect(readFileSync(file, 'utf8')).toBe(
    `${LINE.slice(0, -2)},"payload":{"request":{"body":{"x":1.50}}}}\n`,
  );
});

test('creates a file that only its owner can read', async () => {
  const file = join(folder, 'mode.jsonl');
  const audit = openAudit({ file });
  audit.record(entry);
  await audit.close();
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('keeps the order of concurrent changes', async () => {
  const file = join(folder, 'order.jsonl');
  const audit = openAudit({ file });
  for (let revision = 0; revision < 500; revision += 1) audit.record({ ...entry, revision });
  await audit.close();
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as AuditEntry).revision)).toEqual(
    Array.from({ length: 500 }, (_, index) => index),
  );
});

test('records a refused caller without a name or other data', async () => {
  const file = join(folder, 'nobody.jsonl');
  const audit = openAudit({ file });
  audit.record({ ...entry, caller: undefined, revision: undefined, status: 401 });
  await audit.close();
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
    time: '2026-01-02T03:04:05.000Z',
    action: 'deploy',
    model: 'iris',
    status: 401,
    request_id: 'r-1',
  });
});

test('writes to stdout for a dash', async () => {
  const { stream, text, go } = slowStream();
  const audit = openAudit({ file: '-', stdout: stream });
  audit.record(entry);
  await until(() => text() !== '', 'it is written');
  go();
  await audit.close();
  expect(text()).toBe(LINE);
});

test('writes nothing without a file', async () => {
  const audit = openAudit({ file: undefined });
  audit.record(entry);
  await expect(audit.close()).resolves.toBeUndefined();
});

test('escapes line breaks in names, so that no line can be forged', async () => {
  const file = join(folder, 'forge.jsonl');
  const audit = openAudit({ file });
  audit.record({ ...entry, caller: 'a"}\n{"caller":"root' });
  await audit.close();
  expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(1);
});

test('drops lines, keeps room for changes, and records their number when a stream is too slow', async () => {
  const { stream, text, go } = slowStream();
  const log = heard();
  const audit = openAudit({ file: '-', stdout: stream, log });
  for (let index = 0; index < 200_000; index += 1) audit.recordSoon(entry);
  audit.record({ ...entry, caller: undefined, requestId: 'of-a-stranger' });
  audit.record({ ...entry, requestId: 'a-change' });
  const flushed = audit.flush();
  const pump = setInterval(go, 1);
  await flushed;
  clearInterval(pump);
  go();
  const { droppedLines } = audit.status();
  expect(droppedLines).toBeGreaterThan(0);
  expect(log.warned).toEqual([
    `audit: ${droppedLines} lines were dropped, the sink was too slow or failed`,
  ]);
  expect(text().length).toBeLessThan(22 * 2 ** 20);
  const lines = text().trimEnd().split('\n');
  expect(lines).toHaveLength(200_001 - droppedLines + 2);
  expect(text()).not.toContain('of-a-stranger');
  // There is room for a change when inferences have filled the rest.
  expect(lines.at(-2)).toContain('"request_id":"a-change"');
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ action: 'dropped', lines: droppedLines });
}, 60_000);

test('batches thousands of lines into one write, in order', async () => {
  const written: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, callback) => {
      written.push(chunk.toString());
      callback();
    },
  });
  const audit = openAudit({ file: '-', stdout: stream });
  for (const status of [200, 201, 202]) audit.recordSoon({ ...entry, status });
  expect(written).toEqual([]);
  audit.record({ ...entry, status: 203 });
  await audit.close();
  const statuses = written.join('').match(/"status":\d+/g);
  expect(statuses).toEqual([200, 201, 202, 203].map((status) => `"status":${status}`));
  expect(written).toHaveLength(1);
});

test('writes lines after an empty flush', async () => {
  const file = join(folder, 'nothing.jsonl');
  const audit = openAudit({ file });
  await audit.flush();
  audit.record(entry);
  await audit.flush();
  expect(readFileSync(file, 'utf8')).toBe(LINE);
  await audit.close();
});

test('loses no line in any interleaving of lines and writes', async () => {
  const file = join(folder, 'all.jsonl');
  const audit = openAudit({ file });
  for (let status = 100; status < 600; status += 1) {
    if (status % 3 === 0) audit.record({ ...entry, status });
    else audit.recordSoon({ ...entry, status });
    if (status % 7 === 0) await audit.flush();
    if (status % 5 === 0) await Promise.resolve();
  }
  await audit.close();
  expect(readFileSync(file, 'utf8').match(/"status":\d+/g)).toHaveLength(500);
});
