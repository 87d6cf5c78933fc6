import { projectFolder, serviceIn } from '../app/support';
import { json, startBackend, stopBackends } from '../support/backend';

// Without a section `traces` the libraries of OpenTelemetry are not loaded.

jest.mock('@opentelemetry/otlp-transformer', () => {
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

test('the libraries for traces are loaded only where traces are configured', async () => {
  const backend = await startBackend(() => json({}));
  const server = 'server: { port: 0, accept_seconds: 0 }';
  const service = await serviceIn(folder.path, server, [backend]);
  await service.close();
  const traces = `${server}\ntraces: { endpoint: 'http://127.0.0.1:4318' }`;
  await expect(serviceIn(folder.path, traces, [backend])).rejects.toThrow('the library was loaded');
});
