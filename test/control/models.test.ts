import { planSchema } from '../../lib/plan/schema';
import type { Service } from './support';
import { ask, codeOf, detailsOf, iris, place, serve, T0 } from './support';

let service: Service;
let models: string;
beforeEach(async () => {
  service = await serve();
  models = `${service.url}/api/v1/models`;
});
afterEach(() => service.close());

describe('deploy', () => {
  test('is accepted with the id of the deployment, and the model is shown', async () => {
    const reply = await ask(`${models}/deploy`, 'POST', { config: iris() });
    expect(reply.status).toBe(202);
    expect(reply.body).toEqual({
      deployment_id: 'iris-1',
      model_id: 'iris',
      revision: 1,
      message: expect.stringContaining('/api/v1/models/iris/status'),
      warnings: [],
    });
    expect(reply.headers.get('etag')).toBe('"1"');
    expect((await ask(`${models}/iris`)).status).toBe(200);
    expect(service.table.current.models.has('iris')).toBe(true);
  });

  test('explains the wrapper to a caller that sends the bare definition', async () => {
    const reply = await ask(`${models}/deploy`, 'POST', iris());
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply)).toEqual([
      {
        path: 'config',
        message: 'is missing: send {"config": {…}} with the definition in it',
        allowed: 'a definition',
      },
    ]);
  });

  test('treats the identical definition as the same deployment, in any spelling', async () => {
    await ask(`${models}/deploy`, 'POST', { config: iris() });
    const { model_id: id, repository_url: source, ...rest } = iris();
    const again = await ask(`${models}/deploy`, 'POST', { config: { id, source, ...rest } });
    expect(again.status).toBe(202);
    expect(again.body).toMatchObject({ deployment_id: 'iris-1', revision: 1 });
    expect(again.body['message']).toContain('nothing was changed');
  });

  test('refuses another definition for an existing id with 409 and changes nothing', async () => {
    await ask(`${models}/deploy`, 'POST', { config: iris() });
    const other = await ask(`${models}/deploy`, 'POST', { config: iris({ version: 'v2' }) });
    expect([other.status, codeOf(other)]).toEqual([409, 'MODEL_ALREADY_EXISTS']);
    expect((await ask(`${models}/iris`)).body['version']).toBe('v1');
  });

  test('reports all faults of a definition at once, with wire paths, and stores nothing', async () => {
    const config = iris({
      scaling_config: { min_replicas: 3, max_replicas: 1 },
      docker_image: 'a',
    });
    const reply = await ask(`${models}/deploy`, 'POST', { config });
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_MODEL_CONFIG']);
    expect(reply.body).toMatchObject({ status: 'error', timestamp: new Date(T0).toISOString() });
    expect(detailsOf(reply)).toEqual([
      {
        path: 'docker_image',
        message: expect.stringContaining('tag'),
        got: '"a"',
        allowed: expect.any(String),
      },
      {
        path: 'scaling_config.max_replicas',
        message: expect.any(String),
        got: '1',
        allowed: expect.stringContaining('3'),
      },
    ]);
    expect((await ask(models)).body['total']).toBe(0);
  });

  test('reports faults of a definition in field names with wire names as well', async () => {
    const { model_id: id, repository_url: source, ...rest } = iris({ scaling: { maxReplicas: 0 } });
    const reply = await ask(`${models}/deploy`, 'POST', { config: { id, source, ...rest } });
    expect(detailsOf(reply).map(({ path }) => path)).toEqual(['scaling_config.max_replicas']);
  });

  test('returns warnings, and refuses findings of severity error', async () => {
    const warned = await ask(`${models}/deploy`, 'POST', {
      config: iris({ environment_variables: { API_TOKEN: 'x' } }),
    });
    expect(warned.body['warnings']).toEqual([
      {
        rule: 'secret-literal',
        path: 'environment_variables.API_TOKEN',
        message: expect.stringContaining('secret'),
        fix: 'use { secret, key }',
      },
    ]);
    const refused = await ask(`${models}/deploy`, 'POST', {
      config: {
        ...iris({ model_id: 'tight' }),
        resource_requirements: { cpu: '2', cpu_limit: '1' },
      },
    });
    expect([refused.status, codeOf(refused)]).toEqual([400, 'INVALID_MODEL_CONFIG']);
    expect(detailsOf(refused)[0]?.['path']).toBe('resource_requirements.cpu_limit');
  });

  test('renders the Kubernetes objects in a dry run and changes nothing', async () => {
    const reply = await ask(`${models}/deploy?dry_run=true`, 'POST', { config: iris() });
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ model_id: 'iris', dry_run: true });
    const objects = reply.body['objects'] as { kind: string; metadata: { name: string } }[];
    expect(objects.map(({ kind }) => kind)).toContain('Deployment');
    expect(objects.find(({ kind }) => kind === 'Deployment')?.metadata.name).toBe('iris');
    expect((await ask(`${models}/iris`)).status).toBe(404);
  });

  test('says in a dry run what the change means, compared with the running definition', async () => {
    const created = await ask(`${models}/deploy?dry_run=true`, 'POST', { config: iris() });
    expect(created.body['plan']).toMatchObject({
      base: 'the running definitions',
      models: [{ model_id: 'iris', action: 'create' }],
    });
    await ask(`${models}/deploy`, 'POST', { config: iris() });
    await ask(`${models}/deploy`, 'POST', { config: iris({ model_id: 'rose' }) });
    const config = iris({ version: 'v2', capabilities: [] });
    const { body } = await ask(`${models}/deploy?dry_run=true`, 'POST', { config });
    const plan = planSchema.parse(body['plan']);
    expect(plan.models.map(({ model_id, action }) => [model_id, action])).toEqual([
      ['iris', 'update'],
    ]);
    expect(plan.models[0]?.traffic?.moves).toEqual([
      {
        percent: 100,
        from: { arm: 'stable', version: 'v1' },
        to: { arm: 'stable', version: 'v2' },
      },
    ]);
    expect(plan.unchanged).toBe(1);
  });

  test('refuses an id that would share object names with another', async () => {
    await ask(`${models}/deploy`, 'POST', { config: iris({ model_id: 'a_b' }) });
    const reply = await ask(`${models}/deploy`, 'POST', { config: iris({ model_id: 'a-b' }) });
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_MODEL_CONFIG']);
  });

  test.each([
    ['no config', {}, 'config'],
    ['a config that is text', { config: 'x' }, 'config'],
    ['an unknown field', { config: {}, dry: true }, 'dry'],
    ['a list', [], ''],
    ['null', null, ''],
  ])('%s is 400 with its path', async (_, body, path) => {
    const reply = await ask(`${models}/deploy`, 'POST', body);
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply).map((one) => one['path'])).toContain(path);
  });
});

