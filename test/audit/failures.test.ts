import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { createSecretKey } from 'node:crypto';
import type { Audit } from '../../runtime/audit';
import { recordFiles, verifyChain } from '../../runtime/audit/verify';
import type { Opened, Sink } from '../../runtime/audit/sink';
import { noLines } from '../../runtime/audit/sink';
import { PartialWrite } from '../../runtime/audit/sink';
import type { Heard, TickingClock } from './support';
import { ENTRY, heard, openAudit, ticking } from './support';
import { until } from '../support/plane';

const folder = mkdtempSync(join(tmpdir(), 'audit-failures-'));
afterAll(() => rmSync(folder, { recursive: true }));

const KEY = createSecretKey('0123456789abcdef0123456789abcdef', 'latin1');
const RETRY_MS = 1000;
const linesOf = (text: string): string[] => text.split('\n').slice(0, -1);
const idsIn = (text: string): string[] =>
  linesOf(text).flatMap((line) => (JSON.parse(line) as { request_id?: string }).request_id ?? []);

interface Scene {
  readonly audit: Audit;
  readonly log: Heard;
  readonly clock: TickingClock;
  /** The next attempt, and all that it writes. */
  readonly retry: () => Promise<void>;
}

function scene(options: Partial<Parameters<typeof openAudit>[0]> & { file?: string }): Scene {
  const log = heard();
  const clock = ticking();
  const audit = openAudit({ file: 'unused', onFailure: 'refuse', clock, log, ...options });
  const retry = async (): Promise<void> => {
    clock.pass(RETRY_MS);
    await audit.flush();
  };
  return { audit, log, clock, retry };
}

const change = ({ audit }: Scene, requestId: string): void => audit.record({ ...ENTRY, requestId });

test('a missing folder is logged at once, and its lines are written first when it exists', async () => {
  const inner = join(folder, 'missing');
  const file = join(inner, 'a.jsonl');
  const all = scene({ file });
  await all.audit.flush();
  expect(all.log.failed).toEqual([
    expect.stringMatching(/^audit: no line can be written \(changes are refused\): ENOENT/),
  ]);
  expect(all.audit.refusal()).toMatch(/^ENOENT/);
  change(all, 'r-1');
  all.audit.recordSoon({ ...ENTRY, requestId: 'r-2', action: 'infer' });
  expect(all.audit.status()).toMatchObject({ waitingLines: 2, droppedLines: 0 });
  mkdirSync(inner);
  await all.retry();
  expect(all.audit.refusal()).toBeUndefined();
  expect(all.log.warned).toEqual(['audit: lines are written again']);
  change(all, 'r-3');
  await all.audit.close();
  expect(idsIn(readFileSync(file, 'utf8'))).toEqual(['r-1', 'r-2', 'r-3']);
});

const isRoot = process.getuid?.() === 0;

/** Root writes where others may not: it becomes somebody else for the child. */
const READ_ONLY = `
const { createAudit } = require(process.argv[1] + '/runtime/audit');
const { clock } = require(process.argv[1] + '/runtime/shared/clock');
const say = (message) => process.stdout.write(message + '\\n');
const audit = createAudit({ file: process.argv[2], onFailure: 'refuse', clock,
  log: { info: say, warn: say, error: say } });
audit.flush().then(() => { say(audit.refusal() ?? 'none'); process.exit(); });
`;

const ROOT_FOLDER = join(__dirname, '../..');
/** root writes into every folder. */
const as = isRoot ? { uid: 65_534, gid: 65_534 } : {};
/** Where Node or this project lies in a private folder, another user cannot start it. */
const isStartable =
  spawnSync(process.execPath, ['-e', 'fs.accessSync(process.argv[1])', ROOT_FOLDER], as).status ===
  0;

(isStartable ? describe : describe.skip)('a read-only folder', () => {
  test('refuses changes', () => {
    const place = join(folder, 'read-only');
    mkdirSync(place);
    chmodSync(place, 0o555);
    chmodSync(folder, 0o755);
    const root = ROOT_FOLDER;
    const args = ['--require', join(root, 'node_modules/tsx/dist/preflight.cjs'), '--import'];
    const url = `file://${join(root, 'node_modules/tsx/dist/loader.mjs')}`;
    const child = spawnSync(
      process.execPath,
      [...args, url, '-e', READ_ONLY, root, join(place, 'a.jsonl')],
      { ...as, cwd: root, encoding: 'utf8', env: { ...process.env, TSX_DISABLE_CACHE: '1' } },
    );
    expect(child.stdout + child.stderr).toMatch(/no line can be written.*EACCES[^]*EACCES/);
  });
});

