import { createMemoryCluster } from '../support/memory-cluster';
import { clusterConformance, model, now } from './conformance';

clusterConformance('memory', async () => {
  const cluster = createMemoryCluster({ now: Date.now });
  return { cluster, end: () => cluster.close() };
});

test('the embedder decides about replicas, and is asked again', async () => {
  let port = 1;
  const cluster = createMemoryCluster({
    now: () => 0,
    replicasOf: (_, { name: arm, version }) => [
      { id: 'r', arm, version, host: '10.0.0.1', port, phase: 'ready', restarts: 0, since: 0 },
    ],
  });
  await cluster.apply(model(), { by: 'x', manager: 'rest' });
  port = 2;
  cluster.refresh();
  expect(now(cluster).models.get('iris')?.replicas[0]?.port).toBe(2);
});
