import { checkMemory } from '../../runtime/cluster/local/replica-limit';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import { EndpointArm } from '../../runtime/cluster/local/endpoints';
import { probe } from '../../runtime/cluster/local/probe';
import { Records } from '../../runtime/cluster/local/records';
import type { RunnerOptions } from '../../runtime/cluster/local/runner';
import { ModelRunner } from '../../runtime/cluster/local/runner';
import { openStore } from '../../runtime/cluster/local/store';
import type { Cluster } from '../../runtime/cluster/port';
import { statusOf } from '../../runtime/core/lifecycle/status';
import { isReady, model, now, when } from '../cluster/conformance';
import type { Place } from '../cluster/local/support';
import { open, place, REST } from '../cluster/local/support';

let here: Place;
let cluster: Cluster | undefined;
let told: string[];
const warn = (message: string): void => void told.push(message);
beforeEach(() => {
  here = place();
  told = [];
});
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
  here.remove();
});

/** A definition that no schema lets in, as an older release or a hand may have left it. */
const unasked = (): ModelSpec => {
  const spec = model({ server: { kind: 'custom' } });
  return { ...spec, health: { ...spec.health, path: '/你' } };
};

test('a health path that cannot be requested is a failed probe, not an exception', async () => {
  expect((await probe('127.0.0.1', 9, { http: '/你' }, 'iris'))?.message).toMatch(
    /cannot be probed.*unescaped/,
  );
  expect((await probe('127.0.0.1', 99_999, { tcp: true }, 'iris'))?.message).toMatch(
    /cannot be probed/,
  );
});

test('watched servers that cannot be probed are a status, and are probed again', async () => {
  const [arm] = unasked().arms;
  const fixed = { spec: unasked(), arm, addresses: ['127.0.0.1:9'], now: () => 1, warn };
  const watched = await new Promise<EndpointArm>((resolve) => {
    const made: EndpointArm = new EndpointArm({ ...fixed, onChange: () => resolve(made) });
  });
  expect(watched.record().why?.message).toMatch(/unescaped.*local\.endpoints/);
  expect(watched.replicas()[0]?.phase).toBe('failed');
  await watched.stop();
});

const runnerWith = (more: Partial<RunnerOptions> = {}): ModelRunner =>
  new ModelRunner({
    spawnServer: { command: 'none', args: [] },
    baseEnv: {},
    endpoints: {},
    warn,
    now: () => 1,
    random: () => 0.5,
    onChange: () => undefined,
    ...more,
  });

test('an arm that cannot be planned has a status, and the other arms start', async () => {
  const spec = model({ candidates: [{ name: 'next', version: '2', traffic: 5 }] });
  const runner = runnerWith({ endpoints: { iris: { next: ['127.0.0.1:9'] } } });
  const planOf = () => {
    throw new TypeError('no such thing');
  };
  runner.follow({ spec, stopped: false, planOf });
  const [stable, next] = runner.arms();
  expect(stable).toMatchObject({ ready: 0, why: { cause: 'internal-fault' } });
  expect(stable?.why?.message).toContain('no such thing');
  expect(next).toMatchObject({ name: 'next', current: 1 });
  const why = { cause: 'cannot-run-here', message: 'words', since: 1 };
  runner.follow({ spec, stopped: false, planOf: () => ({ kind: 'blocked', why }) });
  expect(runner.arms()[0]?.why).toBe(why);
  await runner.stop({ drain: false });
});

test('an exception at the start of a process is a failed replica, retried', async () => {
  let starts = 0;
  const spawnServer = {
    get command(): string {
      starts += 1;
      if (starts > 1) return process.execPath;
      throw new Error('no command today');
    },
    args: [join(__dirname, '..', 'cluster', 'fixtures', 'child.cjs')],
  };
  cluster = await open(here, { spawnServer, warn });
  await cluster.apply(model(), REST);
  const failed = ({ models }: ReturnType<typeof now>): boolean =>
    models.get('iris')?.replicas[0]?.why?.cause === 'internal-fault';
  const seen = await when(cluster, failed);
  expect(seen.models.get('iris')?.replicas[0]?.why?.message).toContain('no command today');
  await when(cluster, isReady('iris', '1'));
});

test('a model that cannot be shown has a failed status, and the others have theirs', () => {
  const stored = (id: string) => ({
    id,
    definition: model({ id }).definition,
    revision: 1,
    hash: 'x',
    manager: 'rest',
    createdAt: 1,
    updatedAt: 1,
    deleting: false,
    history: [],
  });
  const broken = {
    arms: () => {
      throw new Error('cannot count');
    },
    replicas: () => [],
  };
  const records = new Records({
    specOf: ({ definition }) => parseModel(definition),
    runnerOf: (id) => (id === 'bad' ? broken : undefined),
    now: () => 1,
    warn,
  });
  const all = records.of([stored('bad'), stored('good')]);
  const bad = all.get('bad');
  expect(bad && statusOf(bad)).toMatchObject({
    status: 'failed',
    why: { cause: 'internal-fault' },
  });
  expect(all.get('good')?.arms).toEqual([]);
  records.drop('bad');
  records.of([stored('bad')]);
  expect(told).toHaveLength(1);
});

