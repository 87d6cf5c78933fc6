import { parseModel } from '../../lib/spec';
import type { ReplicaRecord } from '../../runtime/cluster/port';
import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';
import type { Fleet } from './fleet';
import { startFleet } from './fleet';
import { iris, T0 } from './support';

// Both planes of two routers on one cluster, with a replica that takes its time to come up.

const BODY = { inputs: [{ name: 'x', shape: [1], datatype: 'FP32', data: [1] }] };

let fleet: Fleet;
let planes: Map<string, TestPlane>;
let backend: Backend;
let isUp: boolean;

const planeOf = (name: string): TestPlane => {
  const found = planes.get(name);
  if (found === undefined) throw new Error(`no plane ${name}`);
  return found;
};

beforeEach(async () => {
  isUp = false;
  backend = await startBackend(() => json({ model_name: 'iris', outputs: [] }));
  planes = new Map();
  for (const name of ['a', 'b']) {
    const onHeld = (model: string, arm: string): void => {
      fleet.routers.find((one) => one.name === name)?.control.onHeld(model, arm);
    };
    planes.set(name, await startPlane({ onHeld }));
  }
  const replica = (arm: string, version: string): ReplicaRecord => ({
    id: 'iris-1',
    arm,
    version,
    host: '127.0.0.1',
    port: Number(backend.address.split(':')[1]),
    phase: isUp ? 'ready' : 'starting',
    restarts: 0,
    since: T0,
  });
  fleet = await startFleet(['a', 'b'], {
    replicasOf: (_, { name, version }, _revision, desired) =>
      desired === 0 ? [] : [replica(name, version)],
    more: (name) => {
      const { table, load, onTableSwap } = planeOf(name);
      return { table, load, onTableSwap };
    },
  });
  const scaling = { min_replicas: 0, max_replicas: 1, target_concurrency: 8 };
  const definition = iris({
    framework: 'tensorrt',
    repository_url: 's3://m/iris',
    scaling_config: scaling,
  });
  await fleet.cluster.apply(parseModel(definition), { by: 'test', manager: 'rest' });
});
afterEach(async () => {
  fleet.close();
  await stopPlanes();
  await stopBackends();
});

const desired = (): number | undefined => {
  const watch = fleet.cluster.watch(() => undefined);
  watch.stop();
  return watch.snapshot().models.get('iris')?.arms[0]?.desired;
};

test('200 requests for a sleeping model are held by a follower, which wakes it: none fails', async () => {
  const { post, load } = planeOf('b');
  const asked = Array.from({ length: 200 }, () => post('/v2/models/iris/infer', BODY));
  const held = (): number => load.arms().reduce((sum, { queued }) => sum + queued, 0);
  await until(() => held() === 200, 'all to be held');
  await until(() => desired() === 1, 'the model to be woken');
  expect(backend.seen.filter(({ method }) => method === 'POST')).toHaveLength(0);
  isUp = true;
  fleet.cluster.refresh();
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(statuses).toHaveLength(200);
  expect(planeOf('b').faults).toEqual([]);
});
