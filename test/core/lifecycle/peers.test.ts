import { DEMAND_KEPT_MS, demandOf } from '../../../runtime/core/lifecycle/demand';
import type { ArmStats } from '../../../runtime/core/routing/load';
import type { ArmLoad, PeerReport, RouterLoad } from '../../../runtime/core/lifecycle/peers';
import {
  byKey,
  FRESH_MS,
  isKnown,
  loadOf,
  armUsageOf,
  armUsagesOf,
  NO_ROLLOUTS,
} from '../../../runtime/core/lifecycle/peers';
import { buildTable } from '../../../runtime/core/routing/build-table';
import { statsOf } from '../../metrics/support';
import { AT, recordOf, replica, snapshotOf } from '../support';

const load = (router: string, arm: Partial<ArmLoad> | undefined, at = AT): RouterLoad => ({
  router,
  at,
  startedAt: at - 500_000,
  ...NO_ROLLOUTS,
  arms: byKey(
    arm === undefined
      ? []
      : [{ model: 'iris', arm: 'stable', inFlight: 0, queued: 0, capacity: 8, ready: 1, ...arm }],
  ),
});
const heard = (router: string, arm: Partial<ArmLoad> | undefined, agoMs = 0): PeerReport => ({
  peer: { id: router, host: '10.0.0.1', port: 9090, ready: true },
  heardAt: AT - agoMs,
  load: load(router, arm),
});
const silent: PeerReport = { peer: { id: 's', host: '10.0.0.9', port: 9090, ready: true } };
const IRIS = { model: 'iris', arm: 'stable', now: AT };

describe('the load report of a router', () => {
  const table = buildTable(
    snapshotOf(
      recordOf({
        record: {
          replicas: [
            replica('stable', 'v1', 0),
            replica('stable', 'v1', 1),
            replica('stable', 'v1', 2, 'terminating'),
          ],
        },
      }),
    ),
    1,
  );
  const said = (...stats: readonly ArmStats[]) => [
    ...loadOf('a', { at: AT, startedAt: AT - 9 }, stats, table).arms.values(),
  ];

  test('has the requests of each arm, with its ready replicas', () => {
    expect(said(statsOf('iris', { inFlight: 3, queued: 2, lastRequestAt: AT - 5 }))).toEqual([
      {
        model: 'iris',
        arm: 'stable',
        inFlight: 3,
        queued: 2,
        capacity: 8,
        ready: 2,
        lastRequestAt: AT - 5,
        ended: 0,
      },
    ]);
  });

  test('leaves out arms without requests', () => {
    expect(said(statsOf('iris'))).toEqual([]);
  });
});

describe('the idle time of an arm in a router', () => {
  test('is measured by that router’s clock, however wrong, and the age of the report', () => {
    const ahead = load('a', { lastRequestAt: AT + 7_000_000 - 4000 }, AT + 7_000_000);
    expect(armUsageOf(ahead, 'iris', 'stable', 1500).idleMs).toBe(5500);
  });

  test('restarts with the router, which does not know earlier requests', () => {
    expect(armUsageOf(load('a', undefined), 'iris', 'stable').idleMs).toBe(500_000);
    const older = load('a', { lastRequestAt: AT - 900_000 });
    expect(armUsageOf(older, 'iris', 'stable').idleMs).toBe(500_000);
  });
});

test('is unknown, not idle, for a peer without a recent report', () => {
  const late = heard('c', { inFlight: 0 }, FRESH_MS + 1);
  const uses = armUsagesOf(load('a', undefined), [heard('b', { inFlight: 2 }), late, silent], IRIS);
  expect(uses.map((use) => use?.inFlight)).toEqual([0, 2, undefined, undefined]);
  expect(isKnown(heard('b', undefined, FRESH_MS), AT)).toBe(true);
});

describe('the demand reported to autoscalers', () => {
  const demand = (...others: readonly PeerReport[]) =>
    demandOf(load('a', { inFlight: 4, queued: 1 }), others, IRIS);

  test('is the sum over all routers, with waiting requests', () => {
    const sum = demand(heard('b', { inFlight: 3 }), heard('c', { inFlight: 5, queued: 2 }));
    expect(sum).toEqual({ concurrency: 15, queued: 3 });
  });

  test('keeps the last report of a silent router for a minute', () => {
    const last = (agoMs: number) => demand(heard('b', { inFlight: 5 }, agoMs)).concurrency;
    expect([last(DEMAND_KEPT_MS), last(DEMAND_KEPT_MS + 1)]).toEqual([10, 5]);
  });

  test('is unknown for a router that never reported', () => {
    expect(demand(silent)).toEqual({ concurrency: 5, queued: 1 });
  });
});
