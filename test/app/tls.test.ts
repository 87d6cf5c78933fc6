import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import type { Service } from '../../runtime/app/service';
import { startBackend, json, stopBackends } from '../support/backend';
import { createAuthority } from '../support/certificates';
import { connect, stopGrpc } from '../data/grpc/support';
import { projectFolder, serviceIn } from './support';

// The certificate of the ports is replaced while connections are open, as a Secret's mount does it.

let folder: ReturnType<typeof projectFolder>;
let service: Service | undefined;
const agents: Agent[] = [];

beforeEach(() => {
  folder = projectFolder();
});

afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy();
  await stopGrpc();
  await service?.close();
  service = undefined;
  await stopBackends();
  folder.remove();
});

const authority = createAuthority();
/** Trusted by their authority, and told from each other by their names. */
const [FIRST, SECOND] = [authority.issue('first'), authority.issue('second')];

/** Replaces the pair in one step, as the kubelet does. */
function mount({ cert, key }: { readonly cert: string; readonly key: string }, step: number): void {
  const version = join(folder.path, `..data-${step}`);
  mkdirSync(version);
  writeFileSync(join(version, 'tls.crt'), cert);
  writeFileSync(join(version, 'tls.key'), key);
  const link = join(folder.path, '..data-new');
  symlinkSync(version, link);
  renameSync(link, join(folder.path, '..data'));
  if (step > 0) return;
  for (const name of ['tls.crt', 'tls.key']) {
    symlinkSync(join('..data', name), join(folder.path, name));
  }
}

const TLS = 'tls: { cert: tls.crt, key: tls.key }';
const SERVER = `server: { port: 0, grpc_port: 0, accept_seconds: 0, ${TLS} }\nauth: { mode: none }`;

async function start(): Promise<{ readonly url: string; readonly grpcPort: number }> {
  mount(FIRST, 0);
  const backend = await startBackend(() => json({}));
  service = await serviceIn(folder.path, SERVER, [backend]);
  return { url: service.url, grpcPort: Number(service.grpcAddress?.split(':')[1]) };
}

interface Got {
  readonly status: number | undefined;
  readonly body: string;
  /** Common name of the certificate of the connection. */
  readonly name: string;
  readonly port: number | undefined;
}

function get(url: string, agent: Agent): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, ca: authority.cert }, (answer) => {
      const socket = answer.socket as TLSSocket;
      const name = String(socket.getPeerCertificate().subject.CN);
      const port = socket.localPort;
      let body = '';
      answer.on('data', (piece) => (body += piece));
      answer.on('end', () => resolve({ status: answer.statusCode, body, name, port }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

function keptAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0 });
  agents.push(agent);
  return agent;
}

const newName = async (url: string): Promise<string> => {
  const agent = new Agent({ maxCachedSessions: 0 });
  return (await get(`${url}/health/live`, agent)).name;
};

async function untilName(url: string, name: string): Promise<void> {
  for (const end = Date.now() + 20_000; (await newName(url)) !== name;) {
    if (Date.now() > end) throw new Error(`no connection gets the certificate ${name}`);
  }
}

test('a new certificate is for new connections, and open ones go on, over HTTP and gRPC', async () => {
  const { url, grpcPort } = await start();
  const agent = keptAlive();
  const before = await get(`${url}/health/live`, agent);
  expect([before.status, before.name]).toEqual([200, 'first']);
  const trust = credentials.createSsl(Buffer.from(authority.cert));
  const client = connect(grpcPort, {}, trust);
  expect((await client.call('ServerLive')).reply.live).toBe(true);
  mount(SECOND, 1);
  await untilName(url, 'second');
  expect((await client.call('ServerLive')).reply.live).toBe(true);
  const after = await get(`${url}/health/live`, agent);
  expect([after.status, after.name, after.port]).toEqual([200, 'first', before.port]);
});

test('the gRPC port shows new connections the new certificate only', async () => {
  const { url, grpcPort } = await start();
  const other = createAuthority('another authority');
  const next = other.issue('next');
  const old = connect(grpcPort, {}, credentials.createSsl(Buffer.from(authority.cert)));
  expect((await old.call('ServerLive')).reply.live).toBe(true);
  mount(next, 1);
  const metric = /ai_model_tls_certificate_not_after_seconds (\d+)/;
  const fresh = () => connect(grpcPort, {}, credentials.createSsl(Buffer.from(other.cert)));
  const ask = async (): Promise<boolean> => {
    const deadline = { deadline: Date.now() + 2000 };
    return fresh()
      .call('ServerLive', {}, {}, deadline)
      .then(
        () => true,
        () => false,
      );
  };
  for (const end = Date.now() + 20_000; !(await ask());) {
    if (Date.now() > end) throw new Error('no connection gets the new certificate');
  }
  expect((await old.call('ServerLive')).reply.live).toBe(true);
  const stranger = connect(grpcPort, {}, credentials.createSsl(Buffer.from(authority.cert)));
  const late = { deadline: Date.now() + 500 };
  expect((await stranger.fail('ServerLive', {}, {}, late)).code).toBeGreaterThan(0);
  const agent = new Agent({ ca: other.cert });
  agents.push(agent);
  const { body } = await new Promise<Got>((resolve, reject) => {
    const asked = request(`${url}/metrics`, { agent }, (answer) => {
      let text = '';
      answer.on('data', (piece) => (text += piece));
      answer.on('end', () => resolve({ status: 200, body: text, name: '', port: 0 }));
    });
    asked.on('error', reject).end();
  });
  expect(Number(metric.exec(body)?.[1])).toBe(Date.UTC(2120, 0, 1) / 1000);
});

test('a bad pair keeps the last good one, and the health says so until it is mended', async () => {
  const { url } = await start();
  mount({ cert: SECOND.cert, key: FIRST.key }, 1);
  const agent = keptAlive();
  const detailed = async (): Promise<{ status: string; broken_files: { message: string }[] }> =>
    JSON.parse((await get(`${url}/api/v1/health/detailed`, agent)).body) as never;
  for (const end = Date.now() + 20_000; (await detailed()).broken_files.length === 0;) {
    if (Date.now() > end) throw new Error('the health does not tell');
  }
  expect(await detailed()).toMatchObject({
    status: 'degraded',
    broken_files: [{ file: 'tls.crt', message: expect.stringContaining('is not the key of') }],
  });
  expect(await newName(url)).toBe('first');
  expect((await get(`${url}/metrics`, agent)).body).toContain(
    'ai_model_tls_certificate_faulty 1\n',
  );
  mount(SECOND, 2);
  await untilName(url, 'second');
  expect((await detailed()).broken_files).toEqual([]);
});

test('SIGHUP reads the certificate again at once', async () => {
  const { url } = await start();
  mount(SECOND, 1);
  await service?.reload();
  expect(await newName(url)).toBe('second');
});

test('a certificate that cannot be used ends the start with its cause', async () => {
  mount({ cert: FIRST.cert, key: SECOND.key }, 0);
  const backend = await startBackend(() => json({}));
  await expect(serviceIn(folder.path, SERVER, [backend])).rejects.toThrow(
    /^server\.tls: .*tls\.key is not the key of the certificate in .*tls\.crt$/,
  );
});
