import type { ReplicaRecord } from '../../runtime/cluster/port';
import type { Service } from './support';
import { ask, codeOf, detailsOf, place, serve, withCandidate } from './support';

let service: Service;
let iris: string;
afterEach(() => service.close());

const begin = async (definition: object, options: Parameters<typeof serve>[0] = {}) => {
  service = await serve(options);
  iris = `${service.url}/api/v1/models/iris`;
  await place(service, definition);
};

/** Percent by arm, as the data plane has it at this moment. */
const shares = (): Record<string, number> =>
  Object.fromEntries(
    (service.table.current.models.get('iris')?.shares ?? []).map(({ arm, hundredths }) => [
      arm,
      hundredths / 100,
    ]),
  );

describe('traffic', () => {
  test.each([0, 0.01, 33.33, 50, 100])(
    'of %f percent is in effect with the response',
    async (percent) => {
      await begin(withCandidate());
      const reply = await ask(`${iris}/traffic`, 'POST', { candidate: 'next', percent });
      expect(reply.status).toBe(202);
      expect(shares()['next']).toBeCloseTo(percent, 5);
      expect((shares()['stable'] ?? 0) + (shares()['next'] ?? 0)).toBeCloseTo(100, 5);
    },
  );

  test('is a new revision of the definition, with everything else unchanged', async () => {
    await begin(withCandidate());
    const reply = await ask(`${iris}/traffic`, 'POST', { candidate: 'next', percent: 25 });
    expect(reply.body).toMatchObject({ revision: 2, deployment_id: 'iris-2' });
    expect((await ask(iris)).body).toEqual(withCandidate({ traffic: 25 }));
  });

  test.each([
    [{ candidate: 'next', percent: 0.001 }, 'percent'],
    [{ candidate: 'next', percent: -1 }, 'percent'],
    [{ candidate: 'next', percent: 100.01 }, 'percent'],
    [{ candidate: 'next', percent: '10' }, 'percent'],
    [{ candidate: 'next' }, 'percent'],
    [{ percent: 10 }, 'candidate'],
    [{ candidate: 'other', percent: 10 }, 'candidate'],
    [{ candidate: 'stable', percent: 10 }, 'candidate'],
  ])('%j is 400 with the path %s', async (body, path) => {
    await begin(withCandidate());
    const reply = await ask(`${iris}/traffic`, 'POST', body);
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply)[0]?.['path']).toBe(path);
    expect(shares()).toEqual({ stable: 90, next: 10 });
  });

  test.each([
    ['a shadow', { shadow: 50 }, /shadow/],
    ['a rollout', { rollout: {} }, /rolled out/],
  ])('of %s cannot be set, with the reason', async (_, role, sentence) => {
    await begin(withCandidate({ traffic: undefined, ...role }));
    const reply = await ask(`${iris}/traffic`, 'POST', { candidate: 'next', percent: 5 });
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply)[0]?.['message']).toMatch(sentence);
  });

  test('beyond 100 percent in all is refused', async () => {
    const two = withCandidate();
    const candidates = [
      ...(two['candidates'] as object[]),
      { name: 'b', version: 'v3', traffic: 20 },
    ];
    await begin({ ...two, candidates });
    const reply = await ask(`${iris}/traffic`, 'POST', { candidate: 'next', percent: 90 });
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_MODEL_CONFIG']);
    expect(shares()).toEqual({ stable: 70, next: 10, b: 20 });
  });

  test("is restored after an abort, also to the definition's share", async () => {
    await begin(withCandidate());
    await ask(`${iris}/abort`, 'POST');
    await ask(`${iris}/traffic`, 'POST', { candidate: 'next', percent: 10 });
    expect(shares()).toEqual({ stable: 90, next: 10 });
  });
});

