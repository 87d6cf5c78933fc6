import fc from 'fast-check';
import { buildTable } from '../../../../runtime/core/routing/build-table';
import { recordOf } from '../../../../runtime/cluster/kubernetes/cache/model-record';
import { statusOf } from '../../../../runtime/core/lifecycle/status';
import { snapshotOf } from '../../../core/support';
import type { Plain } from '../support';
import { heldOf, RECORDED_AT, recorded, recordFrom } from '../support';

test('a model with ready replicas has counts, addresses and uids', () => {
  const seen = recorded('healthy');
  const record = recordFrom(seen);
  expect(record.arms).toEqual([
    { name: 'stable', version: 'v1', desired: 2, current: 2, ready: 2, updated: 2 },
  ]);
  const meta = seen.pods.map((pod) => pod['metadata'] as Plain);
  expect(record.replicas.map(({ id }) => id)).toEqual(meta.map(({ uid }) => uid));
  expect(record.replicas[0]).toMatchObject({
    arm: 'stable',
    version: 'v1',
    host: expect.stringMatching(/^10\.245\.1\./),
    port: 8080,
    phase: 'ready',
    restarts: 0,
  });
  expect(statusOf(record)).toEqual({ status: 'running', serving: true });
});

test('during an update the old replica serves with its version and the new one has its own', () => {
  const record = recordFrom(recorded('rolling'));
  const told = record.replicas.map(({ version, phase }) => [version, phase]);
  // The label says v2_gpu: a + is not allowed there.
  expect(told).toEqual(
    expect.arrayContaining([
      ['v1', 'ready'],
      ['v2+gpu', 'starting'],
    ]),
  );
  expect(record.arms[0]).toMatchObject({ desired: 1, current: 2, updated: 1, ready: 1 });
  expect(statusOf(record)).toMatchObject({ status: 'updating', serving: true });
});

test('each arm has its own replicas', () => {
  const record = recordFrom(recorded('two-arms'));
  expect(record.arms.map(({ name, ready }) => [name, ready])).toEqual([
    ['stable', 1],
    ['v2', 1],
  ]);
  const route = buildTable(snapshotOf(record), 1).models.get('iris');
  expect(route?.arms.get('v2')?.replicas).toHaveLength(1);
});

test('a terminating replica has the time of its deletion, though it still reports ready', () => {
  const record = recordFrom(recorded('terminating'));
  const going = record.replicas.filter(({ phase }) => phase === 'terminating');
  expect(going).toHaveLength(1);
  const pod = recorded('terminating').pods.find((one) =>
    JSON.stringify(one).includes('deletionTimestamp'),
  );
  const { deletionTimestamp } = (pod?.['metadata'] ?? {}) as Plain;
  const end = Date.parse(String(deletionTimestamp));
  expect(going[0]?.since).toBe(end - 50_000);
  expect(statusOf(record).serving).toBe(false);
});

test('a terminating replica has no cause', () => {
  const seen = recorded('crash-loop');
  const going = seen.pods.map((pod) => ({
    ...pod,
    metadata: { ...(pod['metadata'] as Plain), deletionTimestamp: '2026-11-25T22:31:00Z' },
  }));
  const record = recordFrom({ ...seen, pods: going });
  expect(record.replicas[0]).toMatchObject({ phase: 'terminating' });
  expect(statusOf(record).why).toBeUndefined();
});

test('a ready replica without an address is not routed to', () => {
  const seen = recorded('healthy');
  const pods = seen.pods.map((pod) => {
    const { podIP: _, ...status } = pod['status'] as Plain;
    return { ...pod, status };
  });
  expect(recordFrom({ ...seen, pods }).replicas.map(({ phase }) => phase)).toEqual([
    'starting',
    'starting',
  ]);
});

test('a model scaled to zero waits for nothing', () => {
  const record = recordFrom(recorded('scaled-to-zero'));
  expect(record.arms[0]).toMatchObject({ desired: 0, current: 0, ready: 0 });
});

