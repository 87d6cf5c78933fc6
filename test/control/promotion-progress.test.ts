import type { ReplicaRecord } from '../../runtime/cluster/port';
import type { Service } from './support';
import { ask, place, serve, T0, withCandidate } from './support';

let service: Service;
afterEach(() => service.close());

async function steps(of = 'promotion'): Promise<string[]> {
  await service.control.tick();
  const text = await (await fetch(`${service.opsUrl}/metrics`)).text();
  const line = new RegExp(`^ai_model_${of}_step_seconds\\{(.*)\\} (\\S+)$`, 'gm');
  return [...text.matchAll(line)].map(([, labels, seconds]) => `${labels} ${seconds}`);
}

test('a promotion that waits tells for how long, and one that goes on does not', async () => {
  let isReady = false;
  const replica = (arm: string, version: string, at: number): ReplicaRecord => ({
    id: `${arm}-${at}`,
    arm,
    version,
    host: '127.0.0.1',
    port: 9,
    phase: isReady || arm === 'stable' ? 'ready' : 'starting',
    restarts: at,
    since: T0,
  });
  service = await serve({
    replicasOf: (_spec, { name, version }, _revision, desired) =>
      Array.from({ length: desired }, (_, at) => replica(name, version, at)),
  });
  await place(service, withCandidate());
  expect(await steps()).toEqual([]);
  expect((await ask(`${service.url}/api/v1/models/iris/promote`, 'POST', {})).status).toBe(202);
  const next = 'model_id="iris",arm="next",phase="shifting"';
  expect(await steps()).toEqual([`${next} 0`]);
  service.clock.at += 1800_500;
  expect(await steps()).toEqual([`${next} 1800.5`]);

  isReady = true;
  service.cluster.refresh();
  await service.control.tick();
  expect(await steps()).toEqual([`${next} 0`]);
  for (let ticks = 0; ticks < 30; ticks += 1) {
    service.clock.at += 1000;
    await service.control.tick();
  }
  expect(await steps()).toEqual([]);
});

test('a rollout tells how long it has been at its step', async () => {
  service = await serve();
  await place(service, withCandidate({ traffic: undefined, rollout: { steps: [5, 100] } }));
  await service.control.tick();
  const next = 'model_id="iris",arm="next"';
  expect(await steps('rollout')).toEqual([`${next},phase="running" 0`]);
  service.clock.at += 5000;
  expect(await steps('rollout')).toEqual([`${next},phase="running" 5`]);
  const held = await ask(`${service.url}/api/v1/models/iris/rollout/hold`, 'POST', {});
  expect(held.status).toBe(202);
  expect(await steps('rollout')).toEqual([`${next},phase="held" 0`]);
});
