import { writeFileSync } from 'node:fs';
import type {
  KubeApi,
  KubeObject,
  WatchEvent,
} from '../../../../runtime/cluster/kubernetes/client/api';
import {
  openKubernetes,
  REQUEST_TIMEOUT_MS,
} from '../../../../runtime/cluster/kubernetes/client/client';
import type { KubeError } from '../../../../runtime/cluster/kubernetes/client/api-error';
import { RESOURCES, resourceOf } from '../../../../runtime/cluster/kubernetes/client/resources';
import type { Timing } from '../../../../runtime/cluster/kubernetes/client/timing';
import { VirtualTime } from '../../../core/virtual-time';
import type { ApiServer, Respond } from '../../../support/apiserver';
import { failure, startApiServer, stopApiServers } from '../../../support/apiserver';
import { createAuthority } from '../../../support/certificates';
import { until } from '../../../support/plane';

const { ConfigMap, Deployment, Pod } = RESOURCES;

const MAP: KubeObject = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'iris', namespace: 'models' },
  data: { a: '1' },
};

const forever = new AbortController().signal;

let time: VirtualTime;
let api: KubeApi;
/** Every timer that was asked for, in milliseconds. */
let timers: number[];
const timing: Timing = {
  now: () => time.now,
  after: (call, ms) => {
    timers.push(ms);
    return time.after(call, ms);
  },
  random: () => 0,
};

beforeEach(() => {
  time = new VirtualTime();
  timers = [];
});

afterEach(async () => {
  api?.close();
  await stopApiServers();
});

async function connect(server: ApiServer, configPath = server.kubeconfig()): Promise<KubeApi> {
  ({ api } = await openKubernetes({ configPath }, timing));
  return api;
}

const serve = async (respond: Respond): Promise<ApiServer> => {
  const server = await startApiServer(respond);
  await connect(server);
  return server;
};

const answered = (value: unknown): Respond => {
  return () => ({ kind: 'json', value });
};

/** What a call was refused with. */
const refusal = (work: Promise<unknown>): Promise<KubeError> =>
  work.then(
    () => Promise.reject(new Error('it was not refused')),
    (error: KubeError) => error,
  );

test('reads an object by its path; a missing one is undefined', async () => {
  const server = await serve(answered(MAP));
  expect(await api.get(ConfigMap, 'models', 'iris')).toEqual(MAP);
  server.become(() => failure(404, 'NotFound', 'configmaps "iris" not found'));
  expect(await api.get(ConfigMap, 'models', 'iris')).toBeUndefined();
  expect(server.seen[0]).toMatchObject({
    method: 'GET',
    path: '/api/v1/namespaces/models/configmaps/iris',
  });
});

