import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Arm } from '../../lib/spec';
import type { ReplicaRecord } from '../../runtime/cluster/port';
import type { Outcome } from '../../runtime/core/routing/outcome';
import type { TableHolder } from '../../runtime/core/routing/table';
import { EMPTY_TABLE } from '../../runtime/core/routing/table';
import {
  createDataPlane,
  createDispatcher,
  createHttpClient,
  openHttpServer,
} from '../../runtime/data';
import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { OPEN } from '../support/plane';
import type { Service } from './support';
import { ask, place, serve } from './support';

/** Replicas that are real servers; a roll replaces one after the other, with surge and drain. */
function createFleet() {
  const replicas = new Map<string, ReplicaRecord>();
  const backends = new Map<string, Backend>();
  let ids = 0;
  const start = async ({ name, version }: Arm): Promise<void> => {
    const answer = json({ result: { version }, confidence: 1, model_version: version });
    const backend = await startBackend(() => answer);
    const id = `r${(ids += 1)}`;
    backends.set(id, backend);
    replicas.set(id, {
      id,
      arm: name,
      version,
      host: '127.0.0.1',
      port: backend.port,
      phase: 'ready',
      restarts: 0,
      since: 0,
    });
  };
  const leave = (id: string): void => {
    const replica = replicas.get(id);
    if (replica !== undefined) replicas.set(id, { ...replica, phase: 'terminating' });
  };
  /** Those that were told to go and have nothing to do any more. */
  const bury = async (): Promise<void> => {
    for (const [id, { phase }] of replicas) {
      if (phase !== 'terminating' || (backends.get(id)?.inFlight() ?? 0) > 0) continue;
      replicas.delete(id);
      await backends.get(id)?.kill();
    }
  };
  /** One step towards what the arms ask for: at most one replica more, at most one less. */
  const step = async (arms: readonly Arm[]): Promise<void> => {
    await bury();
    for (const arm of arms) {
      const ready = [...replicas.values()].filter(
        (one) => one.arm === arm.name && one.phase === 'ready',
      );
      const old = ready.find(({ version }) => version !== arm.version);
      if (ready.length < arm.scaling.minReplicas) await start(arm);
      else if (ready.length > arm.scaling.minReplicas) leave((old ?? ready[0])?.id ?? '');
      else if (old !== undefined) await start(arm);
    }
    const wanted = new Set(arms.map(({ name }) => name));
    for (const { id, arm } of replicas.values()) if (!wanted.has(arm)) leave(id);
  };
  const of = (arm: Arm): readonly ReplicaRecord[] =>
    [...replicas.values()].filter((one) => one.arm === arm.name);
  return { step, of };
}

/** The whole service but its main: control and data on one table, and a port for inference. */
async function compose() {
  const fleet = createFleet();
  const table: TableHolder = { current: EMPTY_TABLE };
  const outcomes: Outcome[] = [];
  const clock = {
    now: Date.now,
    setTimeout: (call: () => void, ms: number) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  };
  const { dispatcher, load, onTableSwap } = createDispatcher({
    table,
    clock,
    random: Math.random,
    onOutcome: (outcome) => void outcomes.push(outcome),
  });
  const service = await serve({
    replicasOf: (_, arm) => fleet.of(arm),
    more: { table, load, onTableSwap },
  });
  const upstream = createHttpClient();
  let ids = 0;
  const plane = createDataPlane({
    table,
    dispatcher,
    upstream,
    clock,
    random: Math.random,
    authenticate: OPEN,
    newId: () => `id-${(ids += 1)}`,
    trustedProxies: [],
    version: 'test',
    isReady: service.control.isReady,
    onBatch: () => undefined,
    onShadow: () => undefined,
    onJoined: () => undefined,
    onFault: (_, error) => {
      throw error;
    },
  });
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    maxConnections: 10_000,
    handle: plane.handle,
    refuse: plane.refuse,
  });
  const { port } = server;
  const close = async (): Promise<void> => {
    await server.close(0);
    upstream.close();
    await service.close();
    await stopBackends();
  };
  const turn = async (): Promise<void> => {
    const spec = service.cluster
      .watch(() => undefined)
      .snapshot()
      .models.get('iris')?.spec;
    await fleet.step(spec?.arms ?? []);
    service.cluster.refresh();
    await service.control.tick();
  };
  return { service, table, port, close, turn, fleet };
}

