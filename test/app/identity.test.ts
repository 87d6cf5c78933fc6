import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newKey } from '../../runtime/auth';
import type { Service } from '../../runtime/app/service';
import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { SigningKey } from '../support/issuer';
import { compact, signed, signingKey } from '../support/issuer';
import { connect } from '../data/grpc/support';
import { projectFolder, serviceIn } from './support';

// Tokens, limits and failed attempts on a running service, over HTTP, REST and gRPC.

const [ours, foreign] = [signingKey('ours'), signingKey('foreign')];
const limited = newKey();
const slots = newKey();

/** An identity provider on a real port. */
interface Provider {
  readonly url: string;
  readonly server: Server;
  keys: readonly SigningKey[];
  fetched: number;
  /** What it does instead of an answer. */
  fault?: 'down' | 'redirect' | 'huge' | undefined;
}

async function startProvider(): Promise<Provider> {
  const server = createServer((request, response) => {
    provider.fetched += 1;
    if (provider.fault === 'down') return void request.socket.destroy();
    if (provider.fault === 'redirect') {
      return void response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end();
    }
    if (provider.fault === 'huge') return void response.end(Buffer.alloc(2 * 1024 * 1024, 32));
    response.end(JSON.stringify({ keys: provider.keys.map(({ jwk }) => jwk) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider: Provider = { url, server, keys: [ours], fetched: 0 };
  return provider;
}

let project: ReturnType<typeof projectFolder>;
let backend: Backend;
let provider: Provider;
let service: Service;
let release: () => void = () => undefined;

const configOf = (url: string): string => `
server: { port: 0, grpc_port: 0, accept_seconds: 0 }
auth:
  mode: both
  keys:
    - { name: limited, sha256: ${limited.sha256}, scopes: [infer, read], requests_per_minute: 2 }
    - { name: slots, sha256: ${slots.sha256}, scopes: [infer], concurrency: 1 }
  jwt: { issuer: '${url}', audience: [models], jwks_url: '${url}/jwks', models_claim: ai_models }
`;

const token = (more: object = {}, key = ours): string =>
  signed(key, {
    iss: provider.url,
    aud: 'models',
    sub: 'clinic',
    scope: 'infer read',
    ai_models: ['iris'],
    exp: Math.floor(Date.now() / 1000) + 600,
    ...more,
  });

const bearer = (text: string) => ({ authorization: `Bearer ${text}` });

async function infer(headers: Readonly<Record<string, string>>, path = '/v2/models/iris/infer') {
  const answer = await fetch(`${service.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ inputs: [] }),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

const get = async (path: string, headers: Readonly<Record<string, string>>) =>
  (await fetch(`${service.url}${path}`, { headers })).status;

beforeEach(async () => {
  project = projectFolder();
  provider = await startProvider();
  backend = await startBackend(({ headers }) =>
    headers['x-user-id'] === 'slow'
      ? new Promise((resolve) => {
          release = () => resolve(json({ outputs: [] }));
        })
      : json({ outputs: [] }),
  );
  service = await serviceIn(project.path, configOf(provider.url), [backend]);
});
afterEach(async () => {
  release();
  await service.close();
  provider.server.close();
  provider.server.closeAllConnections();
  await stopBackends();
  project.remove();
});

test('a token calls its models, reads by REST and calls over gRPC', async () => {
  const own = bearer(token());
  expect((await infer(own)).status).toBe(200);
  expect((await infer(own)).status).toBe(200);
  expect((await infer(own, '/v2/models/other/infer')).status).toBe(403);
  expect(await get('/api/v1/models', own)).toBe(200);
  expect(await get('/api/v1/models/iris/status', own)).toBe(200);
  const client = connect(Number(service.grpcAddress?.split(':')[1]));
  const call = { model_name: 'iris', inputs: [] };
  expect((await client.call('ServerLive', {}, own)).reply.live).toBe(true);
  expect(await client.fail('ModelInfer', call, bearer(token({}, foreign)))).toMatchObject({
    code: 16,
  });
  expect(await client.fail('ModelInfer', { ...call, model_name: 'x' }, own)).toMatchObject({
    code: 7,
  });
  client.close();
});

test.each([
  ['forged', () => token({}, { ...foreign, kid: 'ours' })],
  ['unknown', () => token({}, foreign)],
  ['expired', () => token({ exp: 1 })],
  ['for another audience', () => token({ aud: 'x' })],
  ['without signature', () => compact({ alg: 'none' }, { iss: provider.url }, () => '')],
])('a token that is %s is 401 on each way in', async (_, made) => {
  const own = bearer(made());
  const answer = await infer(own);
  expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
    401,
    'Bearer realm="ai-model-service"',
  ]);
  expect(answer.text).not.toContain(own.authorization.slice(20));
  expect(await get('/api/v1/models', own)).toBe(401);
  expect(await get('/metrics', own)).toBe(401);
});

test('a token with no scope for it changes nothing, whatever else the request says', async () => {
  const tries: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['/api/v1/models/iris', {}],
    ['/api/v1/models/iris', { 'x-http-method-override': 'GET' }],
    ['/api/v1/models/iris', { 'x-forwarded-user': 'root', 'x-remote-user': 'root' }],
    ['/api/v1/models/iris', { 'x-original-url': '/api/v1/models', 'x-rewrite-url': '/health' }],
    ['/api/v1//models/iris', {}],
    ['/api/v1/models/%69ris', {}],
    ['/api/v1/models/iris/', {}],
    ['/API/V1/models/iris', {}],
    ['/models/iris', {}],
  ];
  for (const [path, headers] of tries) {
    const answer = await fetch(`${service.url}${path}`, {
      method: 'DELETE',
      headers: { ...bearer(token()), ...headers },
    });
    expect([path, [403, 404, 405].includes(answer.status)]).toEqual([path, true]);
  }
  expect((await infer(bearer(token()))).status).toBe(200);
});

test('thousands of unknown key ids cause no second fetch, and valid tokens pass meanwhile', async () => {
  const before = provider.fetched;
  const guesses = Array.from({ length: 500 }, (_, at) =>
    infer(bearer(compact({ alg: 'ES256', kid: `k${at}` }, {}, () => 'x'))),
  );
  expect((await infer(bearer(token()))).status).toBe(200);
  const statuses = (await Promise.all(guesses)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([401]));
  expect(provider.fetched).toBe(before);
});

test.each(['down', 'redirect', 'huge'] as const)(
  'a provider that fails (%s) leaves known tokens in force',
  async (fault) => {
    expect((await infer(bearer(token()))).status).toBe(200);
    provider.fault = fault;
    await service.reload();
    expect((await infer(bearer(token({ sub: 'another' })))).status).toBe(200);
    const answer = await infer(bearer(token({}, foreign)));
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
  },
);

test('a rotation of the keys takes effect, and the old token is refused', async () => {
  const old = token();
  expect((await infer(bearer(old))).status).toBe(200);
  provider.keys = [foreign];
  await service.reload();
  expect((await infer(bearer(old))).status).toBe(401);
  expect((await infer(bearer(token({}, foreign)))).status).toBe(200);
});

test('calls beyond the limit of a key are 429 with the time to wait; REST goes on', async () => {
  const own = { 'x-api-key': limited.key };
  expect([(await infer(own)).status, (await infer(own)).status]).toEqual([200, 200]);
  const answer = await infer(own);
  expect(answer.status).toBe(429);
  expect(answer.headers.get('ratelimit-policy')).toBe('"requests";q=2;w=60');
  expect(answer.headers.get('ratelimit')).toMatch(/^"requests";r=0;t=\d+$/);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(answer.text).toContain('2 times a minute');
  expect(await get('/api/v1/models', own)).toBe(200);
  const client = connect(Number(service.grpcAddress?.split(':')[1]));
  const failed = await client.fail('ModelInfer', { model_name: 'iris', inputs: [] }, own);
  expect(failed).toMatchObject({ code: 8 });
  expect(failed.metadata.get('ratelimit-policy')).toEqual(['"requests";q=2;w=60']);
  client.close();
});

test('one call at a time is one: the next one passes when it is over, or its caller left', async () => {
  const own = { 'x-api-key': slots.key };
  const first = infer({ ...own, 'x-user-id': 'slow' });
  while (backend.seen.length === 0) await get('/health/live', {});
  expect((await infer(own)).status).toBe(429);
  release();
  expect((await first).status).toBe(200);
  expect((await infer(own)).status).toBe(200);
  const leaver = new AbortController();
  const left = fetch(`${service.url}/v2/models/iris/infer`, {
    method: 'POST',
    headers: { ...own, 'x-user-id': 'slow' },
    body: '{"inputs":[]}',
    signal: leaver.signal,
  }).catch(() => undefined);
  while (backend.seen.length < 3) await get('/health/live', {});
  leaver.abort();
  await left;
  let status = 429;
  for (let tries = 0; status === 429 && tries < 1000; tries += 1) ({ status } = await infer(own));
  expect(status).toBe(200);
});

test('of many guesses the last are answered late, and a valid key is accepted meanwhile', async () => {
  const began = performance.now();
  const guesses = Array.from({ length: 15 }, () => infer({ 'x-api-key': newKey().key }));
  expect((await infer(bearer(token()))).status).toBe(200);
  const statuses = (await Promise.all(guesses)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([401]));
  expect(performance.now() - began).toBeGreaterThan(900);
});