test('adds apiVersion and kind to items of a list, and returns the continue token', async () => {
  const items = [{ metadata: { name: 'a' } }];
  const server = await serve(
    answered({ items, metadata: { resourceVersion: '7', continue: 'next' } }),
  );
  expect(await api.list(Deployment, 'models', { labelSelector: 'a=b', limit: 1 })).toEqual({
    items: [{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a' } }],
    resourceVersion: '7',
    continue: 'next',
  });
  expect(server.seen[0]?.path).toBe('/apis/apps/v1/namespaces/models/deployments');
  expect(server.seen[0]?.query.toString()).toBe('labelSelector=a%3Db&limit=1');
});

test('applies server-side, strictly, and with its field manager', async () => {
  const server = await serve(answered(MAP));
  await api.apply(MAP, { manager: 'ai-model-service', force: true, dryRun: true });
  const { method, headers, query, body } = server.seen[0]!;
  expect(method).toBe('PATCH');
  expect(headers['content-type']).toBe('application/apply-patch+yaml');
  expect(Object.fromEntries(query)).toEqual({
    dryRun: 'All',
    fieldManager: 'ai-model-service',
    fieldValidation: 'Strict',
    force: 'true',
  });
  expect(JSON.parse(body)).toEqual(MAP);
});

test('sends a merge patch to the named subresource', async () => {
  const server = await serve(answered({ kind: 'Scale' }));
  const scale = { spec: { replicas: 0 } };
  await api.patch(Deployment, 'models', 'iris', scale, { subresource: 'scale', manager: 'm' });
  expect(server.seen[0]?.path).toBe('/apis/apps/v1/namespaces/models/deployments/iris/scale');
  expect(server.seen[0]?.headers['content-type']).toBe('application/merge-patch+json');
});

test('deletes with preconditions, and tells whether the object existed', async () => {
  const server = await serve(answered({ kind: 'Status', status: 'Success' }));
  expect(await api.remove(ConfigMap, 'models', 'iris', { uid: 'u' })).toBe(true);
  expect(JSON.parse(server.seen[0]?.body ?? '')).toMatchObject({
    preconditions: { uid: 'u' },
    propagationPolicy: 'Background',
  });
  server.become(() => failure(404, 'NotFound', 'gone'));
  expect(await api.remove(ConfigMap, 'models', 'iris')).toBe(false);
});

test('reports a refusal with the request and the invalid fields', async () => {
  const causes = [
    { reason: 'FieldManagerConflict', message: 'conflict with "kubectl"', field: '.data.a' },
  ];
  const server = await serve(() => failure(409, 'Conflict', 'Apply failed', { causes }));
  const error = await refusal(api.apply(MAP, { manager: 'm' }));
  expect(error).toMatchObject({ kind: 'status', status: 409, reason: 'Conflict', causes });
  expect(error.message).toMatch(/^PATCH .*configmaps\/iris.*409 Conflict Apply failed$/);
  expect(server.seen).toHaveLength(1);
});

test('quotes a response that is not from an API server', async () => {
  const server = await serve(() => ({ kind: 'text', status: 200, text: '<html>log in</html>' }));
  const options = { retry: false };
  const error = await refusal(api.list(Pod, 'models', options));
  expect(error).toMatchObject({ kind: 'network', status: 0 });
  expect(error.message).toContain('<html>log in</html>');
  server.become(() => ({ kind: 'text', status: 503, text: 'no upstream' }));
  expect(await refusal(api.list(Pod, 'models', options))).toMatchObject({
    status: 503,
    message: expect.stringContaining('no upstream'),
  });
});

test('retries a read when the server is overloaded, no sooner than it asks', async () => {
  const server = await serve((_, nth) =>
    nth === 1
      ? failure(429, 'TooManyRequests', 'slow down', {}, { 'retry-after': '7' })
      : { kind: 'json', value: MAP },
  );
  const got = api.get(ConfigMap, 'models', 'iris');
  await until(() => timers.includes(7_000), 'the pause');
  await time.run(6_999);
  expect(server.seen).toHaveLength(1);
  await time.run(1);
  expect(await got).toEqual(MAP);
});

test('stops retrying a read after some attempts, or when the server asks for a long pause', async () => {
  const server = await serve(() => failure(500, 'InternalError', 'etcd'));
  const got = refusal(api.get(ConfigMap, 'models', 'iris'));
  for (const pause of [500, 1_000]) {
    await until(() => timers.at(-1) === pause, 'a pause');
    await time.run(pause);
  }
  expect(await got).toMatchObject({ status: 500 });
  expect(server.seen).toHaveLength(3);
  server.become(() => failure(429, 'TooManyRequests', '', {}, { 'retry-after': '3600' }));
  const error = await refusal(api.get(ConfigMap, 'models', 'iris'));
  expect(error).toMatchObject({ status: 429, retryAfterSeconds: 3600 });
});

test('never retries a write', async () => {
  const server = await serve(() => failure(503, 'ServiceUnavailable', 'etcd'));
  await refusal(api.apply(MAP, { manager: 'm' }));
  await refusal(api.remove(ConfigMap, 'models', 'iris'));
  server.become(() => ({ kind: 'reset' }));
  expect(await refusal(api.create(MAP, { manager: 'm' }))).toMatchObject({ kind: 'network' });
  expect(server.seen).toHaveLength(3);
});

test('ends a call without an answer, and a watch that is not accepted', async () => {
  const server = await serve(() => ({ kind: 'silence' }));
  const ends = [
    refusal(api.get(ConfigMap, 'models', 'iris')),
    refusal(api.apply(MAP, { manager: 'm' })),
    refusal(
      api.watch(
        Pod,
        'models',
        { resourceVersion: '1', timeoutSeconds: 300 },
        () => undefined,
        forever,
      ),
    ),
  ];
  await until(() => server.seen.length === 3, 'all three');
  await time.run(REQUEST_TIMEOUT_MS);
  for (const error of await Promise.all(ends)) expect(error.kind).toBe('timeout');
});

test('returns every event of a watch, which ends after its time and a grace period', async () => {
  const server = await serve(() => ({ kind: 'stream' }));
  const events: WatchEvent[] = [];
  const options = { resourceVersion: '5', timeoutSeconds: 300, labelSelector: 'a' };
  const end = refusal(
    api.watch(Pod, 'models', options, (event) => void events.push(event), forever),
  );
  await until(() => events.length === 1, 'the beginning');
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ü'.repeat(70_000) } };
  server.streams[0]?.send('ADDED', pod);
  server.streams[0]?.send('BOOKMARK', { kind: 'Pod', metadata: { resourceVersion: '9' } });
  await until(() => events.length === 3, 'the events');
  expect(events).toEqual([
    { type: 'OPENED' },
    { type: 'ADDED', object: pod },
    { type: 'BOOKMARK', resourceVersion: '9' },
  ]);
  const { query } = server.seen[0]!;
  expect(query.toString()).toBe(
    'resourceVersion=5&timeoutSeconds=300&labelSelector=a&watch=true&allowWatchBookmarks=true',
  );
  await time.run(330_000);
  expect(await end).toMatchObject({ kind: 'timeout' });
});

test('ends a watch with an error for a truncated or unknown event', async () => {
  const server = await serve(() => ({
    kind: 'stream',
    open: (stream) => stream.send('HELLO', {}),
  }));
  const options = { resourceVersion: '1', timeoutSeconds: 300 };
  const watch = () => refusal(api.watch(Pod, 'models', options, () => undefined, forever));
  expect((await watch()).message).toContain('unknown type HELLO');
  server.become(() => ({ kind: 'text', status: 200, text: '{"type":"ADDED","obj' }));
  expect((await watch()).message).toContain('ended within an event');
});

test('ends a watch and its connection quietly on abort', async () => {
  const server = await serve(() => ({ kind: 'stream' }));
  const abort = new AbortController();
  const options = { resourceVersion: '1', timeoutSeconds: 300 };
  const end = api.watch(Pod, 'models', options, () => undefined, abort.signal);
  await until(() => server.streams.length === 1, 'the watch');
  abort.abort();
  await end;
  await until(() => server.streams[0]?.isOpen() === false, 'the end of the connection');
  expect(time.pending()).toBe(0);
});

test('keeps connections alive for the next call', async () => {
  const server = await serve(answered(MAP));
  for (let count = 0; count < 5; count += 1) await api.get(ConfigMap, 'models', 'iris');
  expect(server.seen).toHaveLength(5);
  expect(server.accepted()).toBe(1);
});

test('reads a rotated token file again', async () => {
  const server = await startApiServer(answered(MAP));
  const tokenFile = server.file('token');
  writeFileSync(tokenFile, 'first\n');
  const user = { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } };
  server.admit('first');
  await connect(server, server.kubeconfig(user));
  expect(await api.get(ConfigMap, 'models', 'iris')).toEqual(MAP);
  writeFileSync(tokenFile, 'second\n');
  server.admit('second');
  expect(await api.get(ConfigMap, 'models', 'iris')).toEqual(MAP);
  await api.apply(MAP, { manager: 'm' });
  // The old token was tried once only.
  expect(server.seen.map(({ headers }) => headers.authorization)).toEqual([
    'Bearer first',
    'Bearer first',
    'Bearer second',
    'Bearer second',
  ]);
});

test('reports 401 for a token that is refused even when read again', async () => {
  const server = await startApiServer(answered(MAP));
  server.admit('right');
  await connect(server, server.kubeconfig({ token: 'wrong' }));
  expect(await refusal(api.get(ConfigMap, 'models', 'iris'))).toMatchObject({ status: 401 });
  expect(server.seen).toHaveLength(2);
});

test('gets a token of an exec plugin, and a new one after a 401', async () => {
  const server = await startApiServer(answered(MAP));
  const file = server.file('plugin-token');
  const plugin = `const token = require('fs').readFileSync(${JSON.stringify(file)}, 'utf8');
    console.log(JSON.stringify({ kind: 'ExecCredential', status: { token } }));`;
  const apiVersion = 'client.authentication.k8s.io/v1';
  const exec = { apiVersion, command: process.execPath, args: ['-e', plugin] };
  writeFileSync(file, 'one');
  server.admit('one');
  await connect(server, server.kubeconfig({ exec }));
  expect(await api.get(ConfigMap, 'models', 'iris')).toEqual(MAP);
  writeFileSync(file, 'two');
  server.admit('two');
  expect(await api.get(ConfigMap, 'models', 'iris')).toEqual(MAP);
});

test('reports an exec plugin that cannot be run', async () => {
  const server = await startApiServer(answered(MAP));
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: '/no/such/plugin' };
  await connect(server, server.kubeconfig({ exec }));
  const error = await refusal(api.get(ConfigMap, 'models', 'iris'));
  expect(error).toMatchObject({
    kind: 'access',
    message: expect.stringContaining('/no/such/plugin'),
  });
});