describe('abort', () => {
  test('sends everything to stable with the response, without a new revision', async () => {
    await begin(withCandidate());
    const reply = await ask(`${iris}/abort`, 'POST');
    expect(reply.status).toBe(202);
    expect(reply.body).toMatchObject({ revision: 1 });
    expect(shares()).toEqual({ stable: 100, next: 0 });
    const { conditions } = (await ask(`${iris}/status`)).body;
    expect(conditions).toContainEqual(expect.objectContaining({ type: 'Overridden' }));
  });

  test('ends the copies of a shadow as well', async () => {
    await begin(withCandidate({ traffic: undefined, shadow: 50 }));
    expect(service.table.current.models.get('iris')?.shadows).toHaveLength(1);
    await ask(`${iris}/abort`, 'POST', {});
    expect(service.table.current.models.get('iris')?.shadows).toHaveLength(0);
  });

  test('stays through scaling, and ends with the next definition', async () => {
    await begin(withCandidate());
    await ask(`${iris}/abort`, 'POST');
    await ask(`${iris}/scale`, 'POST', { replicas: 3 });
    expect(shares()).toEqual({ stable: 100, next: 0 });
    await ask(iris, 'PUT', { config: { environment_variables: { A: 'b' } } });
    expect(shares()).toEqual({ stable: 90, next: 10 });
  });
});

/** Replicas that tests bring up one by one. */
function slowCluster() {
  const replicas = new Map<string, ReplicaRecord[]>();
  const up = (arm: string, version: string, count: number): void => {
    const all = Array.from({ length: count }, (_, index): ReplicaRecord => ({
      id: `${arm}-${version}-${index}`,
      arm,
      version,
      host: '127.0.0.1',
      port: 9,
      phase: 'ready',
      restarts: 0,
      since: 0,
    }));
    replicas.set(arm, all);
    service.cluster.refresh();
  };
  return { up, replicasOf: (_: unknown, arm: { name: string }) => replicas.get(arm.name) ?? [] };
}

const phase = async (): Promise<unknown> => {
  const { conditions } = (await ask(`${iris}/status`)).body;
  const all = conditions as { type: string; reason: string }[];
  return all.find(({ type }) => type === 'Promoting')?.reason;
};

const stats = (arm: string, inFlight: number) => ({
  model: 'iris',
  arm,
  version: 'v',
  inFlight,
  queued: 0,
  capacity: 16,
  window: { requests: 0, failures: 0 },
  replicas: [],
  shed: {},
});

