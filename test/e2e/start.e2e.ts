import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/sources';
import { call, until, workspace } from './service';

const changedAt = (path: string): number => statSync(join(ROOT, path)).mtimeMs;

test('the packages are installed, so that starting does not replace those of this run', () => {
  const installed = changedAt('node_modules/.package-lock.json');
  if (installed < changedAt('package-lock.json')) throw new Error('run: scripts/dev.sh setup');
});

test('scripts/start.sh starts the service with config/config.yaml and passes its arguments', async () => {
  const place = workspace();
  const child = spawn(join(ROOT, 'scripts', 'start.sh'), ['--port', '0'], {
    cwd: place.folder,
    env: {
      ...process.env,
      AI_MODEL_SERVICE__SERVER__ACCEPT_SECONDS: '0',
      AI_MODEL_SERVICE__LOCAL__DIRECTORY: join(place.folder, 'state'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const hear = (chunk: Buffer): void => void (said += chunk.toString());
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const address = (): string | undefined => /on (http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1];
  const ended = once(child, 'exit');
  try {
    await until(
      'its address',
      () => said,
      () => address() !== undefined || child.exitCode !== null,
      100_000,
    );
    const health = await call(`${address()}/api/v1/health/`, 'GET');
    expect([health.status, health.json().status]).toEqual([200, 'healthy']);
    const models = (await call(`${address()}/api/v1/models`, 'GET')).json();
    expect(models.total).toBe(3);
  } finally {
    child.kill('SIGTERM');
    await ended;
    place.remove();
  }
});
