// From definitions to manifests on disk, whole processes: `npx tsx bench/synth/bench.ts [RUNS]`.
// Ours is the shipped command itself, built anew, beside the same objects through cdk8s’ construct
// tree, and `helm template` where it is installed. Best of RUNS (3): other work on the machine only
// ever adds.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

const ROOT = join(__dirname, '..', '..');
const SIZES = [1, 100, 1000];
const RUNS = Number(process.argv[2] ?? 3);
/** cdk8s’ own App is quadratic; more would only wait. */
const SLOWEST_SECONDS = 120;

interface Run {
  readonly seconds: number;
  readonly cpuSeconds?: number;
  readonly megabytes?: number;
}

interface Subject {
  readonly name: string;
  readonly command: (folder: string, out: string) => readonly string[];
}

/** Node with what notes the use of resources. */
const NODE = [process.execPath, '--require', join(__dirname, 'measure.cjs')];

function runOnce(subject: Subject, folder: string, out: string): Run | undefined {
  const [program = '', ...args] = subject.command(folder, out);
  const measures = `${out}.json`;
  rmSync(measures, { force: true });
  const start = performance.now();
  const done = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, MEASURE_FILE: measures },
    maxBuffer: 1 << 30,
    timeout: SLOWEST_SECONDS * 1000,
  });
  const seconds = (performance.now() - start) / 1000;
  if (done.status !== 0) {
    console.error(`${subject.name}: ${done.error?.message ?? done.stderr}`);
    return undefined;
  }
  if (!existsSync(measures)) return { seconds };
  const used = JSON.parse(readFileSync(measures, 'utf8')) as { maxRSS: number; cpu: number };
  const { maxRSS, cpu } = used;
  return { seconds, cpuSeconds: cpu / 1000, megabytes: maxRSS / 1024 };
}

function best(subject: Subject, folder: string, out: string): Run | undefined {
  const runs = Array.from({ length: RUNS }, () => {
    rmSync(out, { recursive: true, force: true });
    return runOnce(subject, folder, out);
  }).filter((run) => run !== undefined);
  return runs.sort((a, b) => a.seconds - b.seconds)[0];
}

/** Six objects a model. */
function definition(index: number): object {
  return {
    id: `model-${index}`,
    version: 'v1',
    framework: 'onnx',
    source: `s3://models/model-${index}.onnx`,
    scaling: { minReplicas: 2, maxReplicas: 4 },
    env: { LOG_LEVEL: 'info' },
  };
}

function writeDefinitions(folder: string, count: number, extension: 'ts' | 'json'): string {
  mkdirSync(folder, { recursive: true });
  for (let index = 0; index < count; index += 1) {
    const json = JSON.stringify(definition(index), null, 2);
    const text =
      extension === 'json'
        ? json
        : `import { defineModel } from '@suoke/ai-model-service';\n\nexport default defineModel(${json});\n`;
    writeFileSync(join(folder, `model-${index}.${extension}`), text);
  }
  return folder;
}

/** The same objects as a chart: the manifest of one model with its name taken out. */
function writeHelmChart(folder: string, manifest: string, count: number): string {
  mkdirSync(join(folder, 'templates'), { recursive: true });
  writeFileSync(join(folder, 'Chart.yaml'), 'apiVersion: v2\nname: models\nversion: 1.0.0\n');
  const names = Array.from({ length: count }, (_, index) => `model-${index}`);
  writeFileSync(join(folder, 'values.yaml'), JSON.stringify({ models: names }));
  const body = manifest.replaceAll('model-0', '{{ . }}');
  writeFileSync(
    join(folder, 'templates', 'models.yaml'),
    `{{- range .Values.models }}\n---\n${body}{{- end }}\n`,
  );
  return folder;
}

async function bundle(work: string, name: string): Promise<string> {
  const outfile = join(work, `${name}.cjs`);
  await build({
    entryPoints: [join(__dirname, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    minifySyntax: true,
    external: ['jiti', 'cdk8s', 'cdk8s-plus-28', 'constructs'],
    logLevel: 'error',
  });
  return outfile;
}

function objectsIn(out: string): number {
  return readdirSync(out)
    .map((name) => readFileSync(join(out, name), 'utf8').split(/^---$/m).length)
    .reduce((sum, objects) => sum + objects, 0);
}

function row(name: string, count: number, objects: number, run: Run | undefined): string {
  const number = (value: number | undefined, digits: number): string =>
    (value === undefined ? '–' : value.toFixed(digits)).padStart(9);
  const per5000 = run === undefined ? undefined : (run.seconds * 5000) / objects;
  return [
    name.padEnd(34),
    String(count).padStart(6),
    String(objects).padStart(8),
    number(run?.seconds, 2),
    number(run?.cpuSeconds, 2),
    number(count < 1000 ? undefined : per5000, 2),
    number(run?.megabytes, 0),
  ].join(' ');
}

async function subjects(work: string): Promise<readonly Subject[]> {
  const tree = await bundle(work, 'tree');
  const built = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs'), 'bin']);
  if (built.status !== 0) throw new Error(`the build failed: ${String(built.stderr)}`);
  const shipped = [...NODE, join(ROOT, 'build', 'bin.cjs'), 'synth'];
  return [
    {
      name: 'ai-model-service synth (JSON)',
      command: (folder, out) => [...shipped, folder, '--out', out],
    },
    {
      name: 'ai-model-service synth (TypeScript)',
      command: (folder, out) => [...shipped, folder.replace(/json$/, 'ts'), '--out', out],
    },
    {
      name: 'constructs, LinearApp',
      command: (folder, out) => [...NODE, tree, folder, out, 'linear'],
    },
    {
      name: 'constructs, App of cdk8s',
      command: (folder, out) => [...NODE, tree, folder, out, 'stock'],
    },
  ];
}

function measureHelm(work: string, count: number, objects: number, manifest: string): void {
  const chart = writeHelmChart(join(work, `chart-${count}`), manifest, count);
  const helm: Subject = {
    name: 'helm template',
    command: (folder) => ['helm', 'template', 'x', folder],
  };
  console.log(row(helm.name, count, objects, best(helm, chart, join(work, 'none'))));
}

async function main(): Promise<void> {
  // Below the repository, so that the bundles find cdk8s and jiti.
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  const work = mkdtempSync(join(ROOT, 'build', 'bench-synth-'));
  const scratch = mkdtempSync(join(tmpdir(), 'bench-synth-'));
  const hasHelm = spawnSync('helm', ['version']).status === 0;
  try {
    const all = await subjects(work);
    console.log(
      `${'best of ' + RUNS + ', Node ' + process.version}`.padEnd(34),
      'models  objects   seconds       CPU  per 5000        MB',
    );
    for (const count of SIZES) {
      const folder = writeDefinitions(join(scratch, `${count}-json`), count, 'json');
      writeDefinitions(join(scratch, `${count}-ts`), count, 'ts');
      const out = join(scratch, 'out');
      for (const subject of all) {
        const run = best(subject, folder, out);
        const objects = run === undefined ? count : objectsIn(out);
        console.log(row(subject.name, count, objects, run));
      }
      const manifest = readFileSync(join(out, 'model-0.k8s.yaml'), 'utf8');
      if (hasHelm) measureHelm(scratch, count, objectsIn(out), manifest);
    }
    if (!hasHelm) console.log('helm template: not installed');
  } finally {
    rmSync(work, { recursive: true, force: true });
    rmSync(scratch, { recursive: true, force: true });
  }
}

void main();