test('uses the client certificate of the kubeconfig', async () => {
  const server = await startApiServer(answered(MAP));
  const { cert, key } = server.issue();
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const user = { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) };
  await connect(server, server.kubeconfig(user));
  await api.get(ConfigMap, 'models', 'iris');
  await connect(server, server.kubeconfig());
  await api.get(ConfigMap, 'models', 'iris');
  expect(server.seen.map(({ isCertified }) => isCertified)).toEqual([true, false]);
});

test('refuses a kubeconfig that is not YAML without quoting it, since it holds secrets', async () => {
  const server = await startApiServer(answered(MAP));
  const configPath = server.file('broken');
  writeFileSync(configPath, 'users:\n- token: s3cret\n  {');
  const error = await refusal(openKubernetes({ configPath }));
  expect(error).toMatchObject({ kind: 'access' });
  expect(error.message).not.toContain('s3cret');
});

test('refuses a server with a certificate of another authority', async () => {
  const server = await startApiServer(answered(MAP));
  const other = Buffer.from(createAuthority().cert).toString('base64');
  await connect(server, server.kubeconfig({}, { 'certificate-authority-data': other }));
  const error = await refusal(api.list(Pod, 'models', { retry: false }));
  expect(error).toMatchObject({ kind: 'network' });
  expect(error.message).toMatch(/signature|certificate/i);
  expect(server.seen).toEqual([]);
});

