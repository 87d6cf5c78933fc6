import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../cli/program';

// Every command as a pipeline calls it: exit code, stdout for results, stderr for people.

let folder: string;
const home = process.cwd();
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'cli-')));
  process.chdir(folder);
});
afterEach(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(...args: readonly string[]): Promise<Ran> {
  let [out, err] = ['', ''];
  const code = await runCommand(args, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    env: {},
    cwd: folder,
    terminal: false,
    now: () => new Date('2026-06-01T00:00:00Z'),
  });
  return { code, out: out.replaceAll(folder, '…'), err: err.replaceAll(folder, '…') };
}

const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
const read = (file: string): string => readFileSync(join(folder, file), 'utf8');

const GOOD = 'id: triage\nversion: 1.4.0\nframework: sklearn\nsource: s3://models/triage/1.4.0\n';
const BROKEN = 'id: Triage!\nversion: ""\nframework: onyx\nsource: s3://models/x\nfoo: 1\n';

async function project(definition = GOOD): Promise<void> {
  await run('init', 'p');
  cpSync(join(folder, 'p/models'), join(folder, 'models'), { recursive: true });
  write('models/triage.yaml', definition);
}

describe('init', () => {
  test('writes a project that validates and synthesizes', async () => {
    const { code, out } = await run('init', 'my-models');
    expect([code, out]).toEqual([0, expect.stringContaining('npx ai-model-service dev')]);
    expect(JSON.parse(read('my-models/package.json'))).toMatchObject({ name: 'my-models' });
    expect(read('my-models/cdk8s.yaml')).toContain('language: typescript');
    expect((await run('validate', 'my-models/models')).code).toBe(0);
    expect((await run('synth', 'my-models/models')).code).toBe(0);
    expect(existsSync(join(folder, 'dist'))).toBe(true);
  });

  test('writes nothing when one of the files exists', async () => {
    write('package.json', '{"mine":true}');
    const { code, err } = await run('init');
    expect([code, err]).toEqual([1, expect.stringMatching(/contains package\.json already/)]);
    expect(read('package.json')).toBe('{"mine":true}');
    expect(existsSync(join(folder, 'cdk8s.yaml'))).toBe(false);
  });
});

describe('synth', () => {
  test('writes manifests, and nothing on a second run', async () => {
    await project();
    const first = await run('synth');
    expect(first).toMatchObject({
      code: 0,
      out: expect.stringContaining('dist/triage.k8s.yaml\n'),
    });
    const bytes = read('dist/triage.k8s.yaml');
    expect(await run('synth')).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringContaining('0 written'),
    });
    expect(read('dist/triage.k8s.yaml')).toBe(bytes);
  });

  test('with --check writes nothing and names missing, changed and stale files', async () => {
    await project();
    expect(await run('synth', '--check')).toMatchObject({
      code: 1,
      out: expect.stringContaining('dist/triage.k8s.yaml is missing\n'),
      err: expect.stringContaining('run: ai-model-service synth models\n'),
    });
    expect(existsSync(join(folder, 'dist'))).toBe(false);
    await run('synth');
    expect(await run('synth', '--check')).toEqual({
      code: 0,
      out: '',
      err: '2 manifests in dist/ are up to date\n',
    });
    write('dist/triage.k8s.yaml', `${read('dist/triage.k8s.yaml')}# edited\n`);
    write('models/triage.yaml', GOOD.replace('id: triage', 'id: other'));
    expect((await run('synth', '--check')).out).toBe(
      'dist/other.k8s.yaml is missing\ndist/triage.k8s.yaml no longer belongs to a definition\n',
    );
    const { differences } = JSON.parse((await run('synth', '--check', '--output', 'json')).out);
    expect(differences).toHaveLength(2);
  });

  test('deletes the manifest of a deleted definition, and no other file', async () => {
    await project();
    await run('synth');
    write('dist/notes.md', 'mine');
    rmSync(join(folder, 'models/triage.yaml'));
    expect((await run('synth')).out).toBe('dist/triage.k8s.yaml removed\n');
    expect(read('dist/notes.md')).toBe('mine');
  });

  test('stops at a broken definition before it writes, with all faults', async () => {
    await project(BROKEN);
    const { code, out, err } = await run('synth');
    expect([code, out]).toEqual([1, '']);
    for (const path of ['id', 'version', 'framework', 'foo']) {
      expect(err).toMatch(new RegExp(`models/triage\\.yaml(?::\\d+)?: ${path}: `));
    }
    expect(existsSync(join(folder, 'dist'))).toBe(false);
  });
});

