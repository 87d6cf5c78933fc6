import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newKey } from '../../runtime/auth';
import type { Service } from '../../runtime/app/service';
import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { projectFolder, serviceIn } from './support';

// Keys of a file, on a running service.

const [old, young, admin] = [newKey(), newKey(), newKey()];
const keyLine = (name: string, { sha256 }: { sha256: string }, scopes = ['infer']): string =>
  `- ${JSON.stringify({ name, sha256, scopes })}\n`;

let project: ReturnType<typeof projectFolder>;
let backend: Backend;
let service: Service;

/** Writes the file as the mount of a Secret does. */
let version = 0;
function mount(text: string): void {
  version += 1;
  const folder = join(project.path, 'keys');
  mkdirSync(join(folder, `..${version}`), { recursive: true });
  writeFileSync(join(folder, `..${version}`, 'keys.yaml'), text);
  symlinkSync(`..${version}`, join(folder, '..tmp'));
  renameSync(join(folder, '..tmp'), join(folder, '..data'));
  if (version === 1) symlinkSync(join('..data', 'keys.yaml'), join(folder, 'keys.yaml'));
}

const start = (): Promise<Service> =>
  serviceIn(
    project.path,
    'server: { port: 0, accept_seconds: 0 }\nauth: { mode: api_key, keys_file: keys/keys.yaml }',
    [backend],
  );

const infer = async (key: string): Promise<number> => {
  const answer = await fetch(`${service.url}/v2/models/iris/infer`, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [] }),
  });
  await answer.text();
  return answer.status;
};
const asAdmin = async (path: string): Promise<string> =>
  (await fetch(`${service.url}${path}`, { headers: { 'x-api-key': admin.key } })).text();

/** Asks until it is so; a change is in force within two seconds on a machine with time. */
async function untilStatus(key: string, status: number): Promise<void> {
  let last = 0;
  for (let tries = 0; tries < 2000 && last !== status; tries += 1) last = await infer(key);
  expect(last).toBe(status);
}

beforeEach(async () => {
  version = 0;
  project = projectFolder();
  backend = await startBackend(() => json({ outputs: [] }));
  mount(keyLine('old', old) + keyLine('root', admin, ['admin']));
  service = await start();
});
afterEach(async () => {
  await service.close();
  await stopBackends();
  project.remove();
});

test('added and revoked keys are in force without a restart', async () => {
  expect([await infer(old.key), await infer(young.key)]).toEqual([200, 401]);
  mount(keyLine('young', young) + keyLine('root', admin, ['admin']));
  await untilStatus(young.key, 200);
  expect(await infer(old.key)).toBe(401);
});

test('a faulty file leaves the last good keys in force, and is reported in health and metrics', async () => {
  mount('- name: old\n');
  const detailed = async () => JSON.parse(await asAdmin('/health/detailed'));
  let health = await detailed();
  while (health.broken_files.length === 0) health = await detailed();
  expect(health.broken_files).toEqual([
    {
      file: 'keys/keys.yaml',
      message: expect.stringContaining('keys/keys.yaml:1: sha256: is missing'),
      model_id: null,
    },
  ]);
  expect(health.status).toBe('degraded');
  expect(await infer(old.key)).toBe(200);
  const metrics = await asAdmin('/metrics');
  expect(metrics).toContain('ai_model_auth_keys_file_faulty 1\n');
  expect(metrics).toContain('ai_model_auth_keys 2\n');
  expect(metrics).toMatch(/ai_model_auth_reloads_total\{result="error"\} [1-9]/);
  mount(keyLine('old', old) + keyLine('root', admin, ['admin']));
  while ((await detailed()).broken_files.length > 0);
  expect(await asAdmin('/metrics')).toContain('ai_model_auth_keys_file_faulty 0\n');
});

test('a deleted file leaves the keys in force', async () => {
  rmSync(join(project.path, 'keys'), { recursive: true });
  await service.reload();
  expect(await infer(old.key)).toBe(200);
  expect(await asAdmin('/health/detailed')).toContain('no such file');
});

test('SIGHUP reads the file at once', async () => {
  mount(keyLine('young', young));
  await service.reload();
  expect([await infer(old.key), await infer(young.key)]).toEqual([401, 200]);
});

test('a service does not start with a faulty file', async () => {
  await service.close();
  mount('{}');
  await expect(start()).rejects.toThrow('keys/keys.yaml:1: must be a list');
  mount('[]');
  service = await start();
  expect(await infer(old.key)).toBe(401);
});

test('requests continue during reloads', async () => {
  const seen: number[] = [];
  for (let count = 0; count < 5; count += 1) {
    mount(keyLine('old', old) + keyLine(`other-${count}`, newKey()));
    const reloaded = service.reload();
    const asked = Array.from({ length: 20 }, () => infer(old.key));
    await reloaded;
    seen.push(...(await Promise.all(asked)));
  }
  expect(new Set(seen)).toEqual(new Set([200]));
});