test('refuses a missing kubeconfig, or one without a cluster, with the correction', async () => {
  const server = await startApiServer(answered(MAP));
  const missing = refusal(openKubernetes({ configPath: server.file('none') }));
  expect(await missing).toMatchObject({ kind: 'access' });
  expect((await missing).message).toContain('kubernetes.config_path');
  const wrong = refusal(openKubernetes({ configPath: server.kubeconfig(), context: 'y' }));
  expect((await wrong).message).toContain('context y has no cluster; contexts: x');
});

describe('access without a path', () => {
  const { KUBECONFIG, HOME, KUBERNETES_SERVICE_HOST } = process.env;
  afterEach(() => {
    for (const [name, value] of Object.entries({ KUBECONFIG, HOME, KUBERNETES_SERVICE_HOST }))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });

  test('is found by KUBECONFIG', async () => {
    const server = await startApiServer(answered(MAP));
    process.env.KUBECONFIG = server.kubeconfig();
    ({ api } = await openKubernetes({}, timing));
    expect(await api.get(ConfigMap, 'models', 'iris')).toEqual(MAP);
  });

  test('is refused with the correction when nothing is configured', async () => {
    const server = await startApiServer(answered(MAP));
    delete process.env.KUBECONFIG;
    delete process.env.KUBERNETES_SERVICE_HOST;
    process.env.HOME = server.file('home');
    const error = await refusal(openKubernetes());
    expect(error).toMatchObject({ kind: 'access' });
    expect(error.message).toMatch(/KUBECONFIG.*service account/);
  });
});

test('the namespace is that of the context', async () => {
  const server = await startApiServer(answered(MAP));
  const { api: opened, namespace } = await openKubernetes({ configPath: server.kubeconfig() });
  opened.close();
  expect(namespace).toBe('models');
});

test('only kinds of the table can be written', () => {
  expect(resourceOf({ ...MAP, apiVersion: 'apps/v1', kind: 'Deployment' })).toBe(Deployment);
  expect(() => resourceOf({ ...MAP, kind: 'Secret' })).toThrow(/v1 Secret.*allowed: v1 ConfigMap/);
});

test('any response is a sign of life, also a refusal; none within five seconds is a failure', async () => {
  const server = await serve(() => failure(403, 'Forbidden', 'no'));
  await api.alive();
  expect(server.seen.at(-1)?.path).toBe('/version');
  server.become(() => ({ kind: 'silence' }));
  const silent = refusal(api.alive());
  await until(() => server.seen.length === 2, 'the question');
  await time.run(5000);
  expect(await silent).toMatchObject({ kind: 'timeout' });
});
