import type { Cluster, ClusterErrorCode, Snapshot } from '../../runtime/cluster/port';
import { ClusterError } from '../../runtime/cluster/port';
import type { MemoryCluster } from '../support/memory-cluster';
import type { Plan } from '../../lib/plan/schema';
import { ERROR_STATUS } from '../../runtime/core/routing/error-codes';
import type { Service } from './support';
import { ask, codeOf, iris, place, serve } from './support';

let service: Service;
afterEach(() => service.close());

const CODES: readonly ClusterErrorCode[] = [
  'MODEL_NOT_FOUND',
  'NOT_FOUND',
  'MODEL_ALREADY_EXISTS',
  'READ_ONLY',
  'FIELD_CONFLICT',
  'INVALID_MODEL_CONFIG',
  'INSUFFICIENT_RESOURCES',
  'CLUSTER_UNAVAILABLE',
  'DEPLOYMENT_FAILED',
];

test.each(CODES)('a refusal of the cluster is returned as it is: %s', async (code) => {
  const refuse = () => Promise.reject(new ClusterError(code, 'the sentence', [{ path: 'x' }]));
  service = await serve({ wrap: (cluster) => ({ ...cluster, apply: refuse }) });
  const reply = await ask(`${service.url}/api/v1/models/deploy`, 'POST', { config: iris() });
  expect([reply.status, codeOf(reply)]).toEqual([ERROR_STATUS[code], code]);
  expect(reply.body['error']).toMatchObject({ message: 'the sentence', details: [{ path: 'x' }] });
  expect(reply.headers.get('retry-after')).toBe(ERROR_STATUS[code] === 503 ? '5' : null);
});

test('faults of the cluster are logged, and faults of the caller are not', async () => {
  const refuse = (code: ClusterErrorCode) => () => Promise.reject(new ClusterError(code, 'words'));
  const told = async (code: ClusterErrorCode): Promise<unknown> => {
    service = await serve({ wrap: (cluster) => ({ ...cluster, apply: refuse(code) }) });
    await ask(`${service.url}/api/v1/models/deploy`, 'POST', { config: iris() });
    return service.logged.find(({ message }) => message === 'the cluster refused')?.fields;
  };
  expect(await told('INVALID_MODEL_CONFIG')).toBeUndefined();
  await service.close();
  expect(await told('DEPLOYMENT_FAILED')).toMatchObject({
    code: 'DEPLOYMENT_FAILED',
    message: 'words',
  });
});

test('an internal error is a 500 without its text, and the log has the place by request id', async () => {
  const secret = 'password-in-a-message';
  service = await serve({
    wrap: (cluster) => ({ ...cluster, history: () => Promise.reject(new Error(secret)) }),
  });
  await place(service, iris());
  const reply = await ask(`${service.url}/api/v1/models/iris/versions`);
  expect([reply.status, codeOf(reply)]).toEqual([500, 'INTERNAL']);
  expect(JSON.stringify(reply.body)).not.toContain(secret);
  const id = reply.headers.get('x-request-id');
  expect(JSON.stringify(reply.body)).toContain(id);
  const logged = service.logged.find(({ message }) => message === 'a call failed');
  expect(logged?.fields).toMatchObject({ requestId: id, name: 'Error' });
  expect(JSON.stringify(service.logged)).not.toContain(secret);
});

describe('two writers', () => {
  /** Somebody else is faster than the first `times` changes. */
  const contested = (times: number) => {
    let left = times;
    return (cluster: MemoryCluster): Cluster => ({
      ...cluster,
      apply: async (spec, options) => {
        if (options.by === 'anonymous' && left > 0) {
          left -= 1;
          const labels = { turn: String(left) };
          await place({ cluster }, iris({ labels }));
        }
        return cluster.apply(spec, options);
      },
    });
  };
  const put = (headers: Record<string, string> = {}) =>
    ask(`${service.url}/api/v1/models/iris`, 'PUT', { config: { version: 'v2' } }, headers);

  test('both succeed: the second change applies to the result of the first', async () => {
    service = await serve({ wrap: contested(2) });
    await place(service, iris());
    expect((await put()).status).toBe(202);
    const { body } = await ask(`${service.url}/api/v1/models/iris`);
    expect(body).toMatchObject({ version: 'v2', labels: { turn: '0' } });
  });

  test('give up after some attempts, and report it', async () => {
    service = await serve({ wrap: contested(99) });
    await place(service, iris());
    const reply = await put();
    expect([reply.status, codeOf(reply)]).toEqual([412, 'REVISION_CONFLICT']);
  });

  test('with If-Match fail without a retry', async () => {
    service = await serve({ wrap: contested(1) });
    await place(service, iris());
    const reply = await put({ 'if-match': '"1"' });
    expect([reply.status, codeOf(reply)]).toEqual([412, 'REVISION_CONFLICT']);
  });
});

