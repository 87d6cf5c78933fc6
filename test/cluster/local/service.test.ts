import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Cluster, Snapshot } from '../../../runtime/cluster/port';
import { isReady, model, now, when } from '../conformance';
import type { Place } from './support';
import { ask, CHILD, open, place, REST, untilGone } from './support';

let here: Place;
let cluster: Cluster | undefined;
beforeEach(() => {
  here = place();
  cluster = undefined;
});
afterEach(async () => {
  await cluster?.close();
  here.remove();
});

test('a second service on the same folder is refused, and the first one continues', async () => {
  cluster = await open(here);
  await cluster.apply(model(), REST);
  await expect(open(here)).rejects.toThrow(/used by another service of this machine, process/);
  await when(cluster, isReady('iris', '1'));
});

test('an unusable folder is reported by name', async () => {
  writeFileSync(here.directory, 'a file stands in its place');
  await expect(open(here)).rejects.toThrow(/local\.directory: .*state cannot be used \(EEXIST/);
});

test('a restart restores everything: revisions, owner, overrides', async () => {
  const first = await open(here);
  await first.apply(model(), REST);
  await first.apply(model({ version: '2' }), { ...REST, by: 'second' });
  await first.apply(model({ id: 'other' }), REST);
  const hash = now(first).models.get('other')?.hash ?? '';
  await first.setOverrides('other', { hash, stopped: true });
  await when(first, isReady('iris', '2'));
  const history = await first.history('iris');
  await first.close();
  cluster = await open(here);
  const { models } = await when(cluster, isReady('iris', '2'));
  expect(models.get('iris')).toMatchObject({ revision: 2, manager: 'rest' });
  expect(await cluster.history('iris')).toEqual(history);
  expect(models.get('other')).toMatchObject({ state: { hash, stopped: true }, replicas: [] });
});

test('an interrupted removal is finished at the next start', async () => {
  const first = await open(here);
  await first.apply(model(), REST);
  await first.close();
  const file = join(here.directory, 'models', 'iris.json');
  const { stored } = JSON.parse(readFileSync(file, 'utf8')) as { stored: object };
  const cut = { ...stored, deleting: true };
  const sha256 = createHash('sha256').update(JSON.stringify(cut)).digest('hex');
  writeFileSync(file, JSON.stringify({ sha256, stored: cut }));
  cluster = await open(here);
  await when(cluster, ({ models }) => !models.has('iris'));
  expect(readdirSync(join(here.directory, 'models'))).toEqual([]);
  expect(readdirSync(join(here.directory, 'artifacts'))).toEqual([]);
});

test('a torn file is moved aside, the revision before it runs, and its bytes stay', async () => {
  const first = await open(here);
  await first.apply(model(), REST);
  writeFileSync(join(here.models, 'm.onnx'), 'trained again');
  await first.apply(model({ version: '2' }), REST);
  await first.close();
  truncateSync(join(here.directory, 'models', 'iris.json'), 100);
  const told: string[] = [];
  cluster = await open(here, { warn: (message) => told.push(message) });
  await when(cluster, isReady('iris', '1'));
  expect(told.join()).toContain('iris.json is broken');
  // A person may want to put the file right by hand: what it names must still be there.
  expect(readdirSync(join(here.directory, 'artifacts'))).toHaveLength(2);
});

test('servers that already run are routed to as long as they answer', async () => {
  let status = 200;
  const server = createServer((_, response) => response.writeHead(status).end());
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  cluster = await open(here, { endpoints: { iris: { stable: [`127.0.0.1:${port}`] } } });
  const health = { periodSeconds: 1 };
  await cluster.apply(model({ server: { kind: 'triton' }, health }), REST);
  const ready = await when(cluster, isReady('iris', '1'));
  expect(ready.models.get('iris')?.replicas[0]).toMatchObject({ port, phase: 'ready' });
  const labels = { team: 'x' };
  await cluster.apply(model({ server: { kind: 'triton' }, health, labels }), REST);
  expect(now(cluster).models.get('iris')?.replicas[0]?.phase).toBe('ready');
  status = 503;
  const down = await when(
    cluster,
    ({ models }) => models.get('iris')?.replicas[0]?.phase === 'failed',
  );
  expect(down.models.get('iris')?.replicas[0]?.why?.message).toMatch(
    /answered 503; start that server, or take it out of local\.endpoints/,
  );
  server.closeAllConnections();
  server.close();
});

test('a change of one model keeps the records of the others', async () => {
  const endpoints = {
    iris: { stable: ['127.0.0.1:9'] },
    pulse: { stable: ['127.0.0.1:9'] },
  };
  cluster = await open(here, { endpoints });
  const pulse = model({ id: 'pulse', server: { kind: 'triton' } });
  await cluster.apply(pulse, REST);
  await cluster.apply(model({ server: { kind: 'triton' } }), REST);
  const tried = ({ models }: Snapshot): boolean =>
    [...models.values()].every(({ replicas }) => replicas[0]?.phase === 'failed');
  const { models: before } = await when(cluster, tried);
  const { hash = '' } = before.get('iris') ?? {};
  await cluster.setOverrides('iris', { hash, stopped: true });
  const { models: after } = now(cluster);
  expect(after.get('pulse')).toBe(before.get('pulse'));
  expect(after.get('iris')).toMatchObject({ state: { stopped: true } });
});

test('a model whose endpoints are gone reports what it needs', async () => {
  const endpoints = { iris: { stable: ['127.0.0.1:9'] } };
  const first = await open(here, { endpoints });
  await first.apply(model({ server: { kind: 'triton' } }), REST);
  await first.close();
  cluster = await open(here);
  const { models } = await when(
    cluster,
    (seen) => seen.models.get('iris')?.arms[0]?.why !== undefined,
  );
  expect(models.get('iris')?.arms[0]?.why).toMatchObject({ cause: 'cannot-run-here' });
});

describe('kill −9 of the service', () => {
  const started: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of started.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  const host = (mode: string): ChildProcess => {
    const script = join(__dirname, '..', 'fixtures', 'host.ts');
    const args = ['--import', 'tsx', script, here.directory, here.models, CHILD, mode];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    started.push(child);
    return child;
  };
  /** Resolves with the first thing it says that the pattern finds. */
  const heard = (child: ChildProcess, pattern: RegExp): Promise<string> =>
    new Promise((resolve) => {
      let text = '';
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const found = pattern.exec(text)?.[1];
        if (found !== undefined) resolve(found);
      });
    });
  const READY = /\{"ready":\[(\d+)/;

  test('leaves no process behind, and a restart restores the model', async () => {
    const first = host('apply');
    const { pid } = await ask(Number(await heard(first, READY)));
    first.kill('SIGKILL');
    await untilGone(pid);
    const second = host('restore');
    expect((await ask(Number(await heard(second, READY)))).pid).not.toBe(pid);
  }, 30_000);

  test('at any moment loses no acknowledged change', async () => {
    let least = 0;
    for (const revisions of [3, 20, 41]) {
      const child = host('churn');
      let acknowledged = 0;
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        for (const [, revision] of chunk.matchAll(/"acknowledged":(\d+)\}/g)) {
          acknowledged = Number(revision);
        }
        if (acknowledged >= least + revisions) child.kill('SIGKILL');
      });
      await once(child, 'close');
      const told: string[] = [];
      const again = await open(here, { warn: (message) => told.push(message) });
      const found = now(again).models.get('m')?.revision ?? 0;
      await again.close();
      expect(told).toEqual([]);
      // One more may be on disk already, its answer not yet on the way.
      expect(found - acknowledged).toBeGreaterThanOrEqual(0);
      expect(found - acknowledged).toBeLessThanOrEqual(1);
      least = found;
    }
  }, 60_000);
});
