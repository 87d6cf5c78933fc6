import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Service } from '../../runtime/app/service';
import type { Backend, Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { ask, until } from '../support/plane';
import { projectFolder, serviceIn } from './support';

// What the composition root hands to its parts, on a service that routes to a server that runs.

let folder: ReturnType<typeof projectFolder>;
let service: Service | undefined;

beforeEach(() => {
  folder = projectFolder();
});

afterEach(async () => {
  await service?.close();
  service = undefined;
  await stopBackends();
  folder.remove();
});

const SERVER = 'server: { port: 0, accept_seconds: 0, max_header_bytes: 2048 }';

async function start(text: string, backends: readonly Backend[], server = SERVER) {
  service = await serviceIn(folder.path, `${server}\n${text}`, backends);
  const { snapshot, url } = service;
  const ready = (): number =>
    snapshot()
      .models.get('iris')
      ?.replicas.filter(({ phase }) => phase === 'ready').length ?? 0;
  await until(() => ready() === backends.length, 'the replicas');
  return Number(new URL(url).port);
}

const well = (): Promise<Backend> => startBackend(() => json({}));
/** Well when it is probed, broken when it is called. */
const broken: Behave = ({ method }) => (method === 'GET' ? json({}) : { kind: 'reset' });
const calls = (all: readonly Backend[]): number =>
  all.flatMap(({ seen }) => seen.filter(({ method }) => method === 'POST')).length;
const infer = (port: number) => ask(port, '/v2/models/iris/infer', { method: 'POST', body: '{}' });

test.each([
  ['', 2],
  ['routing: { retry_percent: 0, free_retries_per_second: 0 }', 1],
])('the retry budget is the configured one: "%s"', async (text, tries) => {
  const backends = await Promise.all([startBackend(broken), startBackend(broken)]);
  const port = await start(text, backends);
  expect((await infer(port)).status).toBe(502);
  expect(calls(backends)).toBe(tries);
});

test('the limits of inference and headers are the configured ones', async () => {
  const port = await start('inference: { max_openai_body_bytes: 1024 }', [await well()]);
  const body = JSON.stringify({ model: 'iris', prompt: 'a'.repeat(1100) });
  const long = await ask(port, '/openai/v1/completions', { method: 'POST', body });
  expect(long.status).toBe(413);
  const wide = await ask(port, '/v2', { headers: { x: 'a'.repeat(2100) } });
  expect(wide.status).toBe(431);
});

test('the audit file has what files change, and a payload as the configuration asks for it', async () => {
  const payload = `{ sample_ratio: 1, models: [iris], redact: ['$.secret'] }`;
  const audit = `audit: { file: audit.jsonl, inference: true, payload: ${payload} }`;
  const port = await start(audit, [await well()]);
  await ask(port, '/v2/models/iris/infer', {
    method: 'POST',
    body: '{"\\u0073ecret": 1, "n": 1.0}',
  });
  await service?.close();
  service = undefined;
  const lines = readFileSync(join(folder.path, 'audit.jsonl'), 'utf8').trim().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain('"caller":"files","action":"deploy","model":"iris"');
  const request = String.raw`{"body":{"\u0073ecret":"[redacted]","n":1.0}}`;
  expect(lines[1]).toContain(`"payload":{"request":${request},"answer":{"body":{}}}}`);
});

test('idle connections to a server are limited by the configuration', async () => {
  const slow: Behave = async ({ method }) => {
    if (method === 'POST') await new Promise((resolve) => setTimeout(resolve, 50));
    return json({});
  };
  const backend = await startBackend(slow);
  const port = await start('routing: { max_idle_connections: 1, idle_ms: 60000 }', [backend]);
  await Promise.all(Array.from({ length: 6 }, () => infer(port)));
  // Beside the one that is kept the probe may have one of its own.
  const began = Date.now();
  await until(() => backend.connections() <= 2, 'connections closed');
  expect(Date.now() - began).toBeLessThan(3000);
});

test('GET / redirects a browser to the API page, and answers tools with the state of the router', async () => {
  await start('', [await startBackend(() => json({}))]);
  const root = (accept: string) =>
    fetch(`${service?.url}/`, { headers: { accept }, redirect: 'manual' });
  const browser = await root('text/html,application/xhtml+xml,*/*;q=0.8');
  expect([browser.status, browser.headers.get('location')]).toEqual([302, '/docs']);
  for (const accept of ['*/*', 'application/json']) {
    expect(await (await root(accept)).json()).toEqual({ status: 'alive' });
  }
});

test('an IPv6 address may be in brackets, as in a URL', async () => {
  const six = networkInterfaces()['lo']?.some(({ address }) => address === '::1') === true;
  if (!six) return console.warn('skipped: this machine has no ::1');
  for (const host of ['::1', '[::1]']) {
    const backend = await startBackend(() => json({}), '::1');
    await start('', [backend], `server: { port: 0, accept_seconds: 0, host: '${host}' }`);
    expect(service?.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect((await fetch(`${service?.url}/health/live`)).status).toBe(200);
    const asked = { method: 'POST', body: '{}' };
    expect((await fetch(`${service?.url}/v2/models/iris/infer`, asked)).status).toBe(200);
    await service?.close();
  }
});

test('its V2 readiness is the readiness of the service', async () => {
  const port = await start('', [await well()], 'server: { port: 0, accept_seconds: 1 }');
  const ready = async (path: string) => (await ask(port, path)).status;
  expect([await ready('/v2/health/ready'), await ready('/health/ready')]).toEqual([200, 200]);
  const closing = service?.close();
  expect([await ready('/v2/health/ready'), await ready('/health/ready')]).toEqual([503, 503]);
  expect(await ready('/v2/health/live')).toBe(200);
  service = undefined;
  await closing;
});
