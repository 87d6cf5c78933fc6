import { setTimeout as sleep } from 'node:timers/promises';
import type { Found } from './found';
import { failures, FOUR, isWell, plain, waits } from './found';
import { openLoop } from './openloop';
import { Scene } from './scene';

// Replicas that die, are replaced, are slow or sick.

export async function killed(): Promise<Found> {
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

export async function replaced(): Promise<Found> {
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

export async function slowed(): Promise<Found> {
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

export async function sickened(): Promise<Found> {
  const scene = await Scene.open(FOUR);
  try {
    await openLoop({ port: scene.port, perSecond: 500, seconds: 2, request: () => plain });
    for (const one of scene.replicas) one.answers(503);
    const before = await triesOf(scene);
    const shots = await openLoop({
      port: scene.port,
      perSecond: 500,
      seconds: 20,
      request: () => plain,
    });
    const tries = ((await triesOf(scene)) - before) / shots.length;
    const told = shots.filter(({ status }) => status === 503).length;
    return {
      goal: 'all replicas 503: ≤ 1.2 tries per request, every caller is told so',
      measured: `${tries.toFixed(3)} tries; ${told} of ${shots.length} got 503`,
      isMet: tries <= 1.2 && told === shots.length,
    };
  } finally {
    await scene.close();
  }
}

async function triesOf({ replicas }: Scene): Promise<number> {
  const all = await Promise.all(replicas.map((one) => one.seen()));
  return all.reduce((sum, { asked }) => sum + asked, 0);
}
