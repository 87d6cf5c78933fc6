import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '../../test/core/simulator';
import { mutated } from '../../test/support/mutate';
import type { Found } from './found';
import { FOUR, NATIVE, ONE, plain } from './found';
import { quantile } from './openloop';
import { megabytes, request, Scene } from './scene';

// Callers that go away, send anything, or a batch.

interface Status {
  readonly resource_usage: {
    readonly requests_in_flight: number;
    readonly requests_queued: number;
  };
}

function inFlight(body: unknown): number {
  const { requests_in_flight: running, requests_queued: queued } = (body as Status).resource_usage;
  return running + queued;
}

interface Batch {
  readonly succeeded: number;
  readonly failed: number;
  readonly results: readonly { readonly error?: object }[];
}

export async function aborted(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, serviceMs: 50 });
  try {
    for (let round = 0; round < 100; round += 1) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const socket = connect(scene.port, '127.0.0.1');
          socket.on('error', () => undefined);
          socket.write(index % 3 === 0 ? plain.slice(0, -5) : plain);
          await sleep(index % 40);
          socket.destroy();
        }),
      );
    }
    let left = NaN;
    for (const end = Date.now() + 5000; left !== 0 && Date.now() < end; await sleep(20)) {
      left = inFlight((await scene.call('/api/v1/models/m/status')).body);
    }
    const { status } = await scene.call(NATIVE, ONE);
    return {
      goal: '10,000 callers go: in flight is 0',
      measured: `in flight ${left}, the next call ${status}`,
      isMet: left === 0 && status === 200,
    };
  } finally {
    await scene.close();
  }
}

export async function batched(): Promise<Found> {
  const inference = { maxConcurrency: 64, maxBatchSize: 64 };
  const scene = await Scene.open({ arms: { stable: 4 }, serviceMs: 200, inference });
  try {
    const items = Array.from({ length: 64 }, (_, index) => ({
      input_data: { bad: index % 21 === 5 },
    }));
    const path = '/api/v1/models/m/batch_inference';
    const answer = scene.call(path, { requests: items });
    await sleep(80);
    await scene.replicas[1]?.end('SIGKILL');
    const { body } = await answer;
    const { succeeded, failed, results } = body as Batch;
    const inOrder = results.every((one, index) => (one.error !== undefined) === (index % 21 === 5));
    return {
      goal: 'batch of 64, 3 bad, a replica dies: 61 results, 3 errors',
      measured: `${succeeded} results, ${failed} errors, ${inOrder ? 'in order' : 'out of order'}`,
      isMet: succeeded === 61 && failed === 3 && inOrder,
    };
  } finally {
    await scene.close();
  }
}

/** From a caller's going to the moment its model server sees it. */
export async function hungUp(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, arms: { stable: 1 }, serviceMs: 20_000 });
  try {
    const [replica] = scene.replicas;
    if (replica === undefined) throw new Error('there is no replica');
    const took: number[] = [];
    for (let round = 1; round <= 100; round += 1) {
      const socket = connect(scene.port, '127.0.0.1');
      socket.write(plain);
      await until(async () => (await replica.seen()).asked >= round);
      const began = performance.timeOrigin + performance.now();
      socket.destroy();
      await until(async () => (await replica.seen()).gone.length >= round);
      took.push(((await replica.seen()).gone.at(-1) ?? NaN) - began);
    }
    const [median, most] = [quantile(took, 0.5), Math.max(...took)];
    return {
      goal: 'a caller goes: its model server knows within 50 ms',
      measured: `median ${median.toFixed(1)} ms, slowest ${most.toFixed(1)} ms of ${took.length}`,
      isMet: most <= 50,
    };
  } finally {
    await scene.close();
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await holds()); await sleep(5)) {
    if (Date.now() > end) throw new Error('waited in vain');
  }
}

const SPOILED = 100_000;
/** Until the heap has the size that such traffic needs. */
const WARM = 100_000;
/** Heaps breathe; what leaks grows with every request: 100,000 of 1 KB would be 100 MB. */
const GROWTH_MB = 30;

/** Statuses of all answers to bytes that may be anything; what does not end is given up. */
function shout(port: number, bytes: string): Promise<readonly number[]> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    // A reset leaves no connection behind that waits for stray packets.
    socket.setTimeout(20, () => socket.resetAndDestroy());
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('end', () => socket.resetAndDestroy());
    socket.on('error', () => undefined);
    socket.on('close', () =>
      resolve([...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))),
    );
  });
}

export async function fuzzed(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, arms: { stable: 1 }, serviceMs: 0 });
  try {
    const random = seeded(20_261_125);
    const counts = new Map<number, number>();
    const corpus = [plain, request('/v1/models', {}), plain.replace('POST', 'GET')];
    const send = async (count: number): Promise<void> => {
      for (let sent = 0; sent < count; sent += 100) {
        const all = Array.from({ length: 100 }, () => shout(scene.port, mutated(random, corpus)));
        for (const status of (await Promise.all(all)).flat()) {
          counts.set(status, (counts.get(status) ?? 0) + 1);
        }
      }
    };
    await send(WARM);
    const before = megabytes(scene.pid);
    await send(SPOILED);
    await sleep(2000);
    const grown = megabytes(scene.pid) - before;
    const { status } = await scene.call(NATIVE, ONE);
    const ours = [...counts].filter(([one]) => one >= 500 && one !== 501 && one !== 505);
    const told = ours.map(([one, count]) => `${count} × ${one}`).join(', ') || 'none';
    const refused = [...counts].reduce((sum, [one, count]) => sum + (one >= 400 ? count : 0), 0);
    return {
      goal: `100,000 spoiled requests: alive, no 5xx of ours, memory grows ≤ ${GROWTH_MB} MB`,
      measured: `${refused} refused, 5xx ${told}, ${grown.toFixed(1)} MB, the next call ${status}`,
      isMet: status === 200 && ours.length === 0 && grown <= GROWTH_MB,
    };
  } finally {
    await scene.close();
  }
}
