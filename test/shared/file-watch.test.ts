import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { watchFiles } from '../../runtime/shared/file-watch';
import { until } from '../support/plane';

let root: string;
let file: string;
let told: number;
let stop: () => void;

const FAST = { lookEveryMs: 5, quietMs: 2 };

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'file-watch-'));
  file = join(root, 'keys.yaml');
  told = 0;
});
afterEach(() => {
  stop();
  rmSync(root, { recursive: true });
});

/** Every change after it is seen. */
function follow(...files: readonly string[]): void {
  ({ stop } = watchFiles(files, () => (told += 1), FAST));
}

async function sees(change: () => void): Promise<void> {
  const before = told;
  change();
  await until(() => told > before, 'the change is told');
}

test('a file that is written, replaced, removed and added is reported each time', async () => {
  writeFileSync(file, '0');
  follow(file);
  await sees(() => writeFileSync(file, '1'));
  await sees(() => {
    writeFileSync(`${file}.new`, '2');
    renameSync(`${file}.new`, file);
  });
  await sees(() => rmSync(file));
  await sees(() => writeFileSync(file, '3'));
});

test('the mount of a Secret, which replaces a link two folders away, is reported', async () => {
  const version = (name: string, text: string): void => {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, 'keys.yaml'), text);
  };
  version('..1', 'same size');
  symlinkSync('..1', join(root, '..data'));
  symlinkSync(join('..data', 'keys.yaml'), file);
  follow(file);
  await sees(() => {
    version('..2', 'same SIZE');
    symlinkSync('..2', join(root, '..data_tmp'));
    renameSync(join(root, '..data_tmp'), join(root, '..data'));
  });
});

test('changes of each of two files are reported, and of a third none', async () => {
  const other = join(root, 'other');
  follow(file, other);
  await sees(() => writeFileSync(other, '1'));
  await sees(() => writeFileSync(file, '1'));
  const before = told;
  writeFileSync(join(root, 'neighbour'), '1');
  await sees(() => writeFileSync(file, '22'));
  expect(told).toBe(before + 1);
});