test('a full disk refuses changes, and gets every line once when it has room', async () => {
  // Linux has a device that is always full.
  const file = join(folder, 'full.jsonl');
  symlinkSync('/dev/full', file);
  const all = scene({ file, chainKey: KEY });
  change(all, 'r-1');
  await all.audit.flush();
  expect(all.audit.refusal()).toMatch(/^ENOSPC/);
  unlinkSync(file);
  await all.retry();
  change(all, 'r-2');
  await all.audit.close();
  expect(idsIn(readFileSync(file, 'utf8'))).toEqual(['r-1', 'r-2']);
  expect(await verifyChain([file], KEY)).toMatchObject({ lines: 3, faultCount: 0 });
});

/** A sink in memory that takes so many bytes and then has no room. */
function smallDisk(room: { bytes: number }): { sink: Sink; text: () => string } {
  let text = '';
  let isOpen = false;
  const open = (): Opened | undefined => {
    if (isOpen) return undefined;
    isOpen = true;
    // As the sink for files does it: what was not written whole is cut off.
    text = text.slice(0, text.lastIndexOf('\n') + 1);
    return { lastLines: linesOf(text).slice(-2) };
  };
  const append = async (bytes: Buffer): Promise<void> => {
    const taken = Math.min(room.bytes, bytes.length);
    room.bytes -= taken;
    text += bytes.toString('utf8', 0, taken);
    if (taken === bytes.length) return;
    isOpen = false;
    throw new PartialWrite(taken, Object.assign(new Error('ENOSPC: no space left on device')));
  };
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    sink: { open: async () => open(), lines: noLines, setAside: nothing, append, close: nothing },
    text: () => text,
  };
}

test.each([undefined, KEY])(
  'a disk that fills up in the middle of a line loses and repeats none (key %#)',
  async (chainKey) => {
    for (let bytes = 0; bytes < 900; bytes += 7) {
      const room = { bytes };
      const disk = smallDisk(room);
      const all = scene({ sink: disk.sink, ...(chainKey && { chainKey }) });
      for (const id of ['r-1', 'r-2', 'r-3']) all.audit.recordSoon({ ...ENTRY, requestId: id });
      await all.audit.flush();
      room.bytes = Infinity;
      change(all, 'r-4');
      await all.retry();
      await all.audit.close();
      expect(idsIn(disk.text())).toEqual(['r-1', 'r-2', 'r-3', 'r-4']);
      if (chainKey === undefined) continue;
      const file = join(folder, 'filled.jsonl');
      writeFileSync(file, disk.text());
      expect(await verifyChain([file], KEY)).toMatchObject({ faultCount: 0, spans: [{}] });
    }
  },
);

test('a stream that accepts nothing is logged after five seconds, and its lines are kept', async () => {
  let go = (): void => undefined;
  const stream = new Writable({
    write: (_chunk, _encoding, callback) => {
      go = callback;
    },
  });
  const all = scene({ file: '-', stdout: stream });
  change(all, 'r-1');
  await until(() => stream.writableLength > 0, 'the write began');
  all.clock.pass(4999);
  expect(all.audit.refusal()).toBeUndefined();
  all.clock.pass(1);
  expect(all.audit.refusal()).toBe('a write does not end');
  change(all, 'r-2');
  expect(all.audit.status().waitingLines).toBe(2);
  go();
  await until(() => all.audit.refusal() === undefined, 'the write has ended');
  expect(all.audit.status().fault).toBeUndefined();
});

