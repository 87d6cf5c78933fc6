import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { watchFolder } from '../../runtime/shared/folder-watch';
import { until } from '../support/plane';

// Editors save by writing in place (nano), by rename (sed -i, vim, JetBrains, git checkout) or both.

let root: string;
let folder: string;
let told: string[];
let stop: () => void = () => undefined;

const path = (name: string): string => join(folder, name);
const write = (name: string, text: string): void => writeFileSync(path(name), text);
function saveByRename(name: string, text: string): void {
  writeFileSync(path(`${name}.swp`), text);
  renameSync(path(`${name}.swp`), path(name));
}

async function follow(lookEveryMs = 60_000): Promise<void> {
  const watch = watchFolder(folder, (paths) => told.push(...paths), { quietMs: 10, lookEveryMs });
  stop = watch.stop;
  await watch.ready;
}

async function sees(name: string, change: () => void): Promise<void> {
  told.length = 0;
  change();
  await until(() => told.includes(name), `${name} in ${told.join()}`);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'folder-watch-'));
  folder = join(root, 'models');
  mkdirSync(folder);
  told = [];
  write('a.yaml', '0');
});
afterEach(() => {
  stop();
  rmSync(root, { recursive: true });
});

test('a file saved by rename is noticed the second and the third time, too', async () => {
  await follow();
  for (const text of ['1', '2', '3']) await sees('a.yaml', () => saveByRename('a.yaml', text));
  await sees('a.yaml', () => write('a.yaml', 'in place, after the renames'));
});

test('a file replaced by one of the same size and time is noticed', async () => {
  await follow();
  await sees('a.yaml', () => {
    const { atime, mtime } = statSync(path('a.yaml'));
    write('b.yaml', '9');
    utimesSync(path('b.yaml'), atime, mtime);
    renameSync(path('b.yaml'), path('a.yaml'));
  });
});

test('files in new folders, removed files and files behind links are noticed', async () => {
  await follow();
  await sees(join('deep', 'x.yaml'), () => {
    mkdirSync(path('deep'));
    write('deep/x.yaml', '1');
  });
  await sees(join('deep', 'x.yaml'), () => saveByRename('deep/x.yaml', '2'));
  await sees(join('deep', 'x.yaml'), () => rmSync(path('deep'), { recursive: true }));
  await sees('link.yaml', () => symlinkSync('a.yaml', path('link.yaml')));
});

test('a replaced folder is followed, and one that links to itself is walked once', async () => {
  symlinkSync('.', path('self'));
  await follow(20);
  await sees('b.yaml', () => {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    write('b.yaml', '1');
  });
  await sees('b.yaml', () => saveByRename('b.yaml', '2'));
});

test('a folder that does not exist yet is followed once it does', async () => {
  rmSync(folder, { recursive: true });
  await follow(20);
  await sees('late.yaml', () => {
    mkdirSync(folder);
    write('late.yaml', '1');
  });
});

test('several writes of one save are reported once, and none after the end', async () => {
  await follow();
  for (let at = 0; at < 5; at += 1) {
    write('a.yaml', `${at}`);
    write('b.yaml', `${at}`);
  }
  await until(() => told.length > 0, 'the change');
  expect(told).toEqual(['a.yaml', 'b.yaml']);
  stop();
  told.length = 0;
  write('a.yaml', 'after the end');
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setTimeout(done, 2));
  expect(told).toEqual([]);
});