describe('a folder without definitions', () => {
  const nothing = /^models: holds no definition \(files .+\), so every manifest would be removed/;

  test('is refused by synth, its check and plan: no manifest is deleted', async () => {
    await project();
    await run('synth');
    const before = readdirSync(join(folder, 'dist'));
    rmSync(join(folder, 'models'), { recursive: true });
    mkdirSync(join(folder, 'models'));
    for (const args of [['synth'], ['synth', '--check'], ['plan']]) {
      expect(await run(...args)).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringMatching(nothing),
      });
    }
    const json = JSON.parse((await run('synth', '--output', 'json')).out);
    expect(json).toMatchObject({ status: 'error', message: expect.stringMatching(nothing) });
    expect(readdirSync(join(folder, 'dist'))).toEqual(before);
  });

  test('includes one with helpers and notes only', async () => {
    mkdirSync(join(folder, 'models'));
    write('models/_helper.ts', 'export const a = 1;');
    write('models/README.md', '# models');
    expect(await run('synth')).toMatchObject({ code: 1, err: expect.stringMatching(nothing) });
  });

  test('with --allow-empty deletes the last manifest', async () => {
    await project();
    await run('synth');
    rmSync(join(folder, 'models'), { recursive: true });
    mkdirSync(join(folder, 'models'));
    const { code, out } = await run('synth', '--allow-empty');
    expect([code, out]).toEqual([0, expect.stringContaining('dist/triage.k8s.yaml removed\n')]);
    expect((await run('plan', '--allow-empty')).code).toBe(0);
  });

  test('is reported by validate, and fails it with --strict', async () => {
    mkdirSync(join(folder, 'models'));
    const plain = await run('validate', 'models');
    expect([plain.code, plain.err]).toEqual([
      0,
      expect.stringMatching(/^models: holds no definition/),
    ]);
    expect(await run('validate', 'models', '--strict')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^models: holds no definition .*nothing to check/),
    });
  });
});

describe('line endings of Windows in dist', () => {
  test('pass --check, which explains how to avoid them, and nothing is rewritten', async () => {
    await project();
    await run('synth');
    const text = read('dist/triage.k8s.yaml').replaceAll('\n', '\r\n');
    write('dist/triage.k8s.yaml', text);
    const { code, out, err } = await run('synth', '--check');
    expect([code, out]).toEqual([0, '']);
    expect(err).toContain('dist/triage.k8s.yaml: lines end with CR LF, the content is right');
    expect(err).toContain('.gitattributes');
    const json = JSON.parse((await run('synth', '--check', '--output', 'json')).out);
    expect(json).toMatchObject({ differences: [], lineEndings: ['triage.k8s.yaml'] });
    expect((await run('synth')).err).toContain('0 written');
    expect(read('dist/triage.k8s.yaml')).toBe(text);
    expect((await run('plan')).out).toMatch(/^No effect: /);
  });

  test('hide no other difference', async () => {
    await project();
    await run('synth');
    const text = read('dist/triage.k8s.yaml').replaceAll('\n', '\r\n');
    write('dist/triage.k8s.yaml', text.replace('maxReplicas: 1', 'maxReplicas: 2'));
    expect(await run('synth', '--check')).toMatchObject({
      code: 1,
      out: 'dist/triage.k8s.yaml is out of date\n',
    });
  });

  test('leave the stored definition readable for the next synth', async () => {
    const before = `${GOOD}candidates: [{ version: v2, source: "s3://m/2", traffic: 10 }]\n`;
    await project(before);
    await run('synth');
    write('dist/triage.k8s.yaml', read('dist/triage.k8s.yaml').replaceAll('\n', '\r\n'));
    write('models/triage.yaml', GOOD.replace('1.4.0', 'v2'));
    expect((await run('synth')).err).toContain('(promote-in-one-step)');
  });
});