describe('list', () => {
  beforeEach(async () => {
    await place(service, iris({ model_id: 'b', model_type: 'health' }));
    await place(service, iris({ model_id: 'c', framework: 'tensorflow' }));
    await place(service, iris({ model_id: 'a', scaling_config: { min_replicas: 2 } }));
    await service.cluster.setOverrides('c', {
      hash:
        service.cluster
          .watch(() => undefined)
          .snapshot()
          .models.get('c')?.hash ?? '',
      stopped: true,
    });
  });
  const ids = async (query: string): Promise<unknown> => {
    const { body } = await ask(`${models}${query}`);
    return (body['models'] as { model_id: string }[]).map(({ model_id: id }) => id);
  };

  test('is sorted by id and has the total count', async () => {
    const { status, body } = await ask(models);
    expect(status).toBe(200);
    expect(body).toMatchObject({ total: 3, limit: 50, offset: 0 });
    expect((body['models'] as object[])[0]).toEqual({
      model_id: 'a',
      name: 'a',
      version: 'v1',
      status: 'running',
      replicas: { desired: 2, current: 2, ready: 2 },
      model_type: 'other',
      framework: 'onnx',
      revision: 1,
      created_at: new Date(T0).toISOString(),
      updated_at: new Date(T0).toISOString(),
    });
  });

  test.each([
    ['?limit=2', ['a', 'b']],
    ['?limit=2&offset=2', ['c']],
    ['?offset=7', []],
    ['?model_type=health', ['b']],
    ['?framework=tensorflow', ['c']],
    ['?status=stopped', ['c']],
    ['?status=running&framework=onnx', ['a', 'b']],
  ])('%s', async (query, expected) => {
    expect(await ids(query)).toEqual(expected);
  });

  test.each([
    ['?limit=0', 'limit'],
    ['?limit=many', 'limit'],
    ['?offset=-1', 'offset'],
    ['?limit=1&limit=2', 'limit'],
    ['?status=ill', 'status'],
    ['?model_type=cat', 'model_type'],
    ['?framework=lisp', 'framework'],
    ['?statsu=running', 'statsu'],
  ])('%s is 400 with the path %s', async (query, path) => {
    const reply = await ask(`${models}${query}`);
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply)[0]?.['path']).toBe(path);
  });
});

