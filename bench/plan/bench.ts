// A plan of 1,000 definitions of which one changed, compared with a git revision; whole processes of
// the shipped command, which is built anew: `npx tsx bench/plan/bench.ts [RUNS]`. Best of RUNS (5):
// other work on the machine only ever adds. Node’s own start is in a row of its own.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const RUNS = Number(process.argv[2] ?? 5);
const MODELS = 1000;
const MEASURE = join(__dirname, '..', 'synth', 'measure.cjs');

interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly out: string;
}

function run(cwd: string, ...args: readonly string[]): Run {
  const measures = join(cwd, '.measures.json');
  const env = { ...process.env, MEASURE_FILE: measures };
  const start = performance.now();
  const done = spawnSync(process.execPath, ['--require', MEASURE, ...args], {
    cwd,
    env,
    encoding: 'utf8',
  });
  const seconds = (performance.now() - start) / 1000;
  if (done.status !== 0) throw new Error(done.stderr);
  const { cpu } = JSON.parse(readFileSync(measures, 'utf8')) as { cpu: number };
  return { seconds, cpuSeconds: cpu / 1000, out: done.stdout };
}

function best(cwd: string, ...args: readonly string[]): Run {
  const runs = Array.from({ length: RUNS }, () => run(cwd, ...args));
  return runs.sort((a, b) => a.seconds - b.seconds)[0] as Run;
}

function git(cwd: string, ...args: readonly string[]): void {
  const who = ['-c', 'user.name=bench', '-c', 'user.email=bench@example.org'];
  const { status, stderr } = spawnSync('git', [...who, ...args], { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function definition(index: number, most: number): string {
  const scaling = `{ minReplicas: 2, maxReplicas: ${most} }`;
  return `id: model-${index}\nversion: v1\nframework: sklearn\nsource: s3://models/${index}\nscaling: ${scaling}\n`;
}

/** A repository with that many definitions, one of which changed since its commit. */
function repository(folder: string): void {
  mkdirSync(join(folder, 'models'));
  const path = (index: number): string => join(folder, 'models', `model-${index}.yaml`);
  for (let index = 0; index < MODELS; index += 1) writeFileSync(path(index), definition(index, 4));
  writeFileSync(join(folder, '.gitignore'), '.measures.json\n');
  git(folder, 'init', '-q');
  git(folder, 'add', '.');
  git(folder, 'commit', '-q', '-m', 'models');
  writeFileSync(path(500), definition(500, 5));
}

function row(name: string, { seconds, cpuSeconds }: Run): void {
  console.log(name.padEnd(34), seconds.toFixed(2).padStart(8), cpuSeconds.toFixed(2).padStart(8));
}

function main(): void {
  spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs'), 'bin'], { stdio: 'inherit' });
  const bin = join(ROOT, 'build', 'bin.cjs');
  const folder = mkdtempSync(join(tmpdir(), 'bench-plan-'));
  try {
    repository(folder);
    console.log(`best of ${RUNS}, ${MODELS} models`.padEnd(34), ' seconds      CPU');
    row('--version', best(folder, bin, '--version'));
    const plan = best(folder, bin, 'plan', '--base', 'HEAD');
    if (!plan.out.includes('1 model changes, 999 do not')) throw new Error(plan.out);
    row('plan --base HEAD', plan);
    run(folder, bin, 'synth');
    row('plan, up-to-date manifests', best(folder, bin, 'plan'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main();
