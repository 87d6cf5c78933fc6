import { ask } from '../support/plane';
import type { TestServer } from './support/server';
import { fixtures, startServer } from './support/server';

// A model server on loopback has no keys: only names and pages of this machine may reach it.

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ models: fixtures('identity_fp32') });
});
afterAll(() => server.stop());

const PATH = '/v2/models/identity_fp32/infer';
const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] });
const headers = { 'content-type': 'application/json' };

test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.nip.example:80'])(
  'does not answer to %s, which a web page can point at this machine',
  async (host) => {
    for (const path of [PATH, '/v2/models/identity_fp32', '/metrics', '/v2/health/live']) {
      const asking =
        path === PATH ? { headers: { ...headers, host }, body } : { headers: { host } };
      expect((await ask(server.port, path, asking)).status).toBe(403);
    }
  },
);

test.each<Readonly<Record<string, string>>>([
  { origin: 'http://203.0.113.5' },
  { origin: 'http://x.localhost' },
  { 'sec-fetch-site': 'cross-site' },
])('refuses inference for a page of another origin: %j', async (page) => {
  expect((await ask(server.port, PATH, { headers: { ...headers, ...page }, body })).status).toBe(
    403,
  );
});

test.each(['localhost', '127.0.0.1:8080', '[::1]'])('answers to %s', async (host) => {
  const got = await ask(server.port, '/v2/models/identity_fp32', { headers: { host } });
  expect(got.status).toBe(200);
});
