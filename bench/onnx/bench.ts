import { fork, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { Load, Measured } from './load';

// The ONNX server under load, as processes as they run: npx tsx bench/onnx/bench.ts
// For comparison, measured with a tiny model on one core: Triton 8,400 requests/s, KServe's Python
// server 2,200, MLServer 2,100.

const ROOT = path.resolve(__dirname, '../..');
const ROUNDS = 5;
const ROUND_MS = 1500;
const WARM_MS = 1000;
const CONNECTIONS = 32;

interface Scenario {
  readonly name: string;
  readonly options: object;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const fixture = (name: string): { name: string; version: string; path: string } => ({
  name,
  version: '1',
  path: path.join(ROOT, 'test/onnx/fixtures', `${name}.onnx`),
});

const TINY = { models: [fixture('batchable')] };
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const V2_INPUT = { name: 'x', shape: [1, 4], datatype: 'FP32' };
const V2_BODY = json({ inputs: [{ ...V2_INPUT, data: [1, 2, 3, 4] }] });

function binaryScenario(): Scenario {
  const tail = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
  const head = json({
    parameters: { binary_data_output: true },
    inputs: [{ ...V2_INPUT, parameters: { binary_data_size: tail.length } }],
  });
  return {
    name: 'tiny, V2 binary',
    options: TINY,
    path: '/v2/models/batchable/infer',
    headers: { 'Inference-Header-Content-Length': String(head.length) },
    body: Buffer.concat([head, tail]),
  };
}

const DIAGNOSIS = {
  models: [
    {
      name: 'deep_tcm_diagnosis',
      version: 'v3.0.1',
      path: path.join(ROOT, 'models/deep_tcm_diagnosis-v3.0.1.onnx'),
    },
  ],
};

const SCENARIOS: readonly Scenario[] = [
  { name: 'tiny, V2 JSON', options: TINY, path: '/v2/models/batchable/infer', body: V2_BODY },
  binaryScenario(),
  {
    name: 'tiny, V2 JSON, batching of 16, no delay',
    options: { ...TINY, batching: { maxSize: 16, maxDelayMs: 0 } },
    path: '/v2/models/batchable/infer',
    body: V2_BODY,
  },
  {
    name: 'tiny, V1',
    options: TINY,
    path: '/v1/models/batchable:predict',
    body: json({ instances: [[1, 2, 3, 4]] }),
  },
  {
    name: 'tiny, native',
    options: TINY,
    path: '/inference',
    body: json({ input_data: { x: [1, 2, 3, 4] } }),
  },
  {
    name: 'diagnosis, native',
    options: DIAGNOSIS,
    path: '/inference',
    body: json({
      input_data: {
        symptoms: ['头痛', '乏力', '食欲不振'],
        patient_info: { age: 35, gender: 'female' },
      },
    }),
  },
  {
    name: 'tiny, V2 JSON, 10,000 numbers',
    options: { models: [fixture('identity_fp32')] },
    path: '/v2/models/identity_fp32/infer',
    body: json({
      inputs: [
        {
          name: 'x',
          shape: [10, 1000],
          datatype: 'FP32',
          data: Array.from({ length: 10_000 }, (_, i) => i / 7),
        },
      ],
    }),
  },
];

function bundle(folder: string, name: string, source: string): string {
  const file = path.join(folder, `${name}.cjs`);
  const esbuild = path.join(ROOT, 'node_modules/.bin/esbuild');
  const flags = ['--bundle', '--platform=node', '--format=cjs', '--external:onnxruntime-node'];
  const entry = path.join(ROOT, 'runtime/onnx/worker.ts');
  const worker = spawnSync(esbuild, [...flags, '--minify', entry], { cwd: ROOT });
  flags.push(`--define:ONNX_THREAD_SOURCE=${JSON.stringify(worker.stdout.toString())}`);
  const made = spawnSync(esbuild, [...flags, '--log-level=error', `--outfile=${file}`], {
    cwd: ROOT,
    input: source,
  });
  if (made.status !== 0) throw new Error(made.stderr.toString());
  return file;
}

const SERVER_SOURCE = `
import { runOnnxServer } from './runtime/onnx';
const options = JSON.parse(process.argv[2]);
void runOnnxServer({ ...options, out: (text) => process.stdout.write(text), process });
`;

async function startServer(file: string, options: object): Promise<[ChildProcess, number]> {
  const all = { host: '127.0.0.1', port: 0, intraOpThreads: 1, parentGuard: true, ...options };
  const child = spawn(process.execPath, [file, JSON.stringify(all)], {
    env: { ...process.env, NODE_PATH: path.join(ROOT, 'node_modules') },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((resolve) => {
    child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString()));
  });
  return [child, (JSON.parse(line) as { port: number }).port];
}

async function cpuSeconds(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]);
}

function requestOf({ path: target, headers = {}, body }: Scenario): string {
  const lines = Object.entries({
    Host: '127.0.0.1',
    'Content-Type': 'application/json',
    'Content-Length': String(body.length),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), body]).toString('base64');
}

function measure(client: ChildProcess, load: Load): Promise<Measured> {
  return new Promise((resolve) => {
    client.once('message', (measured) => resolve(measured as Measured));
    client.send(load);
  });
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const spread = (values: readonly number[], digits: number): string =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;

async function bench(server: string, client: ChildProcess, scenario: Scenario): Promise<string[]> {
  const [child, port] = await startServer(server, scenario.options);
  const load = { port, request: requestOf(scenario), connections: CONNECTIONS };
  try {
    await measure(client, { ...load, milliseconds: WARM_MS });
    const rounds: (Measured & { cpu: number })[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = await cpuSeconds(port);
      const measured = await measure(client, { ...load, milliseconds: ROUND_MS });
      if (measured.failures > 0) throw new Error(`${scenario.name}: ${measured.failures} failed`);
      const cpu = ((await cpuSeconds(port)) - before) / measured.requests;
      rounds.push({ ...measured, cpu: cpu * 1e6 });
    }
    return [
      scenario.name,
      spread(
        rounds.map(({ requests, seconds }) => requests / seconds),
        0,
      ),
      spread(
        rounds.map(({ p50 }) => p50),
        2,
      ),
      spread(
        rounds.map(({ p99 }) => p99),
        2,
      ),
      spread(
        rounds.map(({ cpu }) => cpu),
        0,
      ),
    ];
  } finally {
    child.kill('SIGTERM');
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-bench-'));
  const wanted = process.argv[2];
  const server = bundle(folder, 'server', SERVER_SOURCE);
  const client = fork(bundle(folder, 'load', "import './bench/onnx/load';"));
  try {
    const head = ['median (least–most)', 'requests/s', 'p50 ms', 'p99 ms', 'server CPU µs/request'];
    console.log(`| ${head.join(' | ')} |\n| --- | ---: | ---: | ---: | ---: |`);
    for (const scenario of SCENARIOS) {
      if (wanted !== undefined && !scenario.name.includes(wanted)) continue;
      console.log(`| ${(await bench(server, client, scenario)).join(' | ')} |`);
    }
  } finally {
    client.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

void main();