interface Seen {
  readonly status: number;
  readonly version: string | null;
}

/** Callers that never rest, each with a cohort key of its own. */
function callers(port: number, count: number) {
  const state = { resting: false };
  const seen = Array.from({ length: count }, (): Seen[] => []);
  const call = async (user: number): Promise<void> => {
    while (!state.resting) {
      const reply = await fetch(`http://127.0.0.1:${port}/api/v1/models/iris/inference`, {
        method: 'POST',
        body: '{"input_data":{"x":1}}',
        headers: { 'content-type': 'application/json', 'x-user-id': `user-${user}` },
      });
      await reply.text();
      const version = reply.headers.get('x-ai-model-version');
      seen[user]?.push({ status: reply.status, version });
      await nextTurn();
    }
  };
  const done = Promise.all(seen.map((_, user) => call(user)));
  const rest = async (): Promise<readonly (readonly Seen[])[]> => {
    state.resting = true;
    await done;
    return seen;
  };
  return { rest, count: () => seen.reduce((sum, one) => sum + one.length, 0) };
}

const definition = {
  model_id: 'iris',
  version: 'v1',
  framework: 'custom',
  docker_image: 'test/iris:1',
  scaling_config: { min_replicas: 2, max_replicas: 2 },
  candidates: [{ name: 'next', version: 'v2', docker_image: 'test/iris:2', traffic: 10 }],
};

let composed: Awaited<ReturnType<typeof compose>>;
let service: Service;
let iris: string;

beforeEach(async () => {
  composed = await compose();
  service = composed.service;
  iris = `${service.url}/api/v1/models/iris`;
  await place(service, definition);
  for (let count = 0; count < 4; count += 1) await composed.turn();
});
afterEach(() => composed.close());

const statuses = (seen: readonly (readonly Seen[])[]): readonly number[] => [
  ...new Set(seen.flat().map(({ status }) => status)),
];

/** Turns as they come, with room for requests in between, until it holds. */
async function turnsUntil(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end; await pause(5)) {
    if (await holds()) return;
    await composed.turn();
  }
  throw new Error('waited in vain');
}

test('a promotion under load fails no request and moves no caller back', async () => {
  const load = callers(composed.port, 12);
  await turnsUntil(() => Promise.resolve(load.count() > 200));
  expect((await ask(`${iris}/promote`, 'POST', {})).status).toBe(202);
  await turnsUntil(async () => {
    const { body } = await ask(iris);
    return body['version'] === 'v2' && body['candidates'] === undefined;
  });
  const enough = load.count() + 200;
  await turnsUntil(() => Promise.resolve(load.count() > enough));
  const seen = await load.rest();
  expect(statuses(seen)).toEqual([200]);
  for (const one of seen) {
    const versions = one.map(({ version }) => version);
    const first = versions.indexOf('v2');
    expect(first).toBeGreaterThanOrEqual(0);
    expect(versions.slice(first)).not.toContain('v1');
  }
}, 30_000);

test('an update by PUT under load fails no request', async () => {
  const load = callers(composed.port, 12);
  await ask(`${iris}/abort`, 'POST');
  const change = { config: { version: 'v3', docker_image: 'test/iris:3', candidates: null } };
  expect((await ask(iris, 'PUT', change)).status).toBe(202);
  await turnsUntil(async () => (await ask(`${iris}/status`)).body['status'] === 'running');
  const enough = load.count() + 200;
  await turnsUntil(() => Promise.resolve(load.count() > enough));
  const seen = await load.rest();
  expect(statuses(seen)).toEqual([200]);
  expect(seen.every((one) => one.at(-1)?.version === 'v3')).toBe(true);
}, 30_000);

test('thirty changes of the share under load fail no request, each in effect with its response', async () => {
  const load = callers(composed.port, 8);
  for (let turn = 0; turn < 30; turn += 1) {
    const percent = (turn * 37) % 101;
    const reply = await ask(`${iris}/traffic`, 'POST', { candidate: 'next', percent });
    expect(reply.status).toBe(202);
    const shares = composed.table.current.models.get('iris')?.shares;
    expect(shares?.find(({ arm }) => arm === 'next')?.hundredths).toBe(percent * 100);
  }
  const seen = await load.rest();
  expect(statuses(seen)).toEqual([200]);
}, 30_000);
