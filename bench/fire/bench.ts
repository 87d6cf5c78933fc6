// What the router must do under fire, with its numbers: `npm run bench:fire [NAME…]`. The shipped
// service on one core; generator and replicas, each a process that can be killed, on the other.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Shot } from './openloop';
import { Generator, openLoop, quantile } from './openloop';
import type { SceneOptions } from './scene';
import { request, Scene } from './scene';

interface Found {
  readonly goal: string;
  readonly measured: string;
  readonly isMet: boolean;
}

const NATIVE = '/api/v1/models/m/inference';
const ONE = { input_data: { x: [1, 2, 3] } };
const plain = request(NATIVE, ONE);
const isWell = ({ status }: Shot): boolean => status === 200;
const failures = (shots: readonly Shot[]): number => shots.filter((one) => !isWell(one)).length;
const waits = (shots: readonly Shot[]): readonly number[] => shots.map(({ ms }) => ms);
const FOUR: SceneOptions = {
  arms: { stable: 4 },
  serviceMs: 10,
  inference: { maxConcurrency: 64 },
};

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

async function killed(): Promise<Found> {
  const scene = await Scene.open(FOUR);
  try {
    const load = openLoop({ port: scene.port, perSecond: 1000, seconds: 8, request: () => plain });
    await sleep(3000);
    await scene.replicas[0]?.end('SIGKILL');
    const shots = await load;
    const failed = failures(shots);
    const most = Math.max(...waits(shots)).toFixed(0);
    const measured = `${failed} of ${shots.length} failed, slowest ${most} ms`;
    return { goal: '0 errors for callers', measured, isMet: failed === 0 };
  } finally {
    await scene.close();
  }
}

async function replaced(): Promise<Found> {
  const scene = await Scene.open(FOUR);
  try {
    const load = openLoop({ port: scene.port, perSecond: 1500, seconds: 40, request: () => plain });
    for (const one of scene.replicas) {
      await sleep(5000);
      await one.end('SIGTERM');
      await one.start();
    }
    const shots = await load;
    const failed = failures(shots);
    return {
      goal: '0 failed of 60,000',
      measured: `${failed} failed of ${shots.length}`,
      isMet: failed === 0,
    };
  } finally {
    await scene.close();
  }
}

async function shifted(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, arms: { stable: 2, next: 2 } });
  const generator = new Generator(scene.port);
  try {
    const load = openLoop({ port: scene.port, perSecond: 500, seconds: 20, request: () => plain });
    const effects: number[] = [];
    let wrong = 0;
    for (let change = 0; change < 1000; change += 1) {
      const percent = change % 2 === 0 ? 100 : 0;
      const { status } = await scene.call('/api/v1/models/m/traffic', {
        candidate: 'next',
        percent,
      });
      const began = performance.now();
      const wanted = percent === 100 ? 'next' : 'stable';
      let shot = await generator.shoot(plain);
      while (shot.arm !== wanted && performance.now() - began < 1000) {
        shot = await generator.shoot(plain);
      }
      // The answer of the first one that went the new way was sent before it came back.
      effects.push(performance.now() - began - shot.ms);
      if (status >= 300 || shot.arm !== wanted) wrong += 1;
    }
    const failed = failures(await load);
    const slowest = Math.max(...effects);
    return {
      goal: '1,000 changes: 0 failed, in effect within 50 ms',
      measured: `${failed} failed, ${wrong} without effect, slowest ${slowest.toFixed(1)} ms`,
      isMet: failed === 0 && wrong === 0 && slowest <= 50,
    };
  } finally {
    generator.close();
    await scene.close();
  }
}

async function slowed(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, arms: { stable: 11 } });
  try {
    const load = openLoop({ port: scene.port, perSecond: 500, seconds: 40, request: () => plain });
    await sleep(5000);
    scene.replicas[3]?.takes(2000);
    await sleep(30_000);
    scene.replicas[3]?.takes(10);
    const shots = await load;
    const fast = shots.filter((one) => isWell(one) && one.ms < 1000).length / shots.length;
    return {
      goal: '99.9 % below 1 s',
      measured: `${(100 * fast).toFixed(3)} % of ${shots.length}`,
      isMet: fast >= 0.999,
    };
  } finally {
    await scene.close();
  }
}

