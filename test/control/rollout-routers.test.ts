import type { Cluster } from '../../runtime/cluster/port';
import { ClusterError } from '../../runtime/cluster/port';
import type { Fleet } from './fleet';
import { startFleet } from './fleet';
import type { Callers } from './rollout-callers';
import { createCallers, shareIn } from './rollout-callers';
import { ask, place, T0, withCandidate } from './support';

let fleet: Fleet;
let planes: Map<string, Callers>;
let callers: number;
let isDown: boolean;

afterEach(() => fleet.close());

const wrap = (cluster: Cluster): Cluster => ({
  ...cluster,
  setOverrides: async (...asked) => {
    if (isDown) throw new ClusterError('CLUSTER_UNAVAILABLE', 'no answer');
    return cluster.setOverrides(...asked);
  },
});

async function begin(names: readonly string[], rules: object = {}): Promise<void> {
  [callers, isDown] = [0, false];
  const now = (): number => fleet?.clock.at ?? T0;
  planes = new Map(names.map((name, index) => [name, createCallers(now, index + 1)]));
  fleet = await startFleet(names, {
    wrap,
    more: (name) => {
      const plane = planes.get(name);
      return plane === undefined ? {} : { table: plane.table, load: plane.load };
    },
  });
  const rollout = { steps: [5, 50, 100], min_requests: 50, min_seconds: 10, ...rules };
  await place(fleet, withCandidate({ traffic: undefined, rollout }));
  await fleet.second(2);
}

const planeOf = (name: string): Callers => {
  const plane = planes.get(name);
  if (plane === undefined) throw new Error(name);
  return plane;
};

/** Seconds in which each router has so many new callers, until `done`. */
async function run(
  seconds: number,
  perSecond: Readonly<Record<string, number>>,
  done: () => boolean = () => false,
): Promise<number> {
  for (let second = 1; second <= seconds; second += 1) {
    for (const [name, count] of Object.entries(perSecond)) {
      for (let index = 0; index < count; index += 1) {
        planeOf(name).request(`caller-${(callers += 1)}`);
      }
    }
    await fleet.second();
    if (done()) return second;
  }
  return Infinity;
}

const shares = (): number[] => [...planes.values()].map(shareIn);
const breakCandidate = (part: number): void =>
  planes.forEach(({ broken }) => Object.assign(broken, { next: part }));
const status = async (index = 0): Promise<Record<string, unknown>> =>
  (await ask(`${fleet.routers[index]?.url}/api/v1/models/iris/rollout`)).body;
const isAborted = (): boolean => shares().every((share) => share === 0);

const UNEVEN = { a: 10, b: 100, c: 40 };

test('what all routers counted aborts, in all routers, whoever has the callers', async () => {
  await begin(['a', 'b', 'c']);
  expect(shares()).toEqual([5, 5, 5]);
  breakCandidate(0.25);
  expect(await run(60, UNEVEN, isAborted)).toBeLessThan(40);
  const [first, ...others] = await Promise.all([status(0), status(1), status(2)]);
  expect(first).toMatchObject({ phase: 'aborted', percent: 0 });
  for (const other of others) expect(other).toEqual(first);
});

test('a new leader goes on with what the one before had counted, and what died with it', async () => {
  await begin(['a', 'b', 'c'], { min_seconds: 604_800 });
  breakCandidate(0.02);
  await run(100, UNEVEN);
  const before = await status();
  const harmed = (body: Record<string, unknown>) =>
    (body['gates'] as { candidate: { n: number; harmed: number } }[])[0]?.candidate;
  expect(harmed(before)?.n).toBeGreaterThan(20);
  fleet.routers[0]?.close();
  fleet.pods.delete('a');
  fleet.leader = 'b';
  await run(10, { b: 1 });
  const after = await status(1);
  expect(after['id']).toBe(before['id']);
  expect(harmed(after)?.n).toBeGreaterThanOrEqual(harmed(before)?.n ?? Infinity);
  breakCandidate(0.5);
  expect(await run(100, { b: 100 }, () => shareIn(planeOf('b')) === 0)).toBeLessThan(60);
});

test('a router that is silent holds every step; nothing is decided on half of the callers', async () => {
  await begin(['a', 'b'], { min_requests: 5 });
  await run(5, { a: 50, b: 50 });
  fleet.routers[1]?.silence();
  await run(200, { a: 50 });
  expect(shareIn(planeOf('a'))).toBe(5);
  expect(await status()).toMatchObject({
    step: 1,
    verdict: { do: 'hold', reason: expect.stringMatching(/silent/) },
  });
});

test('an abort reaches the other routers while the cluster stores nothing', async () => {
  await begin(['a', 'b', 'c']);
  isDown = true;
  breakCandidate(0.25);
  expect(await run(60, UNEVEN, isAborted)).toBeLessThan(40);
  isDown = false;
  await run(3, { a: 1 });
  const stored = fleet.cluster
    .watch(() => undefined)
    .snapshot()
    .models.get('iris')?.state;
  expect(stored?.rollout?.phase).toBe('aborted');
  expect(shares()).toEqual([0, 0, 0]);
});

test('a hold at a router that does not lead is kept by the leader', async () => {
  await begin(['a', 'b'], { min_requests: 1, min_seconds: 1 });
  const held = await ask(`${fleet.routers[1]?.url}/api/v1/models/iris/rollout/hold`, 'POST');
  expect(held.status).toBe(202);
  await run(150, { a: 50, b: 50 });
  expect(shares()).toEqual([5, 5]);
  expect(await status()).toMatchObject({ phase: 'held', step: 1 });
});
