import { observedSchema } from '../../lib/plan/observed';
import { parseModel } from '../../lib/spec';
import { statsOf } from '../metrics/support';
import type { Fleet } from './fleet';
import { startFleet } from './fleet';
import { ask, withCandidate } from './support';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await startFleet(['a', 'b']);
  await fleet.cluster.apply(parseModel(withCandidate()), { by: 'test', manager: 'rest' });
});
afterEach(() => fleet.close());

function ended(router: number, arm: string, requests: number): void {
  const lastRequestAt = fleet.clock.at;
  const window = { requests, failures: 0 };
  fleet.routers[router]?.stats.push(statsOf('iris', { arm, window, lastRequestAt }));
}

const observed = async () =>
  observedSchema.parse((await ask(`${fleet.routers[0]?.url}/api/v1/observed`)).body);

test('has replicas and rates of every arm, over all routers', async () => {
  await fleet.second(120);
  ended(0, 'stable', 550);
  ended(1, 'stable', 275);
  ended(1, 'next', 11);
  await fleet.second();
  const { seconds, complete, models } = await observed();
  expect([complete, models.map(({ model_id }) => model_id)]).toEqual([true, ['iris']]);
  const rate = (requests: number): number => Math.round((requests / seconds) * 1000) / 1000;
  expect(seconds).toBeGreaterThanOrEqual(55);
  expect(models[0]?.arms).toEqual([
    { arm: 'stable', role: 'traffic', replicas: 2, requests_per_second: rate(825) },
    { arm: 'next', role: 'traffic', replicas: 2, requests_per_second: rate(11) },
  ]);
});

test('a router that began a moment ago divides by its own time', async () => {
  await fleet.second(10);
  ended(0, 'stable', 50);
  const { seconds, models } = await observed();
  expect([seconds, models[0]?.arms[0]?.requests_per_second]).toEqual([10, 5]);
});

test('says when a router did not report', async () => {
  await fleet.second(2);
  fleet.routers[1]?.silence();
  await fleet.second(4);
  expect((await observed()).complete).toBe(false);
});
