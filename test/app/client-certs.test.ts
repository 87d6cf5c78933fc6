import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { newKey } from '../../runtime/auth';
import { HAND_OVER_HEADER } from '../../runtime/auth/port';
import type { Service } from '../../runtime/app/service';
import { connect as connectGrpc } from '../data/grpc/support';
import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { Certificate } from '../support/certificates';
import { createAuthority } from '../support/certificates';
import { projectFolder, serviceIn } from './support';

// Client certificates on a running service: inference, REST and gRPC.

const servers = createAuthority('servers');
const clients = createAuthority('clients');
const app = clients.issue('app', 'app.clinic.example');
const stranger = clients.issue('stranger', 'stranger.example');
const forged = createAuthority('clients').issue('app', 'app.clinic.example');
const key = newKey();

let project: ReturnType<typeof projectFolder>;
let backend: Backend;
let service: Service;

beforeAll(async () => {
  project = projectFolder();
  const write = (name: string, text: string): string => {
    const path = join(project.path, name);
    writeFileSync(path, text);
    return path;
  };
  const server = servers.issue();
  const config = `
server:
  port: 0
  grpc_port: 0
  accept_seconds: 0
  tls:
    cert: ${write('tls.crt', server.cert)}
    key: ${write('tls.key', server.key)}
    client_ca: ${write('ca.crt', clients.cert)}
auth:
  keys: [{ name: keyed, sha256: ${key.sha256}, scopes: [infer] }]
  client_certs:
    - { name: clinic, san: 'DNS:app.clinic.example', scopes: [infer, read] }
audit: { file: audit.jsonl, inference: true }
`;
  backend = await startBackend(() => json({ outputs: [] }));
  service = await serviceIn(project.path, config, [backend]);
});
afterAll(async () => {
  await service.close();
  await stopBackends();
  project.remove();
});

/** The status of a request; 0 when there is no connection. */
function ask(
  path: string,
  shown: Certificate | undefined,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<number> {
  const { port } = new URL(service.url);
  const tls = { ca: servers.cert, ...(shown && { cert: shown.cert, key: shown.key }) };
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path, method, headers, agent: false, ...tls };
    const sent = request(options, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode ?? 0));
    });
    sent.on('error', () => resolve(0));
    sent.end(method === 'POST' ? '{"inputs":[]}' : undefined);
  });
}

const INFER = '/v2/models/iris/infer';

test('a caller is known by its certificate on each way in, and the record names it', async () => {
  expect(await ask(INFER, app, {}, 'POST')).toBe(200);
  expect(await ask('/api/v1/models', app)).toBe(200);
  expect(await ask('/api/v1/models/iris', app, {}, 'DELETE')).toBe(403);
  const secure = credentials.createSsl(
    Buffer.from(servers.cert),
    Buffer.from(app.key),
    Buffer.from(app.cert),
  );
  const client = connectGrpc(Number(service.grpcAddress?.split(':')[1]), {}, secure);
  expect((await client.call('ServerLive')).reply.live).toBe(true);
  expect((await client.call('ServerLive')).reply.live).toBe(true);
  client.close();
  const lines = (): string => readFileSync(join(project.path, 'audit.jsonl'), 'utf8');
  while (!/"caller":"clinic","action":"delete"/.test(lines())) await ask('/health/live', app);
  while (!/"caller":"clinic","action":"infer","model":"iris"/.test(lines()))
    await ask('/health/live', app);
});

test.each([
  ['none', undefined],
  ['one that is not configured', stranger],
])('%s is 401, and a key is accepted beside it', async (_, shown) => {
  expect(await ask(INFER, shown, {}, 'POST')).toBe(401);
  expect(await ask('/api/v1/models', shown)).toBe(401);
  expect(await ask(INFER, shown, { 'x-api-key': key.key }, 'POST')).toBe(200);
});

