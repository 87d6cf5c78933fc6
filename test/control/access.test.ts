import { createAuthenticate, newKey } from '../../runtime/auth';
import { CALLS } from '../../runtime/control/calls';
import type { Service } from './support';
import { ask, codeOf, detailsOf, iris, place, serve, withCandidate } from './support';

const keys = {
  reader: newKey(),
  caller: newKey(),
  writer: newKey(),
  narrow: newKey(),
  root: newKey(),
};
const { authenticate } = createAuthenticate(
  {
    mode: 'api_key',
    keys: [
      { name: 'reader', sha256: keys.reader.sha256, scopes: ['read'] },
      { name: 'caller', sha256: keys.caller.sha256, scopes: ['infer'] },
      { name: 'writer', sha256: keys.writer.sha256, scopes: ['read', 'write'] },
      { name: 'narrow', sha256: keys.narrow.sha256, scopes: ['read', 'write'], models: ['iris'] },
      { name: 'root', sha256: keys.root.sha256, scopes: ['admin'] },
    ],
  },
  { loopback: false },
);

type Name = keyof typeof keys;

let service: Service;
beforeEach(async () => {
  service = await serve({ authenticate });
  await place(service, iris());
  await place(service, iris({ model_id: 'rose' }));
});
afterEach(() => service.close());

const as = (name: Name | undefined, path: string, method = 'GET', body?: unknown) =>
  ask(
    `${service.url}${path}`,
    method,
    body,
    name === undefined ? {} : { 'x-api-key': keys[name].key },
  );

const pathOf = (template: string): string => template.replace('{id}', 'iris');

const closed = CALLS.filter(({ access }) => access !== 'open').flatMap(({ method, path, alias }) =>
  [path, alias].flatMap((one) => (one === undefined ? [] : [[method.toUpperCase(), one] as const])),
);

test.each(closed)('%s %s without a key is 401 with a challenge', async (method, path) => {
  const reply = await as(undefined, pathOf(path), method);
  expect([reply.status, codeOf(reply)]).toEqual([401, 'UNAUTHENTICATED']);
  expect(reply.headers.get('www-authenticate')).toMatch(/^Bearer realm=/);
});

test.each(
  CALLS.filter(({ action }) => action !== undefined).map((call) => [call.method, call.path]),
)(
  'a reader may not change anything: %s %s is 403, before its body is read',
  async (method, path) => {
    const reply = await as('reader', pathOf(path), method.toUpperCase(), { nonsense: true });
    expect([reply.status, codeOf(reply)]).toEqual([403, 'FORBIDDEN']);
  },
);

test('the document and its page are open, the metrics are not', async () => {
  expect((await as(undefined, '/openapi.json')).status).toBe(200);
  expect((await fetch(`${service.url}/docs`)).status).toBe(200);
  expect((await as(undefined, '/metrics')).status).toBe(401);
  expect((await fetch(`${service.opsUrl}/metrics`)).status).toBe(200);
});

test('a key for some models sees the metrics of these models', async () => {
  const of = async (name: Name): Promise<readonly string[]> => {
    const { key } = keys[name];
    const got = await fetch(`${service.url}/metrics`, { headers: { 'x-api-key': key } });
    const found = (await got.text()).matchAll(/model_id="([^"]*)"/g);
    return [...new Set([...found].map(([, id]) => id ?? ''))].toSorted();
  };
  expect(await of('narrow')).toEqual(['iris']);
  expect(await of('reader')).toEqual(['iris', 'rose']);
  const ops = await (await fetch(`${service.opsUrl}/metrics`)).text();
  expect(ops).toContain('model_id="rose"');
});

describe.each(['/api/v1/health', '/health'])('health below %s', (base) => {
  test.each(['', '/', '/live', '/ready', '/startup'])('%j needs no key', async (path) => {
    expect((await as(undefined, base + path)).status).toBe(200);
  });

  test('shows every model to readers only', async () => {
    expect((await as(undefined, `${base}/detailed`)).status).toBe(401);
    expect((await as('caller', `${base}/detailed`)).status).toBe(403);
    expect((await as('reader', `${base}/detailed`)).status).toBe(200);
  });
});

test('shows and changes only the models of a key for some', async () => {
  const { body } = await as('narrow', '/api/v1/models');
  expect(body).toMatchObject({ total: 1, models: [{ model_id: 'iris' }] });
  const observed = await as('narrow', '/api/v1/observed');
  expect(observed.body['models']).toMatchObject([{ model_id: 'iris' }]);
  expect((await as('narrow', '/api/v1/models/rose')).status).toBe(403);
  expect((await as('narrow', '/api/v1/models/nobody')).status).toBe(403);
  expect((await as('narrow', '/api/v1/models/rose', 'DELETE')).status).toBe(403);
  const health = await as('narrow', '/health/detailed');
  expect((health.body['models'] as object[]).length).toBe(1);
  const deploy = await as('narrow', '/api/v1/models/deploy', 'POST', {
    config: iris({ model_id: 'tulip' }),
  });
  expect([deploy.status, codeOf(deploy)]).toEqual([403, 'FORBIDDEN']);
});

