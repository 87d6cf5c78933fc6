import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseModel, withFiles } from '../../lib/spec';
import type { LocalOptions } from '../../runtime/cluster/local';
import { createLocalCluster } from '../../runtime/cluster/local';
import type { Cluster, Snapshot } from '../../runtime/cluster/port';
import { clusterConformance, isReady, model, now, when } from './conformance';

const CHILD = join(__dirname, 'fixtures', 'child.cjs');
const REST = { by: 'tester', manager: 'rest' };

interface Place {
  readonly directory: string;
  readonly models: string;
  readonly remove: () => void;
}

function place(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'local-'));
  const models = join(folder, 'models');
  mkdirSync(models);
  writeFileSync(join(models, 'm.onnx'), 'bytes of a model');
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { directory: join(folder, 'state'), models, remove };
}

function open({ directory, models }: Place, more: Partial<LocalOptions> = {}): Promise<Cluster> {
  return createLocalCluster({
    directory,
    modelsDirectory: models,
    endpoints: {},
    preStopMs: 0,
    spawnServer: { command: process.execPath, args: [CHILD] },
    baseEnv: {},
    tell: () => undefined,
    now: Date.now,
    random: () => 0.5,
    ...more,
  });
}

clusterConformance('local', async () => {
  const here = place();
  const cluster = await open(here);
  const end = async (): Promise<void> => {
    await cluster.close();
    here.remove();
  };
  return { cluster, end };
});

