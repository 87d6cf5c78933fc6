import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseKeys, readKeysFile } from '../../runtime/auth/keys-file';
import { newKey } from '../../runtime/auth';

// What a file of keys may look like, and that its faults never show what may be a key.

const [one, two] = [newKey().sha256, newKey().sha256];
const FILE = 'keys.yaml';

async function namesOf(text: string): Promise<readonly string[]> {
  const { keys } = await parseKeys(text, FILE);
  return [...keys.values()].map(({ result }) => result.caller.name);
}

const entry = (name: string, sha256: string): object => ({ name, sha256, scopes: ['infer'] });
const BLOCK = [
  '# keys of the clinic',
  '---',
  '- name: a # the first',
  `  sha256: ${one}`,
  '  scopes: [infer]',
  '',
  '# of the ward',
  '- scopes:',
  '    - infer',
  `  sha256: ${two}`,
  '  name: >-',
  '    b',
  '',
].join('\n');

describe('a list of keys', () => {
  test.each([
    ['in blocks, with comments between', BLOCK],
    ['indented', BLOCK.replace('---\n', '').replace(/^(?!#)(?=.)/gm, '  ')],
    ['with CR LF', BLOCK.replaceAll('\n', '\r\n')],
    [
      'in braces of YAML',
      `- {name: a, sha256: ${one}, scopes: [infer]}\n- {name: b, sha256: ${two}, scopes: [infer]}`,
    ],
    [
      'of JSON lines',
      `- ${JSON.stringify(entry('a', one))}\n- ${JSON.stringify(entry('b', two))}\n`,
    ],
    ['in JSON', JSON.stringify([entry('a', one), entry('b', two)])],
    [
      'in JSON with lines',
      `\n ${JSON.stringify([entry('a', one), entry('b', two)], undefined, 2)}\n`,
    ],
  ])('%s', async (_, text) => {
    expect(await namesOf(text)).toEqual(['a', 'b']);
  });

  test.each(['[]', ' [ ]\n'])('is empty for %j', async (text) => {
    expect(await namesOf(text)).toEqual([]);
  });

  test('may have brackets and commas within texts of JSON', async () => {
    expect(await namesOf(JSON.stringify([entry('a],[{"', one), entry('\\', two)]))).toEqual([
      'a],[{"',
      '\\',
    ]);
  });
});

describe('a fault of the file', () => {
  const item = `- { name: a, sha256: ${one}, scopes: [infer] }`;
  test.each([
    ['nothing', '', 'keys.yaml:1: is empty'],
    ['comments only', '# none\n', 'keys.yaml:1: is empty'],
    ['a mapping', 'keys: []', 'keys.yaml:1: must be a list'],
    ['a text', 'x', 'keys.yaml:1: must be a list'],
    ['an item that is a text', '- x', 'keys.yaml:1: '],
    ['an empty item', `${item}\n-\n`, 'keys.yaml:2: '],
    [
      'a wrong scope',
      `${item}\n- name: b\n  sha256: ${two}\n  scopes: [all]`,
      'scopes[0]: got "all"',
    ],
    ['a missing name', `- sha256: ${one}\n  scopes: [infer]`, 'keys.yaml:1: name: is missing'],
    ['an unknown field', item.replace('name', 'nam'), 'did you mean name'],
    [
      'a time without an offset',
      item.replace(' }', ', expires: 2027-01-01T00:00:00 }'),
      'expires: ',
    ],
    ['a key that stands twice', `${item}\n${item}`, 'keys.yaml:2: sha256: this key stands twice'],
    ['a field that stands twice', '- name: a\n  name: b', 'keys.yaml:2: '],
    ['a JSON list that does not end', `[${JSON.stringify(entry('a', one))}`, 'end it with ]'],
    ['something after a JSON list', '[] []', 'end it with ]'],
    ['a JSON list with a gap', '[,]', 'keys.yaml:1: '],
    ['two documents', `${item}\n---\n${item.replace(one, two)}`, 'keys.yaml:'],
    ['a list within a JSON list', JSON.stringify([[entry('a', one), entry('b', two)]]), FILE],
    ['a list of one within a JSON list', JSON.stringify([[entry('a', one)]]), FILE],
    ['a dash with a tab', `${item}\n-\t{ name: b, sha256: ${two}, scopes: [infer] }`, FILE],
    ['no scopes', item.replace('[infer]', '[]'), 'scopes'],
  ])('names its line: %s', async (_, text, words) => {
    await expect(parseKeys(text, FILE)).rejects.toThrow(words);
  });

  test('is a key of the configuration', async () => {
    await expect(parseKeys(item, FILE, undefined, new Set([one]))).rejects.toThrow('stands twice');
  });

  test('is one of the first reported, of many', async () => {
    const text = '- {}\n'.repeat(50);
    const error = await parseKeys(text, FILE).catch((failure: unknown) => failure as Error);
    expect((error as Error).message.split('\n')).toHaveLength(6);
    expect((error as Error).message).toMatch(/and \d+ (?:or )?more faults$/);
  });

  test.each(['sha256', 'key', 'name'])('does not show a key written as %s', async (field) => {
    const { key } = newKey();
    const text = JSON.stringify([{ ...entry('a', one), [field]: field === 'name' ? [key] : key }]);
    const error = await parseKeys(text, FILE).catch((failure: unknown) => failure as Error);
    expect((error as Error).message).not.toContain(key);
  });

  test.each(['__proto__', 'constructor', 'toString'])('%s is an ordinary name', async (name) => {
    expect(await namesOf(JSON.stringify([entry(name, one)]))).toEqual([name]);
    await expect(parseKeys(`- { ${name}: x }`, FILE)).rejects.toThrow(name);
  });
});

test('unchanged items are not parsed again', async () => {
  const first = await parseKeys(BLOCK, FILE);
  const { keys } = await parseKeys(
    `${BLOCK}- ${JSON.stringify(entry('c', newKey().sha256))}`,
    FILE,
    first.items,
  );
  expect(keys.get(one)).toBe(first.keys.get(one));
  expect(keys.size).toBe(3);
});

test('ten thousand keys are accepted, one more is refused', async () => {
  const digests = Array.from({ length: 10_001 }, (_, at) => at.toString(16).padStart(64, '0'));
  const lines = digests.map((sha256) => `- ${JSON.stringify(entry('a', sha256))}`);
  const all = await parseKeys(lines.slice(0, -1).join('\n'), FILE);
  expect(all.keys.size).toBe(10_000);
  await expect(parseKeys(lines.join('\n'), FILE, all.items)).rejects.toThrow('more than 10000');
});

test('after a hundred faults the rest of a file is not read', async () => {
  await expect(parseKeys('- {\n'.repeat(99), FILE)).rejects.toThrow(/and 94 more faults$/);
  await expect(parseKeys('- {\n'.repeat(20_000), FILE)).rejects.toThrow(/and 95 or more faults$/);
});

describe('a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (text: string) => {
    const path = join(folder, FILE);
    writeFileSync(path, text);
    return readKeysFile(path, FILE);
  };

  test.each([
    ['YAML', BLOCK],
    ['JSON', JSON.stringify([entry('a', one), entry('b', two)])],
  ])('of %s is read', async (_, text) => {
    expect((await read(text)).keys.size).toBe(2);
  });

  test('of YAML that ends within a line is refused', async () => {
    const text = `- name: a\n  sha256: ${one}\n  scopes: [infer]\n  concurrency: 1`;
    await expect(read(text)).rejects.toThrow('keys.yaml: the last line has no line feed');
    expect((await read(`${text}0\n`)).keys.size).toBe(1);
  });
});
