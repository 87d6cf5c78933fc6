import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { buildTable } from '../../runtime/core/routing/build-table';
import { replica, recordOf, snapshotOf } from '../core/support';
import { seeded } from '../core/simulator';
import type { Backend, Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { mutated } from '../support/mutate';
import type { TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';
import { rounds } from '../support/rounds';

// What the router must do under fire, small and on real sockets; `npm run bench:fire` does it in full.

let port: Server | undefined;
afterEach(async () => {
  await stopPlanes();
  await stopBackends();
  port?.close();
  port = undefined;
});

const INFER = '/v2/models/iris/infer';
const well: Behave = async () => {
  await new Promise((resolve) => setTimeout(resolve, 2));
  return json({ ok: true });
};

function routeTo(plane: TestPlane, backends: readonly Backend[]): void {
  const inference = { maxConcurrency: 16, maxBatchSize: 64 };
  plane.route({
    input: { id: 'iris', inference },
    ports: { stable: backends.map((one) => one.port) },
  });
}

/** Callers that ask one request after the other, until they are told to stop; all statuses. */
function load(plane: TestPlane, callers = 8) {
  const state = { isOver: false };
  const statuses: number[] = [];
  const all = Array.from({ length: callers }, async () => {
    while (!state.isOver) {
      const got = await plane.post(INFER, {}).catch(() => undefined);
      statuses.push(got?.status ?? 0);
    }
  });
  const reach = (count: number): Promise<void> =>
    until(() => statuses.length >= count, `${count} requests`);
  const stop = async (): Promise<readonly number[]> => {
    state.isOver = true;
    await Promise.all(all);
    return statuses;
  };
  return { statuses, reach, stop };
}

test('one of four replicas is killed under load: no caller sees an error', async () => {
  const backends = await Promise.all([1, 2, 3, 4].map(() => startBackend(well)));
  const plane = await startPlane();
  routeTo(plane, backends);
  const { reach, stop } = load(plane);
  await reach(100);
  await backends[0]?.kill();
  await reach(400);
  expect(new Set(await stop())).toEqual(new Set([200]));
  expect(backends[0]?.seen.length).toBeGreaterThan(0);
});

test('all replicas are replaced under load, one after the other: no caller sees an error', async () => {
  let live = await Promise.all([1, 2, 3].map(() => startBackend(well)));
  const plane = await startPlane();
  routeTo(plane, live);
  const { statuses, reach, stop } = load(plane);
  for (const old of live) {
    await reach(statuses.length + 50);
    live = [...live.filter((one) => one !== old), await startBackend(well)];
    routeTo(plane, live);
    // It ends what it has, then it goes with the connections it kept.
    await until(() => old.inFlight() === 0, 'what it had in hand');
    await old.kill();
  }
  await reach(statuses.length + 50);
  expect(new Set(await stop())).toEqual(new Set([200]));
});

interface Batch {
  readonly requests: readonly { readonly input_data: { readonly bad?: boolean } }[];
}

test('a batch of 64 with 3 bad items and a crashing replica: 61 results, 3 errors, in order', async () => {
  const dying: Backend[] = [];
  const serve: Behave = async ({ url, body }) => {
    await Promise.all(dying.splice(0).map((one) => one.kill()));
    const results = url.startsWith('/batch')
      ? (JSON.parse(body.toString()) as Batch).requests.map(({ input_data: item }) =>
          item.bad === true ? { error: 'bad' } : { result: { y: 1 } },
        )
      : [{ result: { y: 1 } }];
    return json(url.startsWith('/batch') ? { results } : results[0]);
  };
  const backends = await Promise.all([1, 2, 3, 4].map(() => startBackend(serve)));
  dying.push(backends[1] as Backend);
  const plane = await startPlane();
  routeTo(plane, backends);
  const isBad = (index: number): boolean => index % 21 === 5;
  const requests = Array.from({ length: 64 }, (_, at) => ({ input_data: { bad: isBad(at) } }));
  const got = await plane.post('/api/v1/models/iris/batch_inference', { requests });
  const answer = JSON.parse(got.text) as { succeeded: number; failed: number; results: object[] };
  expect([answer.succeeded, answer.failed]).toEqual([61, 3]);
  answer.results.forEach((one, at) => expect('error' in one).toBe(isBad(at)));
});

const CORPUS = [
  `POST ${INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`,
  `POST ${INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n`,
  'POST /api/v1/models/iris/inference HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{"input_data":{}}',
  'POST /openai/v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n{"model":"iris"}',
  'GET /v2/models/iris HTTP/1.1\r\nHost: [::1]:8080\r\nAccept: */*\r\n\r\n',
  'GET /v1/models HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
];

const ROUNDS = rounds(8);

/** Sends bytes, ends, and gives the statuses of all answers. */
function statusesOf(to: number, bytes: string): Promise<readonly number[]> {
  return new Promise((resolve) => {
    let text = '';
    const socket: Socket = connect(to, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () =>
      resolve([...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))),
    );
  });
}

test('hundreds of malformed requests: each is answered or refused, without an internal error', async () => {
  const backend = await startBackend(() => json({ result: 1, outputs: [] }));
  // What never ends is over soon.
  const plane = await startPlane({ callers: { headMs: 50, bodyMs: 50, keepAliveMs: 50 } });
  routeTo(plane, [backend]);
  const random = seeded(20_261_125);
  const counts = new Map<number, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const all = Array.from({ length: 50 }, () => statusesOf(plane.port, mutated(random, CORPUS)));
    for (const status of (await Promise.all(all)).flat()) {
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
  }
  expect(
    [...counts.keys()].filter((status) => status >= 500 && status !== 501 && status !== 505),
  ).toEqual([]);
  expect(counts.get(200)).toBeGreaterThan(12 * ROUNDS);
  expect(counts.get(400)).toBeGreaterThan(12 * ROUNDS);
  expect(plane.faults).toEqual([]);
  await until(() => plane.load.active() === 0 && backend.inFlight() === 0, 'everything ended');
  expect((await plane.post(INFER, {})).status).toBe(200);
}, 60_000);

test('a table of 1,000 models with 4 replicas each is swapped whole: the next request uses the new one', async () => {
  const [old, next] = await Promise.all([
    startBackend(() => json({})),
    startBackend(() => json({})),
  ]);
  const plane = await startPlane();
  const tableOf = (to: Backend, generation: number) => {
    const records = Array.from({ length: 1000 }, (_, at) =>
      recordOf({
        input: { id: `model-${at}` },
        record: {
          replicas: [0, 1, 2, 3].map((index) =>
            replica('stable', 'v1', index, 'ready', { id: `${to.port}-${index}`, port: to.port }),
          ),
        },
      }),
    );
    return buildTable(snapshotOf(...records), generation);
  };
  const [first, second] = [tableOf(old, 1), tableOf(next, 2)];
  plane.table.current = first;
  const ids = [0, 499, 999];
  const ask = () => Promise.all(ids.map((at) => plane.post(`/v2/models/model-${at}/infer`, {})));
  await ask();
  plane.table.current = second;
  await ask();
  expect([old.seen.length, next.seen.length]).toEqual([3, 3]);
  // Only models with traffic have a state that a swap must look at.
  expect(plane.load.arms().filter(({ window }) => window.requests > 0)).toHaveLength(3);
});

test('a request costs one write and one read on each side: head and body go together', async () => {
  let reads = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => {
      reads += 1;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"result":1');
    });
  });
  port = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const plane = await startPlane();
  const ports = [typeof address === 'object' && address !== null ? address.port : 0];
  plane.route({ input: { id: 'iris' }, ports: { stable: ports } });
  const socket = connect(plane.port, '127.0.0.1');
  const answers: string[] = [];
  socket.on('data', (bytes) => answers.push(bytes.toString()));
  const body = 'x'.repeat(8000);
  for (let at = 1; at <= 20; at += 1) {
    socket.write(`POST ${INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n${body}`);
    await until(() => answers.length >= at, 'an answer');
    expect([reads, answers.length, answers.at(-1)?.endsWith('{"result":1')]).toEqual([
      at,
      at,
      true,
    ]);
  }
  socket.destroy();
});
