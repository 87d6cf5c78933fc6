import type { Elector, LeaseStore } from '../../runtime/cluster/elector';
import { startElector } from '../../runtime/cluster/elector';
import { VirtualTime } from '../core/virtual-time';
import type { TestLease } from '../support/leasestore';
import { createTestLease } from '../support/leasestore';

let time: VirtualTime;
let lease: TestLease;
let told: string[];
const running = new Map<string, Elector>();

/** Every candidate has a clock of its own; only the lease is the same. */
function begin(
  identity: string,
  store: LeaseStore = lease.store,
  wall = (): number => time.now,
): Elector {
  const elector = startElector({
    store,
    identity,
    timing: { now: () => time.now, after: time.after, random: () => 0 },
    wall,
    log: (message, { error = '' }) => told.push(`${identity}: ${message} ${error}`.trim()),
  });
  running.set(identity, elector);
  return elector;
}

const leaders = (): readonly string[] =>
  [...running].filter(([, one]) => one.isLeader()).map(([name]) => name);

beforeEach(() => {
  time = new VirtualTime();
  lease = createTestLease();
  told = [];
});
afterEach(async () => {
  const all = [...running.values()].map((one) => one.stop());
  running.clear();
  await time.run(10_000);
  await Promise.all(all);
});

test('one of three that start together leads, and all know the leader', async () => {
  const all = ['a', 'b', 'c'].map((name) => begin(name));
  await time.run(5_000);
  const [leader] = leaders();
  for (let second = 0; second < 120; second += 1) {
    await time.run(1_000);
    expect(leaders()).toEqual([leader]);
  }
  expect(all.map((one) => one.leader())).toEqual([leader, leader, leader]);
  expect(lease.record()).toMatchObject({ holder: leader, transitions: 0 });
});

test('a stopping leader releases the lease, and the next one leads at its next attempt', async () => {
  const first = begin('a');
  await time.run(100);
  begin('b');
  await time.run(5_000);
  expect(leaders()).toEqual(['a']);
  const stopped = first.stop();
  expect(first.isLeader()).toBe(false);
  await time.run(2_500);
  await stopped;
  expect(leaders()).toEqual(['b']);
  expect(lease.record()).toMatchObject({ holder: 'b', transitions: 1 });
});

test('a leader that dies is replaced after its lease ends', async () => {
  // It writes once and is never heard again.
  const dying: LeaseStore = { ...lease.store };
  const first = begin('a', dying);
  await time.run(100);
  expect(first.isLeader()).toBe(true);
  Object.assign(dying, { read: () => new Promise(() => undefined) });
  begin('b');
  const begun = time.now;
  while (!leaders().includes('b')) {
    expect(time.now - begun).toBeLessThan(20_000);
    await time.run(500);
    expect(leaders().length).toBeLessThanOrEqual(1);
  }
  expect(time.now - begun).toBeGreaterThanOrEqual(14_000);
});

test('two routers never lead at once, whatever messages are lost', async () => {
  let chance = 1;
  const random = (): number => {
    chance = (chance * 48_271) % 2_147_483_647;
    return chance / 2_147_483_647;
  };
  /** A third of all calls fails, a third takes up to 12 s. */
  lease.wait = () =>
    new Promise((resolve, reject) => {
      const fate = random();
      if (fate < 0.33) reject(new Error('lost'));
      else time.after(resolve, fate < 0.66 ? random() * 12_000 : 5);
    });
  for (const name of ['a', 'b', 'c']) begin(name);
  const seen = new Set<string>();
  for (let step = 0; step < 4000; step += 1) {
    await time.run(250);
    expect(leaders().length).toBeLessThanOrEqual(1);
    for (const name of leaders()) seen.add(name);
  }
  // It went round: the test has seen changes of the lead.
  expect(seen.size).toBeGreaterThan(1);
});

test('a leader that cannot renew stops after 10 s, before another one leads', async () => {
  const first = begin('a');
  await time.run(100);
  lease.wait = () => Promise.reject(new Error('the API server is down'));
  await time.run(9_000);
  expect(first.isLeader()).toBe(true);
  await time.run(2_000);
  expect(first.isLeader()).toBe(false);
  expect(told).toEqual([
    'a: this router leads',
    'a: the lease could not be read or written; it is tried again the API server is down',
    'a: this router no longer leads',
  ]);
  lease.wait = () => Promise.resolve();
  await time.run(5_000);
  expect(first.isLeader()).toBe(true);
});

test('clocks hours apart change nothing', async () => {
  begin('a', lease.store, () => time.now - 7_200_000);
  await time.run(100);
  begin('b', lease.store, () => time.now + 7_200_000);
  for (let second = 0; second < 60; second += 1) {
    await time.run(1_000);
    expect(leaders()).toEqual(['a']);
  }
});
