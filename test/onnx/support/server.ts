import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { RunOptions } from '../../../runtime/onnx';

// ONNX Runtime's binding does not work inside jest's own realm (its typed arrays are of another
// one), and the server is a process of its own in life as well: so every test starts one, from a
// bundle.

const ROOT = path.resolve(__dirname, '../../..');
export const FIXTURES = path.join(ROOT, 'test/onnx/fixtures');
export const MODELS = path.join(ROOT, 'models');

const ENTRY = `
import { runOnnxServer } from ${JSON.stringify(path.join(ROOT, 'runtime/onnx'))};
const options = JSON.parse(process.argv[2]);
const out = (text) => process.stdout.write(text);
runOnnxServer({ ...options, out, process }).catch((error) => {
  process.stderr.write(error.name + ': ' + error.message + '\\n');
  process.exitCode = 1;
});
`;

let bundle: string | undefined;

/** The server in one file, made once per test file. */
export function bundled(): string {
  if (bundle !== undefined) return bundle;
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-server-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'server.cjs');
  const args = ['--bundle', '--platform=node', '--format=cjs', '--external:onnxruntime-node'];
  const esbuild = path.join(ROOT, 'node_modules/.bin/esbuild');
  const entry = path.join(ROOT, 'runtime/onnx/worker.ts');
  const worker = spawnSync(esbuild, [...args, '--minify', entry], { cwd: ROOT });
  const source = `--define:ONNX_THREAD_SOURCE=${JSON.stringify(worker.stdout.toString())}`;
  const made = spawnSync(esbuild, [...args, source, '--log-level=error', `--outfile=${file}`], {
    cwd: ROOT,
    input: ENTRY,
  });
  if (made.status !== 0) throw new Error(made.stderr.toString());
  bundle = file;
  return file;
}

export type TestOptions = Partial<Omit<RunOptions, 'out' | 'process'>> & Pick<RunOptions, 'models'>;

export interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

export interface TestServer {
  readonly child: ChildProcess;
  readonly port: number;
  readonly url: string;
  readonly ended: Promise<Ended>;
  readonly stop: () => Promise<Ended>;
}

export interface Started {
  readonly child: ChildProcess;
  readonly listening: Promise<number>;
  readonly ended: Promise<Ended>;
}

/** Starts the process; `modules` is where it finds onnxruntime-node. */
export function start(options: TestOptions, modules = path.join(ROOT, 'node_modules')): Started {
  const given = { host: '127.0.0.1', port: 0, parentGuard: true, intraOpThreads: 1, ...options };
  const child = spawn(process.execPath, [bundled(), JSON.stringify(given)], {
    env: { ...process.env, NODE_PATH: modules },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, stderr }));
  });
  const listening = new Promise<number>((resolve, reject) => {
    child.stdout?.once('data', (chunk: Buffer) => {
      resolve((JSON.parse(chunk.toString()) as { port: number }).port);
    });
    void ended.then(() => reject(new Error(`the server did not start: ${stderr}`)));
  });
  listening.catch(() => undefined);
  return { child, listening, ended };
}

export async function startServer(options: TestOptions): Promise<TestServer> {
  const { child, listening, ended } = start(options);
  const port = await listening;
  const stop = (): Promise<Ended> => {
    child.kill('SIGTERM');
    return ended;
  };
  return { child, port, url: `http://127.0.0.1:${port}`, ended, stop };
}

/** Fixtures by the names of their files. */
export const fixtures = (
  ...names: readonly string[]
): { name: string; version: string; path: string }[] =>
  names.map((name) => ({ name, version: '1', path: path.join(FIXTURES, `${name}.onnx`) }));

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  const answer = await fetch(url, {
    method: 'POST',
    body: isRaw ? body : JSON.stringify(body),
    headers,
  });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

export const json = ({ text }: Reply): never => JSON.parse(text) as never;
