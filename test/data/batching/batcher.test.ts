import { buildTable } from '../../../runtime/core/routing/build-table';
import type { CallOptions, UpstreamContext } from '../../../runtime/data/upstream/call';
import { CallerSignal } from '../../../runtime/data/http/server/caller-signal';
import type { Companion, Job } from '../../../runtime/data/dispatch/job';
import type { Joined } from '../../../runtime/data/batching/batcher';
import { createJoiner } from '../../../runtime/data/batching/batcher';
import type { Part } from '../../../runtime/data/batching/batched-call';
import { keyOf } from '../../../runtime/data/batching/splice';
import { cutNative } from '../../../runtime/data/batching/splice-native';
import { FORMS } from '../../../runtime/data/batching/codecs';
import { DEFAULT_LIMITS } from '../../../runtime/data';
import { DEFAULT_RULES } from '../../../runtime/data/upstream/headers';
import { recordOf, snapshotOf } from '../../core/support';

// The joiner by itself: what happens within one turn of the event loop cannot be told by sockets.

const inference = { batching: { maxSize: 8, maxDelayMs: 0, rowsIndependent: true } };
const model = buildTable(snapshotOf(recordOf({ input: { inference } })), 1).models.get('iris');

function setUp() {
  const started: Job[] = [];
  const joined: Joined[] = [];
  const dispatcher = {
    start: (job: Job) => void started.push(job),
    plan: () => undefined,
    poisonedMs: () => 0,
  };
  const upstream = { send: () => undefined, close: () => undefined };
  const calling: UpstreamContext = {
    dispatcher,
    upstream,
    limits: DEFAULT_LIMITS,
    rules: DEFAULT_RULES,
  };
  const clock = { now: () => 1000, setTimeout: () => () => undefined };
  const joiner = createJoiner({
    calling,
    clock,
    onJoined: (one) => joined.push(one),
    random: () => 0.999,
    mayCompare: () => false,
  });
  return { joiner, started, joined };
}

function baseOf(): CallOptions {
  if (model === undefined) throw new Error('it is in the table');
  const signal = new CallerSignal();
  return { model, priority: 'normal', timeoutMs: 30_000, items: 1, signal, headers: '' };
}

function partOf(bytes = 2): Part {
  const cut = cutNative('{}');
  return {
    key: keyOf(cut),
    cut,
    bytes,
    form: FORMS.native,
    target: '/batch_inference',
    headers: '',
  };
}

function companionOf(ends: string[], deadline = 31_000) {
  const arm = model?.arms.get('stable');
  if (arm === undefined) throw new Error('it has an arm');
  const told: Companion = {
    arm,
    deadline,
    whenGone: () => undefined,
    give: () => ends.push('given'),
    fail: () => ends.push('failed'),
    alone: (admitted) => ends.push(admitted ? 'alone in front' : 'alone'),
  };
  return told;
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test('without a delay, what comes in one turn of the event loop goes together', async () => {
  const { joiner, started } = setUp();
  const ends: string[] = [];
  for (let at = 0; at < 3; at += 1) joiner.gather(baseOf(), companionOf(ends), () => partOf());
  expect(started).toEqual([]);
  await nextTurn();
  expect(started).toMatchObject([{ items: 3, isJoint: true, arm: 'stable' }]);
  joiner.gather(baseOf(), companionOf(ends), () => partOf());
  await nextTurn();
  expect(started).toHaveLength(1);
  expect(ends).toEqual(['alone']);
});

test('a joined call has the time of whoever has least', async () => {
  const { joiner, started } = setUp();
  for (const deadline of [31_000, 30_900, 30_950]) {
    joiner.gather(baseOf(), companionOf([], deadline), () => partOf());
  }
  await nextTurn();
  expect(started[0]?.timeoutMs).toBe(29_900);
});

test('deadlines far apart are no company: who has little time is not asked for with who has much', async () => {
  const { joiner, started } = setUp();
  for (const deadline of [31_000, 11_000, 30_000, 11_500]) {
    joiner.gather(baseOf(), companionOf([], deadline), () => partOf());
  }
  await nextTurn();
  expect(started.map(({ timeoutMs }) => timeoutMs)).toEqual([29_000, 10_000]);
});

test('one that cannot go with others goes at once, and does not count', () => {
  const { joiner, joined } = setUp();
  const ends: string[] = [];
  joiner.gather(baseOf(), companionOf(ends), () => undefined);
  expect(ends).toEqual(['alone']);
  expect(joined).toEqual([]);
});

test('a full call does not wait for the end of the turn', () => {
  const { joiner, started } = setUp();
  for (let at = 0; at < 8; at += 1) joiner.gather(baseOf(), companionOf([]), () => partOf());
  expect(started).toMatchObject([{ items: 8 }]);
});

test('a joined call is no larger than the largest body the model takes', async () => {
  const { joiner, started } = setUp();
  const most = model?.inference.maxBodyBytes ?? 0;
  for (const bytes of [most / 2, most / 2, 1, 1]) {
    joiner.gather(baseOf(), companionOf([]), () => partOf(bytes));
  }
  expect(started).toMatchObject([{ items: 2 }]);
  await nextTurn();
  expect(started).toMatchObject([{ items: 2 }, { items: 2 }]);
});

test('one that cannot be said in words of the server goes alone, where it is told why', () => {
  const { joiner } = setUp();
  const ends: string[] = [];
  joiner.gather(baseOf(), companionOf(ends), () => {
    throw new Error('no words');
  });
  expect(ends).toEqual(['alone']);
});