describe('get', () => {
  test('returns the definition as written, with its revision as ETag', async () => {
    await place(service, iris({ labels: { team: 'x' } }));
    const { status, body, headers } = await ask(`${models}/iris`);
    expect(status).toBe(200);
    expect(body).toEqual(iris({ labels: { team: 'x' } }));
    expect(headers.get('etag')).toBe('"1"');
    // Without its own cache-control, fetch asks for a fresh answer.
    const conditional = { 'if-none-match': '"1"', 'cache-control': 'max-age=0' };
    const cached = await fetch(`${models}/iris`, { headers: conditional });
    expect(cached.status).toBe(304);
  });

  test.each(['', '/status', '/versions', '/explain?key=a'])(
    'is 404 for a model that does not exist%s',
    async (rest) => {
      const reply = await ask(`${models}/nobody${rest}`);
      expect([reply.status, codeOf(reply)]).toEqual([404, 'MODEL_NOT_FOUND']);
    },
  );
});

describe('update', () => {
  beforeEach(() => place(service, iris({ environment_variables: { A: '1', B: '2' } })));

  test('is a merge patch: other fields stay, null removes', async () => {
    const config = { version: 'v2', environment_variables: { A: null } };
    const reply = await ask(`${models}/iris`, 'PUT', { config });
    expect(reply.status).toBe(202);
    expect(reply.body).toMatchObject({ deployment_id: 'iris-2', revision: 2 });
    expect((await ask(`${models}/iris`)).body).toEqual(
      iris({ version: 'v2', environment_variables: { B: '2' } }),
    );
  });

  test('without a change makes no revision', async () => {
    const reply = await ask(`${models}/iris`, 'PUT', { config: { version: 'v1' } });
    expect(reply.status).toBe(202);
    expect(reply.body).toMatchObject({ revision: 1, message: expect.stringContaining('nothing') });
  });

  test('of a field that breaks the definition is refused, with the path of the merged field', async () => {
    const reply = await ask(`${models}/iris`, 'PUT', {
      config: { scaling_config: { max_replicas: 0 } },
    });
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_MODEL_CONFIG']);
    expect(detailsOf(reply)[0]?.['path']).toBe('scaling_config.max_replicas');
  });

  test.each(['model_id', 'id'])('with another %s is 400', async (field) => {
    const reply = await ask(`${models}/iris`, 'PUT', { config: { [field]: 'rose' } });
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply)[0]).toMatchObject({ path: `config.${field}`, allowed: 'iris' });
  });

  test('with the id of the path is accepted', async () => {
    const config = { model_id: 'iris', version: 'v2' };
    expect((await ask(`${models}/iris`, 'PUT', { config })).status).toBe(202);
  });

  test('of a model that does not exist is 404', async () => {
    const reply = await ask(`${models}/rose`, 'PUT', { config: { version: 'v2' } });
    expect(codeOf(reply)).toBe('MODEL_NOT_FOUND');
  });

  test.each([
    ['"1"', 202],
    ['"7", "1"', 202],
    ['*', 202],
    ['"2"', 412],
    ['W/"1"', 412],
    ['1', 400],
  ])('with If-Match %s at revision 1 is %i', async (etag, status) => {
    const config = { version: 'v2' };
    const reply = await ask(`${models}/iris`, 'PUT', { config }, { 'if-match': etag });
    expect(reply.status).toBe(status);
    const { version } = (await ask(`${models}/iris`)).body;
    expect(version).toBe(status === 202 ? 'v2' : 'v1');
    if (status === 412) expect(codeOf(reply)).toBe('REVISION_CONFLICT');
  });

  test('of several callers at once keeps every change', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `N${index}`);
    const replies = await Promise.all(
      names.map((name) =>
        ask(`${models}/iris`, 'PUT', { config: { environment_variables: { [name]: 'x' } } }),
      ),
    );
    expect(replies.map(({ status }) => status)).toEqual(names.map(() => 202));
    const { body } = await ask(`${models}/iris`);
    expect(Object.keys(body['environment_variables'] as object).toSorted()).toEqual(
      [...names, 'A', 'B'].toSorted(),
    );
  });

  test('of a version keeps a stopped model stopped', async () => {
    await ask(`${models}/iris/scale`, 'POST', { replicas: 0 });
    await ask(`${models}/iris`, 'PUT', { config: { version: 'v2' } });
    expect((await ask(`${models}/iris/status`)).body['status']).toBe('stopped');
  });
});