describe('many findings', () => {
  const candidate = '{ version: 1.5.0, source: "s3://models/triage/1.5.0", traffic: 10 }';
  const warned = (id: string): string =>
    `${GOOD.replace('id: triage', `id: ${id}`)}env: { API_KEY: abc }\ncandidates: [${candidate}]\n`;

  beforeEach(() => {
    mkdirSync(join(folder, 'models'));
    for (let index = 0; index < 40; index += 1) {
      write(`models/m${index}.yaml`, warned(`m${String(index).padStart(2, '0')}`));
    }
  });

  test('of one rule are one line with the first models and a count; JSON has all', async () => {
    const { code, err } = await run('synth');
    const lines = err.split('\n').filter((line) => line.startsWith('warning '));
    expect([code, lines.length]).toEqual([0, 2]);
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^warning cohort-key: m00: .*\(and 39 more of this rule, in m01, m10, m11, …; --output json lists all\)$/,
      ),
    );
    const { findings } = JSON.parse((await run('synth', '--check', '--output', 'json')).out);
    expect(findings).toHaveLength(80);
    expect((await run('validate')).out.split('\n')).toHaveLength(4);
  });

  test('with --strict are counted, with the reason of the failure', async () => {
    const synth = await run('synth', '--strict');
    expect([synth.code, synth.out]).toEqual([1, '']);
    expect(synth.err.trim().split('\n')).toHaveLength(3);
    expect(synth.err).toContain('80 warnings count as errors because of strict');
    const validate = await run('validate', '--strict');
    expect(validate).toMatchObject({
      code: 1,
      err: '80 warnings fail the check because of --strict\n',
    });
    const json = JSON.parse((await run('synth', '--strict', '--output', 'json')).out);
    expect(json.details).toHaveLength(80);
  });

  test('are in the singular for one', async () => {
    write('models/m0.yaml', GOOD + 'env: { API_KEY: abc }\n');
    const one = await run('validate', 'models/m0.yaml', '--strict');
    expect(one.out).toMatch(/\n1 definition is right, 1 warning\n$/);
    expect(one.err).toBe('1 warning fails the check because of --strict\n');
  });
});

describe('validate', () => {
  test('reports every fault of every file in one run, as text and as JSON', async () => {
    await project(BROKEN);
    write('models/second.yaml', 'id: second\n');
    const text = await run('validate');
    expect(text.code).toBe(1);
    expect(text.err).toMatch(/second\.yaml.*version: /);
    expect(text.err).toMatch(/triage\.yaml.*framework: /);
    const { status, details } = JSON.parse((await run('validate', '--output', 'json')).out);
    expect(status).toBe('error');
    expect(details.length).toBeGreaterThanOrEqual(5);
    expect(details).toContainEqual(
      expect.objectContaining({ file: 'models/triage.yaml', line: 3, path: 'framework' }),
    );
    expect(details.every(({ file }: { file?: string }) => file !== undefined)).toBe(true);
  });

  test('takes single files; --strict makes warnings fail', async () => {
    await project();
    expect((await run('validate', 'models/triage.yaml')).code).toBe(0);
    expect((await run('validate', 'models/triage.yaml', '--strict')).code).toBe(0);
    const candidate = '{ version: 1.5.0, source: "s3://models/triage/1.5.0", traffic: 10 }';
    write('models/triage.yaml', `${GOOD}candidates: [${candidate}]\n`);
    const plain = await run('validate', 'models/triage.yaml');
    expect([plain.code, plain.out]).toEqual([0, expect.stringMatching(/, [1-9]\d* warnings?\n/)]);
    expect((await run('validate', 'models/triage.yaml', '--strict')).code).toBe(1);
  });

  test('reports a missing path', async () => {
    expect(await run('validate', 'nowhere')).toMatchObject({
      code: 1,
      err: 'nowhere: no such file or folder\n',
    });
  });
});

