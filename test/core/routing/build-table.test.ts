import type { Server } from '../../../lib/spec';
import { serverFacts, serverSchema } from '../../../lib/spec';
import { buildTable, sharesOf } from '../../../runtime/core/routing/build-table';
import { protocolOf } from '../../../runtime/core/routing/capabilities';
import type { ModelRecord } from '../../../runtime/core/lifecycle/snapshot';
import { recordOf, replica, snapshotOf } from '../support';

const routeOf = (record: ModelRecord, routers?: number) => {
  const route = buildTable(snapshotOf(record), 7, routers).models.get('iris');
  if (route === undefined) throw new Error('no route');
  return route;
};
const TWO = {
  candidates: [
    { version: 'v2', traffic: 10 },
    { version: 'v3', traffic: 20 },
  ],
};
const shares = (record: ModelRecord): unknown =>
  Object.fromEntries(sharesOf(record).map(({ arm, hundredths }) => [arm, hundredths]));

test('a route has everything the data plane needs', () => {
  const route = routeOf(recordOf({ input: { id: 'iris', health: { startupSeconds: 20 } } }));
  expect(route).toMatchObject({
    id: 'iris',
    slug: 'iris',
    salt: 'iris',
    stopped: false,
    deleting: false,
    shares: [{ arm: 'stable', hundredths: 10_000 }],
    shadows: [],
  });
  expect(route.arms.get('stable')).toMatchObject({
    version: 'v1',
    protocol: 'v2',
    concurrencyPerReplica: 8,
    maxQueueDepth: 32,
    holdMs: 20_000,
  });
  expect(buildTable(snapshotOf(), 7)).toEqual({ generation: 7, models: new Map() });
});

test('an arm of external servers holds no requests while none is reachable', () => {
  const record = recordOf();
  const arms = record.arms.map((arm) => ({ ...arm, isUnreached: true }));
  expect(routeOf({ ...record, arms }).arms.get('stable')?.holdMs).toBe(0);
});

test('a new table keeps the routes of models that did not change', () => {
  const [iris, pulse] = ['iris', 'pulse'].map((id) => recordOf({ input: { id } }));
  if (iris === undefined || pulse === undefined) throw new Error('no records');
  const snapshot = snapshotOf(iris, pulse);
  const table = buildTable(snapshot, 1, 2);
  const changed = { ...pulse, replicas: [replica('stable', 'v1', 0)] };
  const next = snapshotOf(iris, changed);
  const later = buildTable(next, 2, 2, { snapshot, routers: 2, table });
  expect(later).toEqual(buildTable(next, 2, 2));
  expect(later.models.get('iris')).toBe(table.models.get('iris'));
  // With a router more each has another part of the replicas.
  const more = buildTable(next, 3, 3, { snapshot: next, routers: 2, table: later });
  expect(more).toEqual(buildTable(next, 3, 3));
  const fewer = snapshotOf(changed);
  expect(buildTable(fewer, 4, 2, { snapshot: next, routers: 2, table: later })).toEqual(
    buildTable(fewer, 4, 2),
  );
});

test('the protocol of every server kind is that of the table of servers', () => {
  const kinds = ['onnx', 'tensorflow-serving', 'triton', 'mlserver', 'vllm', 'custom'];
  const servers = kinds.map((kind): Server => serverSchema.parse({ kind }));
  expect(servers.map(protocolOf)).toEqual(servers.map((one) => serverFacts(one).protocol));
  expect(protocolOf(serverSchema.parse({ kind: 'custom', protocol: 'tfs' }))).toBe('tfs');
});

test('only ready replicas get requests; terminating ones are last and marked', () => {
  const replicas = [
    replica('stable', 'v1', 0, 'terminating'),
    replica('stable', 'v1', 1, 'starting'),
    replica('stable', 'v1', 2, 'failed'),
    replica('stable', 'v0', 3, 'ready', { host: '::1' }),
    replica('other', 'v1', 4),
  ];
  const { arms } = routeOf(recordOf({ record: { replicas } }));
  expect(arms.get('stable')?.replicas).toEqual([
    {
      id: 'stable-v0-3',
      host: '::1',
      port: 9003,
      address: '[::1]:9003',
      version: 'v0',
      terminating: false,
    },
    {
      id: 'stable-v1-0',
      host: '127.0.0.1',
      port: 9000,
      address: '127.0.0.1:9000',
      version: 'v1',
      terminating: true,
    },
  ]);
});