describe('versions and rollback', () => {
  beforeEach(async () => {
    for (const version of ['v1', 'v2', 'v3']) await place(service, iris({ version }));
  });

  test('list the history newest first, with the current one', async () => {
    const { body } = await ask(`${models}/iris/versions`);
    const all = body['versions'] as Record<string, unknown>[];
    expect(all.map(({ revision, version, current }) => [revision, version, current])).toEqual([
      [3, 'v3', true],
      [2, 'v2', false],
      [1, 'v1', false],
    ]);
    expect(all[1]).toMatchObject({
      by: 'test',
      manager: 'rest',
      applied_at: new Date(T0).toISOString(),
      definition: iris({ version: 'v2' }),
    });
  });

  test('make a new revision of an earlier definition', async () => {
    const reply = await ask(`${models}/iris/rollback`, 'POST', { revision: 1 });
    expect(reply.status).toBe(202);
    expect(reply.body).toMatchObject({ revision: 4 });
    expect((await ask(`${models}/iris`)).body['version']).toBe('v1');
  });

  test('are 404 for a revision that is not stored, with those that are', async () => {
    const reply = await ask(`${models}/iris/rollback`, 'POST', { revision: 9 });
    expect([reply.status, codeOf(reply)]).toEqual([404, 'NOT_FOUND']);
    expect(JSON.stringify(reply.body)).toContain('3, 2, 1');
  });

  test.each([{}, { revision: 0 }, { revision: '1' }, { revision: 1.5 }, { revision: 1, x: 1 }])(
    '%j is 400',
    async (body) => {
      const reply = await ask(`${models}/iris/rollback`, 'POST', body);
      expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    },
  );
});

