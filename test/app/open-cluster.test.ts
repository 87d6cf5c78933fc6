import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../runtime/app/config';
import type { Service } from '../../runtime/app/service';
import { startService } from '../../runtime/app/service';
import { failure, stopApiServers } from '../support/apiserver';
import { freePort } from '../support/backend';
import type { KubeServer } from '../support/kubeserver';
import { startControllers, startKubeServer } from '../support/kubeserver';
import { until } from '../support/plane';
import { numberAt } from '../../runtime/cluster/kubernetes/client/object-fields';
import { RESOURCES } from '../../runtime/cluster/kubernetes/client/resources';

// The first test of a file waits until jest has transformed client-node.
jest.setTimeout(60_000);

const MODEL = {
  model_id: 'iris',
  version: '1',
  framework: 'onnx',
  repository_url: 's3://m/iris.onnx',
};

let folder: string;
let server: KubeServer;
let stop: () => void;
let service: Service | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'opencluster-'));
  server = await startKubeServer();
  stop = startControllers(server.store);
});

afterEach(async () => {
  await service?.close();
  service = undefined;
  stop();
  await stopApiServers();
  rmSync(folder, { recursive: true, force: true });
});

const quiet = (): void => undefined;

const optionsOf = (warn: (message: string) => void) => ({
  cwd: folder,
  spawnServer: { command: process.execPath, args: [] },
  version: 'test',
  log: { debug: quiet, info: quiet, warn, error: quiet } as never,
});

async function start(
  kubernetes: string,
  env: NodeJS.ProcessEnv = {},
  warn: (message: string) => void = quiet,
  port = 0,
): Promise<void> {
  const text = [
    `server: { port: ${port}, accept_seconds: 0 }`,
    'cluster: kubernetes',
    `kubernetes: { config_path: ${server.kubeconfig()}${kubernetes} }`,
  ];
  const config = parseConfig(text.join('\n'), env);
  service = await startService({ ...optionsOf(warn), config, env });
}

async function call(method: string, path: string, body?: object) {
  const { url } = service as Service;
  const sent = body && {
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  };
  const reply = await fetch(`${url}/api/v1/models${path}`, { method, ...sent });
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> };
}

test('a service on Kubernetes deploys, scales, stops and deletes by REST', async () => {
  await start(', environment: { default_resources: { cpu: 250m } }', {
    KUBERNETES_NAMESPACE: 'team',
  });
  expect((await call('POST', '/deploy', { config: MODEL })).status).toBe(202);
  const isReady = () => service?.snapshot().models.get('iris')?.arms[0]?.ready === 1;
  await until(isReady, 'the replica');
  expect((await call('GET', '/iris/status')).body).toMatchObject({ status: 'running' });
  const deployment = () => server.store.find(RESOURCES.Deployment, 'team', 'iris');
  expect(JSON.stringify(deployment())).toContain('"cpu":"250m"');
  const count = () => numberAt(deployment(), 'spec', 'replicas');
  await call('POST', '/iris/scale', { replicas: 3 });
  await until(() => count() === 3, 'three replicas');
  await call('POST', '/iris/scale', { replicas: 0 });
  await until(() => count() === 0, 'none');
  expect((await call('GET', '/iris/status')).body).toMatchObject({ status: 'stopped' });
  expect((await call('DELETE', '/iris')).status).toBe(202);
  await until(() => service?.snapshot().models.size === 0, 'nothing');
  expect(deployment()).toBeUndefined();
});

test('in gitops mode a change is refused with the objects for Git', async () => {
  await start(', mode: gitops');
  const { status, body } = await call('POST', '/deploy', { config: MODEL });
  expect(status).toBe(409);
  const { code, details } = body['error'] as { code: string; details: readonly object[] };
  expect(code).toBe('READ_ONLY');
  expect(details).toContainEqual(
    expect.objectContaining({ do: 'create', object: 'Deployment/iris' }),
  );
});

