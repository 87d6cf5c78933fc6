import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, Snapshot } from '../../../runtime/cluster/port';
import { statusOf } from '../../../runtime/core/lifecycle/status';
import { isReady, model, now, when } from '../conformance';
import type { Place } from './support';
import { ask, isAlive, open, place, replicasIn, REST, untilGone } from './support';

let here: Place;
let cluster: Cluster;
let told: string[];
beforeEach(async () => {
  here = place();
  told = [];
  cluster = await open(here, { warn: (message) => told.push(message) });
});
afterEach(async () => {
  await cluster.close();
  here.remove();
});

const replicas = (snapshot?: Snapshot) => replicasIn(cluster, snapshot);
const readyIn = (snapshot: Snapshot): number =>
  replicas(snapshot).filter(({ phase }) => phase === 'ready').length;
const arms = ({ models }: Snapshot) => models.get('iris')?.arms ?? [];

test('a killed process is restarted, and the cause is reported meanwhile', async () => {
  await cluster.apply(model(), REST);
  const [first] = replicas(await when(cluster, isReady('iris', '1')));
  const { pid } = await ask(first?.port);
  const down = when(cluster, (snapshot) => replicas(snapshot)[0]?.phase === 'failed');
  process.kill(pid, 'SIGKILL');
  const [failed] = replicas(await down);
  expect(failed?.why).toMatchObject({ cause: 'crash', object: `process ${pid}` });
  expect(failed?.why?.message).toContain('SIGKILL');
  const [second] = replicas(await when(cluster, isReady('iris', '1')));
  expect(second).toMatchObject({ restarts: 1 });
  expect(second?.id).not.toBe(first?.id);
  expect(told.join()).toContain('iris, stable: the model server was ended by SIGKILL');
});

test('a model that cannot be loaded reports its last output, with growing pauses', async () => {
  await cluster.apply(model({ env: { CRASH: '1' } }), REST);
  const snapshot = await when(cluster, (seen) => (replicas(seen)[0]?.restarts ?? 0) >= 2);
  // The kept copy has a digest for a name; the words name the file of the definition.
  expect(arms(snapshot)[0]?.why?.message).toMatch(
    /ended with 3: no such operator: Frobnicate, in \.\/m\.onnx;/,
  );
});

test('a server that cannot be started is reported, and the service continues', async () => {
  const other = place();
  const spawnServer = { command: join(other.models, 'no-such-program'), args: [] };
  const broken = await open(other, { spawnServer });
  await broken.apply(model(), REST);
  const seen = await when(broken, (snapshot) => arms(snapshot)[0]?.why !== undefined);
  expect(arms(seen)[0]?.why?.message).toMatch(/did not start.*ENOENT/);
  await broken.close();
  other.remove();
});

test('other output around the line with the port is ignored', async () => {
  await cluster.apply(model({ env: { CHATTY: '1' } }), REST);
  const [replica] = replicas(await when(cluster, isReady('iris', '1')));
  const { pid } = await ask(replica?.port);
  process.kill(pid, 'SIGKILL');
  const failed = await when(cluster, (snapshot) => replicas(snapshot)[0]?.phase === 'failed');
  const message = replicas(failed)[0]?.why?.message ?? '';
  expect(message).toContain('诊诊诊');
  expect(message).not.toContain('\ufffd');
  expect(message.length).toBeLessThan(2500);
});

test('a model that is not loaded in its budget is ended and reported', async () => {
  const other = place();
  let later = 0;
  const slow = await open(other, { now: () => Date.now() + later });
  await slow.apply(model({ env: { MUTE: '1' }, health: { startupSeconds: 60 } }), REST);
  const [starting] = replicasIn(slow);
  expect(starting).toMatchObject({ phase: 'starting', restarts: 0, port: 0 });
  later = 61_000;
  const seen = await when(slow, (snapshot) => replicas(snapshot)[0]?.phase === 'failed');
  expect(replicas(seen)[0]?.why).toMatchObject({ cause: 'probe-failing' });
  expect(replicas(seen)[0]?.why?.message).toMatch(/not loaded in 60 s.*answered 503/);
  await slow.close();
  other.remove();
});

test('a hung process is ended and restarted', async () => {
  const hang = join(here.models, 'hang');
  await cluster.apply(model({ env: { HANG: hang }, health: { periodSeconds: 1 } }), REST);
  await when(cluster, isReady('iris', '1'));
  writeFileSync(hang, '');
  const seen = await when(cluster, (snapshot) => replicas(snapshot)[0]?.phase === 'failed');
  expect(replicas(seen)[0]?.why).toMatchObject({ cause: 'probe-failing' });
  rmSync(hang);
  await when(cluster, isReady('iris', '1'));
}, 20_000);

test('a new version rolls with one process more, and never fewer ready than desired', async () => {
  const scaling = { minReplicas: 2, maxReplicas: 2 };
  await cluster.apply(model({ scaling }), REST);
  await when(cluster, isReady('iris', '1', 2));
  const ready: number[] = [];
  const live: number[] = [];
  const watch = cluster.watch((snapshot) => {
    ready.push(readyIn(snapshot));
    live.push(replicas(snapshot).filter(({ phase }) => phase !== 'terminating').length);
  });
  await cluster.apply(model({ scaling, version: '2' }), REST);
  await when(cluster, isReady('iris', '2', 2));
  watch.stop();
  expect(Math.min(...ready)).toBeGreaterThanOrEqual(2);
  expect(Math.max(...live)).toBe(3);
});

