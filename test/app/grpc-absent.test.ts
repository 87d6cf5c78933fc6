import { listeningEvent, placesOf } from '../../cli/commands/serve';
import { startBackend, json, stopBackends } from '../support/backend';
import { projectFolder, serviceIn } from './support';

// Who has no port for gRPC does not load its library.

jest.mock('@grpc/grpc-js', () => {
  throw new Error('the library was loaded');
});

let folder: ReturnType<typeof projectFolder>;

beforeEach(() => {
  folder = projectFolder();
});

afterEach(async () => {
  await stopBackends();
  folder.remove();
});

test('without grpc_port the gRPC library is not loaded, and nothing is logged about it', async () => {
  const backend = await startBackend(() => json({}));
  const server = 'server: { port: 0, accept_seconds: 0 }';
  const service = await serviceIn(folder.path, server, [backend]);
  expect(service.grpcAddress).toBeUndefined();
  expect(placesOf(service)).toBe(service.url);
  expect(JSON.parse(listeningEvent(service))).toEqual({ event: 'listening', url: service.url });
  await service.close();
});

test('with grpc_port the gRPC library is loaded', async () => {
  const backend = await startBackend(() => json({}));
  const server = 'server: { port: 0, grpc_port: 0, accept_seconds: 0 }';
  await expect(serviceIn(folder.path, server, [backend])).rejects.toThrow('the library was loaded');
});