describe('rules', () => {
  const alertsIn = (text: string): readonly string[] =>
    [...text.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);

  test('writes alerts of each model and of the routers to stdout or a file', async () => {
    await project(`${GOOD}slo: { availability: 99.9 }\n`);
    const { code, out } = await run('rules');
    expect(code).toBe(0);
    const expected = ['AiModelArmDown', 'AiModelErrorBudgetBurn', 'AiModelServiceDown'];
    expect(alertsIn(out)).toEqual(expect.arrayContaining(expected));
    expect(alertsIn(out)).not.toContain('AiModelServiceRouterMissing');
    const written = await run('rules', '--out', 'rules.yaml', '--routers', '2');
    expect(written.err).toMatch(/^rules\.yaml: \d+ rules in \d+ groups\n$/);
    expect(alertsIn(read('rules.yaml'))).toContain('AiModelServiceRouterMissing');
    const { groups } = JSON.parse((await run('rules', '--output', 'json')).out);
    expect(groups.length).toBeGreaterThan(2);
  });

  test('writes several environments, or one; a group is in a file once', async () => {
    await project();
    const runtime = '"runtime":{"namespace":"routers"}';
    const one = (name: string): string => `{"name":"${name}","namespace":"${name}",${runtime}}`;
    write('environments.json', `[${one('staging')},${one('production')}]`);
    const names = async (...args: readonly string[]): Promise<readonly string[]> => {
      const { groups } = JSON.parse((await run('rules', ...args, '--output', 'json')).out);
      return groups.map(({ name }: { name: string }) => name);
    };
    const all = await names();
    expect(new Set(all).size).toBe(all.length);
    const triage = ['production', 'staging'].map((name) => `ai-model-service.${name}.triage`);
    expect(all).toEqual(expect.arrayContaining([...triage, 'ai-model-service.routers']));
    expect((await names('--env', 'staging')).join(' ')).not.toContain('production');
  });

  test.each(['0', 'two', '-1'])('refuses --routers %s', async (count) => {
    await project();
    const { code, err } = await run('rules', `--routers=${count}`);
    expect([code, err]).toEqual([2, expect.stringContaining('must be a whole number from 1')]);
  });
});

test('dashboards writes four files for Grafana', async () => {
  const { code, out } = await run('dashboards', 'grafana/all');
  const files = ['fleet', 'one', 'language', 'routers'].map((name) => `ai-model-${name}.json`);
  expect([code, out]).toEqual([0, files.map((name) => `grafana/all/${name}\n`).join('')]);
  for (const name of files) {
    const { uid, panels } = JSON.parse(read(`grafana/all/${name}`));
    expect([`${uid}.json`, panels.length > 5]).toEqual([name, true]);
  }
});

test('keys makes a key whose digest is in the lines for the configuration', async () => {
  const { code, out } = await run('keys', '--name', 'clinic', '--scopes', 'infer', 'read');
  const key = out.split('\n')[0] ?? '';
  expect(code).toBe(0);
  expect(out).toContain(`sha256: ${createHash('sha256').update(key).digest('hex')}`);
  expect(out).toContain('scopes: [infer, read]');
  expect((await run('keys')).out.split('\n')[0]).not.toBe(key);
  const { config } = JSON.parse((await run('keys', '--output', 'json')).out);
  expect(config).toMatchObject({ name: 'my-app', scopes: ['infer', 'read'] });
});

describe('a file of keys', () => {
  const digestOf = (key: string): string => createHash('sha256').update(key).digest('hex');
  const create = async (name: string, ...more: readonly string[]): Promise<string> => {
    const { out } = await run('keys', 'create', '--name', name, '--file', 'keys.yaml', ...more);
    return digestOf(out.trim());
  };

  test('is created with the first key, and list never shows a key', async () => {
    const first = await create('clinic', '--scopes', 'infer', '--expires', '2026-01-31T00:00:00Z');
    const second = await create('ward', '--models', 'iris', 'rose');
    const { out } = await run('keys', 'list', '--file', 'keys.yaml');
    expect(out).toBe(
      [
        `clinic\t${first.slice(0, 12)}\tinfer\tall models\t2026-01-31T00:00:00.000Z (expired)\n`,
        `ward\t${second.slice(0, 12)}\tinfer,read\tiris,rose\tnever\n`,
      ].join(''),
    );
    const { keys } = JSON.parse(
      (await run('keys', 'list', '--file', 'keys.yaml', '--output', 'json')).out,
    );
    expect(keys[1]).toEqual({
      name: 'ward',
      sha256: second,
      scopes: ['infer', 'read'],
      models: ['iris', 'rose'],
    });
  });

  test('loses a key by name or digest, and nothing else', async () => {
    const [one, two] = ['a1', 'b2'].map((digits) => digits.repeat(32));
    const item = (name: string, sha256: string | undefined): string =>
      `  - name: ${name}\n    sha256: ${sha256}\n    scopes: [infer]\n`;
    write('keys.yaml', `# ours\n${item('a', one)}\n  # theirs\n${item('b', two)}`);
    const third = await create('a');
    expect((await run('keys', 'revoke', 'a1a1a1a1', '--file', 'keys.yaml')).out).toContain(
      `a\t${'a1'.repeat(6)}`,
    );
    const left = `# ours\n\n  # theirs\n${item('b', two)}`;
    expect(read('keys.yaml')).toBe(
      `${left}  - {"name":"a","sha256":"${third}","scopes":["infer","read"]}\n`,
    );
    await run('keys', 'revoke', 'a', '--file', 'keys.yaml');
    expect(read('keys.yaml')).toBe(left);
    await run('keys', 'revoke', 'b', '--file', 'keys.yaml');
    expect(read('keys.yaml')).toBe('[]\n');
    await create('c');
    expect((await run('keys', 'list', '--file', 'keys.yaml')).out).toMatch(/^c\t/);
  });

  test('stays JSON', async () => {
    write('keys.yaml', JSON.stringify([{ name: 'a', sha256: '1'.repeat(64), scopes: ['infer'] }]));
    await create('b');
    await run('keys', 'revoke', 'a', '--file', 'keys.yaml');
    expect(JSON.parse(read('keys.yaml'))).toMatchObject([{ name: 'b' }]);
  });

  test('stays unchanged when it has faults, or lacks the named key', async () => {
    write('keys.yaml', '- name: a\n');
    const added = await run('keys', 'create', '--file', 'keys.yaml');
    expect([added.code, added.out, added.err]).toEqual([
      1,
      '',
      expect.stringContaining('keys.yaml:1: sha256: is missing'),
    ]);
    expect(read('keys.yaml')).toBe('- name: a\n');
    write('keys.yaml', '[]');
    const gone = await run('keys', 'revoke', 'x', '--file', 'keys.yaml');
    expect([gone.code, gone.err]).toEqual([1, expect.stringContaining('keys list --file')]);
    expect((await run('keys', 'list', '--file', 'none.yaml')).err).toContain('keys create --file');
    expect((await run('keys', 'list')).code).toBe(2);
    const late = await run('keys', 'create', '--expires', 'soon', '--file', 'new.yaml');
    expect([late.code, existsSync(join(folder, 'new.yaml'))]).toEqual([1, false]);
  });
});

