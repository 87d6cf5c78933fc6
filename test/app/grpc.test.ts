import { listeningEvent, placesOf } from '../../cli/commands/serve';
import type { Service } from '../../runtime/app/service';
import type { Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { until } from '../support/plane';
import { connect, stopGrpc } from '../data/grpc/support';
import { projectFolder, serviceIn } from './support';

// The port for gRPC as the composition root opens it.

let folder: ReturnType<typeof projectFolder>;
let service: Service | undefined;

beforeEach(() => {
  folder = projectFolder();
});

afterEach(async () => {
  await stopGrpc();
  await service?.close();
  service = undefined;
  await stopBackends();
  folder.remove();
});

const SERVER = 'port: 0, grpc_port: 0, accept_seconds: 0';
const ANSWER = { outputs: [{ name: 'y', datatype: 'INT32', shape: [1], data: [7] }] };
const INPUT = { name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } };

async function start(behave: Behave, server = SERVER) {
  const backend = await startBackend(behave);
  const opened = await serviceIn(folder.path, `server: { ${server} }`, [backend]);
  service = opened;
  const arm = () => opened.snapshot().models.get('iris');
  await until(() => arm()?.replicas.some(({ phase }) => phase === 'ready') === true, 'a replica');
  const port = Number(opened.grpcAddress?.split(':')[1]);
  return { backend, opened, port, client: connect(port) };
}

const well: Behave = () => json(ANSWER);

test('the gRPC port serves beside the public one, and its address is reported with it', async () => {
  const { opened, port, client } = await start(well);
  const call = { model_name: 'iris', inputs: [INPUT] };
  expect((await client.call('ModelInfer', call)).reply.model_version).toBe('1');
  expect(opened.grpcAddress).toBe(`127.0.0.1:${port}`);
  expect(placesOf(opened)).toBe(`${opened.url}, gRPC on 127.0.0.1:${port}`);
  expect(JSON.parse(listeningEvent(opened))).toEqual({
    event: 'listening',
    url: opened.url,
    grpc_address: `127.0.0.1:${port}`,
  });
});

test('the gRPC port reports the readiness of the service, and closes with it', async () => {
  const { client, opened } = await start(well, 'port: 0, grpc_port: 0, accept_seconds: 1');
  expect((await client.call('ServerReady')).reply.ready).toBe(true);
  const closing = opened.close();
  expect((await client.call('ServerReady')).reply.ready).toBe(false);
  service = undefined;
  await closing;
  expect((await client.fail('ServerReady')).code).toBe(14);
});

test('the gRPC port has the configured message limit', async () => {
  const { client } = await start(well, `${SERVER}, grpc_max_message_bytes: 1024`);
  const error = await client.fail('ModelInfer', { model_name: 'a'.repeat(2000) });
  expect([error.code, error.details]).toEqual([8, expect.stringContaining('1024')]);
});

test('a gRPC port in use fails the start, and no port stays open', async () => {
  const { port } = await start(well);
  const other = projectFolder();
  const backend = await startBackend(well);
  const server = `server: { port: 0, grpc_port: ${port}, accept_seconds: 0 }`;
  await expect(serviceIn(other.path, server, [backend])).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: the port is in use; choose another server.grpc_port`,
  );
  other.remove();
});
