import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runCommand } from '../../cli/program';
import { onnxBytes, WEIGHTS } from '../support/onnxbytes';

// Broken artifacts and definitions as people have them: each is refused by `validate` with a
// sentence that names the file, the place in it and the remedy.

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'broken-')));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Ran {
  readonly code: number;
  readonly said: string;
}

async function validate(files: Readonly<Record<string, string | Uint8Array>>): Promise<Ran> {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  let said = '';
  const home = process.cwd();
  process.chdir(folder);
  try {
    const code = await runCommand(['validate', 'models'], {
      out: () => {},
      err: (text) => (said += text),
      env: {},
      cwd: folder,
      terminal: false,
      now: () => new Date('2026-06-01T00:00:00Z'),
    });
    return { code, said };
  } finally {
    process.chdir(home);
  }
}

const wire = (framework: string, uri: string, more = ''): string =>
  `model_id: m\nversion: "1"\nframework: ${framework}\nrepository_url: ${uri}\n${more}`;
const PLACE = 'models/m.yaml:4: repository_url: ';

const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${'4d'.repeat(32)}\nsize 12345\n`;
const PICKLE = Buffer.from([0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0x2e]);
const ZIP = Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(60), Buffer.from('PK\x05\x06')]);
const ONNX = onnxBytes();
const EXTERNAL = onnxBytes({ location: 'm.onnx.data' });

/** What lies there, and what is said of it after the file and the place. */
type Row = readonly [
  string,
  framework: string,
  name: string,
  content: string | Uint8Array,
  said: RegExp,
];

const ARTIFACTS: readonly Row[] = [
  ['an empty file', 'onnx', 'm.onnx', '', /is empty; export or copy it again$/],
  ['a pointer of Git LFS', 'onnx', 'm.onnx', LFS, /is a pointer of Git LFS.*; run git lfs install/],
  ['a pickle', 'onnx', 'm.onnx', PICKLE, /is a Python pickle, not an ONNX model; export the model/],
  ['a PyTorch zip', 'onnx', 'm.onnx', ZIP, /is a zip archive .*, not an ONNX model; export the/],
  ['a Keras file', 'onnx', 'm.onnx', Buffer.from('\x89HDF\r\n', 'latin1'), /not an ONNX model/],
  ['a web page', 'onnx', 'm.onnx', '<!DOCTYPE html><p>log in', /is a web page, not an ONNX model/],
  ['JSON of an error', 'onnx', 'm.onnx', '{"error":"no such key"}', /is JSON text, not an ONNX/],
  ['a file cut off', 'onnx', 'm.onnx', ONNX.subarray(0, 90), /is cut off \(90 bytes\); export or/],
  ['no operator set', 'onnx', 'm.onnx', onnxBytes({ opset: 0 }), /names no operator set/],
  [
    'a future operator set',
    'onnx',
    'm.onnx',
    onnxBytes({ opset: 99 }),
    /needs operator set 99, the/,
  ],
  [
    'a future format',
    'onnx',
    'm.onnx',
    onnxBytes({ ir: 99 }),
    /has IR version 99, the server reads/,
  ],
  [
    'weights that are not there',
    'onnx',
    'm.onnx',
    EXTERNAL,
    /has its weights in m\.onnx\.data, which is not there; put that file beside it/,
  ],
  [
    'weights outside the folder',
    'onnx',
    'm.onnx',
    onnxBytes({ location: '../../etc/passwd' }),
    /has weights \(w\) in "\.\.\/\.\.\/etc\/passwd", outside its folder; save it with/,
  ],
  [
    'weights at an absolute path',
    'onnx',
    'm.onnx',
    onnxBytes({ location: '/etc/passwd' }),
    /outside its folder/,
  ],
  ['a pointer of Git LFS', 'sklearn', 'm.joblib', LFS, /is a pointer of Git LFS/],
  ['a pickle', 'xgboost', 'm.json', PICKLE, /is a Python pickle, not an XGBoost model; write it/],
  [
    'JSON cut off',
    'xgboost',
    'm.json',
    '{"learner":{"a":1',
    /is cut off \(the last brace is missing/,
  ],
  ['a pickle', 'pytorch', 'm.pt', PICKLE, /is a Python pickle, not TorchScript; write TorchScript/],
  ['an archive cut off', 'pytorch', 'm.pt', ZIP.subarray(0, 40), /is cut off \(the directory at/],
  ['a zip archive', 'tensorflow', 'm.tar.gz', ZIP, /is a zip archive .*, not a gzip archive/],
  ['an archive cut off', 'tensorflow', 'm.zip', ZIP.subarray(0, 40), /is cut off/],
];

test.each(ARTIFACTS)('%s for %s as %s is refused', async (_, framework, name, content, said) => {
  const text = wire(framework, `../data/${name}`);
  const ran = await validate({ 'models/m.yaml': text, [`data/${name}`]: content });
  expect([ran.code, ran.said.slice(0, PLACE.length)]).toEqual([1, PLACE]);
  expect(ran.said.trim()).toMatch(said);
  expect(ran.said).toContain(`${PLACE}../data/${name} `);
});

test('an ONNX model declared as a pickle is a finding', async () => {
  const ran = await validate({
    'models/m.yaml': wire('sklearn', './m.joblib'),
    'models/m.joblib': ONNX,
  });
  expect(ran.said).toMatch(
    /^models\/m\.yaml: repository_url: \.\/m\.joblib is not a Python pickle; write/,
  );
});

test.each([
  ['plain text', 'Not Found', /\.\/m\.onnx is plain text, not an ONNX model; export/],
  ['a protobuf of another kind', Buffer.from([8, 1, 18, 0]), /holds no graph/],
])('%s instead of a model is a finding that stops synth, too', async (_, content, said) => {
  const ran = await validate({
    'models/m.yaml': wire('onnx', './m.onnx'),
    'models/m.onnx': content,
  });
  expect(ran).toEqual({
    code: 1,
    said: expect.stringMatching(/^models\/m\.yaml: repository_url: /),
  });
  expect(ran.said).toMatch(said);
});

test.each([
  ['cut off', WEIGHTS.subarray(0, 8), /which is cut off \(8 bytes, w ends at 16\)/],
  ['empty', '', /which is empty/],
  ['a pointer of Git LFS', LFS, /which is a pointer of Git LFS.*; run git lfs/],
])('weights beside the model that are %s are refused', async (_, weights, said) => {
  const ran = await validate({
    'models/m.yaml': wire('onnx', './m.onnx'),
    'models/m.onnx': EXTERNAL,
    'models/m.onnx.data': weights,
  });
  expect(ran.said).toMatch(/^models\/m\.yaml:4: repository_url: \.\/m\.onnx has its weights in/);
  expect(ran.said).toMatch(said);
});

const DEFINITIONS: readonly (readonly [string, string, RegExp])[] = [
  [
    'a path that leads nowhere',
    wire('onnx', './none.onnx'),
    /:4: repository_url: .*correct the path/,
  ],
  [
    'a folder',
    wire('onnx', '.'),
    /:4: repository_url: .*must be a file \(pack a folder into one\)/,
  ],
  [
    'a digest that does not fit',
    wire('onnx', `{ uri: ./ok.onnx, sha256: "${'0'.repeat(64)}" }`),
    /:4: repository_url\.sha256: .*find out which of the two is wrong/,
  ],
  [
    'a misspelt field',
    wire('onnx', './ok.onnx', 'scalng_config: {}\n'),
    /:5: scalng_config: .*did/,
  ],
  [
    'no version',
    'model_id: m\nframework: onnx\nrepository_url: ./ok.onnx\n',
    /version: is missing/,
  ],
  [
    'a value of another type',
    wire('onnx', './ok.onnx', 'labels: [a]\n'),
    /:5: labels: .*an object/,
  ],
  ['half a character', wire('onnx', './ok.onnx', 'name: "a\\uD800"\n'), /:5: name: holds U\+D800/],
  ['an unfinished list', wire('onnx', './ok.onnx', 'args: [a\n'), /^models\/m\.yaml:[56]/],
];

test.each(DEFINITIONS)('a definition with %s is refused', async (_, text, said) => {
  const { code, said: words } = await validate({ 'models/m.yaml': text, 'models/ok.onnx': ONNX });
  expect([code, words]).toEqual([1, expect.stringMatching(/^models\/m\.yaml/)]);
  expect(words).toMatch(said);
});

test.each([
  ['onnx', 'm.onnx', ONNX],
  ['sklearn', 'm.joblib', PICKLE],
  ['sklearn', 'm.pkl', Buffer.from([0x78, 0x9c, 1, 2])],
  ['xgboost', 'm.json', '{"learner": {}}\n'],
  ['pytorch', 'm.pt', ZIP],
  ['tensorflow', 'm.zip', ZIP],
  ['tensorflow', 'm.tar.gz', Buffer.from([0x1f, 0x8b, 8, 0])],
])('a file by %s as %s is accepted', async (framework, name, content) => {
  const text = wire(framework, `../data/${name}`);
  expect(await validate({ 'models/m.yaml': text, [`data/${name}`]: content })).toEqual({
    code: 0,
    said: '',
  });
});