async function overloaded(): Promise<Found> {
  // Small, so that generator and replicas have time to spare.
  const inference = { maxConcurrency: 4, timeoutSeconds: 2 };
  const scene = await Scene.open({ arms: { stable: 4 }, serviceMs: 40, inference });
  try {
    const ask = (perSecond: number) =>
      openLoop({ port: scene.port, perSecond, seconds: 6, request: () => plain });
    const calm = await ask(380);
    const peak = calm.filter(isWell).length / 6;
    const shots = await ask(1140);
    const goodput = shots.filter(isWell).length / 6;
    const shed = waits(shots.filter(({ status }) => status === 503));
    const [median, late] = [quantile(shed, 0.5), quantile(shed, 0.99)];
    return {
      goal: 'goodput 90 % of the peak, refused within 5 ms (median)',
      measured:
        `${((100 * goodput) / peak).toFixed(0)} % of ${peak.toFixed(0)}/s; ${shed.length} refused in ` +
        `${median.toFixed(1)} ms (p99 ${late.toFixed(1)})`,
      isMet: goodput >= 0.9 * peak && median <= 5,
    };
  } finally {
    await scene.close();
  }
}

async function aborted(): Promise<Found> {
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

async function batched(): Promise<Found> {
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

async function delayed(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, arms: { stable: 1 }, serviceMs: 0 });
  try {
    const direct = request('/inference', ONE);
    const [one] = scene.replicas;
    const ask = (port: number, text: string) =>
      openLoop({ port, perSecond: 1000, seconds: 5, request: () => text });
    await ask(scene.port, plain);
    const rows: (readonly number[])[] = [];
    for (let round = 0; round < 3; round += 1) {
      const without = waits(await ask(one?.port ?? 0, direct));
      const through = waits(await ask(scene.port, plain));
      rows.push([0.5, 0.99].map((part) => quantile(through, part) - quantile(without, part)));
    }
    const [p50, p99] = [0, 1].map((at) =>
      quantile(
        rows.map((row) => row[at] ?? NaN),
        0.5,
      ),
    );
    return {
      goal: 'at 1,000/s adds p50 ≤ 0.5 ms, p99 ≤ 3 ms (native)',
      measured: `p50 ${p50?.toFixed(2)} ms, p99 ${p99?.toFixed(2)} ms`,
      isMet: (p50 ?? 9) <= 0.5 && (p99 ?? 9) <= 3,
    };
  } finally {
    await scene.close();
  }
}

const megabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

async function crowded(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, arms: { stable: 1 }, others: 1000 });
  try {
    const { pid } = scene;
    await sleep(3000);
    const alone = megabytes(pid);
    const sockets: Socket[] = [];
    // Not all at once: the kernel keeps only some hundred that nobody has accepted yet.
    for (let made = 0; made < 10_000; made += 200) {
      const some = Array.from({ length: 200 }, () => connect(scene.port, '127.0.0.1'));
      await Promise.all(some.map((one) => once(one, 'connect')));
      sockets.push(...some);
    }
    await sleep(3000);
    const kilobytes = ((megabytes(pid) - alone) * 1024) / 10_000;
    for (const socket of sockets) socket.destroy();
    return {
      goal: '1,000 models: ≤ 150 MB; an idle connection: ≤ 20 KB',
      measured: `${alone.toFixed(0)} MB; ${kilobytes.toFixed(1)} KB`,
      isMet: alone <= 150 && kilobytes <= 20,
    };
  } finally {
    await scene.close();
  }
}

const SCENARIOS: Readonly<Record<string, () => Promise<Found>>> = {
  'kill −9 one of 4 at 1,000/s': killed,
  'all replaced, one by one': replaced,
  'shares change under load': shifted,
  'one of 11 takes 2 s for 30 s': slowed,
  'three times the load': overloaded,
  'callers go away': aborted,
  'a batch with bad items': batched,
  'added latency': delayed,
  'many models, many connections': crowded,
};

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  let missed = 0;
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (wanted.length > 0 && !wanted.some((one) => name.includes(one))) continue;
    const { goal, measured, isMet } = await scenario();
    if (!isMet) missed += 1;
    console.log(`${isMet ? 'ok  ' : 'MISS'} ${name.padEnd(30)} ${measured}   [${goal}]`);
  }
  console.log(missed === 0 ? 'every goal is met' : `${missed} goals are missed`);
  process.exitCode = missed === 0 ? 0 : 1;
}

void main();