test('a definition without a Deployment is pending, not asleep', () => {
  const seen = { ...recorded('healthy'), deployments: [], pods: [] };
  expect(statusOf(recordFrom(seen)).status).toBe('pending');
  expect(statusOf(recordFrom(seen, {}, { deleting: true })).status).toBe('terminating');
});

test('no replica counts as updated while the Deployment is behind its definition or its controller', () => {
  const seen = recorded('healthy');
  expect(recordFrom(seen, {}, { hash: 'newer' }).arms[0]?.updated).toBe(0);
  const [deployment = {}] = seen.deployments;
  const metadata = { ...(deployment['metadata'] as Plain), generation: 99 };
  const behind = { ...seen, deployments: [{ ...deployment, metadata }] };
  expect(recordFrom(behind).arms[0]?.updated).toBe(0);
  expect(statusOf(recordFrom(behind)).status).toBe('updating');
});

test('after the progress deadline unready replicas of the new version have failed', () => {
  const record = recordFrom(recorded('progress-deadline'));
  expect(record.arms[0]?.why).toMatchObject({
    cause: 'progress-deadline',
    object: 'Deployment/iris',
    message: expect.stringContaining('within 12 s'),
  });
  expect(record.replicas[0]?.phase).toBe('failed');
});

test('PodMetrics become the usage of a replica', () => {
  const seen = recorded('healthy');
  const [{ metadata } = {}] = seen.pods;
  const { name } = metadata as Plain;
  const containers = [
    { name: 'server', usage: { cpu: '250000000n', memory: '2Mi' } },
    { name: 'sidecar', usage: { cpu: '1m', memory: '1024Ki' } },
  ];
  const record = recordFrom(seen, { metrics: [{ metadata: { name }, containers }] });
  expect(record.replicas[0]?.usage).toEqual({ cpuCores: 0.251, memoryBytes: 3 * 2 ** 20 });
  expect(record.replicas[1]?.usage).toBeUndefined();
});

test('an autoscaler is not reported before metrics can exist', () => {
  const seen = recorded('autoscaler-blind');
  const ready = Date.parse('2026-11-25T22:22:26Z');
  expect(recordFrom(seen, { now: ready + 60_000 }).arms[0]?.why).toBeUndefined();
  expect(recordFrom(seen, { now: ready + 150_000 }).arms[0]?.why?.cause).toBe('autoscaler-blind');
});

test('the record does not depend on the order of the objects', () => {
  const seen = recorded('rolling-broken');
  const turned = { ...seen, events: seen.events.toReversed(), deployments: seen.deployments };
  expect(statusOf(recordFrom(turned))).toEqual(statusOf(recordFrom(seen)));
});

/** An object with one of its values replaced by something odd. */
function withOddness(value: unknown, path: readonly number[], odd: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined || typeof value !== 'object' || value === null) return odd;
  const keys = Object.keys(value);
  const key = keys[step % Math.max(1, keys.length)];
  if (key === undefined) return odd;
  const inner = withOddness((value as Plain)[key], rest, odd);
  return Array.isArray(value)
    ? value.map((one: unknown, index) => (String(index) === key ? inner : one))
    : { ...value, [key]: inner };
}

test('unexpected objects give less detail and never throw', () => {
  const names = ['crash-loop', 'no-gpu', 'quota-none', 'rolling', 'artifact-mismatch', 'oom'];
  const odd = fc.constantFrom<unknown>(null, 7, 'x', [], {}, [null], -1, true);
  const path = fc.array(fc.nat(20), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(fc.constantFrom(...names), path, odd, (name, where, value) => {
      const { definition, ...objects } = recorded(name);
      const lists = withOddness(objects, where, value) as Readonly<Record<string, unknown>>;
      const plain = (field: string): readonly Plain[] => {
        const list = lists[field];
        return Array.isArray(list) ? list.map((one) => (one ?? {}) as Plain) : [];
      };
      const record = recordOf(heldOf(definition), {
        deployments: plain('deployments'),
        pods: plain('pods'),
        autoscalers: plain('autoscalers'),
        events: plain('events'),
        now: RECORDED_AT,
      });
      expect(typeof statusOf(record).status).toBe('string');
    }),
    { numRuns: 300 },
  );
});
