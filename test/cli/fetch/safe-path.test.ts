import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  expectNoLinks,
  memberName,
  namesOf,
  pathInUri,
  safePath,
  segmentsOf,
} from '../../../cli/fetch/safe-path';
import { digest, place, serveBytes, store } from './support';
import type { Place, Store } from './support';

// Names come from registries, stores, archives and URIs: none of them may become a path that its
// folder does not contain.

const HOSTILE = [
  '',
  '.',
  '..',
  '/etc/passwd',
  '//host/share',
  '../evil',
  'a/../../evil',
  'a/..',
  'a//b',
  'a/./b',
  './a',
  'a/',
  'a\\..\\..\\evil',
  '\\\\host\\share',
  'C:\\evil',
  'c:evil',
  'a\0b',
  'a\nb',
  'a\u007fb',
  'NUL',
  'a/con.txt',
  'LPT1',
  'com¹',
  'a.',
  'a /b',
  'x'.repeat(256),
  `${'x/'.repeat(600)}y`,
  '模'.repeat(86),
  '.artifact.json',
  '.artifact.progress.json/x',
  '.ARTIFACT-1',
] as const;

test.each(HOSTILE)('%j is not accepted as the name of a file', (name) => {
  expect(() => segmentsOf(name)).toThrow(/it is refused/);
});

test.each([
  ['model.onnx', 'model.onnx'],
  ['1/model.onnx', '1/model.onnx'],
  ['a..b/..c', 'a..b/..c'],
  ['.gitattributes', '.gitattributes'],
  // A title is not encoded: what looks so is a name like any other, and stays one segment.
  ['x%2f..%2f..%2fetc%2fpwned', 'x%2f..%2f..%2fetc%2fpwned'],
  ['模型/权重 1.bin', '模型/权重 1.bin'],
  ['__proto__', '__proto__'],
  ['console.log', 'console.log'],
])('%s is accepted unchanged', (name, path) => {
  expect(safePath('/to', name)).toBe(`/to/${path}`);
});

test.each([
  ['https://h/a/m.onnx?sig=1/2#x', 'a/m.onnx'],
  ['https://h/a%2f..%2f..%2fevil', 'a/../../evil'],
  ['https://h/%252e%252e', '%2e%2e'],
  ['https://h', ''],
])('the path of %s is decoded once, before it is split', (uri, path) => {
  expect(pathInUri(uri)).toBe(path);
});

test('an invalid escape is reported as a SourceError', () => {
  expect(() => pathInUri('https://h/100%')).toThrow(/write %25/);
});

test.each([
  ['./a', 'a'],
  ['././a/', 'a'],
  ['./', undefined],
  ['.', undefined],
  ['../a', '../a'],
  ['/a', '/a'],
])('the member %s of an archive is named %s', (path, name) => {
  expect(memberName(path)).toBe(name);
});

test.each([
  [['Model.onnx', 'model.ONNX']],
  [['a', 'a']],
  [['caf\u00e9', 'cafe\u0301']],
  [['m.onnx', 'm.onnx.part']],
  [['m.onnx.part.tag', 'm.onnx']],
])('%j are the same file on some system, and refused', (all) => {
  const names = namesOf({ what: 'a.tar', sameTwice: false });
  expect(() => all.forEach((name) => names.claim(name))).toThrow(/it is refused/);
});

test('an archive may repeat a name, and no folder may hold two spellings of it', () => {
  const names = namesOf({ what: 'a.tar', sameTwice: true });
  names.claim('a');
  names.claim('a');
  names.claim('b.part');
  expect(() => names.claim('A')).toThrow(/the same file as "a"/);
});

test.each([
  [['a', 'a/b'], '"a" is a file, and "a/b" needs a folder of that name'],
  [['A/b/c', 'a/B'], '"a/B" is a file, and "A/b/c" needs a folder of that name'],
  [['a', 'a/'], '"a" is a file, and "a/" needs a folder of that name'],
  [['a/', 'a'], '"a" is a file, and "a/" needs a folder of that name'],
])('with %j no name is both a file and a folder', (all, words) => {
  const names = namesOf({ what: 'a.tar', sameTwice: true });
  const claim = (name: string): void =>
    names.claim(name.replace(/\/$/, ''), name.endsWith('/') ? 'folder' : 'file');
  expect(() => all.forEach(claim)).toThrow(`a.tar: ${words}; a name is either`);
});

let here: Place;
let source: Store | undefined;
beforeEach(() => {
  here = place();
});
afterEach(async () => {
  await source?.close();
  source = undefined;
  here.remove();
});

test('nothing is written through a link in the folder', async () => {
  mkdirSync(join(here.folder, 'to'));
  symlinkSync('/etc', join(here.folder, 'to/sub'));
  await expect(expectNoLinks(join(here.folder, 'to'), 'sub/x')).rejects.toThrow(/is a link/);
  await expectNoLinks(join(here.folder, 'to'), 'other/x');
});

/** Runs into a folder two levels down; what would lie beside it was written outside. */
async function escaping(uri: string, more: object = {}): Promise<string> {
  const to = join(here.folder, 'a/to');
  mkdirSync(to, { recursive: true });
  const before = readdirSync(here.folder).sort();
  const said = await here.run({ uri, to, ...more }).then(
    () => 'fetched',
    (error: Error) => error.message,
  );
  expect(readdirSync(here.folder).sort()).toEqual(before);
  expect(readdirSync(join(here.folder, 'a'))).toEqual(['to']);
  expect(existsSync('/tmp/evil-of-a-test')).toBe(false);
  return said;
}