/** A cluster that takes its time to remove: the record stays, marked as going. */
function draining() {
  let finish = (): void => undefined;
  const removed: string[] = [];
  const deleting = new Set<string>();
  const listeners: ((snapshot: Snapshot) => void)[] = [];
  const wrap = (cluster: MemoryCluster): Cluster => {
    const mark = (snapshot: Snapshot): Snapshot => ({
      ...snapshot,
      models: new Map(
        [...snapshot.models].map(([id, record]) => [id, { ...record, deleting: deleting.has(id) }]),
      ),
    });
    return {
      ...cluster,
      watch: (listener) => {
        listeners.push(listener);
        return cluster.watch((snapshot) => listener(mark(snapshot)));
      },
      remove: (id, options) => {
        removed.push(options.by);
        deleting.add(id);
        cluster.refresh();
        return new Promise((resolve, reject) => {
          finish = () => void cluster.remove(id, options).then(resolve, reject);
        });
      },
    };
  };
  return { wrap, removed, finish: () => finish(), deleting };
}

describe('deleting a model', () => {
  test('is answered when it has begun, not after the last request', async () => {
    const slow = draining();
    service = await serve({ wrap: slow.wrap });
    await place(service, iris());
    const reply = await ask(`${service.url}/api/v1/models/iris`, 'DELETE');
    expect(reply.status).toBe(202);
    expect(service.table.current.models.get('iris')?.deleting).toBe(true);
    expect((await ask(`${service.url}/api/v1/models/iris/status`)).body['status']).toBe(
      'terminating',
    );
    const change = await ask(`${service.url}/api/v1/models/iris`, 'PUT', { config: {} });
    expect([change.status, codeOf(change)]).toEqual([409, 'FIELD_CONFLICT']);
    slow.finish();
  });

  test('is finished by a tick after an interruption, once a minute at most', async () => {
    const slow = draining();
    service = await serve({ wrap: slow.wrap });
    await place(service, iris());
    // As a service finds it that was restarted in the middle of a removal.
    slow.deleting.add('iris');
    service.cluster.refresh();
    await service.control.tick();
    expect(slow.removed).toEqual([]);
    service.clock.at += 61_000;
    await service.control.tick();
    await service.control.tick();
    expect(slow.removed).toEqual(['ai-model-service']);
    const line = { caller: 'ai-model-service', action: 'delete', model: 'iris', status: 200 };
    expect(service.audit).toMatchObject([{ ...line, reason: 'its removal was cut off' }]);
    slow.finish();
    await expect(
      service.control.tick().then(() => ask(`${service.url}/api/v1/models/iris`)),
    ).resolves.toMatchObject({ status: 404 });
  });

  test("is refused with the cluster's refusal", async () => {
    service = await serve();
    await place(service, iris(), 'argocd');
    const reply = await ask(`${service.url}/api/v1/models/iris`, 'DELETE');
    expect([reply.status, codeOf(reply)]).toEqual([409, 'READ_ONLY']);
    const { plan } = (reply.body as unknown as { error: { plan: Plan } }).error;
    expect(plan.models).toMatchObject([
      { model_id: 'iris', action: 'delete', risks: [{ rule: 'model-deleted' }] },
    ]);
  });
});

test('a tick that fails is logged and retried by the next one', async () => {
  let broken = true;
  service = await serve({
    wrap: (cluster) => ({
      ...cluster,
      setOverrides: (id, state) =>
        broken && state?.promote !== undefined && state.shares !== undefined
          ? Promise.reject(new ClusterError('CLUSTER_UNAVAILABLE', 'away'))
          : cluster.setOverrides(id, state),
    }),
  });
  await place(service, iris({ candidates: [{ name: 'next', version: 'v2', traffic: 10 }] }));
  await ask(`${service.url}/api/v1/models/iris/promote`, 'POST');
  await service.control.tick();
  expect(service.logged.map(({ message }) => message)).toContain('a tick could not act');
  const before = service.table.current.models.get('iris')?.shares[1]?.hundredths;
  broken = false;
  await service.control.tick();
  expect(service.table.current.models.get('iris')?.shares[1]?.hundredths).toBeGreaterThan(
    before ?? 0,
  );
});

test('ticks do not overlap', async () => {
  let running = 0;
  let most = 0;
  service = await serve({
    wrap: (cluster) => ({
      ...cluster,
      setOverrides: async (id, state) => {
        running += 1;
        most = Math.max(most, running);
        await cluster.setOverrides(id, state);
        running -= 1;
      },
    }),
  });
  await place(service, iris({ candidates: [{ name: 'next', version: 'v2', traffic: 10 }] }));
  await ask(`${service.url}/api/v1/models/iris/promote`, 'POST');
  await Promise.all([service.control.tick(), service.control.tick(), service.control.tick()]);
  expect(most).toBe(1);
});

test('listeners hear of every swap, with a rising generation', async () => {
  const generations: number[] = [];
  service = await serve({
    more: { onTableSwap: ({ generation }) => void generations.push(generation) },
  });
  await place(service, iris());
  await place(service, iris({ version: 'v2' }));
  expect(generations).toEqual([1, 2, 3]);
});
