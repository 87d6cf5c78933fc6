import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/sources';
import { call, until, workspace } from './service';

// Tokens of a real identity provider (the package oidc-provider), found by OIDC discovery.

const SECRET = Buffer.from('clinic:a secret of the test').toString('base64');

interface Child {
  readonly process: ChildProcess;
  /** Where it listens. */
  readonly url: string;
}

const started: ChildProcess[] = [];

async function start(args: readonly string[], cwd: string, says: RegExp): Promise<Child> {
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  let said = '';
  const hear = (chunk: Buffer): void => void (said += chunk.toString());
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const address = (): string | undefined => says.exec(said)?.[1];
  const isOver = (): boolean => address() !== undefined || child.exitCode !== null;
  await until('an address', () => said, isOver, 60_000);
  if (child.exitCode !== null) throw new Error(said);
  return { process: child, url: address() ?? '' };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

const place = workspace();
afterAll(async () => {
  await Promise.all(started.map(end));
  place.remove();
});

async function tokenOf(provider: string, scope: string): Promise<string> {
  const answer = await fetch(`${provider}/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${SECRET}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return (JSON.parse(text) as { readonly access_token: string }).access_token;
}

test('tokens of an identity provider are accepted by their scopes, also while it is down', async () => {
  const provider = await start(
    [join(__dirname, 'oidc-provider.mjs')],
    ROOT,
    /^(http:\/\/127\.0\.0\.1:\d+)$/m,
  );
  const config = `
server: { port: 0, accept_seconds: 0 }
auth:
  mode: jwt
  jwt: { issuer: '${provider.url}', audience: [models] }
`;
  writeFileSync(join(place.folder, 'config.yaml'), config);
  const bin = join(ROOT, 'build', 'bin.cjs');
  const args = [bin, 'serve', '--config', 'config.yaml'];
  const service = await start(args, place.folder, /on (http:\/\/127\.0\.0\.1:\d+)/);
  const get = async (path: string, token: string, method = 'GET') =>
    call(`${service.url}${path}`, method, undefined, undefined, {
      authorization: `Bearer ${token}`,
    });
  const reader = await tokenOf(provider.url, 'read');
  expect((await get('/api/v1/models', reader)).status).toBe(200);
  const refused = await get('/api/v1/models/deep_tcm_diagnosis', reader, 'DELETE');
  expect([refused.status, refused.json().error.message]).toEqual([
    403,
    'this needs the scope write; the token of jwt:clinic has read; use another token',
  ]);
  expect((await get('/v2', reader)).status).toBe(403);
  expect((await get('/v2', await tokenOf(provider.url, 'infer'))).status).toBe(200);
  const [head, body] = reader.split('.');
  expect((await get('/api/v1/models', `${head}.${body}.AAAA`)).status).toBe(401);
  const later = await tokenOf(provider.url, 'infer read');
  await end(provider.process);
  // A signal that reads everything again does not end the service, nor the keys that it has.
  service.process.kill('SIGHUP');
  expect((await get('/api/v1/models', later)).status).toBe(200);
  expect((await get('/v2', later)).status).toBe(200);
});