describe('a value that reaches beyond a model', () => {
  const privileged = [
    ['overrides', { overrides: { Deployment: { spec: { minReadySeconds: 3 } } } }],
    ['command', { command: ['/bin/sh', '-c', 'id'] }],
    ['args', { args: ['--allow-anything'] }],
    ['environment_variables.LD_PRELOAD', { environment_variables: { LD_PRELOAD: '/x' } }],
  ] as const;
  const refusedAs = async (...asked: Parameters<typeof as>) => {
    const reply = await as(...asked);
    const paths = detailsOf(reply).map(({ path }) => path);
    return [reply.status, codeOf(reply), ...paths];
  };

  test.each(privileged)('%s: is refused by deploy, dry run and PUT', async (path, more) => {
    const config = { ...iris({ model_id: 'mine' }), ...more };
    const refused = [400, 'INVALID_MODEL_CONFIG', path];
    for (const name of ['writer', 'root'] as const) {
      const deploy = '/api/v1/models/deploy';
      expect(await refusedAs(name, deploy, 'POST', { config })).toEqual(refused);
      expect(await refusedAs(name, `${deploy}?dry_run=true`, 'POST', { config })).toEqual(refused);
      const put = await refusedAs(name, '/api/v1/models/iris', 'PUT', { config: more });
      expect(put).toEqual(refused);
    }
  });

  test.each(privileged)(
    '%s: may stay when stored, is removed by null and restored by a rollback',
    async (path, more) => {
      await place(service, { ...iris(), ...more });
      const put = (config: object) => as('writer', '/api/v1/models/iris', 'PUT', { config });
      expect((await put({ version: 'v2' })).status).toBe(202);
      const scale = { min_replicas: 2, max_replicas: 3 };
      expect((await put({ scaling_config: scale })).status).toBe(202);
      const [field = ''] = path.split('.');
      expect((await put({ [field]: null })).status).toBe(202);
      // Gone is gone, but for the revision that had it.
      expect((await put({ ...more })).status).toBe(400);
      const back = await as('writer', '/api/v1/models/iris/rollback', 'POST', { revision: 3 });
      expect(back.status).toBe(202);
      const { body } = await as('writer', '/api/v1/models/iris');
      expect(JSON.stringify(body)).toContain(JSON.stringify(Object.values(more)[0]).slice(0, 12));
    },
  );

  test('may become stable in a candidate that is stored with it', async () => {
    const candidates = [
      { version: 'v2', traffic: 10, environment_variables: { LD_PRELOAD: '/opt/jemalloc.so' } },
    ];
    await place(service, { ...iris(), candidates });
    const body = { candidate: 'v2', percent: 20 };
    expect((await as('writer', '/api/v1/models/iris/traffic', 'POST', body)).status).toBe(202);
    expect((await as('writer', '/api/v1/models/iris/promote', 'POST', {})).status).toBe(202);
  });
});

test('a model of another manager is read-only; only an administrator takes it over', async () => {
  await place(service, withCandidate(), 'argocd');
  const change = { config: { version: 'v9' } };
  const reply = await as('writer', '/api/v1/models/iris', 'PUT', change);
  expect([reply.status, codeOf(reply)]).toEqual([409, 'READ_ONLY']);
  // The plan of the change, to be made where the definition is written.
  expect(reply.body['error']).toMatchObject({
    plan: { models: [{ model_id: 'iris', action: 'update' }] },
  });
  const forced = await as('writer', '/api/v1/models/iris?force=true', 'PUT', change);
  expect([forced.status, codeOf(forced)]).toEqual([403, 'FORBIDDEN']);
  expect((await as('root', '/api/v1/models/iris?force=true', 'PUT', change)).status).toBe(202);
  const { body } = await as('reader', '/api/v1/models/iris/status');
  expect(body['manager']).toBe('rest');
});

test('every change and every attempt is audited, with caller and result', async () => {
  await as('writer', '/api/v1/models/iris', 'PUT', { config: { version: 'v2' } });
  await as('reader', '/api/v1/models/iris', 'DELETE');
  await as(undefined, '/api/v1/models/rose/scale', 'POST', { replicas: 1 });
  await as('writer', '/api/v1/models/deploy', 'POST', { config: iris({ model_id: 'new' }) });
  await as('writer', '/api/v1/models/deploy', 'POST', { config: {} });
  await as('writer', '/api/v1/models/Not%20An%20Id/abort', 'POST');
  await as('reader', '/api/v1/models');
  const seen = service.audit.map(({ caller, action, model, revision, status }) => [
    caller,
    action,
    model,
    revision,
    status,
  ]);
  expect(seen).toEqual([
    ['writer', 'update', 'iris', 2, 202],
    ['reader', 'delete', 'iris', undefined, 403],
    [undefined, 'scale', 'rose', undefined, 401],
    ['writer', 'deploy', 'new', 1, 202],
    ['writer', 'deploy', undefined, undefined, 400],
    ['writer', 'abort', undefined, undefined, 404],
  ]);
});

test('every change accepts If-Match', async () => {
  const headers = { 'x-api-key': keys.root.key, 'if-match': '"9"' };
  await place(service, withCandidate());
  const bodies: Record<string, unknown> = {
    scale: { replicas: 1 },
    rollback: { revision: 1 },
    traffic: { candidate: 'next', percent: 1 },
    promote: {},
    abort: {},
  };
  for (const [action, body] of Object.entries(bodies)) {
    const url = `${service.url}/api/v1/models/iris/${action}`;
    const reply = await ask(url, 'POST', body, headers);
    expect([action, reply.status, codeOf(reply)]).toEqual([action, 412, 'REVISION_CONFLICT']);
  }
  expect(
    detailsOf(await ask(`${service.url}/api/v1/models/iris`, 'DELETE', undefined, headers)),
  ).toEqual([]);
});
