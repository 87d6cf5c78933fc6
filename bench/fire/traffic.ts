import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildTable } from '../../runtime/core/routing/build-table';
import type { AttemptResult } from '../../runtime/core/routing/outcome';
import type { ModelRoute, TableHolder } from '../../runtime/core/routing/table';
import { EMPTY_TABLE } from '../../runtime/core/routing/table';
import { createDispatcher } from '../../runtime/data/dispatch/dispatcher';
import { CallerSignal } from '../../runtime/data/http/server/caller-signal';
import type { Job, JobCall } from '../../runtime/data/dispatch/job';
import { recordOf, replica, snapshotOf } from '../../test/core/support';
import type { Found } from './found';
import { failures, FOUR, isWell, ONE, plain, waits } from './found';
import { Generator, openLoop, quantile } from './openloop';
import { megabytes, request, Scene } from './scene';

// Shares that change, too much traffic, what the way through costs, and much of everything.

export async function shifted(): Promise<Found> {
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

export async function overloaded(): Promise<Found> {
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

export async function delayed(): Promise<Found> {
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

export async function crowded(): Promise<Found> {
  const scene = await Scene.open({ ...FOUR, arms: { stable: 1 }, others: 1000 });
  try {
    const { pid } = scene;
    await sleep(3000);
    const alone = megabytes(pid);
    const sockets: Socket[] = [];
    // In groups: the kernel's backlog holds a few hundred connections.
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

const MODELS = 1_000;

/** A table that is swapped under a dispatcher all of whose models have had traffic; in process. */
export function swapped(): Found {
  const table: TableHolder = { current: EMPTY_TABLE };
  const answered: AttemptResult = { kind: 'answered', status: 200 };
  const { dispatcher, onTableSwap } = createDispatcher({
    table,
    clock: { now: Date.now, setTimeout: () => () => undefined },
    random: Math.random,
    onOutcome: () => undefined,
  });
  const records = Array.from({ length: MODELS }, (_, at) =>
    recordOf({
      input: { id: `m-${at}` },
      record: { replicas: [0, 1, 2, 3].map((index) => replica('stable', 'v1', index)) },
    }),
  );
  const builds: number[] = [];
  const swaps: number[] = [];
  for (let round = 0; round < 60; round += 1) {
    const began = performance.now();
    const next = buildTable(snapshotOf(...records), round + 1);
    const built = performance.now();
    table.current = next;
    onTableSwap();
    // The first rounds are for the compiler.
    if (round >= 10) {
      builds.push(built - began);
      swaps.push(performance.now() - built);
    }
    for (const model of next.models.values()) dispatcher.start(jobOf(model), callOf(answered));
  }
  const [median, late, build] = [
    quantile(swaps, 0.5),
    quantile(swaps, 0.99),
    quantile(builds, 0.5),
  ];
  return {
    goal: 'a table of 1,000 models × 4 replicas is swapped in ≤ 5 ms',
    measured: `${median.toFixed(2)} ms (p99 ${late.toFixed(2)}); made in ${build.toFixed(1)} ms`,
    isMet: median <= 5,
  };
}

function jobOf(model: ModelRoute): Job {
  return { model, priority: 'normal', timeoutMs: 1000, items: 1, signal: new CallerSignal() };
}

function callOf(answered: AttemptResult): JobCall {
  return {
    replayable: true,
    attempt: (_, report) => {
      report.settled(answered);
      report.finished(answered);
    },
    receive: () => undefined,
    fingerprint: () => undefined,
    onUnanswered: () => undefined,
  };
}
