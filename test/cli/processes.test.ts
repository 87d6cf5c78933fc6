import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../support/sources';

// `dev` and `serve` as processes of their own.

jest.setTimeout(120_000);

let folder: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'dev-')));
  mkdirSync(join(folder, 'models'));
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Saves as editors do. */
function save(name: string, framework: string): void {
  const text = `model_id: ${name}\nversion: "1"\nframework: ${framework}\nrepository_url: s3://m/x\n`;
  writeFileSync(join(folder, '.next'), text);
  renameSync(join(folder, '.next'), join(folder, 'models', `${name}.yaml`));
}

interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
  /** Resolves when it has said this, or has ended. */
  readonly heard: (pattern: RegExp) => Promise<void>;
}

function run(...args: readonly string[]): Running {
  const loader = ['--import', join(ROOT, 'node_modules/tsx/dist/loader.mjs')];
  const all = [...loader, join(ROOT, 'cli', 'main.ts'), ...args];
  const child = spawn(process.execPath, all, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  let said = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      for (const listener of listeners) listener();
    });
  }
  const heard = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (pattern.test(said) || child.exitCode !== null) resolve();
      };
      listeners.add(look);
      child.once('close', () => resolve());
      look();
    });
  return { child, said: () => said, heard };
}

const dev = (): Running => run('dev', '--port', '0');
const times = (text: string, part: string): number => text.split(part).length - 1;

test('dev reports each fault of the models folder once, at the start and after a change', async () => {
  save('iris', 'onyx');
  const service = dev();
  await service.heard(/^API: /m);
  expect(times(service.said(), 'did you mean onnx?')).toBe(1);
  save('iris', 'onxx');
  await service.heard(/got "onxx"/);
  save('other', 'sklearm');
  await service.heard(/got "sklearm"/);
  save('iris', 'onnz');
  await service.heard(/got "onnz"/);
  expect(times(service.said(), 'got "onyx"')).toBe(1);
  expect(times(service.said(), 'got "onxx"')).toBe(1);
  expect(times(service.said(), 'got "sklearm"')).toBe(1);
  expect(service.said()).not.toContain('manifests were not written');
});

test('a second service in the folder is refused with the process of the first; after a kill the next one starts', async () => {
  const first = dev();
  await first.heard(/^API: /m);
  const second = dev();
  await once(second.child, 'close');
  expect(second.child.exitCode).toBe(1);
  expect(second.said()).toContain(
    `the state in ${join(folder, '.ai-model-service')} is used by another service of this machine, process ${first.child.pid}; stop it (kill ${first.child.pid}), or give`,
  );
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const third = dev();
  await third.heard(/^API: /m);
  expect(third.said()).toMatch(/^API: /m);
});

test('serve listens on --port instead of the configured port', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  writeFileSync(join(folder, 'config.yaml'), `server: { port: ${port} }\n`);
  const refused = run('serve', '--config', 'config.yaml');
  await once(refused.child, 'close');
  expect(refused.said()).toContain(`127.0.0.1:${port}: the port is in use; choose`);
  const served = run('serve', '--config', 'config.yaml', '--port', '0');
  await served.heard(/ on http:/);
  expect(served.said()).toMatch(/ on http:\/\/127\.0\.0\.1:\d+\n/);
  taken.close();
});