test('a version that does not start leaves the old one serving, with the cause', async () => {
  await cluster.apply(model(), REST);
  await when(cluster, isReady('iris', '1'));
  await cluster.apply(model({ version: '2', env: { CRASH: '1' } }), REST);
  const seen = await when(cluster, (snapshot) => {
    const [arm] = arms(snapshot);
    return arm?.ready === 1 && arm.why !== undefined && arm.updated === 1;
  });
  expect(replicas(seen).find(({ phase }) => phase === 'ready')?.version).toBe('1');
  await cluster.apply(model(), REST);
  await when(cluster, isReady('iris', '1'));
});

test('a version that replaces a broken one starts, with several replicas as well', async () => {
  const scaling = { minReplicas: 2, maxReplicas: 2 };
  await cluster.apply(model({ scaling, env: { CRASH: '1' } }), REST);
  await when(cluster, (snapshot) => replicas(snapshot).every(({ phase }) => phase === 'failed'));
  await cluster.apply(model({ scaling, version: '2' }), REST);
  await when(cluster, isReady('iris', '2', 2));
});

test('a running request is finished before its process ends', async () => {
  await cluster.apply(model({ env: { LINGER: '300' } }), REST);
  const [first] = replicas(await when(cluster, isReady('iris', '1')));
  const answer = ask(first?.port);
  await cluster.apply(model({ version: '2', env: { LINGER: '300' } }), REST);
  await when(cluster, isReady('iris', '2'));
  expect((await answer).version).toBe('1');
});

test('a replica leaves the routes some time before it is ended', async () => {
  const other = place();
  const patient = await open(other, { preStopMs: 400 });
  await patient.apply(model(), REST);
  const [first] = replicasIn(patient, await when(patient, isReady('iris', '1')));
  await patient.apply(model({ version: '2' }), REST);
  const going = await when(patient, (snapshot) =>
    replicasIn(patient, snapshot).some(({ phase }) => phase === 'terminating'),
  );
  expect(replicasIn(patient, going).find(({ id }) => id === first?.id)?.phase).toBe('terminating');
  // It still answers whoever was on the way.
  expect((await ask(first?.port)).version).toBe('1');
  await patient.close();
  other.remove();
});

test('a caller that follows the snapshots is answered all through an update', async () => {
  const other = place();
  const patient = await open(other, { preStopMs: 200 });
  await patient.apply(model(), REST);
  await when(patient, isReady('iris', '1'));
  const versions: string[] = [];
  const roll = { over: false };
  // Any failed call fails the test.
  const calls = (async () => {
    while (!roll.over) {
      const ready = replicasIn(patient).find(({ phase }) => phase === 'ready');
      versions.push((await ask(ready?.port)).version);
    }
  })();
  for (const version of ['2', '3', '4']) {
    await patient.apply(model({ version }), REST);
    await when(patient, isReady('iris', version));
    while (versions.at(-1) !== version) await new Promise((resolve) => setImmediate(resolve));
  }
  roll.over = true;
  await calls;
  expect([...new Set(versions)]).toEqual(['1', '2', '3', '4']);
  await patient.close();
  other.remove();
});

test('a removal without a drain also ends processes that are draining', async () => {
  const other = place();
  const patient = await open(other, { preStopMs: 600_000 });
  await patient.apply(model({ env: { DEAF: '1' } }), REST);
  const [replica] = replicasIn(patient, await when(patient, isReady('iris', '1')));
  const { pid } = await ask(replica?.port);
  await patient.remove('iris', REST);
  expect(now(patient).models.get('iris')).toMatchObject({ deleting: true });
  expect(isAlive(pid)).toBe(true);
  await patient.remove('iris', { ...REST, force: true });
  await when(patient, ({ models }) => !models.has('iris'));
  expect(isAlive(pid)).toBe(false);
  await patient.close();
  other.remove();
});

test('a changed share restarts nothing, nor does a changed liveness check', async () => {
  const candidate = { version: '2', traffic: 5 };
  await cluster.apply(model({ candidates: [candidate] }), REST);
  const all = (snapshot: Snapshot): boolean => arms(snapshot).every(({ ready }) => ready === 1);
  const before = replicas(await when(cluster, all)).map(({ id }) => id);
  const health = { periodSeconds: 2 };
  await cluster.apply(model({ candidates: [{ ...candidate, traffic: 50 }], health }), REST);
  expect(replicas().map(({ id, phase }) => [id, phase])).toEqual(before.map((id) => [id, 'ready']));
});

test('an arm that the definition no longer has ends', async () => {
  await cluster.apply(model({ candidates: [{ version: '2', shadow: 5 }] }), REST);
  await when(cluster, (snapshot) => arms(snapshot).every(({ ready }) => ready === 1));
  await cluster.apply(model(), REST);
  await when(cluster, (snapshot) => replicas(snapshot).length === 1);
  expect(replicas()[0]?.arm).toBe('stable');
});

test('a model that may sleep stays awake: a laptop has no leader to wake it', async () => {
  const scaling = { minReplicas: 0, maxReplicas: 2, targetConcurrency: 4 };
  await cluster.apply(model({ scaling }), REST);
  const record = (await when(cluster, isReady('iris', '1'))).models.get('iris');
  expect(record && statusOf(record)).toEqual({ status: 'running', serving: true });
});

test('closing ends every process, also when it is repeated', async () => {
  await cluster.apply(model(), REST);
  const [replica] = replicas(await when(cluster, isReady('iris', '1')));
  const { pid } = await ask(replica?.port);
  await Promise.all([cluster.close(), cluster.close()]);
  expect(isAlive(pid)).toBe(false);
  await expect(cluster.apply(model({ version: '2' }), REST)).rejects.toThrow(/shutting down/);
  await untilGone(pid);
});