describe('scale', () => {
  const scaling = async (): Promise<unknown> =>
    (await ask(`${models}/iris`)).body['scaling_config'];

  test('sets both bounds of a fixed model', async () => {
    await place(service, iris());
    const reply = await ask(`${models}/iris/scale`, 'POST', { replicas: 3 });
    expect(reply.status).toBe(202);
    expect(reply.body).toMatchObject({ current_replicas: 1, target_replicas: 3, revision: 2 });
    expect(await scaling()).toEqual({ min_replicas: 3, max_replicas: 3 });
    expect((await ask(`${models}/iris/status`)).body['replicas']).toMatchObject({ desired: 3 });
  });

  test('to the present count makes no revision, and reports it', async () => {
    await place(service, iris());
    const reply = await ask(`${models}/iris/scale`, 'POST', { replicas: 1 });
    expect(reply.body).toMatchObject({ revision: 1, target_replicas: 1 });
    expect(reply.body['message']).toContain('nothing was changed');
    expect((await ask(`${models}/iris/versions`)).body['versions']).toHaveLength(1);
  });

  test('sets the minimum of an autoscaled model', async () => {
    await place(service, iris({ scaling_config: { min_replicas: 1, max_replicas: 5 } }));
    await ask(`${models}/iris/scale`, 'POST', { replicas: 4 });
    expect(await scaling()).toEqual({ min_replicas: 4, max_replicas: 5 });
  });

  test('above the maximum of an autoscaled model is 400 with the reason', async () => {
    await place(service, iris({ scaling_config: { min_replicas: 1, max_replicas: 5 } }));
    const reply = await ask(`${models}/iris/scale`, 'POST', { replicas: 6 });
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply)[0]).toMatchObject({
      path: 'replicas',
      got: '6',
      allowed: '≤ 5',
      message: expect.stringContaining('max_replicas (5)'),
    });
  });

  test('to 0 stops without a new revision; scaling up starts again', async () => {
    await place(service, iris({ scaling_config: { min_replicas: 2, max_replicas: 2 } }));
    const stop = await ask(`${models}/iris/scale`, 'POST', { replicas: 0 });
    expect(stop.body).toMatchObject({ current_replicas: 2, target_replicas: 0, revision: 1 });
    expect((await ask(`${models}/iris/status`)).body['status']).toBe('stopped');
    expect(service.table.current.models.get('iris')?.stopped).toBe(true);
    const start = await ask(`${models}/iris/scale`, 'POST', { replicas: 2 });
    expect(start.body).toMatchObject({ revision: 1, message: 'iris scales from 0 to 2' });
    expect((await ask(`${models}/iris/status`)).body['status']).toBe('running');
  });

  test.each([{}, { replicas: -1 }, { replicas: 1.5 }, { replicas: '2' }, { replicas: 1001 }])(
    '%j is 400',
    async (body) => {
      await place(service, iris());
      const reply = await ask(`${models}/iris/scale`, 'POST', body);
      expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
      expect(detailsOf(reply)[0]?.['path']).toBe('replicas');
    },
  );
});

describe('delete', () => {
  test('is accepted, and removes the model with its routes', async () => {
    await place(service, iris());
    const reply = await ask(`${models}/iris`, 'DELETE');
    expect(reply.status).toBe(202);
    expect(reply.body).toEqual({ model_id: 'iris', message: expect.stringContaining('drains') });
    expect((await ask(`${models}/iris`)).status).toBe(404);
    expect(service.table.current.models.size).toBe(0);
  });

  test('supports If-Match and reports a model that does not exist', async () => {
    await place(service, iris());
    const stale = await ask(`${models}/iris`, 'DELETE', undefined, { 'if-match': '"2"' });
    expect(codeOf(stale)).toBe('REVISION_CONFLICT');
    expect(codeOf(await ask(`${models}/rose`, 'DELETE'))).toBe('MODEL_NOT_FOUND');
    expect(codeOf(await ask(`${models}/iris?force=maybe`, 'DELETE'))).toBe('INVALID_REQUEST');
    expect((await ask(`${models}/iris?force=true`, 'DELETE')).status).toBe(202);
  });
});
