import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ROOT } from '../support/sources';

// scripts/dev.sh in a folder of its own, with an npm that only says that it was asked.

const NPM = `#!/usr/bin/env bash
rm -rf node_modules
mkdir -p node_modules/.bin
[[ "$*" == *--workspaces=false* ]] || touch node_modules/.bin/jest
touch node_modules/.package-lock.json
echo "$1" >>installs
`;
const SERVICE = `console.log(process.argv.slice(2).join(' ')); process.stdin.resume();`;

let folder: string;
let service: ChildProcess | undefined;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'dev-sh-')));
  for (const name of ['scripts', 'build', 'bin', 'cli', 'lib', 'runtime'])
    mkdirSync(join(folder, name));
  for (const name of ['dev.sh', 'start.sh']) {
    cpSync(join(ROOT, 'scripts', name), join(folder, 'scripts', name));
  }
  writeFileSync(join(folder, 'bin', 'npm'), NPM, { mode: 0o755 });
  writeFileSync(join(folder, 'build', 'bin.cjs'), SERVICE);
  writeFileSync(join(folder, 'package-lock.json'), '{}');
});
afterEach(async () => {
  if (service !== undefined) {
    service.stdin?.end();
    await once(service, 'exit');
    service = undefined;
  }
  rmSync(folder, { recursive: true });
});

function run(script: string, ...args: readonly string[]) {
  const path = [join(folder, 'bin'), process.env['PATH']].join(delimiter);
  const { status, stdout, stderr } = spawnSync('bash', [join(folder, 'scripts', script), ...args], {
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const setup = () => run('dev.sh', 'setup');

const installs = (): number => {
  const file = join(folder, 'installs');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0;
};

/** As `scripts/dev.sh dev` and `start` run it. */
async function startService(): Promise<void> {
  service = spawn(process.execPath, [join(folder, 'build', 'bin.cjs'), 'dev'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(service.stdout as NodeJS.ReadableStream, 'data');
}

/** As `git checkout` leaves a file that it wrote again. */
function touchLock(text: string): void {
  const path = join(folder, 'package-lock.json');
  writeFileSync(path, text);
  const later = new Date(Date.now() + 60_000);
  utimesSync(path, later, later);
}

test('packages are installed again when the lock has other content, not for a new time alone', () => {
  expect(setup().status).toBe(0);
  expect(setup().status).toBe(0);
  touchLock('{}');
  expect(setup().status).toBe(0);
  expect(installs()).toBe(1);
  touchLock('{"other": true}');
  expect(setup().status).toBe(0);
  expect(installs()).toBe(2);
});

test('packages are not replaced under a service that runs from the folder', async () => {
  expect(setup().status).toBe(0);
  await startService();
  expect(setup()).toEqual({ status: 0, stdout: '', stderr: '' });
  touchLock('{"other": true}');
  const { status, stderr } = setup();
  expect([status, installs()]).toEqual([1, 1]);
  expect(stderr).toContain(`stop it first (process ${service?.pid})`);
});

test('arguments of start.sh are passed to the service, after its configuration', () => {
  for (const name of ['package.json', 'scripts/build.mjs']) writeFileSync(join(folder, name), '');
  expect(setup().status).toBe(0);
  writeFileSync(join(folder, 'build', 'bin.cjs'), SERVICE);
  expect(run('start.sh', '--port', '9000')).toEqual({
    status: 0,
    stdout: 'serve --config config/config.yaml --port 9000\n',
    stderr: '',
  });
});

test('dev and start run the program by its usual path', () => {
  const script = readFileSync(join(folder, 'scripts', 'dev.sh'), 'utf8');
  const runs = script.split('\n').filter((line) => /^ {2}(?:dev|start)\)/.test(line));
  expect(runs).toHaveLength(2);
  for (const line of runs) expect(line).toContain('exec node "$PWD/build/bin.cjs" ');
});
