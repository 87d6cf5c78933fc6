import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bundled, FIXTURES, fixtures, json, post, start, startServer } from './support/server';
import type { TestOptions } from './support/server';

// The server as a process: how it starts, what it refuses to start with, and how it ends.

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-process-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SLOW_BODY = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [10, 1], data: Array(10).fill(0.5) }],
};
const BODY = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] };

/** Resolves when the server has the request: it is being computed. */
async function busy(url: string, body: unknown): Promise<{ reply: ReturnType<typeof post> }> {
  const reply = post(`${url}/v2/models/slow/infer`, body);
  // The graph runs on the event loop here, so the probe is answered after it; both are on their way.
  await fetch(`${url}/v2/health/live`);
  return { reply };
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s lets running requests finish, then the process ends with 0',
  async (signal) => {
    const server = await startServer({ models: fixtures('slow') });
    const replies = [1, 2, 3].map(() => post(`${server.url}/v2/models/slow/infer`, SLOW_BODY));
    await fetch(`${server.url}/v2/health/live`);
    server.child.kill(signal);
    expect((await Promise.all(replies)).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await server.ended).toEqual({ code: 0, stderr: '' });
  },
);

test('the process ends with its standard input: no orphan stays behind', async () => {
  const server = await startServer({ models: fixtures('slow') });
  const { reply } = await busy(server.url, SLOW_BODY);
  server.child.stdin?.end();
  expect((await reply).status).toBe(200);
  expect((await server.ended).code).toBe(0);
});

test('without the guard the end of its input changes nothing', async () => {
  const server = await startServer({ models: fixtures('batchable'), parentGuard: false });
  server.child.stdin?.end();
  const url = `${server.url}/v2/models/batchable/infer`;
  for (let i = 0; i < 5; i += 1) expect((await post(url, BODY)).status).toBe(200);
  expect((await server.stop()).code).toBe(0);
});

test('the process ends when its parent is killed', async () => {
  const options = { host: '127.0.0.1', port: 0, parentGuard: true, models: fixtures('batchable') };
  const parentSource = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ${JSON.stringify([bundled(), JSON.stringify(options)])}, {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (line) => process.stdout.write(JSON.stringify({ pid: child.pid, line: String(line) })));
    setInterval(() => {}, 1000);
  `;
  const parent = spawn(process.execPath, ['-e', parentSource], {
    env: { ...process.env, NODE_PATH: path.resolve(FIXTURES, '../../../node_modules') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = await new Promise<string>((resolve) => {
    parent.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()));
  });
  const { line } = JSON.parse(said) as { line: string };
  const { port } = JSON.parse(line) as { port: number };
  parent.kill('SIGKILL');
  const answers = async (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      () => true,
      () => false,
    );
  while (await answers());
  expect(await answers()).toBe(false);
});

test('while it drains, kept connections are closed, and it is not ready', async () => {
  const server = await startServer({ models: fixtures('slow') });
  const { reply } = await busy(server.url, SLOW_BODY);
  server.child.kill('SIGTERM');
  const { headers, status } = await reply;
  expect(status).toBe(200);
  // The answer may have been written just before the signal was seen.
  expect(['close', 'keep-alive']).toContain(headers.get('connection'));
  expect((await server.ended).code).toBe(0);
});

const broken = (name: string, bytes: string | Buffer): string => {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  return file;
};
const one = (name: string, file: string): TestOptions['models'] => [
  { name, version: '1', path: file },
];

test.each([
  ['a file that is not there', one('m', '/no/such/file.onnx'), "model 'm': there is no file"],
  ['a URI', one('m', 'https://example.org/m.onnx'), 'models are loaded from a local path only'],
  ['an s3 URI', one('m', 's3://bucket/m.onnx'), 'models are loaded from a local path only'],
  ['a name with a slash', one('a/b', 'x.onnx'), "model name 'a/b': letters, digits"],
  ['a name that is a folder up', one('..', 'x.onnx'), "model name '..'"],
  ['no model', [], 'no model is given'],
  ['the same name twice', [...fixtures('total'), ...fixtures('total')], "'total' is given twice"],
  ['a file that is not a model', fixtures('broken'), "model 'broken' ("],
  ['an empty file', () => one('m', broken('empty.onnx', '')), 'it holds no graph'],
  ['a text', () => one('m', broken('text.onnx', 'hello, world')), 'cannot be loaded: '],
  ['an empty folder', () => one('m', mkdtempSync(`${folder}/e`)), 'holds 0 .onnx files'],
])('the process refuses %s in one sentence', async (_what, models, message) => {
  const given = typeof models === 'function' ? models() : models;
  const { code, stderr } = await start({ models: given }).ended;
  expect(code).toBe(1);
  expect(stderr).toContain(message);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

test('without onnxruntime-node the error has the command to install it', async () => {
  const { code, stderr } = await start({ models: fixtures('total') }, folder).ended;
  expect(code).toBe(1);
  expect(stderr).toContain('npm install onnxruntime-node');
});

test('a folder with one model in it is that model', async () => {
  const inside = path.join(folder, 'one');
  mkdirSync(inside);
  copyFileSync(path.join(FIXTURES, 'batchable.onnx'), path.join(inside, 'model.onnx'));
  const server = await startServer({ models: one('m', inside) });
  expect((await post(`${server.url}/v2/models/m/infer`, BODY)).status).toBe(200);
  await server.stop();
});

test('a slow model moves to its own thread: probes are answered while it computes', async () => {
  const server = await startServer({ models: fixtures('slow') });
  const url = `${server.url}/v2/models/slow/infer`;
  const wanted = json(await post(url, SLOW_BODY));
  for (let i = 0; i < 3; i += 1) await post(url, SLOW_BODY);
  let probes = 0;
  // Each round asks again; once the thread is there, many probes fit into one run.
  while (probes < 3) {
    const state = { running: true };
    const run = post(url, SLOW_BODY).finally(() => {
      state.running = false;
    });
    probes = 0;
    while (state.running) {
      await fetch(`${server.url}/v2/health/live`);
      if (state.running) probes += 1;
    }
    expect(json(await run)).toEqual(wanted);
  }
  expect((await server.stop()).code).toBe(0);
});