test.each([
  [8, 1, 8],
  [8, 3, 3],
  [1, 5, 1],
  [8, 0, 8],
])('maxConcurrency %i over %i routers is %i per replica and router', (most, routers, own) => {
  const route = routeOf(recordOf({ input: { inference: { maxConcurrency: most } } }), routers);
  expect(route.arms.get('stable')?.concurrencyPerReplica).toBe(own);
});

test('a queue is twice the capacity unless the definition gives a depth, which routers share', () => {
  const depth = (record: ModelRecord, routers?: number): number | undefined =>
    routeOf(record, routers).arms.get('stable')?.maxQueueDepth;
  expect(depth(recordOf())).toBe(2 * 2 * 8);
  expect(depth(recordOf({ record: { replicas: [] } }))).toBe(2 * 8);
  expect(depth(recordOf({ input: { inference: { maxQueueDepth: 9 } } }), 2)).toBe(5);
  expect(depth(recordOf({ input: { inference: { maxQueueDepth: 0 } } }))).toBe(0);
});

describe('shares of the arms', () => {
  test('are the definition’s, with the rest for stable', () => {
    expect(shares(recordOf({ input: TWO }))).toEqual({ stable: 7_000, v2: 1_000, v3: 2_000 });
  });

  test('leave out a candidate of a rollout at first, and shadows', () => {
    const input = {
      candidates: [
        { version: 'v2', rollout: {} },
        { version: 'v3', shadow: 25 },
      ],
    };
    const route = routeOf(recordOf({ input }));
    expect(route.shares).toEqual([
      { arm: 'stable', hundredths: 10_000 },
      { arm: 'v2', hundredths: 0 },
    ]);
    expect(route.shadows).toEqual([{ arm: 'v3', percent: 25, compare: { rel: 1e-3 } }]);
    expect(route.arms.has('v3')).toBe(true);
  });

  test('follow an override for this definition only', () => {
    const state = { shares: { v2: 0 } };
    expect(shares(recordOf({ input: TWO, state }))).toMatchObject({ v2: 0, stable: 8_000 });
    const old = { hash: 'an earlier definition', ...state, stopped: true as const };
    expect(shares(recordOf({ input: TWO, state: old }))).toMatchObject({ v2: 1_000 });
    expect(routeOf(recordOf({ state: old })).stopped).toBe(false);
    expect(routeOf(recordOf({ state: { stopped: true } })).stopped).toBe(true);
  });

  test('include no copies for an aborted shadow', () => {
    const input = { candidates: [{ version: 'v2', shadow: 25 }] };
    expect(routeOf(recordOf({ input, state: { shares: { v2: 0 } } })).shadows).toEqual([]);
  });

  test('serve a candidate under promotion first, then its siblings', () => {
    const shifting = { candidate: 'v3', phase: 'shifting' as const };
    expect(
      shares(recordOf({ input: TWO, state: { promote: shifting, shares: { v3: 95 } } })),
    ).toEqual({ stable: 0, v2: 500, v3: 9_500 });
    const rolling = { candidate: 'v2', phase: 'rolling' as const };
    expect(shares(recordOf({ input: TWO, state: { promote: rolling } }))).toEqual({
      stable: 0,
      v2: 10_000,
      v3: 0,
    });
  });

  test('give a shadow under promotion callers instead of copies', () => {
    const input = { candidates: [{ version: 'v2', shadow: 25 }] };
    const promote = { candidate: 'v2', phase: 'shifting' as const };
    const route = routeOf(recordOf({ input, state: { promote, shares: { v2: 40 } } }));
    expect(route.shadows).toEqual([]);
    expect(route.shares[1]).toEqual({ arm: 'v2', hundredths: 4_000 });
  });
});
