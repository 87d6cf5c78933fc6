import { createAuthenticate, newKey } from '../../runtime/auth';
import { NO_AUDIT } from '../../runtime/audit';
import type { LogLevel } from '../../runtime/control';
import type { Service } from './support';
import { ask, codeOf, serve } from './support';

let service: Service;
let level: LogLevel;
afterEach(() => service.close());

const logLevel = { get: () => level, set: (wanted: LogLevel) => void (level = wanted) };
const path = (): string => `${service.url}/api/v1/log-level`;

async function start(more: object = {}): Promise<void> {
  level = 'warn';
  service = await serve({ more: { logLevel, ...more } });
}

test('shows the level, and changes it until a restart', async () => {
  await start();
  const before = { level: 'warn', configured: 'warn', ends_at: null };
  expect((await ask(path())).body).toEqual(before);
  const changed = await ask(path(), 'PUT', { level: 'debug' });
  expect([changed.status, changed.body]).toEqual([200, { ...before, level: 'debug' }]);
  service.clock.at += 86_400_000;
  await service.control.tick();
  expect(level).toBe('debug');
  expect(service.audit).toMatchObject([{ action: 'log_level', level: 'debug', status: 200 }]);
});

test('a level with an end gives way to the configured one, and a later call replaces it', async () => {
  await start();
  const { body } = await ask(path(), 'PUT', { level: 'debug', seconds: 60 });
  expect(body['ends_at']).toBe(new Date(service.clock.at + 60_000).toISOString());
  await ask(path(), 'PUT', { level: 'error', seconds: 120 });
  service.clock.at += 119_999;
  await service.control.tick();
  expect(level).toBe('error');
  service.clock.at += 1;
  await service.control.tick();
  expect(level).toBe('warn');
  expect((await ask(path())).body).toMatchObject({ level: 'warn', ends_at: null });
});

test.each([
  { level: 'trace' },
  { level: 'info', seconds: 0 },
  { seconds: 5 },
  { level: 'info', for: 1 },
])('%j is refused', async (body) => {
  await start();
  const reply = await ask(path(), 'PUT', body);
  expect([reply.status, codeOf(reply), level]).toEqual([400, 'INVALID_REQUEST', 'warn']);
});

test('is for administrators', async () => {
  const key = newKey();
  const keys = [{ name: 'writer', sha256: key.sha256, scopes: ['read', 'write'] as const }];
  const { authenticate } = createAuthenticate(
    { mode: 'api_key', keys: keys.map((one) => ({ ...one, scopes: [...one.scopes] })) } as never,
    { loopback: false } as never,
  );
  await start({ authenticate });
  const headers = { 'x-api-key': key.key };
  expect((await ask(path(), 'PUT', { level: 'debug' }, headers)).status).toBe(403);
  expect((await ask(path(), 'GET', undefined, headers)).status).toBe(403);
  expect(level).toBe('warn');
});

test('a level that logs less than the configured one needs an end', async () => {
  await start();
  const reply = await ask(path(), 'PUT', { level: 'silent' });
  expect([reply.status, codeOf(reply), level]).toEqual([400, 'INVALID_REQUEST', 'warn']);
  expect(JSON.stringify(reply.body)).toContain('which logs less than the configured warn');
  expect((await ask(path(), 'PUT', { level: 'silent', seconds: 60 })).status).toBe(200);
  expect((await ask(path(), 'PUT', { level: 'warn' })).status).toBe(200);
  expect(service.audit).toMatchObject([
    { level: 'silent', status: 400 },
    { level: 'silent', status: 200 },
    { level: 'warn', status: 200 },
  ]);
});

test('becomes more verbose, but not less, while the audit record cannot be written', async () => {
  await start({ audit: { ...NO_AUDIT, refusal: () => 'ENOSPC' } });
  expect((await ask(path(), 'PUT', { level: 'debug' })).status).toBe(200);
  expect(level).toBe('debug');
  const reply = await ask(path(), 'PUT', { level: 'silent', seconds: 60 });
  expect([reply.status, codeOf(reply), level]).toEqual([503, 'AUDIT_UNAVAILABLE', 'debug']);
});
