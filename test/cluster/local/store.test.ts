import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Store } from '../../../runtime/cluster/local/store';
import { openStore } from '../../../runtime/cluster/local/store';
import type { StoredModel } from '../../../runtime/cluster/registry';
import { applyTo } from '../../../runtime/cluster/registry';
import { model } from '../conformance';

let folder: string;
let told: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'store-'));
  told = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (): Store => openStore(folder, (message) => told.push(message));
const file = (): string => join(folder, 'iris.json');

/** Puts a revision; the store does not care how it came to be, so the rules make it. */
function revise(store: Store, version: string): StoredModel {
  const { stored } = applyTo(store.models, {
    spec: model({ version, name: '鸢尾花', env: { A: '\u2028 "x"' } }),
    options: { by: 'tester', manager: 'rest' },
    artifacts: { stable: '0'.repeat(64) },
    now: 1,
  });
  store.put(stored);
  return stored;
}

test('stored records are read back unchanged', () => {
  const stored = revise(open(), '1');
  expect(open().models.get('iris')).toEqual(JSON.parse(JSON.stringify(stored)));
  expect(told).toEqual([]);
});

test('wherever the newest file is torn, the previous record is used', () => {
  const store = open();
  revise(store, '1');
  revise(store, '2');
  const whole = readFileSync(file());
  const before = readFileSync(`${file()}.before`);
  for (let length = 0; length < statSync(file()).size - 1; length += 97) {
    truncateSync(file(), length);
    expect(open().models.get('iris')?.revision).toBe(1);
    writeFileSync(file(), whole);
    writeFileSync(`${file()}.before`, before);
  }
  expect(open().models.get('iris')?.revision).toBe(2);
});

test('a file edited by hand is moved aside and logged, never deleted', () => {
  const store = open();
  revise(store, '1');
  revise(store, '2');
  const changed = readFileSync(file(), 'utf8').replace('"tester"', '"nobody"');
  writeFileSync(file(), changed);
  const again = open();
  expect(again.models.get('iris')?.revision).toBe(1);
  expect(told.join()).toMatch(/iris\.json is broken \(its checksum is wrong\)/);
  const aside = readdirSync(folder).find((name) => name.includes('.broken-')) ?? '';
  expect(readFileSync(join(folder, aside), 'utf8')).toBe(changed);
  expect(again.hasBroken()).toBe(true);
});

test('when both files are broken the model is missing and the others are read', () => {
  const store = open();
  revise(store, '1');
  revise(store, '2');
  const other = {
    ...revise(store, '3'),
    id: 'other',
    definition: model({ id: 'other' }).definition,
  };
  store.put(other);
  writeFileSync(file(), 'x');
  writeFileSync(`${file()}.before`, 'y');
  expect([...open().models.keys()]).toEqual(['other']);
  expect(told).toHaveLength(2);
});

test('a definition that this release cannot read is moved aside as well', () => {
  const store = open();
  const stored = revise(store, '1');
  const strange = { ...stored, definition: { ...stored.definition, from_the_future: 1 } };
  const sha256 = createHash('sha256').update(JSON.stringify(strange)).digest('hex');
  writeFileSync(file(), JSON.stringify({ sha256, stored: strange }));
  expect(open().models.size).toBe(0);
  expect(told.join()).toContain('from_the_future');
});

test('a file under another name does not count as that model', () => {
  revise(open(), '1');
  writeFileSync(join(folder, 'copy.json'), readFileSync(file()));
  expect([...open().models.keys()]).toEqual(['iris']);
  expect(told.join()).toContain('copy.json is broken (it is of the model iris)');
});

test('a removed model stays removed', () => {
  const store = open();
  revise(store, '1');
  revise(store, '2');
  store.remove('iris');
  expect(readdirSync(folder)).toEqual([]);
  expect(open().models.size).toBe(0);
});