describe('promote', () => {
  test('goes through its three phases, and all traffic has replicas at each moment', async () => {
    const { up, replicasOf } = slowCluster();
    await begin(withCandidate(), { replicasOf });
    const tick = async (): Promise<void> => {
      await service.control.tick();
      for (const [arm, share] of Object.entries(shares())) {
        const ready = service.table.current.models.get('iris')?.arms.get(arm)?.replicas.length ?? 0;
        if (share > 0) expect([arm, ready > 0]).toEqual([arm, true]);
      }
    };
    up('stable', 'v1', 2);
    up('next', 'v2', 2);
    const reply = await ask(`${iris}/promote`, 'POST', { candidate: 'next' });
    expect(reply.status).toBe(202);
    expect(await phase()).toBe('shifting');

    const seen: number[] = [];
    for (let count = 0; (await phase()) === 'shifting' && count < 10; count += 1) {
      await tick();
      seen.push(shares()['next'] ?? 0);
    }
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(await phase()).toBe('rolling');
    expect(shares()).toEqual({ stable: 0, next: 100 });
    expect((await ask(iris)).body['version']).toBe('v2');

    await tick();
    expect(await phase()).toBe('rolling');
    up('stable', 'v2', 2);
    for (let count = 0; (await phase()) !== undefined && count < 10; count += 1) await tick();
    expect(await phase()).toBeUndefined();
    expect(shares()).toEqual({ stable: 100 });
    const { body } = await ask(iris);
    expect(body).toMatchObject({ version: 'v2' });
    expect(body).not.toHaveProperty('candidates');
  });

  test('gives a candidate no more than its replicas carry', async () => {
    const { up, replicasOf } = slowCluster();
    await begin(withCandidate(), { replicasOf });
    up('stable', 'v1', 4);
    up('next', 'v2', 1);
    // 40 requests in flight, one replica with 8 slots.
    service.stats.push(stats('stable', 36), stats('next', 4));
    await ask(`${iris}/promote`, 'POST', {});
    for (let count = 0; count < 5; count += 1) await service.control.tick();
    expect(shares()['next']).toBeLessThanOrEqual(20);
    expect(await phase()).toBe('shifting');
  });

  test('without a name takes the only candidate; of several one must be named', async () => {
    await begin(withCandidate());
    expect((await ask(`${iris}/promote`, 'POST')).status).toBe(202);
    await service.close();
    const two = withCandidate();
    const candidates = [
      ...(two['candidates'] as object[]),
      { name: 'b', version: 'v3', traffic: 1 },
    ];
    await begin({ ...two, candidates });
    const reply = await ask(`${iris}/promote`, 'POST', {});
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
    expect(detailsOf(reply)[0]).toMatchObject({ path: 'candidate', allowed: 'next, b' });
    const wrong = await ask(`${iris}/promote`, 'POST', { candidate: 'c' });
    expect(detailsOf(wrong)[0]).toMatchObject({ got: '"c"', allowed: 'next, b' });
  });

  test('is idempotent; for another candidate it conflicts meanwhile', async () => {
    const two = withCandidate();
    const candidates = [
      ...(two['candidates'] as object[]),
      { name: 'b', version: 'v3', traffic: 1 },
    ];
    await begin({ ...two, candidates });
    await ask(`${iris}/promote`, 'POST', { candidate: 'next' });
    expect((await ask(`${iris}/promote`, 'POST', { candidate: 'next' })).status).toBe(202);
    const other = await ask(`${iris}/promote`, 'POST', { candidate: 'b' });
    expect([other.status, codeOf(other)]).toEqual([409, 'FIELD_CONFLICT']);
  });

  test.each([
    ['PUT', '', { config: { version: 'v9' } }],
    ['POST', '/traffic', { candidate: 'next', percent: 1 }],
    ['POST', '/rollback', { revision: 1 }],
  ])('refuses a %s %s meanwhile, with the correction', async (method, path, body) => {
    await begin(withCandidate());
    await ask(`${iris}/promote`, 'POST');
    const reply = await ask(`${iris}${path}`, method, body);
    expect([reply.status, codeOf(reply)]).toEqual([409, 'FIELD_CONFLICT']);
    expect(JSON.stringify(reply.body)).toContain('abort');
    expect(await phase()).toBe('shifting');
  });

  test('continues after a scale', async () => {
    await begin(withCandidate());
    await ask(`${iris}/promote`, 'POST');
    expect((await ask(`${iris}/scale`, 'POST', { replicas: 4 })).status).toBe(202);
    expect(await phase()).toBe('shifting');
  });

  test('is aborted at once while traffic shifts', async () => {
    await begin(withCandidate());
    await ask(`${iris}/promote`, 'POST');
    await service.control.tick();
    expect(shares()['next']).toBeGreaterThan(10);
    await ask(`${iris}/abort`, 'POST');
    expect(shares()).toEqual({ stable: 100, next: 0 });
    await service.control.tick();
    expect(shares()).toEqual({ stable: 100, next: 0 });
    expect(await phase()).toBeUndefined();
  });

  test('is aborted while stable rolls: its definition returns, with the present scaling', async () => {
    const { up, replicasOf } = slowCluster();
    await begin(withCandidate(), { replicasOf });
    up('stable', 'v1', 2);
    up('next', 'v2', 2);
    await ask(`${iris}/promote`, 'POST');
    for (let count = 0; (await phase()) !== 'rolling' && count < 10; count += 1) {
      await service.control.tick();
    }
    await ask(`${iris}/scale`, 'POST', { replicas: 5 });
    const reply = await ask(`${iris}/abort`, 'POST');
    expect(reply.status).toBe(202);
    expect(shares()).toEqual({ stable: 100, next: 0 });
    expect((await ask(iris)).body).toMatchObject({
      version: 'v1',
      scaling_config: { min_replicas: 5, max_replicas: 5 },
      candidates: [{ name: 'next', version: 'v2', traffic: 10 }],
    });
  });

  test('cannot be aborted while traffic returns, and the refusal has the alternative', async () => {
    const { up, replicasOf } = slowCluster();
    await begin(withCandidate(), { replicasOf });
    up('stable', 'v1', 2);
    up('next', 'v2', 2);
    await ask(`${iris}/promote`, 'POST');
    for (let count = 0; (await phase()) !== 'rolling' && count < 10; count += 1) {
      await service.control.tick();
    }
    up('stable', 'v2', 2);
    await service.control.tick();
    expect(await phase()).toBe('returning');
    const reply = await ask(`${iris}/abort`, 'POST');
    expect([reply.status, codeOf(reply)]).toEqual([409, 'FIELD_CONFLICT']);
    expect(JSON.stringify(reply.body)).toContain('rollback');
  });

  test('is refused for a stopped model and for one without candidates', async () => {
    await begin(withCandidate());
    await ask(`${iris}/scale`, 'POST', { replicas: 0 });
    expect(codeOf(await ask(`${iris}/promote`, 'POST'))).toBe('FIELD_CONFLICT');
    await ask(iris, 'PUT', { config: { candidates: null } });
    const reply = await ask(`${iris}/promote`, 'POST');
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('is refused for a model of Git, with the steps there', async () => {
    service = await serve();
    iris = `${service.url}/api/v1/models/iris`;
    await place(service, withCandidate(), 'argocd');
    const reply = await ask(`${iris}/promote`, 'POST');
    expect([reply.status, codeOf(reply)]).toEqual([409, 'READ_ONLY']);
    expect(JSON.stringify(reply.body)).toContain('argocd');
  });
});

describe('the share of a model of Git', () => {
  beforeEach(async () => {
    service = await serve();
    iris = `${service.url}/api/v1/models/iris`;
    await place(service, withCandidate({ traffic: 20 }), 'argocd');
  });
  const give = (percent: number) => ask(`${iris}/traffic`, 'POST', { candidate: 'next', percent });

  test('can be lowered until the next definition, and not raised', async () => {
    expect((await give(30)).status).toBe(409);
    const { status, body } = await give(5);
    expect([status, body['revision']]).toEqual([202, 1]);
    expect(shares()).toEqual({ stable: 95, next: 5 });
    expect((await give(20)).status).toBe(202);
    expect(codeOf(await give(21))).toBe('READ_ONLY');
    await place(service, withCandidate({ traffic: 50 }), 'argocd');
    expect(shares()).toEqual({ stable: 50, next: 50 });
  });
});

describe('explain', () => {
  test('replays the decision for a key', async () => {
    await begin(withCandidate({ traffic: 50 }));
    const arms = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const { status, body } = await ask(`${iris}/explain?key=patient-${index}`);
        expect(status).toBe(200);
        expect(body).toMatchObject({ reason: 'cohort', shares: { stable: 50, next: 50 } });
        expect(body['version']).toBe(body['arm'] === 'next' ? 'v2' : 'v1');
        return body['arm'];
      }),
    );
    expect(new Set(arms)).toEqual(new Set(['stable', 'next']));
  });

  test('reports the only arm', async () => {
    await begin(withCandidate({ traffic: 0 }));
    expect((await ask(`${iris}/explain?key=a`)).body).toMatchObject({
      arm: 'stable',
      reason: 'only_arm',
    });
  });

  test.each(['', '?key=', '?key=a&key=b', '?name=a'])('%s is 400', async (query) => {
    await begin(withCandidate());
    const reply = await ask(`${iris}/explain${query}`);
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
  });
});