test('a certificate of an authority of the same name is refused, and ends no other connection', async () => {
  for (let count = 0; count < 3; count += 1) {
    // OpenSSL may end the connection of a signature that does not fit.
    expect([0, 401]).toContain(await ask(INFER, forged, {}, 'POST'));
    expect([0, 401]).toContain(await ask('/api/v1/models', forged));
    expect(await ask(INFER, app, {}, 'POST')).toBe(200);
  }
});

test('no header stands for a certificate', async () => {
  for (const value of ['0', 'clinic', '0'.repeat(65)]) {
    const headers = { [HAND_OVER_HEADER]: value, 'x-forwarded-client-cert': 'Subject="CN=app"' };
    expect(await ask('/api/v1/models', undefined, headers)).toBe(401);
    expect(await ask(INFER, undefined, headers, 'POST')).toBe(401);
  }
});

test('over gRPC a key is accepted without a certificate, and nothing without both', async () => {
  const secure = credentials.createSsl(Buffer.from(servers.cert));
  const client = connectGrpc(Number(service.grpcAddress?.split(':')[1]), {}, secure);
  expect((await client.call('ServerLive', {}, { 'x-api-key': key.key })).reply.live).toBe(true);
  expect(await client.fail('ServerLive')).toMatchObject({ code: 16 });
  client.close();
});

describe('authorities that change', () => {
  const others = createAuthority('others');
  /** One connection that is kept open. */
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  afterAll(() => kept.destroy());

  const trust = async (...authorities: readonly Certificate[]): Promise<void> => {
    const bundle = authorities.map(({ cert }) => cert).join('');
    writeFileSync(join(project.path, 'ca.crt'), bundle);
    await service.reload();
  };
  const askKept = (): Promise<readonly [status: number, localPort: number]> =>
    new Promise((resolve, reject) => {
      const { port } = new URL(service.url);
      const tls = { ca: servers.cert, cert: app.cert, key: app.key };
      const path = '/api/v1/models';
      const sent = request({ host: '127.0.0.1', port, path, agent: kept, ...tls }, (answer) => {
        const { localPort = 0 } = answer.socket;
        answer.resume();
        answer.on('end', () => resolve([answer.statusCode ?? 0, localPort]));
      });
      sent.on('error', reject);
      sent.end();
    });
  const opened = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connectTcp(Number(new URL(service.url).port), '127.0.0.1', () =>
        resolve(socket),
      );
    });
  const shaken = (socket: Socket): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const tls = { ca: servers.cert, cert: app.cert, key: app.key, host: '127.0.0.1' };
      const secure = connectTls({ socket, ...tls }, () => resolve(secure));
      secure.on('error', reject);
    });

  test('withdraw what they signed on open connections, and nothing before', async () => {
    const [status, localPort] = await askKept();
    expect(status).toBe(200);
    const secure = credentials.createSsl(
      Buffer.from(servers.cert),
      Buffer.from(app.key),
      Buffer.from(app.cert),
    );
    const client = connectGrpc(Number(service.grpcAddress?.split(':')[1]), {}, secure);
    expect((await client.call('ServerLive')).reply.live).toBe(true);

    await trust(others, clients);
    expect(await askKept()).toEqual([200, localPort]);
    expect((await client.call('ServerLive')).reply.live).toBe(true);

    await trust(others);
    expect(await askKept()).toEqual([401, localPort]);
    expect(await client.fail('ServerLive')).toMatchObject({ code: 16 });
    client.close();
    await trust(clients);
    expect(await askKept()).toEqual([200, localPort]);
  });

  test('withdraw what they signed in a handshake that began before and ends later', async () => {
    const early = await opened();
    // Accepted after it.
    expect(await ask('/api/v1/models', app)).toBe(200);
    await trust(others);
    const socket = await shaken(early);
    const answer = new Promise<string>((resolve) => {
      socket.once('data', (bytes) => resolve(bytes.toString()));
    });
    socket.write('GET /api/v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1.1 401 /);
    socket.destroy();
    await trust(clients);
  });
});