test('a pipe whose reader stalls refuses changes, then gets every line whole', async () => {
  const file = join(folder, 'pipe');
  expect(spawnSync('mkfifo', [file]).status).toBe(0);
  const all = scene({ file });
  await all.audit.flush();
  // Without a reader it cannot be opened, and no thread waits for one.
  expect(all.audit.refusal()).toMatch(/^ENXIO/);
  const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  await all.retry();
  expect(all.audit.refusal()).toBeUndefined();
  const ids = Array.from({ length: 1000 }, (_, index) => `r-${index}`);
  for (const id of ids) all.audit.recordSoon({ ...ENTRY, requestId: id });
  const flushed = all.audit.flush();
  const full = (): boolean => {
    all.clock.pass(100);
    return all.audit.refusal() !== undefined;
  };
  await until(full, 'the pipe is full');
  expect(all.audit.refusal()).toBe('a write does not end');
  let text = '';
  const piece = Buffer.alloc(65_536);
  const pump = setInterval(() => {
    try {
      text += piece.toString('utf8', 0, readSync(reader, piece));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }, 5);
  await flushed;
  await until(() => linesOf(text).length === ids.length, 'all is read');
  clearInterval(pump);
  await all.audit.close();
  closeSync(reader);
  expect(idsIn(text)).toEqual(ids);
}, 30_000);

test('without the policy `refuse` changes continue, and the lines are written later', async () => {
  const room = { bytes: 0 };
  const disk = smallDisk(room);
  const all = scene({ sink: disk.sink, onFailure: 'drop' });
  change(all, 'r-1');
  await all.audit.flush();
  expect([all.audit.refusal(), all.audit.status().fault?.message]).toEqual([
    undefined,
    'ENOSPC: no space left on device',
  ]);
  room.bytes = Infinity;
  await all.retry();
  expect(idsIn(disk.text())).toEqual(['r-1']);
});

test('an hour of failure with a change each second takes little memory and is logged once', async () => {
  const room = { bytes: 0 };
  const disk = smallDisk(room);
  const all = scene({ sink: disk.sink });
  for (let second = 0; second < 3600; second += 1) {
    change(all, `r-${second}`);
    await all.retry();
  }
  expect(all.log.failed).toHaveLength(1);
  expect(all.audit.status()).toMatchObject({ waitingLines: 3600, droppedLines: 0 });
  room.bytes = Infinity;
  await all.retry();
  expect(idsIn(disk.text())).toHaveLength(3600);
});

test('the end does not wait for ever for a sink that accepts nothing, and logs the loss', async () => {
  const stream = new Writable({ write: () => undefined });
  const all = scene({ file: '-', stdout: stream });
  change(all, 'r-1');
  await until(() => stream.writableLength > 0, 'the write began');
  const closed = all.audit.close();
  all.clock.pass(3000);
  await closed;
  expect(all.log.failed).toEqual(['audit: 1 lines could not be written and are lost']);
});

/** Writes until it is killed. */
const WRITER = `
const { createSecretKey } = require('node:crypto');
const { createAudit } = require(process.argv[1] + '/runtime/audit');
const { clock } = require(process.argv[1] + '/runtime/shared/clock');
const quiet = () => undefined;
const audit = createAudit({ file: process.argv[2], clock, instance: 'pod-a',
  chainKey: createSecretKey('0123456789abcdef0123456789abcdef', 'latin1'),
  rotation: { bytes: 200000 },
  log: { info: quiet, warn: quiet, error: quiet } });
let n = 0;
const burst = () => {
  for (let i = 0; i < 500; i += 1) audit.recordSoon({ at: Date.now(), caller: 'a', action: 'infer',
    model: 'iris', requestId: 'r-' + n++, status: 200 });
  void audit.flush();
  setImmediate(burst);
};
burst();
`;

test('after kill −9 the chain verifies to the last whole line, and a restart continues from it', async () => {
  const root = join(__dirname, '../..');
  for (let round = 0; round < 3; round += 1) {
    const file = join(folder, `killed-${round}.jsonl`);
    const args = ['--require', join(root, 'node_modules/tsx/dist/preflight.cjs'), '--import'];
    const url = `file://${join(root, 'node_modules/tsx/dist/loader.mjs')}`;
    const child = spawn(process.execPath, [...args, url, '-e', WRITER, root, file], { cwd: root });
    // Between two looks the child may rotate the file.
    const size = () => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    await until(() => size() > 5000 * (round + 1), 'it writes');
    child.kill('SIGKILL');
    await once(child, 'close');
    const before = await verifyChain(await recordFiles(file), KEY);
    expect(before).toMatchObject({ faultCount: 0, spans: [{ instance: 'pod-a' }] });
    const log = heard();
    const audit = openAudit({ file, chainKey: KEY, instance: 'pod-a', log });
    audit.record(ENTRY);
    await audit.close();
    const after = await verifyChain(await recordFiles(file), KEY);
    expect(after).toMatchObject({ faultCount: 0, tornBytes: 0, lines: before.lines + 2 });
    expect(log.warned).toHaveLength(before.tornBytes > 0 ? 1 : 0);
  }
}, 60_000);

test('an incomplete line is named, cut off at the next start, and logged', async () => {
  const file = join(folder, 'torn.jsonl');
  const first = openAudit({ file, chainKey: KEY });
  first.record(ENTRY);
  await first.close();
  const whole = readFileSync(file, 'utf8');
  writeFileSync(file, whole + whole.slice(0, 40));
  expect(await verifyChain([file], KEY)).toMatchObject({
    faultCount: 0,
    tornBytes: 40,
    lines: 2,
    spans: [{ end: { line: 2, n: 2 } }],
  });
  const log = heard();
  const second = openAudit({ file, chainKey: KEY, log });
  await second.close();
  expect(log.warned).toEqual([
    'audit: a line that was not written to its end was cut off (40 bytes)',
  ]);
  expect(readFileSync(file, 'utf8').startsWith(whole)).toBe(true);
  expect(await verifyChain([file], KEY)).toMatchObject({ faultCount: 0, lines: 3, tornBytes: 0 });
});

test('foreign text at the end of a file stays, and lines begin after it', async () => {
  const file = join(folder, 'others.log');
  writeFileSync(file, 'a note without an end');
  const audit = openAudit({ file });
  audit.record(ENTRY);
  await audit.close();
  expect(linesOf(readFileSync(file, 'utf8'))[0]).toBe('a note without an end');
  expect(idsIn(linesOf(readFileSync(file, 'utf8')).slice(1).join('\n') + '\n')).toEqual(['r-1']);
});
