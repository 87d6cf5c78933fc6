import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acquireLock } from '../../../runtime/cluster/local/lock';

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
  lock = join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const left = (text: string): void => writeFileSync(lock, text);

test('a folder has one user at a time, and is free after it', () => {
  const release = acquireLock(folder);
  expect(() => acquireLock(folder)).toThrow(
    /used by another service of this machine, process \d+; stop it \(kill \d+\)/,
  );
  release();
  expect(existsSync(lock)).toBe(false);
  acquireLock(folder)();
});

test('the lock of a dead process is taken over', () => {
  const { pid } = spawnSync(process.execPath, ['-e', '0']);
  left(JSON.stringify({ pid, started: '' }));
  acquireLock(folder)();
});

test('a process id that another process has by now does not block the folder', () => {
  left(JSON.stringify({ pid: process.pid, started: 'another boot 12' }));
  acquireLock(folder)();
});

test.each(['', '{"pid":', '{"pid":-1,"started":""}', 'null', '{"pid":1}'])(
  'a torn lock (%j) is taken over',
  (text) => {
    left(text);
    const release = acquireLock(folder);
    expect(JSON.parse(readFileSync(lock, 'utf8'))).toMatchObject({ pid: process.pid });
    release();
  },
);

test('nothing stays beside the lock, whether it was taken or not', () => {
  left('');
  const release = acquireLock(folder);
  expect(() => acquireLock(folder)).toThrow(/used by another service/);
  expect(readdirSync(folder)).toEqual(['lock']);
  release();
  expect(readdirSync(folder)).toEqual([]);
});