/** Asks until somebody listens. */
async function asked(url: string, init?: RequestInit): Promise<Response> {
  for (;;) {
    const reply = await fetch(url, init).catch(() => undefined);
    if (reply !== undefined) return reply;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('until the API server has answered the port is open and calls are refused', async () => {
  server.intercept(() => failure(503, 'ServiceUnavailable', 'etcd is away'));
  const port = await freePort();
  const started = start('', {}, quiet, port);
  const ask = async (path: string, method = 'GET') => {
    const reply = await asked(`http://127.0.0.1:${port}${path}`, { method });
    return { status: reply.status, headers: reply.headers, body: (await reply.json()) as object };
  };
  expect(await ask('/health/live')).toMatchObject({ status: 200 });
  expect(await ask('/health/startup')).toMatchObject({ status: 503, body: { status: 'starting' } });
  expect(await ask('/health/ready')).toMatchObject({
    status: 503,
    body: { checks: { cluster: { status: 'fail', message: 'the cluster has not been read yet' } } },
  });
  const infer = await ask('/v2/models/iris/infer', 'POST');
  const error = 'the cluster has not been read yet; try again soon';
  expect(infer).toMatchObject({ status: 503, body: { error } });
  expect(Number(infer.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await ask('/v1/models')).toMatchObject({ status: 503 });
  expect(await ask('/openai/v1/models/iris')).toMatchObject({ status: 503 });
  server.intercept(undefined);
  await started;
  expect(await ask('/health/ready')).toMatchObject({ status: 200 });
  expect(await ask('/v2/models/iris/infer', 'POST')).toMatchObject({ status: 404 });
  expect(await ask('/v1/models')).toMatchObject({ status: 200, body: { models: [] } });
});

test('models.registry and models.default_resources are in every pod, and overruled values are logged', async () => {
  const warn = jest.fn();
  await start(
    ', environment: { default_resources: { cpu: 250m } } }\nmodels: { registry: registry.suoke.life, default_resources: { cpu: "2", memory: 8Gi }',
    { KUBERNETES_NAMESPACE: 'suoke-life' },
    warn,
  );
  const { status, body } = await call('POST', '/deploy?dry_run=true', { config: MODEL });
  expect(status).toBe(200);
  const text = JSON.stringify(body);
  expect(text).toContain('"image":"registry.suoke.life/suoke/ai-model-service:');
  expect(text).toContain('"requests":{"cpu":"250m","ephemeral-storage":"1Gi","memory":"8Gi"}');
  expect(text).toContain('"namespace":"suoke-life"');
  expect(warn).toHaveBeenCalledWith(
    'models.default_resources.cpu "2" is not used: the environment says "250m"; remove one of the two',
  );
});

test('docker run -v ~/.kube/config:… -e KUBECONFIG=… -e KUBERNETES_NAMESPACE=… is enough for a cluster', async () => {
  const { KUBECONFIG } = process.env;
  process.env['KUBECONFIG'] = server.kubeconfig();
  const env = {
    KUBERNETES_NAMESPACE: 'suoke-life',
    AI_MODEL_SERVICE__SERVER__PORT: '0',
    AI_MODEL_SERVICE__SERVER__ACCEPT_SECONDS: '0',
  };
  try {
    service = await startService({ ...optionsOf(quiet), config: parseConfig('', env), env });
    expect((await call('POST', '/deploy', { config: MODEL })).status).toBe(202);
    await until(
      () => server.store.find(RESOURCES.Deployment, 'suoke-life', 'iris') !== undefined,
      'its Deployment',
    );
  } finally {
    if (KUBECONFIG === undefined) delete process.env['KUBECONFIG'];
    else process.env['KUBECONFIG'] = KUBECONFIG;
  }
});

test('on one machine a dry run uses the configured environment, too', async () => {
  const text =
    'cluster: local\nserver: { port: 0, accept_seconds: 0 }\nkubernetes: { environment: { namespace: team, default_resources: { cpu: 250m } } }';
  service = await startService({ ...optionsOf(quiet), config: parseConfig(text), env: {} });
  const { status, body } = await call('POST', '/deploy?dry_run=true', { config: MODEL });
  expect(status).toBe(200);
  expect(JSON.stringify(body)).toContain('"namespace":"team"');
  expect(JSON.stringify(body)).toContain('"cpu":"250m"');
});