test('a stored definition that this release cannot run blocks no other model', async () => {
  const first = await open(here);
  await first.apply(model(), REST);
  await first.apply(model({ id: 'other' }), REST);
  await first.close();
  const file = join(here.directory, 'models', 'iris.json');
  const { stored } = JSON.parse(readFileSync(file, 'utf8')) as { stored: { definition: object } };
  const old = { ...stored, definition: { ...stored.definition, health_check: { path: '/你' } } };
  const sha256 = createHash('sha256').update(JSON.stringify(old)).digest('hex');
  writeFileSync(file, JSON.stringify({ sha256, stored: old }));
  cluster = await open(here, { warn });
  await when(cluster, isReady('other', '1'));
  expect(told.join()).toMatch(/iris\.json is broken.*percent-encoded/);
  expect(readdirSync(join(here.directory, 'models')).join()).toContain('iris.json.broken-');
});

test('a definition that cannot be parsed again is refused before it is stored', async () => {
  cluster = await open(here, { warn });
  const definition = { ...model().definition, health_check: { path: '/你' } };
  await expect(cluster.apply({ ...model(), definition }, REST)).rejects.toThrow('percent-encoded');
  expect(now(cluster).models.size).toBe(0);
  expect(openStore(join(here.directory, 'models'), warn).models.size).toBe(0);
});

test('names of inherited methods are ordinary names of models and arms', async () => {
  cluster = await open(here, { warn, endpoints: {} });
  const candidates = [{ name: 'keys', version: '2', traffic: 10 }];
  await cluster.apply(model({ id: 'constructor', candidates }), REST);
  await when(cluster, ({ models }) => {
    const arms = models.get('constructor')?.arms ?? [];
    return arms.length === 2 && arms.every(({ ready }) => ready === 1);
  });
  expect(told).toEqual([]);
});

test('running servers are found for a model named like a method', async () => {
  const server = createServer((_, response) => response.end());
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const endpoints = { constructor: { stable: [`127.0.0.1:${port}`] } };
  cluster = await open(here, { warn, endpoints });
  await cluster.apply(model({ id: 'constructor', server: { kind: 'triton' } }), REST);
  await when(cluster, isReady('constructor', '1'));
  server.closeAllConnections();
  server.close();
});

test('replicas beyond the memory of the machine are refused with a sentence', async () => {
  cluster = await open(here, { warn });
  const scaling = { minReplicas: 1000, maxReplicas: 1000 };
  const resources = { memory: '64Gi' };
  const many = cluster.apply(model({ scaling, resources }), REST);
  await expect(many).rejects.toMatchObject({ code: 'INSUFFICIENT_RESOURCES' });
  await expect(many).rejects.toThrow(/would take 64000\.0 GiB of memory, and this machine has/);
  expect(now(cluster).models.size).toBe(0);
  // One is tried, whatever it asks for.
  await cluster.apply(model({ resources }), REST);
  await when(cluster, isReady('iris', '1'));
});

test('replicas of all models count, and one of each may always be tried', async () => {
  cluster = await open(here, { warn, memoryBytes: 2 ** 30 });
  const resources = { memory: '400Mi' };
  const scaled = (id: string, replicas: number): ReturnType<typeof model> =>
    model({ id, resources, scaling: { minReplicas: replicas, maxReplicas: replicas } });
  await cluster.apply(scaled('first', 2), REST);
  const second = cluster.apply(scaled('second', 2), REST);
  await expect(second).rejects.toMatchObject({ code: 'INSUFFICIENT_RESOURCES' });
  await expect(second).rejects.toThrow(
    'model second: its replicas (stable 2) would take 0.8 GiB of memory, the other models take 0.8 GiB, and this machine has 1.0 GiB',
  );
  await cluster.apply(scaled('second', 1), REST);
  // What has gone leaves its room.
  await cluster.apply(scaled('first', 1), REST);
  await cluster.apply(scaled('second', 2), REST);
});

test('the limit of a container counts, and not the memory of its host', () => {
  const [arm] = model({ resources: { memory: '1Gi' } }).arms;
  const constrained = jest.spyOn(process, 'constrainedMemory').mockReturnValue(2 ** 31);
  const check = (replicas: number) => () => checkMemory('iris', [{ arm, replicas }], []);
  expect(check(2)).not.toThrow();
  expect(check(3)).toThrow('would take 3.0 GiB of memory, and this machine has 2.0 GiB');
  constrained.mockRestore();
});