const layered = (annotations: object, mediaType: string) =>
  store((request, response) => {
    const layer = { mediaType, digest: `sha256:${digest('x')}`, size: 1, annotations };
    const manifest = JSON.stringify({ schemaVersion: 2, layers: [layer] });
    response.end(request.url?.includes('/manifests/') ? manifest : 'x');
  });

const TITLE = 'org.opencontainers.image.title';
const TAR = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** Every adapter, with a source whose name leads out of the folder. */
const ADAPTERS: Readonly<Record<string, () => Promise<string>>> = {
  file: () => escaping('file:///dev/..'),
  https: async () => {
    source = await store((_, response) => response.end('x'));
    return escaping(`${source.url.replace('http:', 'https:')}/x%2f..%2f..%2fevil%2f..`);
  },
  s3: async () => {
    const key = '<Contents><Key>m/../../evil</Key><Size>1</Size></Contents>';
    source = await store((request, response) =>
      response.end(request.url?.includes('list-type') ? `<R>${key}</R>` : 'x'),
    );
    return escaping('s3://bucket/m', { endpoint: source.url });
  },
  gs: async () => {
    const key = '<Contents><Key>m//tmp/evil-of-a-test</Key><Size>1</Size></Contents>';
    source = await store((request, response) =>
      response.end(request.url?.includes('list-type') ? `<R>${key}</R>` : 'x'),
    );
    return escaping('gs://bucket/m', { endpoint: source.url });
  },
  hf: async () => {
    source = await store((request, response) =>
      response.end(
        request.url?.startsWith('/api/')
          ? JSON.stringify([{ type: 'file', path: '../../evil', size: 1 }])
          : 'x',
      ),
    );
    return escaping('hf://org/name', { endpoint: source.url });
  },
  oci: async () => {
    source = await layered({ [TITLE]: '../../evil' }, 'text/plain');
    return escaping('oci://r.example.org/m:1', { endpoint: source.url });
  },
};

/** Adapters are files that give entries. */
const adapters = readdirSync('cli/fetch').filter((file) => {
  const text = readFileSync(join('cli/fetch', file), 'utf8');
  return /export (?:async )?function \w+Entr(?:y|ies)\b/.test(text);
});

test('the list of adapters is complete', () => {
  const named = Object.keys(ADAPTERS).map((name) => `${name}.ts`);
  // https needs no file of its own.
  expect([...adapters, 'https.ts'].sort()).toEqual(named.sort());
});

test.each(Object.keys(ADAPTERS))('the adapter of %s writes nothing outside', async (name) => {
  expect(await ADAPTERS[name]?.()).toMatch(/it is refused|must be|nothing lies|no such/);
});

test.each([
  ['false', /^fetched$/],
  // Not even an archive: the loader fails, inside its folder.
  ['true', /TAR|archive|header|format/i],
])('an encoded title is one name (packed: %s)', async (unpack, said) => {
  const title = 'x%2f..%2f..%2f..%2ftmp%2fevil-of-a-test';
  source = await layered({ [TITLE]: title, 'io.deis.oras.content.unpack': unpack }, TAR);
  expect(await escaping('oci://r.example.org/m:1', { endpoint: source.url })).toMatch(said);
});

test('only one file decodes and joins names', () => {
  const offenders = readdirSync('cli/fetch').filter((file) => {
    const text = readFileSync(join('cli/fetch', file), 'utf8');
    // A proxy's password is encoded, and is not a name.
    return file !== 'safe-path.ts' && file !== 'proxy.ts' && text.includes('decodeURIComponent');
  });
  expect(offenders).toEqual([]);
});

test('hard links, devices and links of a tar are left out, with any name', async () => {
  const from = join(here.folder, 'from');
  mkdirSync(from);
  writeFileSync(join(from, 'real'), 'x');
  execFileSync('ln', [join(from, 'real'), join(from, 'hard')]);
  execFileSync('mkfifo', [join(from, 'pipe')]);
  symlinkSync('../../evil', join(from, 'soft'));
  execFileSync('tar', ['-cf', join(here.folder, 'a.tar'), '-C', from, '.']);
  const to = join(here.folder, 'to');
  await here.run({ uri: `file://${here.folder}/a.tar`, to, unpack: true });
  expect(readdirSync(to).filter((name) => !name.startsWith('.artifact'))).toHaveLength(1);
  expect(here.lines.filter((line) => /left out/.test(line))).toHaveLength(3);
});

test('a tar with two spellings of one name is refused', async () => {
  const from = join(here.folder, 'from');
  mkdirSync(from);
  writeFileSync(join(from, 'm'), 'x');
  writeFileSync(join(from, 'M'), 'y');
  execFileSync('tar', ['-cf', join(here.folder, 'a.tar'), '-C', from, '.']);
  const job = { uri: `file://${here.folder}/a.tar`, to: join(here.folder, 'to'), unpack: true };
  await expect(here.run(job)).rejects.toThrow(/the same file as/);
});

test('a store that lists two spellings of one name is refused before the first request for a file', async () => {
  const keys = ['m/A', 'm/a'].map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`);
  source = await store((request, response) =>
    request.url?.includes('list-type')
      ? response.end(`<R>${keys.join('')}</R>`)
      : serveBytes(request, response, Buffer.from('x')),
  );
  const failing = here.run({ uri: 's3://bucket/m', endpoint: source.url });
  await expect(failing).rejects.toThrow(/the same file as "A"/);
  expect(source.requests.every(({ url }) => url?.includes('list-type'))).toBe(true);
});
