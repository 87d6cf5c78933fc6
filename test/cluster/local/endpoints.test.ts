import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ModelInput } from '../../../lib/spec';
import { parseModel } from '../../../lib/spec';
import { EndpointArm } from '../../../runtime/cluster/local/endpoints';

const OPENAI: ModelInput = {
  id: 'llm',
  version: '1',
  framework: 'custom',
  image: 'registry.example.org/llm:1',
  runAsUser: 1000,
  server: { kind: 'custom', protocol: 'openai' },
  health: { periodSeconds: 1 },
};

/** Answers each path with a status; paths that are not named are 404. */
interface Answering {
  statuses: Readonly<Record<string, number>>;
  readonly asked: string[];
  readonly port: number;
  readonly server: Server;
}

const started: Server[] = [];
const watched: EndpointArm[] = [];
afterEach(async () => {
  await Promise.all(watched.splice(0).map((arm) => arm.stop()));
  for (const server of started.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const listen = (server: Server, port = 0): Promise<void> =>
  new Promise((done) => server.listen(port, '127.0.0.1', done));

async function answering(statuses: Answering['statuses']): Promise<Answering> {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    response.writeHead(all.statuses[url] ?? 404).end();
  });
  started.push(server);
  await listen(server);
  const { port } = server.address() as AddressInfo;
  const all: Answering = { statuses, asked, port, server };
  return all;
}

/** A watch of one server, what it logs, and a way to wait for a change. */
function watch({ port }: Pick<Answering, 'port'>, more: Partial<ModelInput> = {}) {
  const spec = parseModel({ ...OPENAI, ...more } as ModelInput);
  const told: string[] = [];
  let changed: () => void = () => undefined;
  const arm = new EndpointArm({
    spec,
    arm: spec.arms[0],
    addresses: [`127.0.0.1:${port}`],
    now: () => 0,
    warn: (message) => told.push(message),
    onChange: () => changed(),
  });
  watched.push(arm);
  const when = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise<void>((resolve) => (changed = resolve));
  };
  const until = (phase: string): Promise<void> => when(() => arm.replicas()[0]?.phase === phase);
  return { arm, told, until, when };
}

test('an OpenAI server is probed for its health before its list of models', async () => {
  const server = await answering({ '/health': 200, '/v1/models': 500 });
  await watch(server).until('ready');
  expect(server.asked).toEqual(['/health']);
});

test.each([404, 405])(
  'a server whose /health answers %d is probed by its list from then on',
  async (no) => {
    const server = await answering({ '/health': no, '/v1/models': 200 });
    const { until } = watch(server);
    await until('ready');
    server.statuses = { '/health': 200, '/v1/models': 500 };
    await until('failed');
    expect(server.asked).toEqual(['/health', '/v1/models', '/v1/models']);
    // It may be another server now.
    await until('ready');
    expect(server.asked.at(-1)).toBe('/health');
  },
);

test.each([401, 403])('a server that answers %d to its list is ready', async (locked) => {
  const server = await answering({ '/v1/models': locked });
  await watch(server).until('ready');
});

test('a health path of the definition is the only probe, and must answer', async () => {
  const server = await answering({ '/v1/models': 200, '/up': 401 });
  const { arm, until } = watch(server, { health: { path: '/up', periodSeconds: 1 } });
  await until('failed');
  expect(server.asked).toEqual(['/up']);
  expect(arm.record().why?.message).toMatch(/^GET \/up answered 401/);
});

test('servers of other protocols are probed as their manifests do', async () => {
  const server = await answering({ '/v1/models': 200 });
  const { until } = watch(server, { server: { kind: 'custom' } });
  await until('failed');
  expect(server.asked).toEqual(['/health']);
});

test('a server that goes is logged once, and once when it is back', async () => {
  const server = await answering({ '/health': 200 });
  const { port } = server;
  const { arm, told, until, when } = watch(server);
  await until('ready');
  expect(told).toEqual([]);
  server.statuses = { '/health': 503 };
  await until('failed');
  // It answers: it may be loading its model.
  expect(arm.record()).not.toHaveProperty('isUnreached');
  server.server.closeAllConnections();
  await new Promise((done) => server.server.close(done));
  await when(() => arm.record().isUnreached === true);
  expect(arm.record().why?.message).toContain('ECONNREFUSED');
  server.statuses = { '/health': 200 };
  await listen(server.server, port);
  await until('ready');
  expect(arm.record()).not.toHaveProperty('isUnreached');
  const where = `llm, stable: the server at 127.0.0.1:${port} (local.endpoints)`;
  expect(told).toEqual([
    `${where} is not ready: GET /health answered 503`,
    `${where} is ready again`,
  ]);
});
