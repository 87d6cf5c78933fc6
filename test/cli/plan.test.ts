import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../cli/program';
import type { Plan } from '../../lib/plan/schema';

// `plan` as a pipeline calls it, with manifests, with another folder, and with revisions of git.

let folder: string;
const home = process.cwd();
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'plan-')));
  process.chdir(folder);
  mkdirSync(join(folder, 'models'));
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
    env: { PATH: process.env['PATH'], TMPDIR: folder },
    cwd: folder,
    terminal: false,
    now: () => new Date('2026-06-01T00:00:00Z'),
  });
  return { code, out, err };
}

async function planned(...args: readonly string[]): Promise<Plan> {
  const { code, out, err } = await run('plan', ...args, '--format', 'json');
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out) as Plan;
}

const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
const read = (file: string): string => readFileSync(join(folder, file), 'utf8');

function git(...args: readonly string[]): void {
  const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'commit.gpgsign=false'];
  const { status, stderr } = spawnSync('git', [...who, ...args], { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function commit(): void {
  git('add', '.');
  git('commit', '-q', '-m', 'x');
}

const IRIS = 'id: iris\nversion: v1\nframework: sklearn\nsource: s3://models/iris\n';
const ROSE =
  "export default { id: 'rose', version, framework: 'sklearn', source: 's3://m/rose' };\n";
const SCALED = `${IRIS}scaling: { minReplicas: 2, maxReplicas: 4 }\n`;

function project(): void {
  write('models/iris.yaml', IRIS);
  write('models/_version.ts', "export const version = 'v1';\n");
  write('models/rose.ts', `import { version } from './_version';\n${ROSE}`);
}

const NOTHING = /^No effect: nothing changes \(2 models\)\n/;

describe('compared with the manifests', () => {
  test('a change is said field by field, and nothing is written', async () => {
    project();
    await run('synth');
    const before = read('dist/iris.k8s.yaml');
    expect((await run('plan')).out).toMatch(NOTHING);
    write('models/iris.yaml', SCALED);
    const { out } = await run('plan');
    expect(out).toMatch(/~ HorizontalPodAutoscaler iris\n/);
    expect(out).toMatch(/ {4}spec\.maxReplicas: 1 → 4\n/);
    expect(out).toMatch(/1 model changes, 1 does not; objects: 1 to create, 2 to change, 0 to/);
    rmSync(join(folder, 'models/iris.yaml'));
    const { models } = await planned();
    expect(models.map(({ model_id, action }) => [model_id, action])).toEqual([['iris', 'delete']]);
    expect(read('dist/iris.k8s.yaml')).toBe(before);
  });

  test('one changed field in two environments is one entry', async () => {
    project();
    write('environments.json', '[{"name":"staging","namespace":"s"},{"name":"production"}]');
    await run('synth');
    write('models/iris.yaml', SCALED);
    const { models, totals } = await planned();
    expect(models.map(({ environments }) => environments)).toEqual([['staging', 'production']]);
    expect(totals).toEqual({ create: 2, update: 4, delete: 0 });
    const one = await planned('--env', 'staging');
    expect(one.models.map(({ environments }) => environments)).toEqual([['staging']]);
  });

  test('a manifest whose definition is damaged is compared by its objects, with a note', async () => {
    project();
    await run('synth');
    write('dist/iris.k8s.yaml', read('dist/iris.k8s.yaml').replace('"framework"', '"frame"'));
    const { models, notes } = await planned();
    expect(models[0]?.objects.map(({ kind }) => kind)).toEqual(['ConfigMap']);
    expect(notes).toEqual([expect.stringMatching(/^iris\.k8s\.yaml: the definition in it cannot/)]);
  });
});

describe('compared with a revision', () => {
  test('definitions, their imports and environments are those of the revision', async () => {
    project();
    git('init', '-q');
    commit();
    expect((await run('plan', '--base', 'HEAD')).out).toMatch(NOTHING);
    write('models/_version.ts', "export const version = 'v2';\n");
    write('environments.json', '{"registry":"mirror.example.org"}');
    write('models/iris.yaml', SCALED);
    const { models, base } = await planned('--base', 'HEAD');
    expect(base).toMatch(/^HEAD \([0-9a-f]{12}\)$/);
    expect(models.map(({ model_id, action }) => [model_id, action])).toEqual([
      ['iris', 'update'],
      ['rose', 'update'],
    ]);
    const rose = models.find(({ model_id }) => model_id === 'rose');
    expect(rose?.traffic?.moves).toEqual([
      {
        percent: 100,
        from: { arm: 'stable', version: 'v1' },
        to: { arm: 'stable', version: 'v2' },
      },
    ]);
    expect(rose?.risks.map(({ rule }) => rule)).toContain('registry-widened');
    commit();
    expect((await run('plan', '--base', 'HEAD')).out).toMatch(NOTHING);
    expect((await planned('--base', 'HEAD^')).models).toHaveLength(2);
  });

  test('the repository and the temporary folder are as they were', async () => {
    project();
    git('init', '-q');
    commit();
    write('models/iris.yaml', SCALED);
    const before = readdirSync(folder).sort();
    const index = readFileSync(join(folder, '.git/index'));
    await planned('--base', 'HEAD');
    expect(readdirSync(folder).sort()).toEqual(before);
    expect(readFileSync(join(folder, '.git/index')).equals(index)).toBe(true);
  });

  test('an old definition that is not valid any more is a note', async () => {
    project();
    write('models/iris.yaml', `${IRIS}foo: 1\n`);
    git('init', '-q');
    commit();
    write('models/iris.yaml', IRIS);
    const { models, notes } = await planned('--base', 'HEAD');
    expect(models.map(({ action }) => action)).toEqual(['create']);
    expect(notes).toEqual([expect.stringMatching(/^HEAD: models\/iris\.yaml: cannot be read/)]);
  });

  test.each(['-x', '--upload-pack=touch y', '', 'a b', 'HEAD\n'])(
    'the revision %j never reaches git',
    async (ref) => {
      project();
      git('init', '-q');
      commit();
      const { code, err } = await run('plan', `--base=${ref}`);
      expect([code, err]).toEqual([1, expect.stringMatching(/^--base: got .+ must be a revision/)]);
    },
  );

  test('one that is not here is refused, and so is a folder outside of git', async () => {
    project();
    const outside = await run('plan', '--base', 'main');
    expect(outside).toMatchObject({
      code: 1,
      err: expect.stringMatching(/is not in a repository/),
    });
    git('init', '-q');
    commit();
    const { code, err } = await run('plan', '--base', 'origin/nowhere');
    expect([code, err]).toEqual([1, expect.stringMatching(/neither a folder nor a revision/)]);
  });
});

test('another folder is a base as well: a copy of the project, or manifests', async () => {
  project();
  mkdirSync(join(folder, 'old/models'), { recursive: true });
  write('old/models/iris.yaml', SCALED);
  const { models, base } = await planned('--base', 'old');
  expect(base).toBe('old');
  expect(models.map(({ model_id, action }) => [model_id, action])).toEqual([
    ['iris', 'update'],
    ['rose', 'create'],
  ]);
  await run('synth', '--out', 'manifests');
  expect((await run('plan', '--base', 'manifests')).out).toMatch(NOTHING);
});

describe('--fail-on', () => {
  beforeEach(async () => {
    project();
    write('models/iris.yaml', SCALED);
    await run('synth');
    write('models/iris.yaml', SCALED.replace('minReplicas: 2', 'minReplicas: 1'));
  });

  test.each([
    ['redundancy-lost', 1],
    ['medium', 1],
    ['low', 1],
    ['high', 0],
    ['model-deleted,high', 0],
    ['model-deleted,redundancy-lost', 1],
  ])('%s: exit code %i', async (condition, code) => {
    const { code: actual, err } = await run('plan', '--fail-on', condition);
    expect(actual).toBe(code);
    expect(err).toBe(code === 0 ? '' : 'fails because of --fail-on: iris: redundancy-lost\n');
  });

  test('cost=N fails above N, and without prices', async () => {
    write('models/iris.yaml', SCALED.replace('maxReplicas: 4', 'maxReplicas: 5'));
    expect(await run('plan', '--fail-on', 'cost=1')).toMatchObject({
      code: 1,
      err: 'fails because of --fail-on: cost: no environment has prices\n',
    });
    // One replica more, of half a core: 0.5 × 0.1 × 730 = 36.50.
    write('environments.json', '{"prices":{"cpu_hour":0.1,"memory_gib_hour":0}}');
    expect((await run('plan', '--fail-on', 'cost=37')).code).toBe(0);
    expect(await run('plan', '--fail-on', 'cost=36')).toMatchObject({
      code: 1,
      err: 'fails because of --fail-on: cost: up to 36.50 USD more per month in default\n',
    });
  });

  test('a rule that does not exist is refused, with the closest one', async () => {
    const { code, err } = await run('plan', '--fail-on', 'redundancy-lots');
    expect([code, err]).toEqual([2, expect.stringMatching(/did you mean redundancy-lost/)]);
  });
});

describe('cost by a file of prices', () => {
  const prices = (rates: string): void =>
    write('prices.yaml', `source: a list\ndate: 2026-05-01\ncurrency: EUR\n${rates}`);
  const observed = (replicas: unknown): void => {
    const arm = { arm: 'stable', role: 'traffic', replicas, requests_per_second: 1 };
    const models = [{ model_id: 'iris', arms: [arm] }];
    const time = '2026-06-01T00:00:00Z';
    write('observed.json', JSON.stringify({ format: 1, time, seconds: 60, models }));
  };

  beforeEach(async () => {
    project();
    prices('cpu_hour: 0.1\nmemory_gib_hour: 0.01\n');
    write('environments.yaml', 'prices: { file: prices.yaml }\n');
    await run('synth');
    write('models/iris.yaml', SCALED);
  });

  // A replica has 500m and 512Mi: 0.055 per hour.
  test('has the cost of now where an observation is given', async () => {
    observed(3);
    const { out } = await run('plan', '--observed', 'observed.json');
    expect(out).toContain('40.15 → 80.30 to 160.60 EUR per month\n');
    expect(out).toContain('now 120.45 EUR per month, 0.045833 per 1,000 requests\n');
    expect(out).toMatch(/prices: a list, 2026-05-01\n$/);
    observed('three');
    expect(await run('plan', '--observed', 'observed.json')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^--observed observed\.json: models\.0\.arms\.0\.replicas: /),
    });
  });

  test('does not pass a limit while a price is missing', async () => {
    prices('cpu_hour: 0.1\n');
    expect(await run('plan', '--fail-on', 'cost=1000000')).toMatchObject({
      code: 1,
      err: 'fails because of --fail-on: cost: not known in default without prices.memoryGiBHour\n',
    });
  });
});

