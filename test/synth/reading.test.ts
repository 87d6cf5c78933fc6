import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefinitionError } from '../../lib/spec';
import { discover, loadDefinition } from '../../lib/synth';
import { loadValue } from '../../lib/synth/load';

// Definition files as people save them: encodings, numbers that are versions, keys, folders.

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'discover-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

async function faults(work: () => Promise<unknown>): Promise<string> {
  const error: unknown = await work().catch((reason: unknown) => reason);
  if (!(error instanceof DefinitionError)) throw error;
  return error.message.replaceAll(`${folder}/`, '');
}

const DEFINITION = 'model_id: a\nversion: "1"\nframework: sklearn\nrepository_url: s3://m/x\n';

describe('a file that is not UTF-8 is refused with its line and the command to convert it', () => {
  // 感冒 in GBK.
  const GBK = Buffer.of(0xb8, 0xd0, 0xc3, 0xb0);
  const said = async (name: string, bytes: Buffer): Promise<string> => {
    writeFileSync(join(folder, name), bytes);
    return (await faults(() => loadDefinition(join(folder, name)))).replaceAll(folder, '');
  };
  const around = (before: string, after = ''): Buffer =>
    Buffer.concat([Buffer.from(before), GBK, Buffer.from(after)]);

  test.each([
    ['a.yaml', around('model_id: a\nname: ', '\n'), 2],
    ['a.json', around('{\n"model_id": "a",\n"name": "', '"}'), 3],
    ['a.ts', around('export default { name: "', '" };'), 1],
  ])('%s', async (name, bytes, line) => {
    const message = await said(name, bytes);
    expect(message).toContain(`${name}:${line}: line ${line} is not UTF-8 (perhaps GBK); save it`);
    expect(message).toMatch(/iconv -f GBK -t UTF-8 /);
  });

  test('also when a module imports it', async () => {
    writeFileSync(join(folder, '_names.ts'), around('export const name = "', '";'));
    const text = `import { name } from './_names';
      export default { id: 'm', name, version: '1', framework: 'sklearn', source: 's3://m/x' };`;
    expect(await said('m.ts', Buffer.from(text))).toContain(
      'm.ts: holds the character U+FFFD, which stands for bytes that are not UTF-8',
    );
  });

  test('in UTF-16, with its mark and without', async () => {
    const bytes = Buffer.from(DEFINITION, 'utf16le');
    const marked = Buffer.concat([Buffer.of(0xff, 0xfe), bytes]);
    for (const one of [bytes, marked]) {
      expect(await said('b.yaml', one)).toContain('b.yaml:1: is not UTF-8 (perhaps UTF-16); save');
    }
  });

  test('with Latin letters of Windows', async () => {
    const bytes = Buffer.concat([Buffer.from('name: "caf'), Buffer.of(0xe9), Buffer.from('"\n')]);
    expect(await said('c.yaml', bytes)).toContain('perhaps Windows-1252');
  });
});

describe('errors ask for quotes around the value as written', () => {
  test.each(['1.10', '72225e2', '0e1234', '010', '0x1f', '123456789012345678901', '0o17'])(
    'for version %s',
    async (version) => {
      write({ 'v.yaml': DEFINITION.replace('"1"', version) });
      expect(await faults(() => loadDefinition(join(folder, 'v.yaml')))).toBe(
        `v.yaml:2: version: got ${version}, must be a string; put it in quotes: "${version}"`,
      );
    },
  );

  test.each(['1.10', '72225e2', '123456789012345678901', '1.0'])(
    'for version %s in JSON',
    async (one) => {
      write({ 'v.json': `{"model_id": "a",\n"version": ${one},\n"framework": "sklearn"}` });
      expect(await faults(() => loadDefinition(join(folder, 'v.json')))).toContain(
        `v.json:2: version: got ${one}, must be a string; put it in quotes: "${one}"`,
      );
    },
  );

  test('for variables at any depth', async () => {
    write({ 'e.yaml': `${DEFINITION}environment_variables:\n  UMASK: 0755\n` });
    expect(await faults(() => loadDefinition(join(folder, 'e.yaml')))).toMatch(
      /^e\.yaml:6: environment_variables\.UMASK: got 0755, .*"0755"/,
    );
  });

  test('and take keys as texts', async () => {
    write({ 'k.yaml': `${DEFINITION}labels:\n  1.10: "x"\n` });
    const { spec } = await loadDefinition(join(folder, 'k.yaml'));
    expect(spec.labels).toEqual({ '1.10': 'x' });
  });
});