describe('local', () => {
  let here: Place;
  let cluster: Cluster;
  beforeEach(async () => {
    here = place();
    cluster = await open(here);
  });
  afterEach(async () => {
    await cluster.close();
    here.remove();
  });

  const replicas = (snapshot: Snapshot = now(cluster)) =>
    snapshot.models.get('iris')?.replicas ?? [];
  const ask = async (port: number | undefined) =>
    (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as {
      pid: number;
      model: string;
      version: string;
    };

  test('a process that is killed is started again, and why is told meanwhile', async () => {
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
  });

  test('a model that cannot be loaded says its last words, with longer and longer pauses', async () => {
    await cluster.apply(model({ env: { CRASH: '1' } }), REST);
    const snapshot = await when(cluster, (seen) => (replicas(seen)[0]?.restarts ?? 0) >= 2);
    expect(snapshot.models.get('iris')?.arms[0]?.why?.message).toMatch(
      /ended with 3: no such operator: Frobnicate/,
    );
  });

  test('a hung process is ended and started again', async () => {
    const hang = join(here.models, 'hang');
    const health = { periodSeconds: 1 };
    await cluster.apply(model({ env: { HANG: hang }, health }), REST);
    await when(cluster, isReady('iris', '1'));
    writeFileSync(hang, '');
    const seen = await when(cluster, (snapshot) => replicas(snapshot)[0]?.phase === 'failed');
    expect(replicas(seen)[0]?.why).toMatchObject({ cause: 'probe-failing' });
    rmSync(hang);
    await when(cluster, isReady('iris', '1'));
  }, 20_000);

  test('a new version rolls with one process more, and never fewer ready than wished', async () => {
    const scaling = { minReplicas: 2, maxReplicas: 2 };
    await cluster.apply(model({ scaling }), REST);
    await when(cluster, isReady('iris', '1', 2));
    const ready: number[] = [];
    const live: number[] = [];
    const watch = cluster.watch((snapshot) => {
      const phases = replicas(snapshot).map(({ phase }) => phase);
      ready.push(phases.filter((phase) => phase === 'ready').length);
      live.push(phases.filter((phase) => phase !== 'terminating').length);
    });
    await cluster.apply(model({ scaling, version: '2' }), REST);
    await when(cluster, isReady('iris', '2', 2));
    watch.stop();
    expect(Math.min(...ready)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...live)).toBe(3);
  });

  test('a version that does not come up leaves the old one serving, and says why', async () => {
    await cluster.apply(model(), REST);
    await when(cluster, isReady('iris', '1'));
    await cluster.apply(model({ version: '2', env: { CRASH: '1' } }), REST);
    const seen = await when(cluster, ({ models }) => {
      const arm = models.get('iris')?.arms[0];
      return arm?.ready === 1 && arm.why !== undefined && arm.updated === 1;
    });
    expect(replicas(seen).find(({ phase }) => phase === 'ready')?.version).toBe('1');
    await cluster.apply(model(), REST);
    await when(cluster, isReady('iris', '1'));
  });

  test('a running request is finished before its process ends', async () => {
    await cluster.apply(model({ env: { LINGER: '300' } }), REST);
    const [first] = replicas(await when(cluster, isReady('iris', '1')));
    const answer = ask(first?.port);
    await cluster.apply(model({ version: '2', env: { LINGER: '300' } }), REST);
    await when(cluster, isReady('iris', '2'));
    expect((await answer).version).toBe('1');
  });

  test('a changed share restarts nothing', async () => {
    const candidate = { version: '2', traffic: 5 };
    await cluster.apply(model({ candidates: [candidate] }), REST);
    const all = ({ models }: Snapshot): boolean =>
      (models.get('iris')?.arms ?? []).every(({ ready }) => ready === 1);
    const before = replicas(await when(cluster, all)).map(({ id }) => id);
    await cluster.apply(model({ candidates: [{ ...candidate, traffic: 50 }] }), REST);
    expect(replicas().map(({ id, phase }) => [id, phase])).toEqual(
      before.map((id) => [id, 'ready']),
    );
  });

  test('a revision keeps its bytes, even when the file has changed since', async () => {
    const file = join(here.models, 'm.onnx');
    const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
    await cluster.apply(model(), REST);
    await when(cluster, isReady('iris', '1'));
    writeFileSync(file, 'other bytes');
    const read = (uri: string) => {
      const bytes = readFileSync(join(here.models, uri));
      return { name: uri, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
    };
    expect(await cluster.apply(withFiles(model(), read), REST)).toMatchObject({ changed: true });
    await cluster.apply(model({ version: '2' }), REST);
    await when(cluster, isReady('iris', '2'));
    const [first] = (await cluster.history('iris')).slice(-1);
    await cluster.apply(parseModel(first?.definition), REST);
    const [back] = replicas(await when(cluster, isReady('iris', '1')));
    expect((await ask(back?.port)).model).toContain('.onnx');
    expect(digest).toHaveLength(64);
  });

  test.each([
    ['an image', { image: 'a/b:1', source: undefined, framework: 'custom' }, /custom/],
    ['Triton', { server: { kind: 'triton' } }, /needs the server triton/],
    ['an object store', { source: 's3://bucket/m.onnx' }, /only files are loaded/],
    ['a Secret', { env: { A: { secret: 's', key: 'k' } } }, /environment_variables\.A/],
    ['a file elsewhere', { source: '../../../etc/hostname' }, /outside the models folder/],
    ['a file that is not there', { source: './nowhere.onnx' }, /not there/],
    ['other bytes', { source: { uri: './m.onnx', sha256: '0'.repeat(64) } }, /must be 0000/],
  ])('a model that needs %s is refused with a sentence', async (_, change, words) => {
    const applying = cluster.apply(model(change), REST);
    await expect(applying).rejects.toThrow(words);
    expect(now(cluster).models.size).toBe(0);
  });

  test('a link does not lead out of the models folder', async () => {
    symlinkSync('/etc/hostname', join(here.models, 'link.onnx'));
    const applying = cluster.apply(model({ source: './link.onnx' }), REST);
    await expect(applying).rejects.toThrow(/outside the models folder/);
  });

  test('a second service on the same folder is refused', async () => {
    await expect(open(here)).rejects.toThrow(/in use by process/);
  });

  test('servers that already run are routed to as long as they answer', async () => {
    let status = 200;
    const server = createServer((_, response) => response.writeHead(status).end());
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const other = place();
    const endpoints = { iris: { stable: [`127.0.0.1:${port}`] } };
    const remote = await open(other, { endpoints });
    const health = { periodSeconds: 1 };
    await remote.apply(model({ server: { kind: 'triton' }, health }), REST);
    const ready = await when(remote, isReady('iris', '1'));
    expect(ready.models.get('iris')?.replicas[0]).toMatchObject({ port, phase: 'ready' });
    status = 503;
    await when(remote, ({ models }) => models.get('iris')?.replicas[0]?.phase === 'failed');
    await remote.close();
    server.closeAllConnections();
    server.close();
    other.remove();
  });

  test('a restart brings everything back, and a cut-off removal is finished', async () => {
    await cluster.apply(model(), REST);
    await cluster.apply(model({ id: 'other' }), REST);
    await when(cluster, isReady('iris', '1'));
    await cluster.close();
    const file = join(here.directory, 'models', 'other.json');
    const envelope = JSON.parse(readFileSync(file, 'utf8')) as { stored: { deleting: boolean } };
    envelope.stored.deleting = true;
    const digest = createHash('sha256').update(JSON.stringify(envelope.stored)).digest('hex');
    writeFileSync(file, JSON.stringify({ ...envelope, sha256: digest }));
    cluster = await open(here);
    const back = await when(cluster, isReady('iris', '1'));
    expect(back.models.get('iris')).toMatchObject({ revision: 1, manager: 'rest' });
    await when(cluster, ({ models }) => !models.has('other'));
  });

  test('a torn file is moved aside, and the revision before it is used', async () => {
    await cluster.apply(model(), REST);
    await cluster.apply(model({ version: '2' }), REST);
    await cluster.close();
    const file = join(here.directory, 'models', 'iris.json');
    truncateSync(file, 100);
    const told: string[] = [];
    cluster = await open(here, { tell: (message) => told.push(message) });
    await when(cluster, isReady('iris', '1'));
    expect(told.join()).toContain('iris.json is broken');
    expect(readdirSync(join(here.directory, 'models')).join()).toContain('iris.json.broken-');
  });

  test('kill −9 of the service leaves no process behind, and a restart brings the model back', async () => {
    const other = place();
    const host = (mode: string) => {
      const script = join(__dirname, 'fixtures', 'host.ts');
      const args = ['--import', 'tsx', script, other.directory, other.models, CHILD, mode];
      return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    };
    const readyPort = (child: ReturnType<typeof host>): Promise<number> =>
      new Promise((resolve) => {
        let text = '';
        child.stdout?.on('data', (chunk: Buffer) => {
          text += chunk.toString();
          const port = /\{"ready":\[(\d+)/.exec(text)?.[1];
          if (port !== undefined) resolve(Number(port));
        });
      });
    const first = host('apply');
    const port = await readyPort(first);
    const { pid } = await ask(port);
    first.kill('SIGKILL');
    for (let alive = true; alive;) {
      try {
        process.kill(pid, 0);
        await new Promise((resolve) => setTimeout(resolve, 20));
      } catch {
        alive = false;
      }
    }
    const second = host('restore');
    expect((await ask(await readyPort(second))).pid).not.toBe(pid);
    second.kill('SIGKILL');
    await new Promise((resolve) => second.on('exit', resolve));
    other.remove();
  }, 30_000);
});