describe('the command line', () => {
  test.each([
    [['synth', '--nonsense']],
    [['keys', '--scopes', 'everything']],
    [['serve-onnx']],
    [['serve-onnx', '--model', 'iris']],
    [['serve-onnx', '--model', 'iris=x.onnx', '--port', 'http']],
    [['dev', '--port', '-1']],
    [['dev', '--port', '99999']],
    [['synth', '--output', 'xml']],
  ])('%j is wrong usage: exit code 2, reported on stderr', async (args) => {
    const { code, out, err } = await run(...args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/error: /);
  });

  test.each([
    ['synht', /^unknown command synht; did you mean synth\?\n$/],
    ['nonsense', /^unknown command nonsense; there are serve, dev, synth, /],
  ])('suggests a command for %s', async (given, expected) => {
    const { code, out, err } = await run(given);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(expected);
  });

  test('prints help and version to stdout', async () => {
    for (const args of [['--help'], ['synth', '--help'], ['--version']]) {
      const { code, out, err } = await run(...args);
      expect([code, err]).toEqual([0, '']);
      expect(out.length).toBeGreaterThan(4);
    }
  });

  test('has an example for every command', async () => {
    const names = ['dev', 'synth', 'validate', 'plan', 'init', 'serve-onnx', 'fetch', 'keys'];
    for (const name of names) {
      expect((await run(name, '--help')).out).toContain(`Example:\n  ai-model-service ${name}`);
    }
  });
});

describe('serve-onnx', () => {
  test('turns the telemetry of ONNX Runtime off', async () => {
    const env: NodeJS.ProcessEnv = {};
    const args = ['serve-onnx', '--model', 'none=./none.onnx', '--port', '0'];
    let err = '';
    const io = { out: () => {}, cwd: folder, terminal: false, now: () => new Date() };
    const code = await runCommand(args, { ...io, env, err: (text) => (err += text) });
    expect([code, err]).toEqual([1, expect.stringContaining('none.onnx')]);
    expect(env['ORT_DISABLE_TELEMETRY']).toBe('1');
  });

  test('listens on the host that the environment gives', async () => {
    const { out } = await run('serve-onnx', '--help');
    expect(out).toContain('(default: "127.0.0.1")');
    let there = '';
    await runCommand(['serve-onnx', '--help'], {
      out: (text) => (there += text),
      err: () => {},
      env: { AI_MODEL_SERVICE__SERVER__HOST: '0.0.0.0' },
      cwd: folder,
      terminal: false,
      now: () => new Date(),
    });
    expect(there).toContain('(default: "0.0.0.0")');
  });
});
