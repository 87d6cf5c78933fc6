import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { request } from 'node:http';
import type { PrivateListener } from '../../runtime/app/listener';
import { listenForOps, listenPrivately, removeStaleSockets } from '../../runtime/app/listener';
import type { Listener } from '../../runtime/shared/listen';
import { sendRaw } from '../support/plane';

let open: Listener | undefined;
let inner: PrivateListener | undefined;
afterEach(async () => {
  await open?.close(0);
  await inner?.close(0);
  [open, inner] = [undefined, undefined];
});

test('a port in use is reported in one sentence', async () => {
  const { port } = (open = await listenForOps('127.0.0.1', 0, (_, response) => response.end()));
  await expect(listenForOps('127.0.0.1', port, (_, response) => response.end())).rejects.toThrow(
    `127.0.0.1:${port}: the port is in use`,
  );
});

test('responses carry Connection: close once the end has begun', async () => {
  open = await listenForOps('127.0.0.1', 0, (_, response) => response.end('ok'));
  open.beginClose();
  const answer = await sendRaw(open.port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  expect(answer).toMatch(/connection: close/i);
});

test('the private socket is accessible to this user only, and removed with its folder', async () => {
  const { path } = (inner = await listenPrivately((_, response) => response.end('inside')));
  expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const text = await new Promise<string>((resolve, reject) => {
    const sent = request({ socketPath: path, path: '/' }, (answer) => {
      answer.on('data', (bytes: Buffer) => resolve(bytes.toString()));
    });
    sent.on('error', reject).end();
  });
  expect(text).toBe('inside');
  await inner.close(0);
  expect(statSync(dirname(path), { throwIfNoEntry: false })).toBeUndefined();
});

test('socket folders of killed processes are removed, those of running ones stay', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sockets-'));
  const { pid: dead = 0 } = spawnSync(process.execPath, ['--version']);
  const names = [
    `ai-model-service-${dead}-AbC123`,
    `ai-model-service-${process.pid}-AbC123`,
    'ai-model-service-of-mine',
  ];
  for (const name of names) mkdirSync(join(folder, name));
  writeFileSync(join(folder, names[0] ?? '', 'app.sock'), '');
  removeStaleSockets(folder);
  expect(readdirSync(folder).sort()).toEqual(names.slice(1).sort());
  rmSync(folder, { recursive: true });
});