test('a key without a value is to be removed or filled, where each is possible', async () => {
  write({
    'o.yaml': `${DEFINITION}name:\nenvironment_variables:\n  THREADS:\n`,
    'r.yaml': DEFINITION.replace('"1"', ''),
  });
  expect(await faults(() => loadDefinition(join(folder, 'o.yaml')))).toBe(
    'o.yaml:5: name: has no value, must be a string; remove the line, or write a string\n' +
      'o.yaml:7: environment_variables.THREADS: has no value, must be a string or { secret, key }; remove the line, or write a string',
  );
  expect(await faults(() => loadDefinition(join(folder, 'r.yaml')))).toBe(
    'r.yaml:2: version: has no value, must be a string; write a string',
  );
});

test('a byte order mark is left out', async () => {
  write({
    'bom.json':
      '\uFEFF{"model_id":"a","version":"1","framework":"sklearn","repository_url":"s3://m/x"}',
    'bom.yaml': `\uFEFF${DEFINITION.replace('a\n', 'b\n')}`,
  });
  expect((await discover(folder)).map(({ spec }) => spec.id)).toEqual(['a', 'b']);
});

test('anchors and merge keys have their usual meaning', async () => {
  const labels = 'labels: &all { team: "a", tier: "b" }\npod_labels:\n  <<: *all\n  tier: "c"\n';
  write({ 'm.yaml': DEFINITION + labels });
  const { value } = await loadValue(join(folder, 'm.yaml'));
  expect(value).toMatchObject({ pod_labels: { team: 'a', tier: 'c' } });
  write({ 'n.yaml': `${DEFINITION}labels:\n  <<: text\n` });
  expect(await faults(() => loadValue(join(folder, 'n.yaml')))).toMatch(
    /^n\.yaml:6:1: << takes over the keys of other lines; give it an alias/,
  );
});

describe('misplaced definitions are served or reported', () => {
  test('with an extension in capitals', async () => {
    write({ 'X.YAML': DEFINITION, 'Y.JSON': '{}' });
    expect(await faults(() => discover(folder))).toMatch(/^Y\.JSON:1: id: is missing/);
  });

  test('in a folder below, but not other YAML there', async () => {
    mkdirSync(join(folder, 'more', 'deep'), { recursive: true });
    mkdirSync(join(folder, '_drafts'));
    write({
      'a.yaml': DEFINITION,
      'more/deep/b.yaml': DEFINITION,
      'more/config.json': '{"model_type": "bert"}',
      '_drafts/c.yaml': DEFINITION,
    });
    expect(await faults(() => discover(folder))).toMatch(
      /^more\/deep\/b\.yaml: is in a folder below .*, which is not searched; move it to .*$/,
    );
  });
});

test.each(['yaml', 'json'])('a fault has its line in either form of names, in %s', async (kind) => {
  const yaml =
    'model_id: m\nversion: "1"\nframework: sklearn\nsource: s3://a/b\nresources:\n  cpu: 2 cores\n';
  const json =
    '{"model_id": "m",\n"version": "1",\n"framework": "sklearn",\n"source": "s3://a/b",\n"resources": {\n"cpu": "2 cores"}}\n';
  const name = `m.${kind}`;
  write({ [name]: kind === 'yaml' ? yaml : json });
  const message = await faults(() => loadDefinition(join(folder, name)));
  expect(message).toContain(`${name}:6: resource_requirements.cpu: `);
});