test('an error finding fails the plan, which shows it', async () => {
  project();
  await run('synth');
  write('models/iris.yaml', `${IRIS}resources: { cpu: '2', cpuLimit: '1' }\n`);
  const { code, out } = await run('plan');
  expect([code, out]).toEqual([
    1,
    expect.stringMatching(/^error cpu-limit-below-request: iris: /m),
  ]);
});

test('--output json means --format json', async () => {
  project();
  const json = await run('plan', '--output', 'json');
  expect(json).toEqual(await run('plan', '--format', 'json'));
  expect(JSON.parse(json.out)).toMatchObject({ format: 1, unchanged: 0 });
});

test('markdown stays below --max-bytes', async () => {
  project();
  const { out } = await run('plan', '--format', 'markdown', '--max-bytes', '4000');
  expect(Buffer.byteLength(out)).toBeLessThanOrEqual(4000);
  expect((await run('plan', '--max-bytes', '10')).code).toBe(2);
});

test('a folder without definitions removes no manifest', async () => {
  project();
  git('init', '-q');
  commit();
  rmSync(join(folder, 'models'), { recursive: true });
  mkdirSync(join(folder, 'models'));
  const refused = await run('plan', '--base', 'HEAD');
  expect([refused.code, refused.out]).toEqual([1, '']);
  expect(refused.err).toMatch(/holds no definition/);
  const { models } = await planned('--base', 'HEAD', '--allow-empty');
  expect(models.map(({ action }) => action)).toEqual(['delete', 'delete']);
  expect(existsSync(join(folder, 'dist'))).toBe(false);
});
